"""A CSV of your own corpus, drafted from a folder of recordings. `docs/own-corpus.md`.

    angry/clip7.mp4  angry/clip7.txt                   a clip, its words beside it
    talk.wav  talk.rttm | talk.eaf | talk.TextGrid     a long recording, its segments beside it
    all.rttm                                           segments of several recordings, by name

The draft is the start of a manifest: a person fills in what no file says (labels, speakers).
"""

import csv
import hashlib
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError
from amanda.store.manifest import Utterance, check_manifest, rebase_from
from amanda.store.names import CLASSES, unfit_name
from amanda.store.wording import counted
from corpora.recordings import AUDIO, VIDEO, Recording, find_recordings, is_usable, shared_segments
from corpora.segments import READERS, Segment
from corpora.segments.segment import read_text

COLUMNS = ("id", "path", "start_s", "end_s", "text", "label", "speaker", "group")
"""Of the draft, with `audio_path` and `channel` where they are used; the split is drawn later."""

_MAX_TEXT_CHARS = 100_000
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, kw_only=True)
class DraftSummary:
    """What was found and drafted.

    Attributes:
        media: recordings by kind: "video", "audio", "video with audio beside it".
        utterances: rows by where they come from: "whole clips with text", "rttm segments", ….
        labels: rows by class, "" for none.
        tiers: rows by tier of ELAN and TextGrid files.
        n_speakers: how many are named.
        unopened: recordings left out because they do not open.
        problems: a sentence for everything that was left out.
        notes: what else to know of the draft.
    """

    out: str
    media: dict[str, int]
    utterances: dict[str, int]
    labels: dict[str, int]
    tiers: dict[str, int]
    n_speakers: int
    unopened: int
    problems: list[str]
    notes: list[str]

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def to_text(self) -> str:
        """A table for a terminal, what was left out, and what to do next."""
        labels = {name or "no label": n for name, n in self.labels.items()}
        lines = [f"{self.out}: {counted(sum(self.utterances.values()), 'utterance')} drafted", ""]
        for title, counts in (
            ("recordings", self.media),
            ("utterances", self.utterances),
            ("labels", labels),
            ("tiers", self.tiers),
        ):
            lines += [f"{title:12}{name:40}{n:8}" for name, n in counts.items()]
        lines += [f"{'speakers':12}{'named':40}{self.n_speakers:8}"]
        if self.problems:
            lines += ["", f"{len(self.problems)} left out:"]
            lines += [f"  {problem}" for problem in self.problems[:_SHOWN_PROBLEMS]]
            if len(self.problems) > _SHOWN_PROBLEMS:
                lines += [f"  and {len(self.problems) - _SHOWN_PROBLEMS} more (--json lists all)"]
        lines += ["", *self.notes] if self.notes else []
        lines += ["", f"Next: fill in label and speaker, then amanda check {self.out}"]
        return "\n".join(lines)


class _Draft(NamedTuple):
    """A row, where it comes from ("rttm segments") and its tier, "" for none."""

    row: Utterance
    source: str
    tier: str = ""


