"""Sentences with slots, and how one is drawn."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A way of speaking.

    Attributes:
        sentences: templates by class; `{slot}` stands for a word of `slots`.
        ambiguous: templates that go with any class.
        slots: words by slot; they may hold slots themselves.
    """

    sentences: Mapping[str, tuple[str, ...]]
    ambiguous: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]


@cache
def load_wording(name: str) -> Wording:
    """The `WORDING` of the module `words/<name>.py`."""
    wording = import_module(f"corpora.standin.words.{name}").WORDING
    assert isinstance(wording, Wording)
    return wording


def compose(wording: Wording, emotion: str | None, rng: np.random.Generator) -> str:
    """A sentence of a class, or an ambiguous one when `emotion` is None.

    A slot that stands twice takes the same word twice.
    """
    templates = wording.ambiguous if emotion is None else wording.sentences[emotion]
    text = templates[int(rng.integers(len(templates)))]
    while match := _SLOT.search(text):
        words = wording.slots[match[1]]
        text = text.replace(match[0], words[int(rng.integers(len(words)))])
    return text[0].upper() + text[1:]
