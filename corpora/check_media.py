"""Whether the media files of a manifest or of a corpus open, and reach as far as they should."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance, manifest_classes, read_manifest, resolve_path
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
    """A sentence for each media file of a sound manifest that does not open or is too short."""
    try:
        rows = read_manifest(manifest, classes=manifest_classes(manifest))
    except InputError as error:
        return [str(error)]
    what = f"{manifest.stem}: media"
    done = check_media(rows, lambda place: resolve_path(manifest, place), what=what)
    return [
        *(f"{manifest}: {each.path} does not open ({each.problem})" for each in done.failed),
        *(f"{manifest}: {each}" for each in done.late),
    ]


def _ends(row: Utterance) -> Iterator[tuple[str, float]]:
    """Each file of a row and where in it the utterance ends, 0 for the file's own end."""
    if row.path:
        yield row.path, row.end_s or 0.0
    if row.audio_path:
        end_s = row.end_s or 0.0
        if end_s and row.audio_start_s is not None:  # the sound has a clock of its own
            end_s += row.audio_start_s - (row.start_s or 0.0)
        yield row.audio_path, end_s
