"""How an emotion changes a voice, and how far the mouth opens as it speaks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy import signal

from corpora.standin.sound.voice import RATE_HZ, Voice, speak
from corpora.standin.traits import AcousticTraits

ENVELOPE_HZ = 100.0
_TILT_HZ = 1500.0
# Half the width of ordinary variation between utterances of one class, scaled by `spread`.
_VARIATION = {"pitch": 14.0, "range": 26.0, "rate": 26.0, "gain_db": 5.0, "tilt_db": 5.0}
_FASTEST, _SLOWEST = 260.0, 105.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How one utterance is said; the keys of `AcousticTraits.prosody`."""

    pitch: float
    range: float
    rate: float
    gain_db: float
    tilt_db: float


def plan_delivery(
    traits: AcousticTraits, emotion: str, intensity: float, rng: np.random.Generator
) -> Delivery:
    """The delivery of a class at an intensity, with the variation of ordinary speech."""
    target: Mapping[str, float] = traits.prosody[emotion]
    values = {
        name: intensity * target.get(name, 0.0) + traits.spread * width * float(rng.normal())
        for name, width in _VARIATION.items()
    }
    return Delivery(**values)


def say(
    text: str, voice: Voice, delivery: Delivery, level_db: float, seed: int
) -> Float32[np.ndarray, "samples"]:
    """An utterance at `RATE_HZ`, dry, at `level_db` of full scale plus the delivery's gain."""
    rate = float(np.clip(voice.rate + delivery.rate, _SLOWEST, _FASTEST))
    spoken = Voice(
        name=voice.name,
        pitch=voice.pitch + delivery.pitch,
        range=voice.range + delivery.range,
        rate=rate,
    )
    sound = tilt(speak(text, spoken, seed), delivery.tilt_db)
    level = np.sqrt(np.mean(sound**2)) + 1e-9
    gain = 10 ** ((level_db + delivery.gain_db) / 20) / level
    return np.tanh(np.clip(sound * gain, -4, 4)).astype(np.float32)


def tilt(sound: Float32[np.ndarray, "samples"], tilt_db: float) -> Float32[np.ndarray, "samples"]:
    """Raise or lower what lies above 1.5 kHz: vocal effort."""
    b, a = signal.butter(1, _TILT_HZ / (RATE_HZ / 2), "high")
    high = signal.lfilter(b, a, sound)
    return (sound + (10 ** (tilt_db / 20) - 1) * high).astype(np.float32)


def mouth_opening(sound: Float32[np.ndarray, "samples"], rate_hz: int) -> Float[np.ndarray, "t"]:
    """0 closed to 1 wide, at `ENVELOPE_HZ`: the speech's smoothed loudness, in its own scale."""
    hop = int(rate_hz / ENVELOPE_HZ)
    n = len(sound) // hop
    if n < 3:
        return np.zeros(0)
    loud = np.sqrt(np.mean(sound[: n * hop].reshape(n, hop) ** 2, axis=1))
    kernel = np.hanning(9)
    smooth = np.convolve(loud, kernel / kernel.sum(), "same")
    return np.clip(smooth / (np.percentile(smooth, 92) + 1e-9), 0, 1)
