"""A face over time: expressions that come and go, talking, blinking, looking, small movements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from corpora.standin.picture.expression import AXES, Expression
from corpora.standin.picture.identity import Look

LOWEST = {
    "smile": -1.0,
    "brow_low": -0.3,
    "gaze_x": -1.0,
    "gaze_y": -1.0,
    "yaw": -0.24,
    "pitch": -0.16,
    "roll": -0.16,
}
HIGHEST = {"lid": 1.35, "yaw": 0.24, "pitch": 0.18, "roll": 0.16}
BLINK_S = 0.16
NOD_RATE_HZ, NOD = 1.4, 0.07  # how often and how far (radians) one who agrees nods


@dataclass(frozen=True, slots=True)
class Moment:
    """An expression held between two times.

    Attributes:
        target: axes of `Expression` at the height of it (`lid` relative to rest).
        speech: opening of the mouth, 0 to 1, at `speech_rate_hz` from `start_s`; empty when silent.
        nods: whether the head nods all the while.
    """

    start_s: float
    end_s: float
    target: Mapping[str, float]
    speech: Float[np.ndarray, "t"]
    speech_rate_hz: float = 100.0
    nods: bool = False


def act(
    time_s: Float[np.ndarray, "n"],
    moments: Sequence[Moment],
    look: Look,
    motion: float,
    rng: np.random.Generator,
) -> list[Expression]:
    """The face at each of `time_s`."""
    axes = {name: np.zeros(len(time_s)) for name in AXES}
    axes["smile"] += look.resting_smile
    axes["brow_low"] += look.resting_brow
    talking = np.zeros(len(time_s))
    for moment in moments:
        rise = rng.uniform(0.15, 0.4)
        weight = _smooth((time_s - moment.start_s + 0.25) / rise)
        weight *= 1 - _smooth((time_s - moment.end_s) / rng.uniform(0.2, 0.45))
        weight *= 1 + 0.18 * _wave(time_s, 0.7, rng)
        for name, value in moment.target.items():
            axes[name] += weight * value
        if moment.nods:
            nodding = np.sin(2 * np.pi * NOD_RATE_HZ * (time_s - moment.start_s))
            axes["pitch"] += NOD * weight * nodding
        if len(moment.speech):
            at = (time_s - moment.start_s) * moment.speech_rate_hz
            talking += np.interp(at, np.arange(len(moment.speech)), moment.speech, left=0, right=0)
    axes["open"] += 0.7 * talking
    axes["press"] *= 1 - 0.8 * np.clip(talking * 2, 0, 1)
    axes["smile"] *= 1 - 0.25 * talking
    axes["teeth"] += 0.2 * talking
    axes["brow_raise"] += 0.12 * talking * (1 + _wave(time_s, 0.9, rng))
    axes["lid"] += 1.0
    axes["lid"] *= 1 - _blinks(time_s, rng)
    _move(axes, time_s, talking, motion, rng)
    return _expressions(axes)


def _move(
    axes: dict[str, np.ndarray],
    time_s: np.ndarray,
    talking: np.ndarray,
    motion: float,
    rng: np.random.Generator,
) -> None:
    axes["yaw"] += motion * (0.09 * _wave(time_s, 0.35, rng) + 0.03 * _wave(time_s, 1.1, rng))
    axes["pitch"] += motion * (
        0.04 * _wave(time_s, 0.4, rng) + 0.05 * talking * _wave(time_s, 1.6, rng)
    )
    axes["roll"] += motion * 0.045 * _wave(time_s, 0.3, rng)
    look_at = rng.normal(0, 0.3, (2, 2 + int(np.ptp(time_s)) if len(time_s) else 2))
    step = np.clip((time_s - time_s[:1]).astype(int), 0, look_at.shape[1] - 1)
    axes["gaze_x"] += look_at[0][step]
    axes["gaze_y"] += 0.6 * look_at[1][step]


def _expressions(axes: Mapping[str, np.ndarray]) -> list[Expression]:
    table = np.stack(
        [np.clip(axes[name], LOWEST.get(name, 0.0), HIGHEST.get(name, 1.0)) for name in AXES], 1
    )
    return [Expression(*row) for row in table.tolist()]


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _wave(time_s: np.ndarray, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A slow wandering of about unit size: three sines of near rates and random phases."""
    rates = rate_hz * rng.uniform(0.6, 1.5, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    return np.sin(2 * np.pi * rates[:, None] * time_s[None] + phases[:, None]).sum(0) / 1.3


def _blinks(time_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How far the lids are shut by blinking, 0 to 1."""
    shut = np.zeros(len(time_s))
    if not len(time_s):
        return shut
    at = time_s[0] + rng.exponential(2.0)
    while at < time_s[-1]:
        shut = np.maximum(shut, 1 - np.abs(time_s - at) / (BLINK_S / 2))
        at += 0.8 + rng.exponential(2.6)
    return np.clip(shut, 0, 0.95)
