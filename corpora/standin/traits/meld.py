"""A comedy on a bright, warm set under even light, in sharp, contrasty pictures with several
people in them; big faces: wide grins, pouts, glares; boom microphones on a stage, an audience
that laughs; lively American voices with quick, wide melodies, also of sorrow.
"""

from dataclasses import replace

from corpora.standin.traits.reference import REFERENCE
from corpora.standin.traits.schema import Traits

OWN = Traits(
    visual=replace(
        REFERENCE.visual,
        light=(0.1, -0.5, 0.42),
        ambient=0.52,
        brightness=1.04,
        gamma=0.95,
        contrast=1.15,
        veil=0.0,
        cast=(1.1, 1.0, 0.86),
        blur_px=0.5,
        noise=2.5,
        half_face=54.0,
        motion=1.3,
        own_share=1.0,
        backdrops=("wall", "window", "shelves"),
        backdrop_colour=(190.0, 150.0, 122.0),
        expressions={
            "neutral": {"smile": 0.1},
            "happy": {"smile": 1.0, "teeth": 0.85, "squint": 0.35, "brow_raise": 0.35},
            "sad": {"smile": -0.7, "brow_inner": 0.75, "press": 0.2, "lid": -0.2},
            "angry": {"smile": -0.5, "teeth": 0.45, "brow_low": 0.85, "lid": 0.2, "open": 0.1},
        },
    ),
    acoustic=replace(
        REFERENCE.acoustic,
        snr_db=24.0,
        noise_colour=1.2,
        rt60_s=0.28,
        low_hz=90.0,
        high_hz=7000.0,
        level_db=-23.0,
        own_share=0.9,
        voices=(
            ("en-us", ("f2", "Annie", "aunty", "shelby"), ("m2", "m7", "Denis", "travis")),
            ("en-us-nyc", ("f3", "f5"), ("m4", "max")),
        ),
        prosody={
            "neutral": {"range": 8.0},
            "happy": {
                "pitch": 18.0,
                "range": 34.0,
                "rate": 22.0,
                "gain_db": 4.0,
                "tilt_db": 2.5,
            },
            "sad": {
                "pitch": -3.0,
                "range": -14.0,
                "rate": -32.0,
                "gain_db": -5.0,
                "tilt_db": -4.0,
            },
            "angry": {
                "pitch": 14.0,
                "range": 24.0,
                "rate": 16.0,
                "gain_db": 7.5,
                "tilt_db": 6.5,
            },
        },
    ),
    lexical=replace(REFERENCE.lexical, wording="meld", own_share=0.9),
)
