"""What a corpus's traits are, by modality, and the bounds that they keep."""

from collections.abc import Mapping
from dataclasses import dataclass

Targets = Mapping[str, Mapping[str, float]]

BOUNDS: Mapping[str, tuple[float, float]] = {
    "ambiguous_share": (0.0, 1.0),
    "intensity": (0.05, 1.0),
    "misleading_share": (0.0, 1.0),
    "spread": (0.0, 1.0),
    "own_share": (0.0, 1.0),
    "ambient": (0.25, 1.2),
    "brightness": (0.25, 1.3),
    "gamma": (0.5, 2.5),
    "contrast": (0.3, 1.6),
    "veil": (0.0, 0.3),
    "cast": (0.5, 1.5),
    "blur_px": (0.0, 1.6),
    "noise": (0.0, 24.0),
    "half_face": (46.0, 60.0),
    "motion": (0.2, 2.0),
    "snr_db": (3.0, 60.0),
    "rt60_s": (0.0, 1.2),
    "low_hz": (20.0, 500.0),
    "high_hz": (2500.0, 8000.0),
    "noise_colour": (0.0, 2.0),
    "level_db": (-45.0, -14.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VisualTraits:
    """Light, camera, room and manner of showing an emotion.

    Attributes:
        light: direction (x right, y down, z to the camera) times strength of the lamp.
        ambient: light from everywhere; 1 alone leaves colours as they are.
        brightness, gamma, contrast, veil: the camera's tone curve; gamma above 1 darkens, `veil`
            is stray light added to black.
        cast: gain of red, green and blue.
        blur_px: standard deviation of the lens's blur, pixels.
        noise: standard deviation of the sensor's noise, of 255.
        half_face: half a face's width, pixels, in a pane of 320 × 240.
        motion: how much heads move; 1 is ordinary.
        backdrops, backdrop_colour: what is behind people; `own_share` picks from these.
        expressions: axes of `picture/expression.py` by class, at full intensity.
    """

    light: tuple[float, float, float]
    ambient: float
    brightness: float
    gamma: float
    contrast: float
    veil: float
    cast: tuple[float, float, float]
    blur_px: float
    noise: float
    half_face: float
    motion: float
    own_share: float
    backdrops: tuple[str, ...]
    backdrop_colour: tuple[float, float, float]
    expressions: Targets
    ambiguous_share: float
    misleading_share: float
    intensity: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AcousticTraits:
    """Voices, manner of speaking, room and microphone.

    Attributes:
        snr_db: speech over noise. noise_colour: 0 white, 1 pink, 2 brown.
        rt60_s: time in which reverberation falls by 60 dB.
        low_hz, high_hz: the microphone's band.
        level_db: mean level of a neutral voice, dB of full scale.
        voices: (language, female variants, male variants) of espeak-ng; `own_share` picks these.
        prosody: by class and at full intensity: `pitch` and `range` (points of espeak's 0 to
            100), `rate` (words a minute), `gain_db`, and `tilt_db` (above 1.5 kHz: vocal effort).
    """

    snr_db: float
    noise_colour: float
    rt60_s: float
    low_hz: float
    high_hz: float
    level_db: float
    own_share: float
    voices: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    prosody: Targets
    ambiguous_share: float
    misleading_share: float
    intensity: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalTraits:
    """Wording.

    Attributes:
        wording: name of the corpus's own sentences in `words/`; `own_share` of the utterances
            take them, the others take the shared ones.
    """

    wording: str
    own_share: float
    ambiguous_share: float
    misleading_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """A corpus's traits in each modality."""

    visual: VisualTraits
    acoustic: AcousticTraits
    lexical: LexicalTraits
