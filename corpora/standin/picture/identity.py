"""What a drawn person looks like: skin, face shape, hair, eyes, glasses, beard, clothes.

Colours are RGB, 0 to 255. Shapes are in face units: half the face's width is 1, x to the right,
y down, the origin between the ears (`picture/head.py`).
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = (
    (244, 212, 190),
    (236, 196, 168),
    (224, 178, 146),
    (206, 158, 124),
    (182, 132, 98),
    (152, 106, 76),
    (122, 84, 62),
)
HAIRS: tuple[Colour, ...] = (
    (34, 28, 28),
    (58, 40, 32),
    (92, 62, 42),
    (134, 94, 58),
    (178, 140, 88),
    (142, 72, 44),
    (128, 124, 122),
)
DARK_HAIRS = 3  # the first ones: what goes with the darker skins
EYES: tuple[Colour, ...] = (
    (74, 50, 34),
    (96, 70, 42),
    (84, 104, 70),
    (78, 112, 142),
    (98, 108, 116),
)
CLOTHES: tuple[Colour, ...] = (
    (62, 84, 116),
    (118, 58, 62),
    (78, 98, 76),
    (92, 92, 102),
    (150, 132, 102),
    (52, 58, 72),
    (126, 92, 126),
    (176, 172, 166),
    (50, 110, 116),
    (164, 106, 66),
)
FEMALE_HAIR = ("long", "bob", "bun", "curly", "side")
MALE_HAIR = ("short", "side", "crew", "curly", "receding")
COLLARS = ("round", "shirt", "vee", "hood")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One person. Lengths are in face units, `sex` is "F" or "M"."""

    sex: str
    skin: Colour
    hair: Colour
    hair_style: str
    eye: Colour
    lip: Colour
    clothes: Colour
    collar: str
    jaw_taper: float
    jaw_square: float
    chin_y: float
    eye_x: float
    eye_size: float
    brow_y: float
    brow_thick: float
    nose_width: float
    nose_y: float
    mouth_y: float
    mouth_width: float
    lip_thick: float
    beard: float
    moustache: float
    glasses: str
    resting_smile: float
    resting_brow: float
    seed: int


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` moved by `share` towards `b`, clipped to 0 to 255."""
    red, green, blue = (
        min(255, max(0, round(x + (y - x) * share))) for x, y in zip(a, b, strict=True)
    )
    return (red, green, blue)


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (below 1) or lighter tone of the same colour."""
    return mix((0, 0, 0), colour, factor)


def sample_look(sex: str, rng: np.random.Generator) -> Look:
    """Draw a person."""
    female = sex == "F"
    tone = float(rng.uniform(0, len(SKINS) - 1))
    skin = mix(SKINS[int(tone)], SKINS[min(int(tone) + 1, len(SKINS) - 1)], tone % 1)
    n_hairs = len(HAIRS) if tone < 3 else DARK_HAIRS
    hair = HAIRS[int(rng.integers(n_hairs))]
    eye = EYES[int(rng.integers(len(EYES) if tone < 3 else 2))]
    styles = FEMALE_HAIR if female else MALE_HAIR
    rosy = mix(
        skin, (176, 64, 70), float(rng.uniform(0.4, 0.72) if female else rng.uniform(0.3, 0.42))
    )
    bearded = not female and rng.random() < 0.4
    return Look(
        sex=sex,
        skin=skin,
        hair=hair,
        hair_style=styles[int(rng.integers(len(styles)))],
        eye=eye,
        lip=shade(rosy, 0.92),
        clothes=CLOTHES[int(rng.integers(len(CLOTHES)))],
        collar=COLLARS[int(rng.integers(len(COLLARS)))],
        jaw_taper=float(rng.uniform(0.2, 0.34) if female else rng.uniform(0.1, 0.24)),
        jaw_square=float(rng.uniform(2.0, 2.3) if female else rng.uniform(2.2, 2.8)),
        chin_y=float(rng.uniform(1.2, 1.34) + (0 if female else 0.06)),
        eye_x=float(rng.uniform(0.39, 0.44)),
        eye_size=float(rng.uniform(0.2, 0.235) + (0.015 if female else 0)),
        brow_y=float(rng.uniform(-0.47, -0.41) + (0 if female else 0.03)),
        brow_thick=float(rng.uniform(0.05, 0.07) if female else rng.uniform(0.075, 0.11)),
        nose_width=float(rng.uniform(0.17, 0.22) + (0 if female else 0.02)),
        nose_y=float(rng.uniform(0.28, 0.36)),
        mouth_y=float(rng.uniform(0.68, 0.75)),
        mouth_width=float(rng.uniform(0.33, 0.4)),
        lip_thick=float(rng.uniform(0.085, 0.12) if female else rng.uniform(0.06, 0.09)),
        beard=float(rng.uniform(0.35, 0.95)) if bearded else 0.0,
        moustache=float(rng.uniform(0.5, 1.0)) if bearded and rng.random() < 0.7 else 0.0,
        glasses=str(rng.choice(["round", "square"])) if rng.random() < 0.22 else "",
        resting_smile=float(rng.normal(0, 0.1)),
        resting_brow=float(rng.normal(0, 0.1)),
        seed=int(rng.integers(2**31)),
    )
