"""The cache of weights on disk, and the check of every file in it before it is used.

A weight is a folder `<cache>/<name>/` that is renamed into place whole. `receipt.json` in it says
what the files are; with each hash it keeps size and time of the file it was taken from, so that
gigabytes are not hashed again at every start.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amanda.store.atomic import write_text
from amanda.store.errors import InputError, nearest
from extractors.weights.table import WEIGHTS, HubSource, Weight, hub_weight, url_weight

RECEIPT = "receipt.json"
PARAMETER_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".hdf5", ".h5")
_URL = re.compile(r"https?://.+")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class DamagedError(InputError):
    """A weight is in the cache, but one of its files is missing or has another hash."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """A weight that can be used.

    Attributes:
        path: the file, or the folder.
        revision: commit of the hub, version of the package, or "local".
        sha256: of the file with the parameters; where there are several, of their hashes.
    """

    path: Path
    revision: str
    sha256: str


def cache_dir() -> Path:
    """`$AMANDA_CACHE`, else `$XDG_CACHE_HOME/amanda`, else `~/.cache/amanda`."""
    if own := os.environ.get("AMANDA_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "amanda"
    return Path.home() / ".cache" / "amanda"


def folder_of(weight: Weight, cache: Path) -> Path:
    """The folder of a weight in the cache. A hub's weight has its revision in the name."""
    name = weight.name.replace("/", "--")
    if isinstance(weight.source, HubSource):
        name += f"@{(weight.source.revision or 'newest').replace('/', '--')}"
    return cache / name


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locate(name: str, revision: str | None = None) -> Path:
    """The path of a weight, verified. See `find`."""
    return find(name, revision).path


def find(name: str, revision: str | None = None) -> Located:
    """A weight by its name in the table, by path, hub id, or address with hash; verified.

    Raises:
        InputError: it is not in the cache (the message gives the command that fetches it), or a
            file has another hash, or no weight can be called so.
    """
    if name not in WEIGHTS and Path(name).expanduser().exists():
        return _local(Path(name).expanduser())
    weight = entry(name, revision)
    folder = folder_of(weight, cache_dir())
    if not folder.is_dir():
        raise InputError(
            f"weight '{name}' is not in the cache {cache_dir()}; run `{fetch_command(name)}`"
        )
    return verify(weight, folder)


def entry(name: str, revision: str | None = None) -> Weight:
    """The table's entry for `name`, or one made for a hub id.

    Raises:
        InputError: `name` is neither.
    """
    if name in WEIGHTS and revision is None:
        return WEIGHTS[name]
    if _URL.fullmatch(name):
        return _at_address(name)
    is_file_name = Path(name).suffix in PARAMETER_SUFFIXES
    if name in WEIGHTS or (_HUB_ID.fullmatch(name) and not is_file_name):
        return hub_weight(name, revision)
    if "/" in name or is_file_name:
        raise InputError(f"weight '{name}': no such file or folder")
    raise InputError(f"no weight is called '{name}'; {nearest(name, list(WEIGHTS))}")


def _at_address(name: str) -> Weight:
    """The entry of `https://…/file.pth#sha256=…`."""
    url, _, fragment = name.partition("#")
    key, _, sha256 = fragment.partition("=")
    if key != "sha256" or not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InputError(
            f"weight '{name}': write the file's hash behind the address, as #sha256=<64 digits>; "
            "`sha256sum FILE` tells it"
        )
    return url_weight(url, sha256.lower())


def fetch_command(name: str) -> str:
    """The command that puts a weight into the cache."""
    from extractors.profiles import builtin_profiles, load_profile

    for profile in builtin_profiles():
        if name in [wanted for wanted, _ in load_profile(profile).weights()]:
            return f"amanda weights fetch --profile {profile}"
    return "amanda weights fetch --profile NAME --config FILE"


