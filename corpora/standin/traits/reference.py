"""A corpus without traits of its own, from which the others are told apart."""

from corpora.standin.traits.schema import AcousticTraits, LexicalTraits, Traits, VisualTraits

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
