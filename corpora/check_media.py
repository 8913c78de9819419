"""Whether the media files of a manifest or of a corpus open, and reach as far as they should."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance, manifest_classes, resolve_path
from amanda.store.manifest_rows import scan_lines
from amanda.store.wording import counted
from corpora.probe import PAST_END_S, Probe, probe_all


@dataclass(frozen=True)
class Late:
    """An utterance that ends after its file does."""

    id: str
    end_s: float
    path: Path
    length_s: float

    def __str__(self) -> str:
        return (
            f"{self.id}: ends at {self.end_s:.2f} s, but {self.path.name} is "
            f"{self.length_s:.2f} s long"
        )


@dataclass(frozen=True)
class MediaCheck:
    """What came of opening the files.

    Attributes:
        n_files: how many there are, each counted once.
        length_s: of those that open and say it, together.
        late: utterances that end more than `PAST_END_S` after their file.
    """

    n_files: int = 0
    length_s: float = 0.0
    failed: Sequence[Probe] = ()
    late: Sequence[Late] = ()


def check_media(
    rows: Iterable[Utterance], resolve: Callable[[str], Path], *, what: str
) -> MediaCheck:
    """Open each file of `rows` once.

    Args:
        resolve: where a `path` or `audio_path` lies.
        what: a name for the progress bar.
    """
    ends: dict[str, list[tuple[str, float]]] = {}
    for row in rows:
        for place, end_s in _ends(row):
            ends.setdefault(place, []).append((row.id, end_s))
    failed: list[Probe] = []
    late: list[Late] = []
    total_s = 0.0
    places = list(ends)
    for place, found in zip(places, probe_all([*map(resolve, places)], what=what), strict=True):
        if found.problem:
            failed.append(found)
        elif found.length_s is not None:
            length_s = found.length_s
            total_s += length_s
            late += [
                Late(who, end_s, found.path, length_s)
                for who, end_s in ends[place]
                if end_s > length_s + PAST_END_S
            ]
    return MediaCheck(len(places), total_s, failed, late)


def check_manifest_media(manifest: Path) -> list[str]:
    """A sentence for each media file of the sound rows that does not open or is too short.

    Files that are not there are left to `amanda.store.check`.
    """
    lines: dict[str, int] = {}
    rows: list[Utterance] = []
    try:
        for line, row in scan_lines(manifest, manifest_classes(manifest)):
            if isinstance(row, Utterance):
                lines[row.id] = line
                rows.append(_without_missing(manifest, row))
    except InputError:
        return []  # `amanda.store.check` says it

    def resolve(place: str) -> Path:
        return resolve_path(manifest, place)

    done = check_media(rows, resolve, what=f"{manifest.stem}: media")
    failed = {each.path: each.problem for each in done.failed}
    users: dict[Path, dict[str, str]] = {}  # by file that fails: ids, and the file as they write it
    for row in rows if failed else ():
        for place, _ in _ends(row):
            if resolve(place) in failed:
                users.setdefault(resolve(place), {}).setdefault(row.id, place)
    found = [(late.id, f"{late}") for late in done.late]
    for path, ids in users.items():
        first, place = next(iter(ids.items()))
        also = f"; {counted(len(ids) - 1, 'more row')} of it" if len(ids) > 1 else ""
        found.append((first, f"{first}: {place} does not open ({failed[path]}){also}"))
    found.sort(key=lambda each: lines[each[0]])
    return [f"{manifest}, line {lines[who]}, {sentence}" for who, sentence in found]


def _without_missing(manifest: Path, row: Utterance) -> Utterance:
    there = {p: p if p and resolve_path(manifest, p).is_file() else "" for p, _ in _ends(row)}
    return replace(row, path=there.get(row.path, ""), audio_path=there.get(row.audio_path, ""))


def _ends(row: Utterance) -> Iterator[tuple[str, float]]:
    """Each file of a row and where in it the utterance ends, 0 for the file's own end."""
    if row.path:
        yield row.path, row.end_s or 0.0
    if row.audio_path:
        end_s = row.end_s or 0.0
        if end_s and row.audio_start_s is not None:  # the sound has a clock of its own
            end_s += row.audio_start_s - (row.start_s or 0.0)
        yield row.audio_path, end_s
