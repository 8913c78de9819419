"""MELD: short clips of the television series Friends, several people in most of them.

    train_sent_emo.csv      train_splits/dia0_utt0.mp4                 or train/train_splits/…
    dev_sent_emo.csv        dev_splits_complete/dia0_utt0.mp4
    test_sent_emo.csv       output_repeated_splits_test/dia0_utt0.mp4

Dialogues are numbered anew in each part, so ids begin with the part. A clip is cut already: the
times in the CSV are places in the episode, and some of them are odd. Of the test part some clips
come twice, and `final_videos_testdia0_utt0.mp4` is the one that fits the text.

Poria et al. (2019), MELD: a multimodal multi-party dataset for emotion recognition in
conversations. `valence` is the sentiment: 1 positive, 0 neutral, -1 negative.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from amanda.store.manifest import Utterance
from corpora.rows import Dropped, Note
from corpora.tables import read_table
from corpora.tree import Tree, open_tree
from corpora.windows1252 import mend

PLACES = ("", "MELD.Raw/", "data/MELD/")
"""Where the three parts are looked for, each also in a folder of its own (`train/`)."""
KNOWN_DEFECTS = {
    "train_dia125_utt3": "the clip does not open, as distributed",
    "dev_dia110_utt7": "there is no clip, as distributed",
}


@dataclass(frozen=True)
class _Part:
    """One of the corpus's own three parts.

    Attributes:
        name: in its CSV's name and in our ids.
        folders: names that the folder of its clips goes by.
        clips: names of a clip, the best first.
    """

    name: str
    split: str
    folders: tuple[str, ...]
    clips: tuple[str, ...] = ("dia{}_utt{}.mp4",)

    @property
    def csv(self) -> str:
        return f"{self.name}_sent_emo.csv"

    @property
    def csv_places(self) -> list[str]:
        return [f"{place}{sub}{self.csv}" for place in PLACES for sub in ("", f"{self.name}/")]

    @property
    def clip_folders(self) -> list[str]:
        subs = ("", f"{self.name}/")
        return [f"{p}{sub}{folder}" for p in PLACES for sub in subs for folder in self.folders]


PARTS = (
    _Part("train", "train", ("train_splits",)),
    _Part("dev", "val", ("dev_splits_complete", "dev_splits")),
    _Part(
        "test",
        "test",
        ("output_repeated_splits_test", "test_splits"),
        ("final_videos_testdia{}_utt{}.mp4", "dia{}_utt{}.mp4"),
    ),
)

LONGEST_S = 30.0
"""Longer utterances are clips that were cut wrongly."""

_COLUMNS = {
    "text": ("utterance",),
    "speaker": ("speaker",),
    "emotion": ("emotion",),
    "sentiment": ("sentiment",),
    "dialogue": ("dialogue_id",),
    "utterance": ("utterance_id",),
    "start": ("starttime",),
    "end": ("endtime",),
}
_NEEDED = ("text", "emotion", "dialogue", "utterance")
_PATTERNS = {
    "dialogue": re.compile(r"[0-9]{1,9}"),
    "utterance": re.compile(r"[0-9]{1,9}"),
    "emotion": re.compile(r"[A-Za-z]{1,30}"),
}
_CLIP = re.compile(r"(?:final_videos_test)?dia([0-9]{1,9})_utt([0-9]{1,9})\.mp4")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})[,.]([0-9]{1,9})")
_VALENCE = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}


def fits(folder: Path) -> bool:
    """Whether a CSV of the corpus is where it may be."""
    return any((folder / place).is_file() for part in PARTS for place in part.csv_places)


def read(root: Path) -> Iterator[Utterance | Dropped | Note]:
    """Yield the rows of the three CSVs; `group` is the dialogue, the split the corpus's own."""
    tree = open_tree(root, ", ".join(part.csv for part in PARTS), fits)
    for part in PARTS:
        table = tree.first_file(*part.csv_places)
        if table:
            yield from _read_part(tree, part, table)
        else:
            yield Note(what=f"no {part.csv}: nothing of that part is read")


def _read_part(tree: Tree, part: _Part, table: str) -> Iterator[Utterance | Dropped | Note]:
    clips = _clips(tree, part)
    seen: set[tuple[int, int]] = set()
    if not clips:
        folders = " or ".join(part.folders)
        yield Note(what=f"no clips of the part {part.name}, which lie in {folders}", file=table)
    # Bytes of Windows-1252 come out as control characters, which are mended like any other.
    for line, cells in read_table(tree, table, _COLUMNS, _NEEDED, encoding="latin-1"):
        if cells is None or not all(p.fullmatch(cells[name]) for name, p in _PATTERNS.items()):
            yield Dropped(id="", reason="CSV line does not parse", file=table, line=line)
            continue
        number = int(cells["dialogue"]), int(cells["utterance"])
        row = _utterance(part, cells, number, clips.get(number, []))
        seen.add(number)
        if row.path:
            yield row
            yield from (Note(what=what, file=table, line=line) for what in _oddities(cells, row))
        else:
            yield Dropped(id=row.id, reason="no clip", file=table, line=line)
    for number, files in clips.items():
        if number not in seen:
            yield Note(what="a clip without a row in the CSV", file=files[0])
        if len(files) > 1:
            what = "a clip that is there twice; the first of final_videos_test… and dia… is taken"
            yield Note(what=what, file=files[0])


def _utterance(
    part: _Part, cells: dict[str, str], number: tuple[int, int], files: list[str]
) -> Utterance:
    dialogue, utterance = number
    return Utterance(
        id=f"{part.name}_dia{dialogue}_utt{utterance}",
        path=files[0] if files else "",
        text=mend(cells["text"]),
        label=cells["emotion"].lower(),
        speaker=mend(cells.get("speaker", "")),
        group=f"{part.name}_dia{dialogue}",
        split=part.split,
        language="en",
        valence=_VALENCE.get(cells.get("sentiment", "").lower()),
    )


def _oddities(cells: dict[str, str], row: Utterance) -> Iterator[str]:
    if row.text != cells["text"]:
        yield "a text with misread Windows-1252 characters, mended"
    if "�" in row.text:
        yield "a text with characters that were lost before (�)"
    length_s = _length_s(cells)
    if length_s is None:
        yield "a time in the CSV that does not parse; the whole clip is used"
    elif not 0 < length_s <= LONGEST_S:
        yield f"an odd time in the CSV (not 0 to {LONGEST_S:g} s); the whole clip is used"


def _clips(tree: Tree, part: _Part) -> dict[tuple[int, int], list[str]]:
    """The files of each (dialogue, utterance), the best first, sorted by number."""
    found: dict[tuple[int, int], list[str]] = {}
    for folder in part.clip_folders:
        for file in tree.files(f"{folder}/*.mp4"):
            match = _CLIP.fullmatch(PurePosixPath(file).name)
            if match:
                found.setdefault((int(match[1]), int(match[2])), []).append(file)
    for number, files in found.items():
        order = [pattern.format(*number) for pattern in part.clips]
        files.sort(key=lambda file: _place(order, PurePosixPath(file).name))
    return dict(sorted(found.items()))


def _place(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _length_s(cells: dict[str, str]) -> float | None:
    """From StartTime to EndTime, which are written 00:16:16,059 or 0:16:16,059."""
    seconds = []
    for name in ("start", "end"):
        match = _TIME.fullmatch(cells.get(name, ""))
        if not match:
            return None
        hours, minutes, whole, fraction = match.groups()
        seconds.append(int(hours) * 3600 + int(minutes) * 60 + float(f"{whole}.{fraction}"))
    return seconds[1] - seconds[0]
