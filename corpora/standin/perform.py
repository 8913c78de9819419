"""A scene played: speech, faces, camera and microphone, into its files."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from corpora.standin.media import resample, write_video, write_wav
from corpora.standin.picture.acting import Moment, act
from corpora.standin.picture.camera import Camera
from corpora.standin.picture.expression import Expression
from corpora.standin.picture.head import Head, paint_head
from corpora.standin.picture.identity import Look
from corpora.standin.picture.ink import Image
from corpora.standin.picture.stage import (
    head_patch,
    light_frame,
    paint_backdrop,
    paint_body,
    put_patch,
)
from corpora.standin.scene import Scene, Shot, Spoken, Turn
from corpora.standin.sound.laughter import laugh
from corpora.standin.sound.prosody import mouth_opening, plan_delivery, say
from corpora.standin.sound.room import record
from corpora.standin.sound.voice import RATE_HZ
from corpora.standin.truth import shots_over_time, truth_of

LISTENER_SHARE = 0.15  # of the speaker's expression that shows on a listener
LAUGHTER_OVERLAP_S = 0.25  # an audience laughs before the last word is out


def perform(scene: Scene, root: Path) -> list[Spoken]:
    """Write the scene's video and its lines' sound files under `root`; say what is true of them."""
    rng = np.random.default_rng(scene.seed)
    turns, length_s = _speak(scene, rng)
    sound = resample(_mix(scene, turns, length_s, rng), RATE_HZ, scene.audio_rate_hz)
    time_s = _frame_times(scene, length_s, rng)
    acted = {
        name: act(
            time_s, _moments(scene, name, turns, rng), p.look, scene.traits.visual.motion, rng
        )
        for name, p in scene.people.items()
    }
    write_video(
        root / scene.video,
        zip(time_s.tolist(), _frames(scene, turns, time_s, acted, rng), strict=True),
        sound,
        container=scene.container,
        size=(scene.width, scene.height),
        rate_fps=scene.rate_fps,
        variable_rate=scene.variable_rate,
        audio_codec=scene.audio_codec,
        audio_rate_hz=scene.audio_rate_hz,
        channels=scene.channels,
    )
    if scene.wav:
        write_wav(root / scene.wav, sound, scene.audio_rate_hz)
    for turn in turns:
        if turn.line.wav:
            first, last = (round(t * scene.audio_rate_hz) for t in (turn.start_s, turn.end_s))
            write_wav(root / turn.line.wav, sound[first:last], scene.audio_rate_hz)
    return truth_of(scene, turns, time_s, acted)


def _speak(scene: Scene, rng: np.random.Generator) -> tuple[list[Turn], float]:
    turns: list[Turn] = []
    now_s = scene.lead_s
    for line in scene.lines:
        traits = scene.traits.acoustic
        delivery = plan_delivery(traits, line.acoustic.emotion, line.acoustic.intensity, rng)
        voice = scene.people[line.speaker].voice
        sound = say(line.spoken, voice, delivery, traits.level_db, int(rng.integers(2**31)))
        speech_s = now_s
        stop_s = speech_s + len(sound) / RATE_HZ
        start_s = round(max(0.0, speech_s - scene.clip_margin_s), 4)
        tail_s = scene.laughter_s if line is scene.lines[-1] else 0.0
        end_s = round(stop_s + scene.clip_margin_s + tail_s, 4)
        turns.append(Turn(line, start_s, end_s, speech_s, stop_s, sound))
        now_s = stop_s + float(rng.uniform(*scene.pause_s))
    return turns, turns[-1].end_s + scene.lead_s - scene.clip_margin_s


def _mix(
    scene: Scene, turns: Sequence[Turn], length_s: float, rng: np.random.Generator
) -> Float32[np.ndarray, "samples"]:
    dry = np.zeros(int(np.ceil(length_s * RATE_HZ)) + 1, np.float32)
    for turn in turns:
        first = round(turn.speech_s * RATE_HZ)
        piece = turn.sound[: len(dry) - first]
        dry[first : first + len(piece)] += piece
    if scene.laughter_s:
        first = round((turns[-1].hush_s - LAUGHTER_OVERLAP_S) * RATE_HZ)
        level_db = scene.traits.acoustic.level_db + float(rng.uniform(-6, 1))
        piece = laugh(scene.laughter_s + LAUGHTER_OVERLAP_S, level_db, rng)[: len(dry) - first]
        dry[first : first + len(piece)] += piece
    return record(dry, RATE_HZ, scene.traits.acoustic, rng)


def _frame_times(scene: Scene, length_s: float, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    n = int(np.ceil(length_s * scene.rate_fps))
    if not scene.variable_rate:
        return np.arange(n) / scene.rate_fps
    # A recorder under load: most frames on time, some late, some dropped, some in a burst.
    steps = rng.choice([1.0, 0.5, 2.0, 3.0], p=[0.62, 0.2, 0.14, 0.04], size=2 * n) / scene.rate_fps
    time_s = np.concatenate([[0.0], np.cumsum(steps * rng.uniform(0.85, 1.15, 2 * n))])
    return np.round(time_s[time_s < length_s], 3)


def _moments(
    scene: Scene, name: str, turns: Sequence[Turn], rng: np.random.Generator
) -> list[Moment]:
    """What a person's face does through the scene."""
    traits = scene.traits.visual
    rest = traits.expressions["neutral"]
    moments = []
    for turn in turns:
        speaking = turn.line.speaker == name
        reaction = None if speaking else scene.reactions.get(name)
        show = reaction or turn.line.visual
        strength = show.intensity * (1.0 if speaking or reaction else LISTENER_SHARE)
        full = traits.expressions[show.emotion]
        axes = sorted({*full, *rest, *_WANDERING})
        target = {
            axis: strength * full.get(axis, 0.0)
            + (0.0 if speaking else rest.get(axis, 0.0))
            + (traits.spread * float(rng.normal()) if axis in _WANDERING else 0.0)
            for axis in axes
        }
        mouth = mouth_opening(turn.sound, RATE_HZ) if speaking else np.zeros(0)
        nods = name in scene.nodding and not speaking
        moments.append(Moment(turn.speech_s, turn.end_s, target, mouth, nods=nods))
    return moments


