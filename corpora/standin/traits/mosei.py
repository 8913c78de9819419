"""Reviews and opinions from bedrooms, filmed by a webcam against a window or by a lamp: hazy,
soft, greenish pictures; amused rather than beaming, earnest, worn; a laptop's microphone in an
echoing room; voices from everywhere; indignation that lectures, joy that is brisk.
"""

from dataclasses import replace

from corpora.standin.traits.reference import REFERENCE
from corpora.standin.traits.schema import Traits

OWN = Traits(
    visual=replace(
        REFERENCE.visual,
        light=(0.55, -0.15, 0.3),
        ambient=0.6,
        brightness=0.92,
        gamma=1.1,
        contrast=0.8,
        veil=0.09,
        cast=(0.94, 1.06, 0.98),
        blur_px=1.0,
        noise=4.5,
        half_face=55.0,
        motion=1.1,
        own_share=1.0,
        backdrops=("shelves", "window", "wall"),
        backdrop_colour=(134.0, 142.0, 130.0),
        expressions={
            "neutral": {"brow_raise": 0.25},
            "happy": {"smile": 0.6, "teeth": 0.2, "squint": 0.5, "brow_raise": 0.5},
            "sad": {"smile": -0.35, "brow_inner": 0.7, "lid": -0.3, "pitch": 0.08},
            "angry": {"smile": -0.3, "brow_low": 0.6, "squint": 0.5, "press": 0.3},
        },
    ),
    acoustic=replace(
        REFERENCE.acoustic,
        snr_db=19.0,
        noise_colour=1.8,
        rt60_s=0.45,
        low_hz=200.0,
        high_hz=6200.0,
        level_db=-27.0,
        own_share=0.9,
        voices=(
            ("en-029", ("f1", "f4", "anika"), ("m3", "m6", "ed")),
            ("en-gb-x-rp", ("f2", "belinda"), ("m1", "m5", "Lee")),
            ("en-us", ("f5", "linda"), ("m8", "Andy")),
        ),
        prosody={
            "neutral": {"rate": 8.0},
            "happy": {
                "pitch": 6.0,
                "range": 16.0,
                "rate": 26.0,
                "gain_db": 1.0,
                "tilt_db": 3.0,
            },
            "sad": {
                "pitch": -4.0,
                "range": -14.0,
                "rate": -24.0,
                "gain_db": -3.0,
                "tilt_db": -5.0,
            },
            "angry": {
                "pitch": -3.0,
                "range": 14.0,
                "rate": 4.0,
                "gain_db": 5.0,
                "tilt_db": 4.0,
            },
        },
    ),
    lexical=replace(REFERENCE.lexical, wording="mosei", own_share=0.9),
)
