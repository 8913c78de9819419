"""Profiles: which models, blocks and settings turn clips into features.

Three come with the package (`builtin_profiles.yaml`): `embedded`, `paper` and `paper_vit`. A
config's `profiles:` adds more, or changes these. A profile is data only: each extractor takes its
own section (`extractors.profile_settings`).
"""

import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from amanda.store.errors import InputError, nearest
from extractors.profile_settings import (
    ADDED,
    SPEED_FIELDS,
    AcousticSettings,
    LexicalSettings,
    Settings,
    VisualSettings,
)


class Profile(Settings):
    """One way to make features; a modality without a section is not extracted."""

    name: str
    lexical: LexicalSettings | None = None
    acoustic: AcousticSettings | None = None
    visual: VisualSettings | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities it extracts, in the order of the feature file."""
        named = (("acoustic", self.acoustic), ("visual", self.visual), ("lexical", self.lexical))
        return tuple(name for name, section in named if section is not None)

    @property
    def sha256(self) -> str:
        """Hash of every setting that changes features: not the name, nor batch sizes."""
        content: dict[str, Any] = {}
        for modality in self.modalities:
            section = getattr(self, modality).model_dump(mode="json")
            content[modality] = {
                key: value
                for key, value in section.items()
                if key not in SPEED_FIELDS and (key, value) not in ADDED[modality].items()
            }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def key(self) -> str:
        """`<name>-<12 hex of the hash>`."""
        return f"{self.name}-{self.sha256[:12]}"

    def weights(self) -> list[tuple[str, str | None]]:
        """(name, revision) of every weight it needs; without those that it leaves unnamed."""
        wanted: list[tuple[str | None, str | None]] = []
        if self.lexical:
            wanted.append((self.lexical.model, self.lexical.revision))
        if self.acoustic:
            wanted.append((self.acoustic.model, self.acoustic.revision))
        if self.visual:
            wanted.append((self.visual.detector_weights, None))
            wanted.append((self.visual.network_weights, self.visual.revision))
            wanted.append((self.visual.landmarks, None))
            wanted.append((self.visual.speaker_weights, None))
        return [(name, revision) for name, revision in wanted if name is not None]


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
    so by itself.

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
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _validate(name: str, values: dict[str, Any], where: str) -> Profile:
    if "name" in values:
        raise InputError(f"{where}: profile '{name}': leave out 'name', the key is the name")
    try:
        profile = Profile(name=name, **values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        place = f"{where}: profile '{name}': "
        if first["type"] == "extra_forbidden":
            known = _known_keys(first["loc"])
            raise InputError(f"{place}unknown key '{key}'; {nearest(key, known)}") from error
        if first["type"] == "missing":
            raise InputError(f"{place}{key} is missing; add it, or `base: embedded`") from error
        raise InputError(f"{place}{key} = {first['input']!r}: {first['msg']}") from error
    if not profile.modalities:
        raise InputError(f"{where}: profile '{name}' has no section; add lexical, acoustic, visual")
    return profile


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    sections: dict[str, type[Settings]] = {
        "lexical": LexicalSettings,
        "acoustic": AcousticSettings,
        "visual": VisualSettings,
    }
    section = sections.get(str(loc[0]))
    if len(loc) > 1 and section is not None:
        return [f"{loc[0]}.{field}" for field in section.model_fields]
    return [*sections, "base"]


__all__ = [
    "AcousticSettings",
    "LexicalSettings",
    "Profile",
    "VisualSettings",
    "builtin_profiles",
    "load_profile",
]
