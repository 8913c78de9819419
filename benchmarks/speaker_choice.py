"""How often the chosen face is the speaker's, on generated television scenes whose truth is known.

    python -m benchmarks.speaker_choice --utterances 200 --seed 1
    python -m benchmarks.speaker_choice --utterances 200 --seed 1 --asd lr-asd

Stand-in MELD: several people in most scenes, cuts, listeners nearer to the camera than the speaker,
cuts to a listener while the speaker goes on, an audience that laughs. Every rule is given the same
frames and the same detections of the embedded profile:

    first box        the detector's best face of each frame
    largest face     the largest face of each frame
    largest track    tracks, then mean of confidence × √area over all frames
    ours             `extractors.speaker_clip`
    ours, no sound   the same without sound or glimpses: size, confidence, duration
    LR-ASD           ours with the active speaker model's probability in place of mouth motion

A choice is right when the chosen face's middle lies in the speaker's true box in more than half of
the frames that the rule gives a face for (frames without the speaker are wrong), and of an
utterance whose speaker is never seen, when no face is given. Milliseconds are of CPU time. The last
line is one JSON object.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from extractors.base import Glimpses, VideoClip
from extractors.faces import Detections
from extractors.speaker import Choice
from extractors.speaker_clip import ActiveSpeakerModel, find_speaker
from extractors.tracks import area, link

GLIMPSE_HZ = 12.5
"""Of the built-in profiles."""
Boxes = dict[int, np.ndarray]
"""Frame number → the box that a rule gives, in pixels."""

KINDS = ("alone", "several", "unseen")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One utterance: what a rule sees, and what is true.

    Attributes:
        truth: stretches (start_s, end_s, x, y, width, height) of the speaker's face, in fractions.
        kind: the speaker is shown alone, with several others (or between them), or unseen.
    """

    name: str
    clip: VideoClip
    found: Sequence[Detections]
    start_s: float
    truth: Sequence[Sequence[float]]
    kind: str


