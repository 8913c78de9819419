"""Names out of a feature file as it is exported, and the key that leads back.

It replaces what names somebody: ids, speakers, groups and sources; it leaves out words, what went
wrong with a clip (such sentences name files) and where in its recording a clip lies. It does not
make the features anonymous.
"""

import csv
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile, ModalityData

NOT_ANONYMOUS = (
    "features are not anonymous: voices and faces can be recognised from them, and rows stand in "
    "the order of the original; treat the file as you treat the recordings"
)
KEY_COLUMNS = ("kind", "name", "original")
_PREFIX = {"ids": "u", "speaker": "p", "group": "g"}
_KIND = {"ids": "utterance", "speaker": "speaker", "group": "group"}


@contextmanager
def deidentified(
    file: FeatureFile,
    tables: Mapping[str, ModalityData],
    key: Path,
    out: Path,
    rng: random.Random | None = None,
) -> Iterator[None]:
    """Rename within an open `file`, for whoever reads it in the body.

    Args:
        file: its columns are changed in memory; the file itself is not.
        tables: of its modalities; their details are emptied.
        key: the CSV to write, readable by its owner alone; not there where the body fails.
        out: what is exported, which must not hold the key.
        rng: where names come from; default: the system's own randomness, which nobody can repeat.

    Raises:
        InputError: the key exists, or would lie in what is exported.
    """
    key = Path(key)
    if key.exists() or key.is_symlink():
        raise InputError(
            f"{key} exists, and a key that is lost cannot be made again; name a new file"
        )
    if Path(out).resolve() in (key.resolve(), *key.resolve().parents):
        raise InputError(f"{key}: would lie in {out}, which is passed on; name another folder")
    rows = _rename(file, rng or random.SystemRandom())
    file.text = [""] * len(file)
    file.source = [""] * len(file)
    # Zero to its length: how long a clip is shows in its features too.
    file.start_s, file.end_s = np.zeros(len(file)), file.end_s - file.start_s
    for table in tables.values():
        table.detail = [""] * len(file)
    # It gets its name when the body has ended well.
    with atomic_path(key) as temporary:
        temporary.chmod(0o600)
        with open(temporary, "w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(KEY_COLUMNS)
            writer.writerows(rows)
        yield


def _rename(file: FeatureFile, rng: random.Random) -> list[tuple[str, str, str]]:
    """Give every name another; the rows of the key, in an order that tells nothing."""
    rows = []
    for column, prefix in _PREFIX.items():
        names = getattr(file, column)
        originals = sorted(set(names) - {""})
        drawn = rng.sample(range(16**8), len(originals))
        new = {name: f"{prefix}{number:08x}" for name, number in zip(originals, drawn, strict=True)}
        setattr(file, column, [new.get(name, "") for name in names])
        rows += [(_KIND[column], name, original) for original, name in new.items()]
    return sorted(rows)
