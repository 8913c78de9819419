"""A comedy on a contrasty, saturated set under a lamp from the left, in sharp pictures with several
people in them; comic faces: smirks under raised brows, pouts, wide-eyed glares over closed lips;
boom microphones on a stage, an audience that laughs; American voices that chirp for joy, whine for
sorrow and are sarcastic, slow and flat, for anger.
"""

from dataclasses import replace

from corpora.standin.traits.reference import REFERENCE
from corpora.standin.traits.schema import Traits

OWN = Traits(
    visual=replace(
        REFERENCE.visual,
        light=(-0.45, -0.4, 0.42),
        ambient=0.46,
        brightness=1.0,
        gamma=1.15,
        contrast=1.25,
        veil=0.0,
        cast=(1.1, 0.98, 0.88),
        blur_px=0.5,
        noise=2.5,
        half_face=54.0,
        motion=1.3,
        own_share=1.0,
        backdrops=("wall", "window", "shelves"),
        backdrop_colour=(190.0, 150.0, 122.0),
        expressions={
            "neutral": {"smile": 0.15, "brow_raise": 0.25},
            "happy": {"smile": 0.65, "brow_raise": 0.65, "squint": 0.1},
            "sad": {"smile": -0.2, "press": 0.6, "brow_raise": 0.3, "brow_inner": 0.45},
            "angry": {"smile": 0.05, "press": 0.8, "brow_low": 0.55, "lid": 0.3},
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
            "neutral": {"pitch": 4.0, "range": 12.0},
            "happy": {
                "pitch": 8.0,
                "range": 12.0,
                "rate": 30.0,
                "gain_db": 3.0,
                "tilt_db": 3.5,
            },
            "sad": {
                "pitch": 14.0,
                "range": 4.0,
                "rate": -28.0,
                "gain_db": -2.0,
                "tilt_db": -2.0,
            },
            "angry": {
                "pitch": -7.0,
                "range": -16.0,
                "rate": -18.0,
                "gain_db": 5.0,
                "tilt_db": 6.5,
            },
        },
    ),
    lexical=replace(REFERENCE.lexical, wording="meld", own_share=0.9),
)
