"""What `amanda check` says of files: everything that is wrong with them, one sentence each."""

import os
from collections.abc import Sequence
from pathlib import Path

from amanda.store.check_features import check_features
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.manifest import manifest_classes, resolve_path
from amanda.store.manifest_rows import scan_lines
from amanda.store.names import PREDICTIONS, may_be_manifest
from amanda.store.pairing import check_pair

_MEDIA_NAMED = 20


def check_files(files: Sequence[Path]) -> list[str]:
    """Every problem of manifests (.csv), feature files (.h5), and results (.json) with the
    predictions beside them.

    Sound feature files are also checked against the first of them as pairs.

    Returns:
        One sentence a problem, with the file's name; empty when all is sound.
    """
    problems: list[str] = []
    sound: list[Path] = []
    files = [Path(path) for path in files]
    for path in files:
        suffix = path.suffix.lower()
        if not path.is_file():
            found = "is a folder; give the files in it" if path.is_dir() else "no such file"
            problems.append(f"{path}: {found}")
        elif may_be_manifest(path):
            problems += check_manifest_and_media(path)
        elif path.name.endswith(PREDICTIONS):
            result = path.with_name(path.name.removesuffix(PREDICTIONS) + ".json")
            problems += [] if result in files else _check_result(result)
        elif suffix in (".h5", ".hdf5"):
            found_here = check_features(path)
            problems += found_here
            sound += [] if found_here else [path]
        elif suffix == ".json":
            problems += _check_result(path)
        else:
            problems.append(
                f"{path}: neither a manifest (.csv), a feature file (.h5) nor a result (.json)"
            )
    return problems + _check_pairs(sound)


def check_manifest_and_media(path: Path) -> list[str]:
    """Every problem of a manifest's rows, and media files of the sound rows that are missing."""
    problems: list[str] = []
    users: dict[str, list[str]] = {}  # many utterances lie in one file
    try:
        for line, item in scan_lines(path, manifest_classes(path)):
            if isinstance(item, str):
                problems.append(item)
                continue
            for column, place in (("path", item.path), ("audio_path", item.audio_path)):
                if place:
                    users.setdefault(place, []).append(f"line {line}, {item.id}: {column} {place}")
    except InputError as error:
        return [str(error)]
    gone = [place for place in users if not os.path.isfile(resolve_path(path, place))]
    if not gone:
        return problems
    missing = [user for place in gone for user in users[place]]
    listed = "; ".join(missing[:_MEDIA_NAMED])
    more = f"; and {len(missing) - _MEDIA_NAMED} more" if len(missing) > _MEDIA_NAMED else ""
    return [
        *problems,
        f"{path}: {len(gone)} of {len(users)} media files are missing ({listed}{more}); paths are "
        f"relative to {path.parent}",
    ]


def _check_result(path: Path) -> list[str]:
    from amanda.results import check_result

    return check_result(path)


def _check_pairs(files: Sequence[Path]) -> list[str]:
    problems: list[str] = []
    for other in files[1:]:
        with FeatureFile(files[0]) as source, FeatureFile(other) as target:
            try:
                check_pair(source, target)
            except InputError as error:
                problems.append(str(error))
    return problems