def verify(weight: Weight, folder: Path) -> Located:
    """Check every file of a cached weight and say where and what it is.

    Raises:
        DamagedError: a file is missing or its hash is not the expected one.
    """
    receipt = _read_receipt(folder)
    stamps: dict[str, Any] = dict(receipt.get("files", {}))
    expected = _expected(weight, stamps)
    mend = f"run `{fetch_command(weight.name)}`, which replaces it"
    if not expected:
        raise DamagedError(f"{folder}: no {RECEIPT}, so its files cannot be checked; {mend}")
    changed = False
    for relative, sha256 in expected.items():
        path = folder / relative
        if not path.is_file():
            raise DamagedError(f"{path}: missing from weight '{weight.name}'; {mend}")
        if _is_stamped(path, stamps.get(relative), sha256):
            continue
        found = sha256_of(path)
        if found != sha256:
            raise DamagedError(
                f"{path}: expected sha256 {sha256}, found {found}; the file is damaged or is "
                f"another, so {mend}"
            )
        stamps[relative] = _stamp(path, found)
        changed = True
    if changed:
        # A cache shared by a cluster may be read-only: the check is then repeated at each start.
        with suppress(InputError, OSError):
            write_receipt(folder, {**receipt, "files": stamps})
    source = weight.source
    revision = str(receipt.get("revision") or source.revision or "")
    path = folder if weight.is_folder else folder / weight.main
    return Located(path=path, revision=revision, sha256=_parameters_sha256(weight.main, expected))


def damaged_files(weight: Weight, folder: Path) -> list[str]:
    """What is wrong with the files of a cached weight, each read again whatever its time says.

    A file whose bytes changed under its old size and time is no longer trusted afterwards, so
    `verify` refuses it and `fetch` replaces it.
    """
    receipt = _read_receipt(folder)
    stamps: dict[str, Any] = dict(receipt.get("files", {}))
    expected = _expected(weight, stamps)
    if not expected:
        return [f"{folder}: no {RECEIPT}, so its files cannot be checked"]
    problems: list[str] = []
    for relative, sha256 in expected.items():
        path = folder / relative
        found = sha256_of(path) if path.is_file() else ""
        if found == sha256:
            continue
        problems.append(
            f"{path}: expected sha256 {sha256}, found {found}" if found else f"{path}: missing"
        )
        stamps[relative] = {"sha256": sha256, "bytes": -1, "mtime_ns": -1}
    if problems and receipt:
        with suppress(InputError, OSError):  # a cache that is read-only
            write_receipt(folder, {**receipt, "files": stamps})
    return problems


def _expected(weight: Weight, stamps: Mapping[str, Any]) -> dict[str, str]:
    """The hash that each file must have: the table's, else that of when it was fetched."""
    return {**{rel: stamp["sha256"] for rel, stamp in stamps.items()}, **weight.files}


def make_receipt(folder: Path, revision: str) -> dict[str, Any]:
    """What is in a folder just filled: revision, and hash, size and time of every file."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != RECEIPT)
    files = {str(p.relative_to(folder)): _stamp(p, sha256_of(p)) for p in paths}
    return {"revision": revision, "files": files}


def write_receipt(folder: Path, receipt: Mapping[str, Any]) -> None:
    write_text(folder / RECEIPT, json.dumps(receipt, indent=1) + "\n")


def _read_receipt(folder: Path) -> dict[str, Any]:
    try:
        receipt = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return receipt if isinstance(receipt, dict) else {}


def _stamp(path: Path, sha256: str) -> dict[str, Any]:
    status = path.stat()
    return {"sha256": sha256, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_stamped(path: Path, stamp: Mapping[str, Any] | None, sha256: str) -> bool:
    return stamp is not None and dict(stamp) == _stamp(path, sha256)


def _parameters_sha256(main: str, files: Mapping[str, str]) -> str:
    if main:
        return files[main]
    hashes = [files[name] for name in sorted(files) if name.endswith(PARAMETER_SUFFIXES)]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _local(path: Path) -> Located:
    """A file or folder of the user's own: nothing to compare with, but its hash is recorded."""
    if path.is_file():
        return Located(path=path, revision="local", sha256=sha256_of(path))
    files = {
        p.name: sha256_of(p)
        for p in sorted(path.iterdir())
        if p.is_file() and p.suffix in PARAMETER_SUFFIXES
    }
    if not files:
        raise InputError(f"{path}: a folder without weights (no {', '.join(PARAMETER_SUFFIXES)})")
    return Located(path=path, revision="local", sha256=_parameters_sha256("", files))
