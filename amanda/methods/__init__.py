"""The methods: one file each, found by its name. `_base.py` says what a method is.

To add one, write `amanda/methods/NAME.py` with a subclass of `Method` and the line
`METHOD = TheClass`; `--method NAME` and the tests of all methods then know it.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from amanda.store.errors import InputError, nearest

if TYPE_CHECKING:  # reading settings needs the names alone, without torch
    from amanda.methods._base import Method


def method_names() -> list[str]:
    """The methods there are, without importing them."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def method_class(name: str) -> "type[Method]":
    """The class of a method. Raises `InputError` for an unknown name, with the nearest."""
    if name not in method_names():
        raise InputError(f"method '{name}': no such method; {nearest(name, method_names())}")
    loaded: type[Method] = importlib.import_module(f"{__name__}.{name}").METHOD
    return loaded