def draft_manifest(
    folder: Path, out: Path, *, tiers: Sequence[str] = (), classes: Sequence[str] = CLASSES
) -> DraftSummary:
    """Write a CSV with a row for each utterance found under `folder`.

    Ids are relative paths made plain. A label is the name of the nearest folder above a recording
    that is one of `classes`; a speaker is whom RTTM, ELAN or TextGrid name; `group` keeps together
    the recordings that share a speaker. Links are not followed.

    Args:
        folder: recordings, in folders of any depth.
        out: the CSV; it must not exist, since it may hold somebody's labels.
        tiers: ELAN and TextGrid tiers to take; default: all that hold utterances.
        classes: names of folders that are labels.

    Raises:
        InputError: no folder, no recording in it, or `out` exists already.
    """
    folder, out = Path(folder), Path(out)
    if out.suffix != ".csv":
        raise InputError(f"{out}: a manifest's name ends in .csv")
    if out.exists() or out.is_symlink():
        raise InputError(f"{out}: is there already, perhaps with labels; give a new name")
    problems: list[str] = []
    recordings = find_recordings(folder, problems)
    shared = shared_segments(folder, recordings, problems)
    usable = {name: r for name, r in recordings.items() if is_usable(folder, r, problems)}
    if not usable:
        raise InputError(
            f"{folder}: no recording to draft from ({'; '.join(problems[:3]) or 'no files'}); "
            f"audio and video files are known by their suffixes: {' '.join(sorted(AUDIO | VIDEO))}"
        )
    n_usable = len(usable)
    usable, notes = _that_open(folder, usable, problems)
    if not usable:
        raise InputError(f"{folder}: no recording opens: {'; '.join(problems[:3])}")
    names = _plain_ids(usable)
    drafts: list[_Draft] = []
    for name, recording in usable.items():
        try:
            drafts += _rows(folder, recording, names[name], shared.get(name, []), tiers, classes)
        except InputError as error:
            problems.append(f"{folder / recording.media[0]} left out: its {error}")
    drafts, short = _without_empty_stretches(drafts)
    problems += short
    if not drafts:
        raise InputError(f"{folder}: nothing to draft: {'; '.join(problems[:3])}")
    rows = _grouped(_with_own_ids([draft.row for draft in drafts]))
    _write(out, [_moved(row, folder, out) for row in rows])
    labels = Counter(row.label for row in rows)
    return DraftSummary(
        out=str(out),
        media=dict(Counter(r.kind for r in usable.values()).most_common()),
        utterances=dict(Counter(draft.source for draft in drafts).most_common()),
        labels={name: labels[name] for name in (*classes, "") if labels[name]},
        tiers=dict(Counter(draft.tier for draft in drafts if draft.tier).most_common()),
        n_speakers=len({row.speaker for row in rows if row.speaker}),
        unopened=n_usable - len(usable),
        problems=problems,
        notes=[*notes, *([note] if (note := unfit_name(out)) else [])],
    )


def _that_open(
    folder: Path, recordings: dict[str, Recording], problems: list[str]
) -> tuple[dict[str, Recording], list[str]]:
    """Recordings whose media open, why the others do not, and a note where none was opened."""
    if importlib.util.find_spec("av") is None:
        return recordings, [
            "media files were not opened: PyAV is not installed (the extra `extract`)"
        ]
    from corpora.probe import probe_all

    files = [(name, file) for name, recording in recordings.items() for file in recording.media]
    found = probe_all([folder / file for _, file in files], what=f"{folder.name}: media")
    broken = set()
    for (name, file), probe in zip(files, found, strict=True):
        if probe.problem:
            broken.add(name)
            problems.append(f"{folder / file} left out: it does not open ({probe.problem})")
    return {name: r for name, r in recordings.items() if name not in broken}, []


def _plain_ids(names: Iterable[str]) -> dict[str, str]:
    """An id for each relative path: letters, digits, '_', '-' and '.', none twice."""
    plain = {name: re.sub(r"[^\w.-]+", "_", name) for name in names}
    used = Counter(plain.values())
    return {
        name: short if used[short] == 1 else f"{short}-{_digest(name)}"
        for name, short in plain.items()
    }


