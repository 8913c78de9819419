"""One file a corpus layout, found by its name: `--corpus ie` is `corpora/readers/ie.py`.

Each has one function, `read(root: Path) -> Iterator[Utterance | Dropped | Note]`, which streams
the corpus in an order of its own that does not change. Labels are the corpus's own
(`corpora/labels.py` maps them to classes; a corpus without a table there yields classes), paths
are relative to `root`, and `split` is "" unless the corpus prescribes one.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

from amanda.store.errors import InputError, nearest
from amanda.store.manifest import Utterance
from corpora.rows import Dropped, Note

Reader = Callable[[Path], Iterator[Utterance | Dropped | Note]]


def reader_names() -> list[str]:
    """The names that `--corpus` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_reader(name: str) -> Reader:
    """The `read` function of `corpora/readers/<name>.py`.

    Raises:
        InputError: no such reader; the nearest is named.
    """
    if name not in reader_names():
        raise InputError(
            f"no reader '{name}'; {nearest(name, reader_names())} "
            "(any other corpus: write a CSV and use --corpus csv)"
        )
    reader: Reader = importlib.import_module(f"{__name__}.{name}").read
    return reader
