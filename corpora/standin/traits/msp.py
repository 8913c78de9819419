"""Improvisation in a dim, cool studio lit from one side, on a sharp but noisy camera; restrained
faces that speak through brows and eyes; a distant, narrow microphone in a live room; cold anger
and a whining sorrow; British voices.
"""

from dataclasses import replace

from corpora.standin.traits.reference import REFERENCE
from corpora.standin.traits.schema import Traits

OWN = Traits(
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
)
