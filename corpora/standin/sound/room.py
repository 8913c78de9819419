"""Room, noise and microphone, put on the dry speech of a whole recording."""

import numpy as np
from jaxtyping import Float, Float32
from scipy import signal

from corpora.standin.traits import AcousticTraits


def record(
    speech: Float32[np.ndarray, "samples"],
    rate_hz: int,
    traits: AcousticTraits,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "samples"]:
    """Speech as the corpus's microphone gives it: reverberation, noise, band."""
    sound = reverberate(speech, rate_hz, traits.rt60_s, rng)
    level = 10 ** ((traits.level_db - traits.snr_db) / 20)
    sound = sound + level * coloured_noise(len(sound), traits.noise_colour, rng)
    high_hz = min(traits.high_hz, 0.48 * rate_hz)
    band = signal.butter(2, (traits.low_hz, high_hz), "band", fs=rate_hz, output="sos")
    return np.clip(signal.sosfilt(band, sound), -0.98, 0.98).astype(np.float32)


def reverberate(
    speech: Float32[np.ndarray, "samples"], rate_hz: int, rt60_s: float, rng: np.random.Generator
) -> Float[np.ndarray, "samples"]:
    """The direct sound and an exponentially decaying tail of noise (60 dB in `rt60_s`)."""
    if rt60_s < 0.02:
        return speech.astype(float)
    time_s = np.arange(int(rt60_s * rate_hz)) / rate_hz
    tail = rng.normal(size=len(time_s)) * 10 ** (-3 * time_s / rt60_s)
    tail[: int(0.004 * rate_hz)] = 0
    # A livelier room sends back more of the sound; the tail's energy grows with its length.
    tail *= np.sqrt(0.9 * rt60_s / (np.sum(tail**2) + 1e-12))
    tail[0] += 1.0
    return signal.oaconvolve(speech, tail)[: len(speech)]


def coloured_noise(n: int, colour: float, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """Noise of unit power whose power falls as frequency to the `colour`: 0 white, 2 brown."""
    if n == 0:
        return np.zeros(0)
    length = 1 << (n - 1).bit_length() if n > 1 else 2
    spectrum = np.fft.rfft(rng.normal(size=length))
    bins = np.maximum(np.arange(len(spectrum)), length * 40 / 22050)  # flat below about 40 Hz
    noise = np.fft.irfft(spectrum * bins ** (-colour / 2), length)[:n]
    return noise / (np.std(noise) + 1e-12)