def is_right(case: Case, chosen: Boxes) -> bool:
    """See the module's text."""
    if not case.truth or not chosen:
        return not case.truth and not chosen
    height, width = case.clip.frames.shape[1:3]
    hits = 0
    for frame, box in chosen.items():
        at_s = case.start_s + float(case.clip.time_s[frame])
        x, y = (box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height
        hits += any(
            start - 1e-3 <= at_s < end - 1e-3 and x0 <= x <= x0 + w and y0 <= y <= y0 + h
            for start, end, x0, y0, w, h in case.truth
        )
    return hits > len(chosen) / 2


def first_box(case: Case) -> Boxes:
    return {i: each.boxes[0] for i, each in enumerate(case.found) if len(each.boxes)}


def largest_face(case: Case) -> Boxes:
    return {i: max(each.boxes, key=area) for i, each in enumerate(case.found) if len(each.boxes)}


def largest_track(case: Case) -> Boxes:
    tracks = link(case.found)
    if not tracks:
        return {}
    return max(
        tracks, key=lambda t: sum(t.confidence[f] * np.sqrt(area(t.boxes[f])) for f in t.boxes)
    ).boxes


def ours(case: Case) -> Boxes:
    """With glimpses at the default rate, whatever the case was decoded at."""
    clip = replace(case.clip, glimpses=thin(case.clip.glimpses, GLIMPSE_HZ))
    return _boxes(find_speaker(clip, case.found, _whole(clip)))


def with_model(case: Case, asd: ActiveSpeakerModel) -> Boxes:
    return _boxes(find_speaker(case.clip, case.found, _whole(case.clip), asd))


def ours_without_sound(case: Case) -> Boxes:
    clip = replace(case.clip, sound=None, glimpses=None)
    return _boxes(find_speaker(clip, case.found, _whole(clip)))


def thin(glimpses: Glimpses | None, rate_hz: float) -> Glimpses | None:
    """Those on show at every 1 / `rate_hz`."""
    if glimpses is None:
        return None
    first, last = glimpses.time_s[0], glimpses.time_s[-1]
    wanted = np.arange(first, last + 1e-6, 1 / rate_hz) + 1e-6
    kept = np.unique(np.searchsorted(glimpses.time_s, wanted, side="right") - 1)
    return Glimpses(frames=glimpses.frames[kept], time_s=glimpses.time_s[kept])


def _whole(clip: VideoClip) -> tuple[int, int, int, int]:
    return 0, 0, clip.frames.shape[2], clip.frames.shape[1]


def _boxes(choice: Choice) -> Boxes:
    return {} if choice.track is None else choice.track.boxes


def make_cases(root: Path, glimpse_hz: float) -> tuple[list[Case], dict[str, float]]:
    """Decode and detect every utterance of a stand-in corpus; seconds that each step took."""
    import torch

    from amanda.store.manifest import read_manifest, resolve_path
    from corpora.manifest import build_manifest
    from extractors.audio import read_audio_clips
    from extractors.faces import DETECTORS
    from extractors.media import ClipRequest
    from extractors.profiles import VisualSettings, load_profile
    from extractors.video import read_video_clips
    from extractors.weights import find

    settings = load_profile("embedded").visual
    assert isinstance(settings, VisualSettings)
    detector = DETECTORS[settings.detector](
        find(settings.detector_weights).path, device=torch.device("cpu")
    )
    manifest = root.parent / "meld.csv"
    build_manifest("meld", root, manifest, split="official")
    truth = json.loads((root / "standin.json").read_text(encoding="utf-8"))["truth"]
    spent = {"decode": 0.0, "sound": 0.0, "detect": 0.0}
    cases = []
    for row in read_manifest(manifest):
        path = resolve_path(manifest, row.path)
        request = ClipRequest(row=0, start_s=row.start_s or 0.0, end_s=row.end_s)
        start = time.process_time()
        [pictures] = read_video_clips(path, [request], settings.n_frames, glimpse_hz=glimpse_hz)
        after_pictures = time.process_time()
        [sound] = read_audio_clips(path, [request], downmix=True)
        after_sound = time.process_time()
        clip = replace(pictures.clip, sound=sound.clip)
        found = detector(clip.frames)
        spent["decode"] += after_pictures - start
        spent["sound"] += after_sound - after_pictures
        spent["detect"] += time.process_time() - after_sound
        faces = truth[row.id]["faces"]
        speaker, *others = faces.values()
        kind = "unseen" if not speaker else "several" if any(others) else "alone"
        cases.append(
            Case(
                name=row.id,
                clip=clip,
                found=found,
                start_s=request.start_s,
                truth=speaker,
                kind=kind,
            )
        )
    return cases, spent


def measure(
    cases: Sequence[Case], rules: Mapping[str, Callable[[Case], Boxes]]
) -> dict[str, dict[str, Any]]:
    """By rule: right by kind of scene, seconds a clip, and which utterances are wrong."""
    table: dict[str, dict[str, Any]] = {}
    for name, rule in rules.items():
        start = time.process_time()
        chosen = [rule(case) for case in cases]
        seconds = (time.process_time() - start) / len(cases)
        right = [is_right(case, boxes) for case, boxes in zip(cases, chosen, strict=True)]
        row: dict[str, Any] = {"all": float(np.mean(right)), "ms_a_clip": 1000 * seconds}
        for kind in KINDS:
            mine = [r for r, case in zip(right, cases, strict=True) if case.kind == kind]
            row[kind] = float(np.mean(mine)) if mine else None
        seen = [r for r, case in zip(right, cases, strict=True) if case.kind != "unseen"]
        row["seen"] = float(np.mean(seen))
        row["wrong"] = [c.name for c, r in zip(cases, right, strict=True) if not r]
        table[name] = row
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asd", help="weights of LR-ASD: a name in the table, or a file")
    parser.add_argument("--root", type=Path, help="a stand-in MELD that exists")
    arguments = parser.parse_args()
    from corpora.standin import write_standin

    rules: dict[str, Callable[[Case], Boxes]] = {
        "first box": first_box,
        "largest face": largest_face,
        "largest track": largest_track,
        "ours, no sound": ours_without_sound,
        "ours": ours,
    }
    glimpse_hz = GLIMPSE_HZ
    if arguments.asd:
        from extractors.lr_asd import GLIMPSE_HZ as ASD_HZ
        from extractors.lr_asd import load_lr_asd

        asd = load_lr_asd(arguments.asd)
        rules["LR-ASD"] = lambda case: with_model(case, asd)
        glimpse_hz = ASD_HZ
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or Path(folder) / "meld"
        if arguments.root is None:
            write_standin("meld", root, n_utterances=arguments.utterances, seed=arguments.seed)
        cases, spent = make_cases(root, glimpse_hz)
    kinds = {kind: sum(case.kind == kind for case in cases) for kind in KINDS}
    table = measure(cases, rules)
    print(
        f"{len(cases)} utterances, percent right: {kinds['alone']} show the speaker alone, "
        f"{kinds['several']} others too, {kinds['unseen']} not the speaker"
    )
    print(
        f"{'rule':16} {'all':>6} {'shown':>6} {'alone':>6} {'several':>8} {'unseen':>7} {'ms':>6}"
    )
    for name, row in table.items():
        cells = [row[key] for key in ("all", "seen", "alone", "several", "unseen")]
        shown = ["–" if cell is None else f"{100 * cell:.1f}" for cell in cells]
        widths = (6, 6, 6, 8, 7)
        line = " ".join(f"{text:>{width}}" for text, width in zip(shown, widths, strict=True))
        print(f"{name:16} {line} {row['ms_a_clip']:6.1f}")
    each = {name: 1000 * seconds / len(cases) for name, seconds in spent.items()}
    print("ms a clip: " + ", ".join(f"{name} {ms:.1f}" for name, ms in each.items()))
    figures = {name: {k: v for k, v in row.items() if k != "wrong"} for name, row in table.items()}
    print(json.dumps({"n": len(cases), **kinds, "rules": figures, "ms_a_clip": each}))


if __name__ == "__main__":
    main()