_WANDERING = ("smile", "brow_low", "brow_inner", "brow_raise", "squint", "teeth", "press", "lid")


@lru_cache(maxsize=8)
def _painted(look: Look, light: tuple[float, float, float], ambient: float) -> Head:
    return paint_head(look, np.array(light), ambient)


def _frames(
    scene: Scene,
    turns: Sequence[Turn],
    time_s: Float[np.ndarray, "n"],
    acted: dict[str, list[Expression]],
    rng: np.random.Generator,
) -> Iterator[Image]:
    traits = scene.traits.visual
    camera = Camera(traits, scene.width, scene.height, rng)
    shot_of = shots_over_time(scene, turns, time_s)
    patches: dict[str, tuple] = {}
    stage: Image | None = None
    current = -1
    for i, now_s in enumerate(time_s):
        if shot_of[i] != current or stage is None:
            current = int(shot_of[i])
            patches.clear()
            stage = camera.develop(_paint_stage(scene, scene.shots[current], rng))
        frame = stage.copy()
        for k, (name, seat) in enumerate(scene.shots[current].seats.items()):
            due = (i + k) % scene.listener_every == 0
            if name not in patches or due or _speaks(name, turns, now_s):
                head = _painted(scene.people[name].look, traits.light, traits.ambient)
                e = acted[name][i]
                patches[name] = head_patch(frame.shape, head, e, seat.affine(e), camera.develop)
            put_patch(frame, *patches[name])
        yield camera.expose(frame)


def _speaks(name: str, turns: Sequence[Turn], now_s: float) -> bool:
    return any(t.line.speaker == name and t.start_s <= now_s <= t.end_s + 0.3 for t in turns)


def _paint_stage(scene: Scene, shot: Shot, rng: np.random.Generator) -> Image:
    traits = scene.traits.visual
    if shot.backdrop_seed is not None:
        rng = np.random.default_rng(shot.backdrop_seed)
    red, green, blue = (int(np.clip(c + rng.normal(0, 5), 0, 255)) for c in traits.backdrop_colour)
    stage = paint_backdrop(shot.backdrop, scene.width, scene.height, (red, green, blue), rng)
    for name, seat in shot.seats.items():
        paint_body(stage, scene.people[name].look, seat)
    return light_frame(stage, np.array(traits.light), traits.ambient)
