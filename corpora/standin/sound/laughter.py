"""An audience that laughs: many people's short bursts of breath and voice, some five a second."""

import numpy as np
from jaxtyping import Float, Float32
from scipy import signal

from corpora.standin.sound.voice import RATE_HZ

N_PEOPLE = 14
_RISE_S, _FALL_S = 0.2, 0.35
# Resonances of an open mouth (hertz, and how wide), as loud as one another after the source's fall.
_FORMANTS = ((750.0, 160.0), (1250.0, 220.0), (2600.0, 400.0))


def laugh(length_s: float, level_db: float, rng: np.random.Generator) -> Float32[np.ndarray, "n"]:
    """Laughter at `RATE_HZ` that swells, goes on and dies away, at `level_db` of full scale."""
    n = round(length_s * RATE_HZ)
    time_s = np.arange(n) / RATE_HZ
    source = np.sum([_one_person(time_s, rng) for _ in range(N_PEOPLE)], axis=0)
    sound = np.zeros(n)
    for centre_hz, width_hz in _FORMANTS:
        b, a = signal.iirpeak(centre_hz, centre_hz / width_hz, fs=RATE_HZ)
        sound += signal.lfilter(b, a, source)
    sound *= np.clip(time_s / _RISE_S, 0, 1) * np.clip((length_s - time_s) / _FALL_S, 0, 1)
    level = np.sqrt(np.mean(sound**2)) + 1e-12
    return (sound * (10 ** (level_db / 20) / level)).astype(np.float32)


def _one_person(time_s: Float[np.ndarray, "n"], rng: np.random.Generator) -> np.ndarray:
    """Voice and breath in bursts; each person begins a little later and laughs a little slower."""
    begins_s, rate_hz = rng.uniform(0, 0.3), rng.uniform(4.2, 5.8)
    share = rng.uniform(0.3, 0.5)  # of each period that is sounding
    phase = (time_s - begins_s) * rate_hz
    burst = np.sin(np.pi * np.clip((phase % 1) / share, 0, 1)) ** 2
    burst *= (phase > 0) * np.exp(-0.25 * np.clip(phase, 0, None) * rng.uniform(0.3, 1.2))
    pitch_hz = rng.uniform(150, 420) * (1 - 0.15 * (phase % 1))
    voice = signal.sawtooth(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
    breath = rng.normal(size=len(time_s))
    mixture = rng.uniform(0.3, 0.8)
    return burst * (mixture * voice + (1 - mixture) * 0.6 * breath)
