"""What makes each stand-in corpus itself, by modality: the table of domain gaps and difficulty.

`REFERENCE` is a corpus without traits of its own; `TRAITS` says how each corpus differs. A gap of
strength g in a modality gives every number reference + g · (own - reference), clipped to what makes
sense (`BOUNDS`), so that 0 takes the gap away, 1 is the corpus as documented and more exaggerates
it. What cannot be scaled (voices, backdrops, wording) is drawn from the corpus's own set with a
probability (`own_share`) that is scaled the same way, and else from a set that all corpora share.

Difficulty stands in the same table: `ambiguous_share` of the utterances do not show their class in
that modality (they show nothing, or in `misleading_share` of these cases another class),
`intensity` is the mean strength at which the others do, and `spread` is how much utterances of one
class differ. Each corpus may have its own; the values so far are common.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from amanda.store.errors import InputError, nearest

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


REFERENCE = Traits(
    visual=VisualTraits(
        light=(-0.3, -0.35, 0.55),
        ambient=0.5,
        brightness=1.0,
        gamma=1.0,
        contrast=1.0,
        veil=0.0,
        cast=(1.0, 1.0, 1.0),
        blur_px=0.4,
        noise=3.0,
        half_face=54.0,
        motion=1.0,
        own_share=0.0,
        backdrops=("wall", "shelves"),
        backdrop_colour=(168.0, 164.0, 156.0),
        expressions={
            "neutral": {},
            "happy": {"smile": 0.8, "teeth": 0.4, "squint": 0.45, "brow_raise": 0.15},
            "sad": {"smile": -0.6, "brow_inner": 0.65, "lid": -0.22, "gaze_y": 0.35, "pitch": 0.05},
            "angry": {"smile": -0.25, "press": 0.35, "teeth": 0.25, "brow_low": 0.8, "squint": 0.2},
        },
        ambiguous_share=0.22,
        misleading_share=0.3,
        intensity=0.8,
        spread=0.14,
    ),
    acoustic=AcousticTraits(
        snr_db=32.0,
        noise_colour=1.0,
        rt60_s=0.15,
        low_hz=60.0,
        high_hz=7600.0,
        level_db=-26.0,
        own_share=0.0,
        voices=(("en-us", ("f1", "f4", "Annie"), ("m1", "m3", "m7")),),
        prosody={
            "neutral": {},
            "happy": {"pitch": 12.0, "range": 24.0, "rate": 14.0, "gain_db": 2.5, "tilt_db": 2.0},
            "sad": {"pitch": -8.0, "range": -26.0, "rate": -30.0, "gain_db": -5.0, "tilt_db": -5.0},
            "angry": {"pitch": 4.0, "range": 12.0, "rate": 14.0, "gain_db": 6.0, "tilt_db": 5.0},
        },
        ambiguous_share=0.25,
        misleading_share=0.3,
        intensity=0.8,
        spread=0.3,
    ),
    lexical=LexicalTraits(
        wording="shared", own_share=0.0, ambiguous_share=0.25, misleading_share=0.3
    ),
)

TRAITS: Mapping[str, Traits] = {
    # Acted dialogues in a bright, plain laboratory on a soft analogue camera: warm, a little
    # washed out, faces open and mouths busy; close, clean microphones; hot anger, open joy.
    "ie": Traits(
        visual=replace(
            REFERENCE.visual,
            light=(0.25, -0.45, 0.6),
            ambient=0.6,
            brightness=1.0,
            gamma=0.85,
            contrast=0.9,
            veil=0.04,
            cast=(1.06, 1.0, 0.9),
            blur_px=0.8,
            noise=3.5,
            half_face=53.0,
            motion=1.2,
            own_share=1.0,
            backdrops=("lab", "wall", "window"),
            backdrop_colour=(196.0, 186.0, 164.0),
            expressions={
                "neutral": {"brow_raise": 0.15},
                "happy": {"smile": 0.95, "teeth": 0.75, "squint": 0.3, "open": 0.1},
                "sad": {"smile": -0.85, "brow_inner": 0.45, "lid": -0.15, "gaze_y": 0.2},
                "angry": {"smile": -0.35, "teeth": 0.6, "open": 0.15, "brow_low": 0.7, "lid": 0.12},
            },
        ),
        acoustic=replace(
            REFERENCE.acoustic,
            snr_db=30.0,
            noise_colour=1.5,
            rt60_s=0.12,
            low_hz=80.0,
            high_hz=7800.0,
            level_db=-25.0,
            own_share=0.9,
            voices=(
                ("en-us", ("f2", "f3", "Andrea", "linda"), ("m2", "m4", "Andy", "Michael")),
                ("en-us-nyc", ("f5", "Alicia"), ("m6", "Gene")),
            ),
            prosody={
                "neutral": {},
                "happy": {
                    "pitch": 15.0,
                    "range": 28.0,
                    "rate": 10.0,
                    "gain_db": 2.5,
                    "tilt_db": 1.5,
                },
                "sad": {
                    "pitch": -8.0,
                    "range": -30.0,
                    "rate": -36.0,
                    "gain_db": -6.0,
                    "tilt_db": -6.0,
                },
                "angry": {
                    "pitch": 12.0,
                    "range": 20.0,
                    "rate": 22.0,
                    "gain_db": 7.0,
                    "tilt_db": 6.0,
                },
            },
        ),
        lexical=replace(REFERENCE.lexical, wording="ie", own_share=0.9),
    ),
    # Improvisation in a dim, cool studio lit from one side, on a sharp but noisy camera; restrained
    # faces that speak through brows and eyes; a distant, narrow microphone in a live room; cold
    # anger and a whining sorrow; British voices.
    "msp": Traits(
        visual=replace(
            REFERENCE.visual,
            light=(-0.7, -0.2, 0.4),
            ambient=0.34,
            brightness=0.82,
            gamma=1.25,
            contrast=1.08,
            veil=0.0,
            cast=(0.9, 0.98, 1.12),
            blur_px=0.3,
            noise=6.0,
            half_face=56.0,
            motion=0.8,
            own_share=1.0,
            backdrops=("studio", "curtain"),
            backdrop_colour=(92.0, 104.0, 116.0),
            expressions={
                "neutral": {"smile": -0.12, "brow_low": 0.12},
                "happy": {"smile": 0.6, "teeth": 0.05, "squint": 0.65, "brow_raise": 0.4},
                "sad": {
                    "smile": -0.25,
                    "brow_inner": 0.9,
                    "lid": -0.3,
                    "gaze_y": 0.5,
                    "pitch": 0.1,
                },
                "angry": {"smile": -0.15, "press": 0.75, "brow_low": 0.95, "squint": 0.35},
            },
        ),
        acoustic=replace(
            REFERENCE.acoustic,
            snr_db=22.0,
            noise_colour=0.6,
            rt60_s=0.35,
            low_hz=150.0,
            high_hz=5600.0,
            level_db=-29.0,
            own_share=0.9,
            voices=(
                ("en", ("f1", "f3", "anika", "belinda"), ("m3", "m5", "Alex", "Lee")),
                ("en-gb-scotland", ("f4", "steph"), ("m8", "ed")),
            ),
            prosody={
                "neutral": {},
                "happy": {
                    "pitch": 7.0,
                    "range": 20.0,
                    "rate": 24.0,
                    "gain_db": 1.5,
                    "tilt_db": 2.5,
                },
                "sad": {
                    "pitch": 4.0,
                    "range": -8.0,
                    "rate": -20.0,
                    "gain_db": -4.0,
                    "tilt_db": -3.0,
                },
                "angry": {
                    "pitch": -5.0,
                    "range": -2.0,
                    "rate": -4.0,
                    "gain_db": 4.5,
                    "tilt_db": 6.0,
                },
            },
        ),
        lexical=replace(REFERENCE.lexical, wording="msp", own_share=0.9),
    ),
}

T = TypeVar("T")


def corpus_traits(corpus: str, gap: Mapping[str, float]) -> Traits:
    """The traits of a corpus at the gap strengths asked for (`visual`, `acoustic`, `lexical`).

    Raises:
        InputError: no such corpus.
    """
    if corpus not in TRAITS:
        raise InputError(f"corpus '{corpus}' has no stand-in; {nearest(corpus, list(TRAITS))}")
    own = TRAITS[corpus]
    return Traits(
        visual=blend(REFERENCE.visual, own.visual, gap["visual"]),
        acoustic=blend(REFERENCE.acoustic, own.acoustic, gap["acoustic"]),
        lexical=blend(REFERENCE.lexical, own.lexical, gap["lexical"]),
    )


def blend(reference: T, own: T, strength: float) -> T:
    """`reference` + `strength` · (`own` - `reference`) for every number of two equal dataclasses.

    Texts and sets of names are `own`'s: `own_share` decides how often they are used.
    """
    values = {
        f.name: _blend(f.name, getattr(reference, f.name), getattr(own, f.name), strength)
        for f in fields(own)  # type: ignore[arg-type]
    }
    return replace(own, **values)  # type: ignore[type-var]


def _blend(name: str, reference: Any, own: Any, strength: float) -> Any:
    if isinstance(own, Mapping):
        empty: Any = {} if any(isinstance(v, Mapping) for v in own.values()) else 0.0
        parts = {
            key: _blend(name, reference.get(key, empty), own.get(key, empty), strength)
            for key in sorted({*reference, *own})
        }
        return {key: part for key, part in parts.items() if part != 0.0}
    if isinstance(own, tuple) and own and isinstance(own[0], float | int):
        return tuple(_blend(name, r, o, strength) for r, o in zip(reference, own, strict=True))
    if isinstance(own, float | int):
        low, high = BOUNDS.get(name, (float("-inf"), float("inf")))
        return min(high, max(low, reference + strength * (own - reference)))
    return own
