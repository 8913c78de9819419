"""What makes each stand-in corpus itself, by modality: domain gaps and difficulty.

`REFERENCE` is a corpus without traits of its own; `TRAITS` says how each corpus differs, in a
module a corpus, which is found by its name (`traits/<corpus>.py`, its `OWN`). A gap of
strength g in a modality gives every number reference + g · (own - reference), clipped to what makes
sense (`BOUNDS`), so that 0 takes the gap away, 1 is the corpus as documented and more exaggerates
it. What cannot be scaled (voices, backdrops, wording) is drawn from the corpus's own set with a
probability (`own_share`) that is scaled the same way, and else from a set that all corpora share.

Difficulty is a trait too: `ambiguous_share` of the utterances do not show their class in
that modality (they show nothing, or in `misleading_share` of these cases another class),
`intensity` is the mean strength at which the others do, and `spread` is how much utterances of one
class differ. Each corpus may have its own; the values so far are common.
"""

import pkgutil
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import import_module
from typing import Any, TypeVar

from amanda.store.errors import InputError, nearest
from corpora.standin.traits.reference import REFERENCE
from corpora.standin.traits.schema import (
    BOUNDS,
    AcousticTraits,
    LexicalTraits,
    Traits,
    VisualTraits,
)

__all__ = [
    "BOUNDS",
    "REFERENCE",
    "TRAITS",
    "AcousticTraits",
    "LexicalTraits",
    "Traits",
    "VisualTraits",
    "blend",
    "corpus_traits",
]

_NOT_CORPORA = ("reference", "schema")
TRAITS: Mapping[str, Traits] = {
    module.name: import_module(f"{__name__}.{module.name}").OWN
    for module in pkgutil.iter_modules(__path__)
    if module.name not in _NOT_CORPORA
}

T = TypeVar("T")


def corpus_traits(corpus: str, gap: Mapping[str, float]) -> Traits:
    """The traits of a corpus at the gap strengths asked for (`visual`, `acoustic`, `lexical`).

    Raises:
        InputError: no such corpus.
    """
    if corpus not in TRAITS:
        raise InputError(f"corpus '{corpus}' has no stand-in; {nearest(corpus, list(TRAITS))}")
    own = TRAITS[corpus]
    return Traits(
        visual=blend(REFERENCE.visual, own.visual, gap["visual"]),
        acoustic=blend(REFERENCE.acoustic, own.acoustic, gap["acoustic"]),
        lexical=blend(REFERENCE.lexical, own.lexical, gap["lexical"]),
    )


def blend(reference: T, own: T, strength: float) -> T:
    """`reference` + `strength` · (`own` - `reference`) for every number of two equal dataclasses.

    Texts and sets of names are `own`'s: `own_share` decides how often they are used.
    """
    values = {
        f.name: _blend(f.name, getattr(reference, f.name), getattr(own, f.name), strength)
        for f in fields(own)  # type: ignore[arg-type]
    }
    return replace(own, **values)  # type: ignore[type-var]


def _blend(name: str, reference: Any, own: Any, strength: float) -> Any:
    if isinstance(own, Mapping):
        empty: Any = {} if any(isinstance(v, Mapping) for v in own.values()) else 0.0
        parts = {
            key: _blend(name, reference.get(key, empty), own.get(key, empty), strength)
            for key in sorted({*reference, *own})
        }
        return {key: part for key, part in parts.items() if part != 0.0}
    if isinstance(own, tuple) and own and isinstance(own[0], float | int):
        return tuple(_blend(name, r, o, strength) for r, o in zip(reference, own, strict=True))
    if isinstance(own, float | int):
        low, high = BOUNDS.get(name, (float("-inf"), float("inf")))
        return min(high, max(low, reference + strength * (own - reference)))
    return own
