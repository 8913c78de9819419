"""What is true of a performed scene: where every face was, and when."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from amanda.store.names import CLASSES
from corpora.standin.picture.expression import Expression
from corpora.standin.picture.head import head_box
from corpora.standin.scene import FaceTimes, Scene, Spoken, Turn

BOX_EVERY_S = 0.5
FACE_EVERY_S = 0.25


def shots_over_time(
    scene: Scene, turns: Sequence[Turn], time_s: Float[np.ndarray, "n"]
) -> Int[np.ndarray, "n"]:
    """The number of the shot at each time."""
    starts = [0.0]
    for shot in scene.shots[1:]:
        turn = turns[shot.first_line]
        starts.append(turn.start_s + shot.at * (turn.end_s - turn.start_s))
    return np.maximum(np.searchsorted(starts, time_s, side="right") - 1, 0)


def truth_of(
    scene: Scene,
    turns: Sequence[Turn],
    time_s: Float[np.ndarray, "n"],
    acted: Mapping[str, Sequence[Expression]],
) -> list[Spoken]:
    """What is true of each line; `acted` is each person's face at each of the frames' times."""
    shots = shots_over_time(scene, turns, time_s)
    boxes = {name: _boxes(scene, shots, name, faces) for name, faces in acted.items()}
    every = max(1, round(BOX_EVERY_S * scene.rate_fps))
    spoken = []
    for turn in turns:
        inside = np.flatnonzero((time_s >= turn.start_s) & (time_s <= turn.end_s))
        # Seen, too, is the frame that is on show as the line begins.
        seen = np.arange(max(0, inside[0] - (time_s[inside[0]] > turn.start_s)), inside[-1] + 1)
        name = turn.line.speaker
        own = boxes[name]
        rows = [(float(time_s[i]), *own[i].round(4).tolist()) for i in inside if own[i][2] > 0]
        mean = np.mean([row[1:] for row in rows], axis=0).round(4).tolist() if rows else ()
        order = [name, *(other for other in boxes if other != name)]
        spoken.append(
            Spoken(
                line=turn.line,
                file=scene.video,
                side=scene.sides[name],
                start_s=turn.start_s,
                end_s=turn.end_s,
                head_box=tuple(mean),
                head_boxes=tuple(rows[::every]),
                faces={
                    person: _face_times(scene, shots, time_s, boxes[person], seen)
                    for person in order
                },
            )
        )
    return spoken


def _boxes(
    scene: Scene, shots: Int[np.ndarray, "n"], name: str, acted: Sequence[Expression]
) -> Float[np.ndarray, "n 4"]:
    """x0, y0, x1, y1 of a face as fractions of the frame; zeros where it is out of the picture."""
    units = head_box(scene.people[name].look)
    size = np.array([scene.width, scene.height] * 2)
    boxes = np.zeros((len(acted), 4))
    for i, e in enumerate(acted):
        seat = scene.shots[shots[i]].seats.get(name)
        if seat is not None:
            boxes[i] = np.array(seat.box(units, seat.affine(e))) / size
    return boxes


def _face_times(
    scene: Scene,
    shots: Int[np.ndarray, "n"],
    time_s: Float[np.ndarray, "n"],
    boxes: Float[np.ndarray, "n 4"],
    seen: Int[np.ndarray, "k"],
) -> FaceTimes:
    """Stretches of at most `FACE_EVERY_S` without a cut, with the mean box of each."""
    until_s = np.append(time_s[1:], time_s[-1] + 1 / scene.rate_fps)
    rows = []
    begin = 0
    while begin < len(seen):
        first = seen[begin]
        end = begin
        while (
            end < len(seen)
            and shots[seen[end]] == shots[first]
            and (end == begin or until_s[seen[end]] - time_s[first] <= FACE_EVERY_S + 1e-9)
        ):
            end += 1
        x0, y0, x1, y1 = boxes[seen[begin:end]].mean(axis=0)
        if x1 > 0:
            # Times are rounded down, so that a frame is never counted to the shot before its own.
            times = (np.floor(t * 1e4) / 1e4 for t in (time_s[first], until_s[seen[end - 1]]))
            lengths = np.round((x0, y0, x1 - x0, y1 - y0), 4)
            rows.append((*map(float, times), *map(float, lengths)))
        begin = end
    return tuple(rows)  # type: ignore[arg-type]


def as_json(scenes: Sequence[Sequence[Spoken]]) -> dict[str, Any]:
    """`truth`, of the utterances that a reader keeps, and `dropped`, the labels of the others.

    Of an utterance's `faces` the first is the speaker's.
    """
    truth: dict[str, Any] = {}
    dropped: dict[str, str] = {}
    for spoken in (s for scene in scenes for s in scene):
        line = spoken.line
        if line.label not in CLASSES:
            dropped[line.id] = line.label
            continue
        truth[line.id] = {
            "label": line.label,
            "speaker": line.speaker,
            "file": spoken.file,
            "wav": line.wav,
            "start_s": spoken.start_s,
            "end_s": spoken.end_s,
            "side": spoken.side,
            "head_box": list(spoken.head_box),
            "head_boxes": [list(box) for box in spoken.head_boxes],
            "faces": {name: [list(row) for row in rows] for name, rows in spoken.faces.items()},
            "text": line.text,
            "spoken": line.spoken,
            "shown": {
                "visual": [line.visual.emotion, round(line.visual.intensity, 3)],
                "acoustic": [line.acoustic.emotion, round(line.acoustic.intensity, 3)],
                "lexical": line.lexical,
            },
        }
    return {"truth": truth, "dropped": dropped}
