"""Acted dialogues in a bright, plain laboratory on a soft analogue camera: warm, a little washed
out, faces open and mouths busy; close, clean microphones; hot anger, open joy.
"""

from dataclasses import replace

from corpora.standin.traits.reference import REFERENCE
from corpora.standin.traits.schema import Traits

OWN = Traits(
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
)