def _with_own_ids(rows: Sequence[Utterance]) -> list[Utterance]:
    """A clip may be called what a segment of another recording is called here."""
    used = Counter(row.id for row in rows)
    return [
        row if used[row.id] == 1 else replace(row, id=f"{row.id}-{_digest(row.path)}")
        for row in rows
    ]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _rows(
    folder: Path,
    recording: Recording,
    name: str,
    shared: Sequence[Segment],
    tiers: Sequence[str],
    classes: Sequence[str],
) -> list[_Draft]:
    """The utterances of a recording, each with where it comes from and its tier."""
    parents = [p.name.casefold() for p in PurePosixPath(recording.name).parents]
    by_name = {c.casefold(): c for c in classes}
    whole = Utterance(
        id=name,
        path=(recording.video or recording.audio)[0],
        audio_path=recording.audio[0] if recording.video and recording.audio else "",
        label=next((by_name[p] for p in parents if p in by_name), ""),
    )
    if not recording.segments and not shared:
        text = _transcript(folder / recording.text) if recording.text else ""
        source = f"whole clips {'with' if text else 'without'} text"
        return [_Draft(replace(whole, text=text), source)]
    if recording.segments:
        file = folder / recording.segments[0]
        kind = file.suffix.lower()
        segments = _own(READERS[kind](file), recording, file)
    else:
        file, kind, segments = folder, ".rttm", list(shared)
    wanted = [s for s in segments if (s.tier in tiers if tiers else not s.is_detail) or not s.tier]
    if not wanted:
        there = ", ".join(dict.fromkeys(s.tier for s in segments)) or "none"
        raise InputError(
            f"{file}: no segments on tiers of utterances (tiers: {there}); see --tiers"
        )
    wanted.sort(key=lambda s: (s.start_s, s.end_s, s.tier, s.speaker))
    channels = {s.channel for s in wanted} - {None}
    digits = max(3, len(str(len(wanted))))
    return [
        _Draft(
            replace(
                whole,
                id=f"{name}_{number:0{digits}}",
                start_s=segment.start_s,
                end_s=segment.end_s,
                text=segment.text,
                # Diarisation numbers the speakers of each recording anew.
                speaker=f"{name}:{segment.speaker}"
                if kind == ".rttm" and segment.speaker
                else segment.speaker,
                group=name,
                channel=segment.channel - 1 if segment.channel and len(channels) > 1 else None,
            ),
            f"{kind[1:]} segments",
            segment.tier,
        )
        for number, segment in enumerate(wanted, start=1)
    ]


def _own(segments: list[Segment], recording: Recording, file: Path) -> list[Segment]:
    """Of an RTTM file named like a recording, the lines on it."""
    stem = PurePosixPath(recording.name).name
    others = {s.recording for s in segments} - {"", stem}
    if len(others) == 1 and not any(s.recording == stem for s in segments):
        return segments  # one recording under another name: the file's own name tells
    if others:
        line = next(s.line for s in segments if s.recording in others)
        raise InputError(
            f"{file}, line {line}: recording '{sorted(others)[0][:60]}' is not '{stem}'; give "
            "segments of several recordings a file name that no recording has"
        )
    return segments


def _transcript(file: Path) -> str:
    text = " ".join(read_text(file).split())
    if len(text) > _MAX_TEXT_CHARS:
        raise InputError(f"{file}: {len(text)} characters; is this the transcript of a clip?")
    return text


def _without_empty_stretches(
    drafts: Sequence[_Draft],
) -> tuple[list[_Draft], list[str]]:
    """Drafts that last, and how many of each recording do not."""
    kept, short = list[_Draft](), Counter[str]()
    for draft in drafts:
        start_s, end_s = draft.row.start_s or 0.0, draft.row.end_s
        if start_s < 0 or (end_s is not None and round(end_s, 6) <= round(start_s, 6)):
            short[draft.row.path] += 1
        else:
            kept.append(draft)
    return kept, [f"{p}: {counted(n, 'segment')} without length left out" for p, n in short.items()]


def _grouped(rows: Sequence[Utterance]) -> list[Utterance]:
    """`group` set so that recordings which share a speaker are in one: it leaks in no split."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        root = name
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[name] != root:
            parent[name], name = root, parent[name]
        return root

    for row in rows:
        if row.group and row.speaker:
            one, other = sorted((find(f"r {row.group}"), find(f"s {row.speaker}")))
            parent[other] = one
    return [replace(r, group=find(f"r {r.group}")[2:]) if r.group else r for r in rows]


def _moved(row: Utterance, folder: Path, out: Path) -> Utterance:
    """Paths relative to the CSV's folder instead of the corpus's."""
    move = rebase_from(folder, out.parent)
    return replace(row, path=move(row.path), audio_path=move(row.audio_path))


def _write(out: Path, rows: Sequence[Utterance]) -> None:
    """The draft, without a column `split`: splits are drawn from it."""
    used = [c for c in ("audio_path", "channel") if any(getattr(r, c) for r in rows)]
    with atomic_path(out) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*COLUMNS, *used])
            for row in rows:
                cells = (getattr(row, column) for column in (*COLUMNS, *used))
                writer.writerow([_cell(cell) for cell in cells])
        problems = check_manifest(temporary, classes=None)
        if problems:
            raise InputError(problems[0].replace(str(temporary), str(out)))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return repr(round(value, 6)) if isinstance(value, float) else str(value)
