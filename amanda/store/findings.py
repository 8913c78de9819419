"""Collecting what is wrong with an HDF5 file, dataset by dataset."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import h5py
import numpy as np

from amanda.store.wording import counted

KINDS: dict[str, Callable[[np.dtype], bool]] = {
    "texts": lambda t: t.kind == "S" or h5py.check_string_dtype(t) is not None,
    "whole numbers": lambda t: t.kind in "iu",
    "numbers": lambda t: t.kind in "iuf",
    "float16": lambda t: t.kind == "f" and t.itemsize == 2,
    "true or false (bool)": lambda t: t.kind == "b",
}


@dataclass
class Findings:
    """The problems found so far.

    Attributes:
        ids: of the rows, once they are known; a problem of rows names the first of them.
    """

    problems: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def say(self, problem: str) -> None:
        self.problems.append(problem)

    def say_rows(self, rows: Sequence[int] | np.ndarray, problem: str) -> None:
        """A problem of these rows: one sentence, and none where there is no row."""
        if len(rows):
            more = f" (and {counted(len(rows) - 1, 'more row')})" if len(rows) > 1 else ""
            self.say(f"{self.ids[int(rows[0])]}: {problem}{more}")

    def one_of(self, what: str, found: Sequence[str], known: Sequence[str]) -> None:
        """Say which of `found` (one a row) are none of `known`."""
        for value in sorted(set(found) - set(known)):
            rows = [i for i, each in enumerate(found) if each == value]
            self.say_rows(rows, f"{what} '{value}' is unknown; use {', '.join(known)}")

    def dataset(
        self, group: h5py.Group, name: str, kind: str, shape: tuple[int | None, ...]
    ) -> h5py.Dataset | None:
        """The dataset if it has this kind and shape (None: any length); else None, and it is said.

        Args:
            kind: a key of `KINDS`.
        """
        where, dataset = f"{group.name}/{name}", group.get(name)
        if not isinstance(dataset, h5py.Dataset):
            self.say(f"no dataset {where}")
        elif dataset.ndim != len(shape):
            self.say(f"{where} has shape {dataset.shape}; it must have {len(shape)} axes")
        elif not KINDS[kind](dataset.dtype):
            self.say(f"{where} is {dataset.dtype}; it must hold {kind}")
        elif any(due is not None and n != due for n, due in zip(dataset.shape, shape, strict=True)):
            due_shape = ", ".join("any" if due is None else str(due) for due in shape)
            self.say(f"{where} has shape {dataset.shape} where ({due_shape}) is due")
        else:
            return dataset
        return None
