"""A surrogate of one's own: any convex increasing φ, given with its inverse as functions (Eq. 11).

A module that Python can import holds a pair of functions of tensors:

    # mine.py
    sinh = (lambda a: a.sinh(), lambda s: s.asinh())

and `--surrogate phi:mine.sinh` trains with h(a) = φ⁻¹(Σ φ(a_m)); ψ comes by automatic
differentiation. A run's identity is the name, not what the functions compute: when they change,
give them another name.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from amanda.store.errors import InputError

KIND = "phi"
_GRID = (0.0, 0.01, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 8.0)
"""Losses that φ is tried at; small enough that exp(8) and its like stay finite."""


@dataclass(frozen=True)
class GivenSurrogate:
    """`surrogate(a)` is φ⁻¹(Σ φ(a_m)); `name` is MODULE.PAIR, imported when it is first called."""

    name: str

    def __call__(self, losses: Any) -> Any:
        return self.function(losses)

    def __str__(self) -> str:
        return f"{KIND}:{self.name}"

    @cached_property
    def function(self) -> Callable[[Any], Any]:
        """h, checked.

        Raises:
            InputError: there is no such pair, or φ is not increasing and convex, or the second
                function is not its inverse.
        """
        from amanda.surrogates import general

        phi, inverse = self._load()
        self._check(phi, inverse)
        return general(phi, inverse)

    def _load(self) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        module, _, attribute = self.name.rpartition(".")
        try:
            pair = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise InputError(
                f"surrogate '{self}': Python finds no module '{error.name}'; name one that it can "
                "import, with PYTHONPATH=. where it lies in this folder"
            ) from error
        except AttributeError as error:
            raise InputError(f"surrogate '{self}': {module} has no '{attribute}'") from error
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
            raise InputError(f"surrogate '{self}': {self.name} is no pair of functions (φ, φ⁻¹)")
        return pair

    def _check(self, phi: Callable[[Any], Any], inverse: Callable[[Any], Any]) -> None:
        """φ at a few losses: slopes between neighbours are above 0 and never fall."""
        import torch

        at = torch.tensor(_GRID, dtype=torch.float64)
        values = phi(at)
        if values.shape != at.shape or not torch.isfinite(values).all():
            raise InputError(
                f"surrogate '{self}': φ must give one finite number a loss, also at 0; at "
                f"{list(_GRID)} it gives {values.tolist()}"
            )
        slope = values.diff() / at.diff()
        if (slope <= 0).any():
            place = int((slope <= 0).nonzero()[0])
            raise InputError(
                f"surrogate '{self}': φ does not increase between {_GRID[place]} and "
                f"{_GRID[place + 1]}"
            )
        if (slope.diff() < -1e-9 * slope[1:]).any():
            place = int((slope.diff() < -1e-9 * slope[1:]).nonzero()[0])
            raise InputError(
                f"surrogate '{self}': φ is not convex at {_GRID[place + 1]}; smaller losses would "
                "get larger weights"
            )
        back = torch.stack([inverse(value) for value in values])
        if not torch.allclose(back, at, rtol=1e-6, atol=1e-6):
            place = int((back - at).abs().nan_to_num(torch.inf).argmax())
            raise InputError(
                f"surrogate '{self}': the second function is not the inverse of φ: at "
                f"{_GRID[place]} there and back gives {float(back[place]):.6g}"
            )


def parse_given(parameter: str) -> GivenSurrogate:
    """`GivenSurrogate` of MODULE.PAIR; nothing is imported yet.

    Raises:
        InputError: not of that form.
    """
    parts = parameter.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise InputError(
            f"surrogate '{KIND}:{parameter}': write {KIND}:MODULE.PAIR, as phi:mine.sinh, a pair "
            "of functions (φ, φ⁻¹)"
        )
    return GivenSurrogate(parameter)
