"""What in a text could tell who somebody is: names and words of feature files, paths, pictures.

A count, no proof: it finds what stands there as it stands in the feature file, and absolute paths
and pictures. It knows nobody whom no feature file names.
"""

import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from amanda.store.errors import InputError
from amanda.store.features import FeatureFile

FEWEST_CHARS = 3
"""A name shorter than this stands anywhere by chance; it is not looked for, and that is said."""
FEWEST_WORDS = 4
"""A transcript of fewer words is nobody's."""
_PATH = re.compile(r"(?<![\w/.:~-])(?:~|[A-Za-z]:\\|/(?=[\w.-]+/[\w.-]))[^\s\"'<>,;]+")
_PICTURE = re.compile(r"data:image/(?:png|jpe?g|webp|gif)[;,]", re.I)
_TEXTS = ("ids", "speaker", "group", "source", "text")
KINDS = {
    "ids": "ids of utterances",
    "speaker": "speakers",
    "group": "groups",
    "source": "sources",
    "text": "transcripts",
    "path": "absolute paths",
    "picture": "pictures",
}


@dataclass(frozen=True)
class Found:
    """What was found in one file.

    Attributes:
        counts: by kind of `KINDS`, how many different ones; for pictures how many.
        skipped: names too short to be looked for.
        searched: whether any feature file told names to look for.
    """

    path: Path
    counts: dict[str, int]
    skipped: int
    searched: bool

    def to_text(self) -> str:
        """A sentence or two; it repeats nothing of what was found."""
        found = [f"{count} {KINDS[kind]}" for kind, count in self.counts.items() if count]
        kinds = [KINDS[kind] for kind in self.counts]
        lines = [f"{self.path}: {', '.join(found)}" if found else f"{self.path}: none of these"]
        lines.append(f"  looked for: {', '.join(kinds)}")
        if not self.searched:
            lines.append("  names and words are looked for where --features names a feature file")
        if self.skipped:
            lines.append(
                f"  {self.skipped} names are shorter than {FEWEST_CHARS} characters or, as "
                f"transcripts, {FEWEST_WORDS} words, and were not looked for"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class PrivacyReport:
    """What was found in several files."""

    files: tuple[Found, ...]

    @property
    def n_found(self) -> int:
        return sum(sum(each.counts.values()) for each in self.files)

    def to_text(self) -> str:
        """A few lines a file."""
        return "\n".join(each.to_text() for each in self.files)

    def to_json(self) -> str:
        """One JSON object."""
        files = [
            {"path": str(f.path), "counts": f.counts, "not_looked_for": f.skipped}
            for f in self.files
        ]
        return json.dumps({"found": self.n_found, "files": files})


def check_privacy(paths: Sequence[Path], features: Sequence[Path] = ()) -> PrivacyReport:
    """Count in text files (a report, a result, a log) what could tell who somebody is.

    Args:
        features: feature files whose ids, speakers, groups, sources and words to look for.

    Raises:
        InputError: a file cannot be read, or is no text.
    """
    names: dict[str, set[str]] = {kind: set() for kind in _TEXTS} if features else {}
    for path in features:
        with FeatureFile(path) as file:
            for kind in names:
                names[kind].update(name.strip() for name in getattr(file, kind))
    return PrivacyReport(tuple(_search(Path(path), names) for path in paths))


def _search(path: Path, names: dict[str, set[str]]) -> Found:
    written = _read(path)
    counts, skipped = {}, 0
    plain = _plain(written)
    for kind, originals in names.items():
        wanted = {name for name in originals if _is_telling(kind, name)}
        skipped += len(originals - wanted - {""})
        counts[kind] = sum(1 for _ in _present(wanted, plain))
    # Scripts and styles hold no paths of ours, but much that looks like one.
    read = re.sub(r"<(script|style)\b.*?</\1>|\w+://[^\s\"'<>]+", " ", written, flags=re.S | re.I)
    read = re.sub(r"<(/?\w+)", r" <\1", read)
    words = html.unescape(re.sub(r"data:[^\"'\s]+|</\w+>|/>", " ", read))
    counts["path"] = len(set(_PATH.findall(words)))
    counts["picture"] = len(_PICTURE.findall(written))
    return Found(path, counts, skipped, searched=bool(names))


def _is_telling(kind: str, name: str) -> bool:
    if kind == "text":
        return len(name.split()) >= FEWEST_WORDS
    return len(name) >= FEWEST_CHARS


def _present(names: Iterable[str], text: str) -> Iterable[str]:
    """Those that stand in the text as words of their own."""
    for name in names:
        sought = _plain(name)
        # `in` is fast, and true of few.
        if sought in text and re.search(rf"(?<!\w){re.escape(sought)}(?!\w)", text):
            yield name


def _plain(text: str) -> str:
    """Without marks of HTML and JSON, in one case, its white space made even."""
    unmarked = html.unescape(text).replace('\\"', '"').replace("\\/", "/")
    return " ".join(unmarked.casefold().split())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a text file") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is no text; --privacy reads reports, results, tables and logs, and names and "
            "words of feature files are given by --features"
        ) from error
