"""CMU-MOSEI's labels: a sentiment and six emotion scores a segment, as CSD or as CSV.

A CSV has one row a segment: the video's id, the segment's number, its start and end, or both, and
the seven scores. `<video>_3` in its first column is segment 3; `<video>[3]` is the fourth row of
that video in the CSD, where there are times to find the segment by, else segment 3 too.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from amanda.store.errors import InputError
from corpora.csd import read_csd
from corpora.labels import MOSEI_EMOTIONS
from corpora.rows import Dropped
from corpora.tables import header_of, read_table, table_columns
from corpora.tree import Tree

LABEL_PLACES = ("", "Labels/", "labels/", "Raw/Labels/")
SCORES = ("sentiment", *MOSEI_EMOTIONS)
"""In the order of the CSD."""

_COLUMNS = {
    "video": ("video", "video_id", "videoid", "id", "file"),
    "segment": ("segment", "segment_id", "clip", "clip_id", "index"),
    "start": ("start", "start_s", "start_time"),
    "end": ("end", "end_s", "end_time"),
    "text": ("text",),
    "sentiment": ("sentiment",),
    "happy": ("happy", "happiness"),
    "sad": ("sad", "sadness"),
    "anger": ("anger", "angry"),
    "surprise": ("surprise", "surprised"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear",),
}
_NEEDED = ("video", *SCORES)
_VIDEO = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NUMBERED = re.compile(r"(.+?)(?:\[([0-9]{1,9})\]|_([0-9]{1,9}))")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A row of a label file.

    Attributes:
        number: of the segment in the transcript, where the label file says it.
        place: of the row among those of its video, from 0.
        start_s, end_s: None, both, where the label file has no times.
        line: None for a CSD.
    """

    video: str
    number: int | None
    place: int
    start_s: float | None
    end_s: float | None
    scores: Mapping[str, float]
    text: str = ""
    file: str
    line: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether the id can be a name and the numbers are what they should be."""
        times = (self.start_s or 0.0, self.end_s or 0.0)
        return (
            _VIDEO.fullmatch(self.video) is not None
            and all(map(math.isfinite, (*times, *self.scores.values())))
            and all(self.scores[name] >= 0 for name in MOSEI_EMOTIONS)
            and (self.number is None or 0 <= self.number < 10**9)
        )

    def dropped(self, reason: str, number: int | None = None) -> Dropped:
        return Dropped(id=self.id(number), reason=reason, file=self.file, line=self.line)

    def id(self, number: int | None = None) -> str:
        """`<video>_<number in the transcript>`, or `<video>[<place>]` where that is not known."""
        number = self.number if number is None else number
        return f"{self.video}[{self.place}]" if number is None else f"{self.video}_{number}"


def label_files(tree: Tree) -> list[str]:
    """CSDs of labels, then CSVs that have the columns.

    Raises:
        InputError: a CSV that is called after labels cannot be read.
    """
    csds = [f for place in LABEL_PLACES for f in tree.files(f"{place}*.csd")]
    csvs = [f for place in LABEL_PLACES for f in tree.files(f"{place}*.csv")]
    return [*filter(_is_of_labels, csds), *(f for f in csvs if _has_scores(tree, f))]


def _is_of_labels(file: str) -> bool:
    return "label" in file.rpartition("/")[2].lower()


def _has_scores(tree: Tree, file: str) -> bool:
    try:
        header = header_of(tree, file)
    except InputError:
        if _is_of_labels(file):
            raise
        return False
    return set(_NEEDED) <= set(table_columns(header, _COLUMNS))


def read_segments(
    tree: Tree, file: str, has_media: Callable[[str], bool]
) -> Iterator[Segment | Dropped]:
    """Yield the rows of a CSD or a CSV.

    Args:
        has_media: whether a video of this id is there; some ids look like a segment's.
    """
    rows = _csd_rows(tree, file) if file.endswith(".csd") else _csv_rows(tree, file, has_media)
    for row in rows:
        if isinstance(row, Segment) and not row.is_sound:
            yield row.dropped("label line does not parse")
        else:
            yield row


def _csd_rows(tree: Tree, file: str) -> Iterator[Segment | Dropped]:
    for entry in read_csd(tree.path_of(file), len(SCORES)):
        if entry.features is None or entry.intervals is None:
            yield Dropped(id=entry.key, reason="no features (n, 7) and intervals (n, 2)", file=file)
            continue
        video, first = entry.key, 0
        numbered = _NUMBERED.fullmatch(entry.key)
        if numbered and numbered[2]:
            video, first = numbered[1], int(numbered[2])
        rows = zip(entry.intervals.tolist(), entry.features.tolist(), strict=True)
        for place, ((start_s, end_s), scores) in enumerate(rows, start=first):
            yield Segment(
                video=video,
                number=None,
                place=place,
                start_s=start_s,
                end_s=end_s,
                scores=dict(zip(SCORES, scores, strict=True)),
                file=file,
            )


def _csv_rows(
    tree: Tree, file: str, has_media: Callable[[str], bool]
) -> Iterator[Segment | Dropped]:
    n_rows: Counter[str] = Counter()
    for line, cells in read_table(tree, file, _COLUMNS, _NEEDED):
        try:
            if cells is None:
                raise ValueError("the line does not parse")
            segment = _csv_row(file, line, cells, n_rows, has_media)
        except ValueError:
            yield Dropped(id="", reason="label line does not parse", file=file, line=line)
            continue
        n_rows[segment.video] += 1
        yield segment


def _csv_row(
    file: str,
    line: int,
    cells: Mapping[str, str],
    n_rows: Counter[str],
    has_media: Callable[[str], bool],
) -> Segment:
    """Raises `ValueError` where a cell is no number."""
    scores = {name: float(cells[name]) for name in SCORES}
    start_s, end_s = (float(cells[n]) if cells.get(n) else None for n in ("start", "end"))
    has_times = start_s is not None and end_s is not None
    number = int(cells["segment"]) if cells.get("segment") else None
    video, place = cells["video"], None
    numbered = _NUMBERED.fullmatch(video)
    if numbered and (numbered[2] or (number is None and not _is_video(video, has_media))):
        video, told = numbered[1], int(numbered[2] or numbered[3])
        if numbered[2] and has_times:
            place = told
        elif number is None:
            number = told
    return Segment(
        video=video,
        number=number,
        place=n_rows[video] if place is None else place,
        start_s=start_s if has_times else None,
        end_s=end_s if has_times else None,
        scores=scores,
        text=cells.get("text", ""),
        file=file,
        line=line,
    )


def _is_video(name: str, has_media: Callable[[str], bool]) -> bool:
    return _VIDEO.fullmatch(name) is not None and has_media(name)
