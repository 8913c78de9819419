"""Extractors by name: one file each, named in a profile's section as `extractor: NAME`.

The three of this package are called as their modality. To add one, write `extractors/NAME.py` with

    MODALITY = "acoustic"                     or "visual", "lexical"
    SETTINGS                                  a subclass of `extractors.profile_settings.Section`
                                              (`VisualSection` for visual)
    build(settings, *, device) -> Extractor   see `extractors.base.Extractor`

It is imported whenever a config that names it is read, so import heavy libraries within `build`.
"""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import extractors
from amanda.store.errors import AmandaError, InputError, nearest
from amanda.store.feature_schema import IDENTITY_ATTRS
from extractors.base import Extractor
from extractors.profile_settings import (
    AcousticSettings,
    LexicalSettings,
    Section,
    VisualSection,
    VisualSettings,
)

OWN: Mapping[str, type[Section]] = {
    "lexical": LexicalSettings,
    "acoustic": AcousticSettings,
    "visual": VisualSettings,
}
"""Settings of the package's own extractors, known without importing them and their libraries."""
_MARK = re.compile(r"^MODALITY = [\"'](\w+)[\"']", re.M)
_NEEDED = (*IDENTITY_ATTRS, "sha256", "rate_hz", "dtype")


def extractor_names(modality: str) -> list[str]:
    """The extractors of a modality there are, without importing them."""
    files = [path for folder in extractors.__path__ for path in Path(folder).glob("*.py")]
    marks = {path.stem: _MARK.search(path.read_text(encoding="utf-8")) for path in files}
    return sorted(name for name, mark in marks.items() if mark and mark.group(1) == modality)


def settings_class(name: str, modality: str) -> type[Section]:
    """The settings of an extractor.

    Raises:
        InputError: there is none of that name for the modality (the nearest is named), or its
            file lacks what an extractor has.
    """
    if name == modality:
        return OWN[modality]
    known = extractor_names(modality)
    if name not in known:
        raise InputError(f"no such {modality} extractor; {nearest(name, known)}")
    module = extractor_module(name)
    settings = getattr(module, "SETTINGS", None)
    base = VisualSection if modality == "visual" else Section
    if not (isinstance(settings, type) and issubclass(settings, base)):
        raise InputError(
            f"extractors/{name}.py has no SETTINGS, a subclass of {base.__name__} of "
            "extractors.profile_settings"
        )
    if not callable(getattr(module, "build", None)):
        raise InputError(f"extractors/{name}.py has no function build(settings, *, device)")
    return settings


def extractor_module(name: str) -> ModuleType:
    """The file of an extractor, imported."""
    return importlib.import_module(f"extractors.{name}")


def build_extractor(modality: str, settings: Section, device: str) -> Extractor:
    """The extractor of a section, its models loaded.

    Raises:
        InputError: weights are missing, or a setting does not fit.
        AmandaError: it does not say what it makes, so that its features could be mixed up.
    """
    extractor: Extractor = extractor_module(settings.extractor).build(settings, device=device)
    if missing := [key for key in _NEEDED if key not in extractor.attrs]:
        raise AmandaError(
            f"extractors/{settings.extractor}.py: attrs has no {missing[0]}; an extractor says "
            f"{', '.join(_NEEDED)}"
        )
    if extractor.attrs["extractor"] != settings.made_by or extractor.modality != modality:
        raise AmandaError(
            f"extractors/{settings.extractor}.py: its extractor says modality "
            f"'{extractor.modality}' and made by '{extractor.attrs['extractor']}'; it must be "
            f"'{modality}' and '{settings.made_by}' (settings.made_by)"
        )
    return extractor
