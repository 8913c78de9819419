"""What is wrong with the faces that a visual modality says it was made from.

All of it may be absent: features made elsewhere seldom know their boxes. What is there must be as
`docs/formats.md` says, because contact sheets and the report's quality page read it.
"""

from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Int64

from amanda.store.feature_schema import read_text
from amanda.store.findings import Findings

FACE_RULES = ("none", "only", "evidence", "nobody", "track", "box", "image")
"""What chose a face: nothing (no face), the only person, evidence, or the user in one way."""
_SLACK = 1e-3


def check_faces(
    group: h5py.Group,
    offsets: Int64[np.ndarray, "n_plus_1"],
    valid: Bool[np.ndarray, "frames"],
    findings: Findings,
) -> None:
    """Add to `findings` what is wrong with the boxes, scores and choices of this group."""
    name, n, n_frames = group.name.lstrip("/"), len(findings.ids), len(valid)

    def say_frames(wrong: Any, problem: str) -> None:
        rows = np.unique(np.searchsorted(offsets, np.flatnonzero(wrong), side="right") - 1)
        findings.say_rows(rows, problem)

    for key in ("boxes", "runner_up_boxes"):
        boxes = _numbers(group, key, (n_frames, 4), findings)
        if boxes is None:
            continue
        outside = np.any((boxes < -_SLACK) | (boxes > 1 + _SLACK) | np.isnan(boxes), axis=1)
        say_frames(outside, f"{key} of {name} are no fractions of the frame, from 0 to 1")
        seen = np.any(boxes != 0, axis=1)
        turned = seen & ~outside & ((boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3]))
        say_frames(turned, f"{key} of {name} are no boxes x0, y0, x1, y1")
        if key == "boxes":
            say_frames(valid & ~seen, f"frames of {name} are valid, but show no box")
    for key, low, high, length in (
        ("score", 0.0, 1.0, n_frames),
        ("track", -1.0, np.inf, n_frames),
        ("face_score", 0.0, 1.0, n),
        ("face_runner_up", 0.0, 1.0, n),
        ("face_track", -1.0, np.inf, n),
        ("runner_up_track", -1.0, np.inf, n),
        ("n_tracks", 0.0, np.inf, n),
    ):
        values = _numbers(group, key, (length,), findings)
        if values is None:
            continue
        wrong = ~((values >= low - _SLACK) & (values <= high + _SLACK))
        most = "up" if np.isinf(high) else f"to {high:g}"
        problem = f"{key} of {name} is not from {low:g} {most}"
        if length == n_frames and key in ("score", "track"):
            say_frames(wrong, problem)
        else:
            findings.say_rows(np.flatnonzero(wrong), problem)
    if "face_rule" in group:
        rules = findings.dataset(group, "face_rule", "texts", (n,))
        if rules is not None:
            findings.one_of(f"face_rule of {name}", read_text(rules), FACE_RULES)


def _numbers(
    group: h5py.Group, key: str, shape: tuple[int, ...], findings: Findings
) -> np.ndarray | None:
    if key not in group:
        return None
    dataset = findings.dataset(group, key, "numbers", shape)
    return None if dataset is None else dataset[:].astype(np.float64)
