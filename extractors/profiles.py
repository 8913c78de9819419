"""Profiles: which models, blocks and settings turn clips into features.

Three come with the package (`builtin_profiles.yaml`): `embedded`, `paper` and `paper_vit`. A
config's `profiles:` adds more, or changes these. A profile is data only: each extractor takes its
own section (`extractors.profile_settings`), which may name another one (`extractors.registry`).
"""

import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import SerializeAsAny, ValidationError

from amanda.store.errors import InputError, nearest
from amanda.store.names import MODALITIES
from extractors.profile_settings import (
    AcousticSettings,
    LexicalSettings,
    Section,
    Settings,
    VisualSection,
    VisualSettings,
)
from extractors.registry import settings_class


class Profile(Settings):
    """One way to make features; a modality without a section is not extracted."""

    name: str
    lexical: SerializeAsAny[Section] | None = None
    acoustic: SerializeAsAny[Section] | None = None
    visual: SerializeAsAny[VisualSection] | None = None

    def section(self, modality: str) -> Section | None:
        """The settings of one modality; None where it is not extracted."""
        found: Section | None = getattr(self, modality)
        return found

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities it extracts, in the order of the feature file."""
        return tuple(name for name in MODALITIES if self.section(name) is not None)

    @property
    def sha256(self) -> str:
        """Hash of every setting that changes features: not the name, nor batch sizes."""
        content = {name: section.hashed for name in MODALITIES if (section := self.section(name))}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def key(self) -> str:
        """`<name>-<12 hex of the hash>`."""
        return f"{self.name}-{self.sha256[:12]}"

    def weights(self) -> list[tuple[str, str | None]]:
        """(name, revision) of every weight it needs; without those that it leaves unnamed."""
        sections = (self.lexical, self.acoustic, self.visual)
        return [weight for section in sections if section for weight in section.weights_used]


@cache
def _builtin() -> dict[str, dict[str, Any]]:
    text = files("extractors").joinpath("builtin_profiles.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def builtin_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    return list(_builtin())


def load_profile(name: str, config: Path | None = None) -> Profile:
    """The profile called `name`.

    Looked up in the `profiles:` of `config`, then among the built-in ones; a `name` that ends in
    .yaml or .yml is a file with one profile. In both, `base: NAME` starts from another profile
    and changes only the settings that are written; a config's entry with a built-in's name does
    so by itself. A section that names another `extractor` starts anew.

    Raises:
        InputError: no such profile, a file that is not YAML, or a key or value that is wrong.
    """
    entries: dict[str, Any] = {}
    where = "built-in profiles"
    if config is not None:
        entries = _entries(Path(config))
        where = str(config)
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        where, name = name, path.stem
        entries = {**entries, name: _read_yaml(path)}
    return _validate(name, _merged(name, entries, where, seen=()), where)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML ({reason})") from error
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: write key: value lines, not {type(loaded).__name__}")
    return loaded


def _entries(config: Path) -> dict[str, Any]:
    profiles = _read_yaml(config).get("profiles") or {}
    if not isinstance(profiles, dict):
        raise InputError(f"{config}: profiles must be name: settings, not a list")
    return profiles


def _merged(name: str, entries: dict[str, Any], where: str, seen: tuple[str, ...]) -> dict:
    """The plain values of a profile, its bases applied first."""
    if name in seen:
        raise InputError(f"{where}: profile '{name}' is its own base ({' → '.join(seen)})")
    builtin = _builtin()
    if name not in entries:
        if name not in builtin:
            known = sorted({*entries, *builtin})
            raise InputError(f"{where}: no profile '{name}'; {nearest(name, known)}")
        return builtin[name]
    values = entries[name] or {}
    if not isinstance(values, dict):
        raise InputError(f"{where}: profile '{name}' must hold lexical, acoustic or visual")
    values = dict(values)
    base = values.pop("base", None)
    if base is not None:
        merged = dict(_merged(str(base), entries, where, (*seen, name)))
    else:
        merged = dict(builtin.get(name, {}))
    for key, value in values.items():
        merged[key] = _joined(key, merged.get(key), value)
    return merged


def _joined(modality: str, before: Any, value: Any) -> Any:
    """A base's section with changes; the settings of one extractor are none of another's."""
    if not (isinstance(value, dict) and isinstance(before, dict)):
        return value
    made_by = before.get("extractor", modality)
    return {**before, **value} if value.get("extractor", made_by) == made_by else value


def _validate(name: str, values: dict[str, Any], where: str) -> Profile:
    place = f"{where}: profile '{name}': "
    if "name" in values:
        raise InputError(f"{place}leave out 'name', the key is the name")
    known = [*reversed(MODALITIES), "base"]
    for key in values:
        if key not in known:
            raise InputError(f"{place}unknown key '{key}'; {nearest(str(key), known)}")
    profile = Profile(
        name=name,
        **{  # type: ignore[arg-type]  # each the one that its modality's extractor takes
            modality: None if section is None else _section(modality, section, place)
            for modality, section in values.items()
        },
    )
    if not profile.modalities:
        raise InputError(f"{where}: profile '{name}' has no section; add lexical, acoustic, visual")
    return profile


def _section(modality: str, values: Any, place: str) -> Section:
    """A modality's settings, as its extractor takes them."""
    if not isinstance(values, dict):
        raise InputError(f"{place}{modality} = {values!r}: write its settings, or null for none")
    made_by = str(values.get("extractor", modality))
    try:
        settings = settings_class(made_by, modality)
    except InputError as error:
        raise InputError(f"{place}{modality}.extractor '{made_by}': {error}") from error
    try:
        return settings.model_validate({**values, "extractor": made_by})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([modality, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            known = nearest(key, [f"{modality}.{field}" for field in settings.model_fields])
            raise InputError(f"{place}unknown key '{key}'; {known}") from error
        if first["type"] == "missing":
            raise InputError(f"{place}{key} is missing; add it, or `base: embedded`") from error
        raise InputError(f"{place}{key} = {first['input']!r}: {first['msg']}") from error


__all__ = [
    "AcousticSettings",
    "LexicalSettings",
    "Profile",
    "Section",
    "VisualSection",
    "VisualSettings",
    "builtin_profiles",
    "load_profile",
]
