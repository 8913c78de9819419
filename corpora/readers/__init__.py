"""One file a corpus layout, found by its name: `--corpus ie` is `corpora/readers/ie.py`.

Each has two functions:

    read(root: Path) -> Iterator[Utterance | Dropped | Note]    streams the corpus
    fits(folder: Path) -> bool                                  whether it is the corpus's root

Rows come in an order of the corpus's own that does not change. Labels are the corpus's own
(`corpora/labels.py` maps them to classes; a corpus without a table there yields classes), paths
are relative to `root`, and `split` is "" unless the corpus prescribes one. It may also have

    SUBSETS: dict[str, str]          parts of the corpus: name to a regular expression found in ids
    KNOWN_DEFECTS: dict[str, str]    id to what is wrong with it in the corpus as distributed
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from amanda.store.errors import InputError, nearest
from amanda.store.manifest import Utterance
from corpora.rows import Dropped, Note
from corpora.tree import fitting_folder

Reader = Callable[[Path], Iterator[Utterance | Dropped | Note]]


def reader_names() -> list[str]:
    """The names that `--corpus` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_reader(name: str) -> Reader:
    """The `read` function of `corpora/readers/<name>.py`.

    Raises:
        InputError: no such reader; the nearest is named.
    """
    reader: Reader = _module(name).read
    return reader


def find_subset(name: str, subset: str) -> Callable[[str], bool]:
    """Whether an id is in a part of a corpus, or in one of several, as "read,improvised".

    Raises:
        InputError: the corpus has no such part; the nearest is named.
    """
    known: dict[str, str] = getattr(_module(name), "SUBSETS", {})
    wanted = [part.strip() for part in subset.split(",") if part.strip()]
    for part in wanted:
        if part not in known:
            end = nearest(part, list(known)) if known else f"{name} has none"
            raise InputError(f"--subset {part}: no such part of {name}; {end}")
    patterns = [re.compile(known[part]) for part in wanted]
    return lambda utterance_id: not patterns or any(p.search(utterance_id) for p in patterns)


def known_defects(name: str) -> dict[str, str]:
    """What is wrong with the corpus as distributed, by id."""
    return dict(getattr(_module(name), "KNOWN_DEFECTS", {}))


def fitting_readers(folder: Path) -> list[str]:
    """The readers whose layout a folder has.

    Raises:
        InputError: it has none, and a file in it that would decide cannot be read.
    """
    fitting: list[str] = []
    trouble: InputError | None = None
    for name in reader_names():
        try:
            fitting += [name] if _module(name).fits(folder) else []
        except InputError as error:
            trouble = trouble or error
    if trouble and not fitting:
        raise trouble
    return fitting


def nearest_fit(folder: Path) -> tuple[str, Path] | None:
    """A reader, and the nearest folder below or above `folder` that has its layout."""
    for name in reader_names():
        found = fitting_folder(folder, _module(name).fits)
        if found:
            return name, found
    return None


def _module(name: str) -> ModuleType:
    if name not in reader_names():
        raise InputError(
            f"no reader '{name}'; {nearest(name, reader_names())} "
            "(any other corpus: write a CSV and use --corpus csv)"
        )
    return importlib.import_module(f"{__name__}.{name}")
