"""How each corpus puts its scenes in files and its labels in text: one module a corpus.

A layout is found by its file's name, `layouts/<corpus>.py`, and has what `Layout` lists. A new one
needs that file, an entry in `traits.TRAITS` and a wording in `words/`.
"""

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np

from amanda.store.errors import InputError, nearest
from corpora.standin.plan import Slot
from corpora.standin.scene import Line, Person, Scene, Spoken
from corpora.standin.traits import Traits


@runtime_checkable
class Layout(Protocol):
    """What a module of this folder has.

    Attributes:
        SLOTS: the speakers, in the ids that the corpus's reader makes.
    """

    SLOTS: tuple[Slot, ...]

    def plan_extras(self, n: int, traits: Traits, rng: np.random.Generator) -> list[Line]:
        """Lines beyond the `n` asked for, with labels that the reader drops."""

    def arrange(
        self,
        lines: Sequence[Line],
        people: Mapping[str, Person],
        traits: Traits,
        rng: np.random.Generator,
    ) -> list[Scene]:
        """Scenes that hold all lines, each line with its id and file."""

    def write_labels(
        self, root: Path, scenes: Sequence[Sequence[Spoken]], rng: np.random.Generator
    ) -> None:
        """Write labels and transcripts; `scenes` are the performed lines scene by scene."""


def layout_names() -> list[str]:
    """The corpora that have a layout."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_layout(corpus: str) -> Layout:
    """The layout of a corpus.

    Raises:
        InputError: there is none of that name.
    """
    names = layout_names()
    if corpus not in names:
        raise InputError(f"no stand-in for corpus '{corpus}'; {nearest(corpus, names)}")
    return cast(Layout, import_module(f"{__name__}.{corpus}"))
