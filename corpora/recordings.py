"""The recordings of a folder: media files, and the texts and segments that lie beside them."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from amanda.store.errors import InputError
from corpora.segments import READERS, Segment

VIDEO = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".mts")
)
AUDIO = frozenset(
    (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff")
)
TEXT = ".txt"


@dataclass
class Recording:
    """The files of one name in one folder, relative to the corpus.

    Attributes:
        name: their common path without a suffix.
        video, audio: at most one each, or nobody knows which is meant.
        text: its transcript, "" for none.
        segments: RTTM, ELAN or TextGrid files of this name.
    """

    name: str
    video: list[str] = field(default_factory=list)
    audio: list[str] = field(default_factory=list)
    text: str = ""
    segments: list[str] = field(default_factory=list)

    @property
    def media(self) -> list[str]:
        """Its video and its audio file, those that there are."""
        return [*self.video, *self.audio]

    @property
    def kind(self) -> str:
        if self.video and self.audio:
            return "video with audio beside it"
        return "video" if self.video else "audio"


def _files(folder: Path, problems: list[str]) -> Iterator[PurePosixPath]:
    """Every file under `folder`, relative to it, sorted; hidden ones and links are left out."""

    def fail(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be listed ({error.strerror})")

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that holds the recordings")
    for parent, folders, files in os.walk(folder, onerror=fail):
        here = Path(parent)
        linked = [n for n in folders if os.path.islink(here / n)]
        folders[:] = sorted(n for n in folders if n[:1] != "." and n not in linked)
        for name in sorted([*files, *linked]):
            if name[:1] == ".":
                continue
            if os.path.islink(here / name):
                problems.append(
                    f"{_shown(here / name)}: a link, not followed; give what it leads to"
                )
                continue
            relative = (here / name).relative_to(folder).as_posix()
            if not relative.isprintable() or relative != relative.strip():
                problems.append(
                    f"{_shown(here / name)}: a name that a CSV cannot hold; rename the file"
                )
                continue
            yield PurePosixPath(relative)


def _shown(path: Path) -> str:
    """A path for a message, whatever bytes it holds."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def find_recordings(folder: Path, problems: list[str]) -> dict[str, Recording]:
    """The files of `folder` by relative path without suffix, in sorted order."""
    found: dict[str, Recording] = {}
    for file in _files(folder, problems):
        suffix, name = file.suffix.lower(), file.with_suffix("").as_posix()
        recording = found.setdefault(name, Recording(name))
        if suffix in VIDEO:
            recording.video.append(str(file))
        elif suffix in AUDIO:
            recording.audio.append(str(file))
        elif suffix in READERS:
            recording.segments.append(str(file))
        elif suffix == TEXT:
            recording.text = str(file)
    return dict(sorted(found.items()))


def is_usable(folder: Path, recording: Recording, problems: list[str]) -> bool:
    """Whether files of one name are one recording; says what speaks against it."""
    for kind, files in (("video", recording.video), ("audio", recording.audio)):
        if len(files) > 1:
            problems.append(f"{folder}: {' and '.join(files)} are two {kind} files; keep one")
            return False
    if not recording.video and not recording.audio:
        for file in recording.segments:
            if not file.lower().endswith(".rttm"):
                problems.append(f"{folder / file}: no recording of this name beside it")
        return False
    if len(recording.segments) > 1:
        problems.append(f"{folder}: {' and '.join(recording.segments)} segment one file; keep one")
        return False
    return True


def shared_segments(
    folder: Path, recordings: Mapping[str, Recording], problems: list[str]
) -> dict[str, list[Segment]]:
    """Segments out of RTTM files that are named like no recording, by recording."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name, recording in recordings.items():
        if recording.video or recording.audio:
            by_stem[PurePosixPath(name).name].append(name)
    found: dict[str, list[Segment]] = defaultdict(list)
    for recording in recordings.values():
        alone = not recording.video and not recording.audio
        for file in (f for f in recording.segments if alone and f.lower().endswith(".rttm")):
            try:
                segments = READERS[".rttm"](folder / file)
            except InputError as error:
                problems.append(str(error))
                continue
            for stem in dict.fromkeys(segment.recording for segment in segments):
                names = by_stem.get(stem, [])
                if len(names) != 1 or recordings[names[0]].segments:
                    reason = (
                        "no recording has this name"
                        if not names
                        else "several recordings have this name, or one with segments of its own"
                    )
                    problems.append(f"{folder / file}: recording '{stem[:60]}': {reason}")
                    continue
                found[names[0]] += [s for s in segments if s.recording == stem]
    return found
