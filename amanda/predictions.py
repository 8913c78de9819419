"""The predictions file (CSV): one row for each test utterance, selection and run.

It lies beside the result file, `r.predictions.csv` beside `r.json`, so that anyone can compute any
statistic: `docs/results-format.md`.
"""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Float32, Int

from amanda.result_schema import PredictionsInfo
from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError
from amanda.store.names import PREDICTIONS

KEYS = ("run_id", "seed", "fold", "selection", "id", "speaker", "label")
PREFIX = "p_"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The test rows of one selection of one run.

    Attributes:
        label: (n,) class, -1 for none.
        probabilities: (n, classes) of the joint branch; NaN in a row that could not be predicted.
    """

    run_id: str
    seed: int
    fold: int
    selection: str
    ids: Sequence[str]
    speakers: Sequence[str]
    label: Int[np.ndarray, "n"]
    probabilities: Float32[np.ndarray, "n classes"]


def predictions_path(result: Path) -> Path:
    """Where the predictions of a result file lie."""
    result = Path(result)
    return result.with_name(result.stem + PREDICTIONS)


def write_predictions(
    path: Path, blocks: Iterable[Predictions], label_names: Sequence[str]
) -> PredictionsInfo:
    """Write blocks one after another; probabilities are written so that they read back exactly."""
    n_rows = 0
    with atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*KEYS, *(PREFIX + name for name in label_names)])
            for block in blocks:
                head = (block.run_id, block.seed, block.fold, block.selection)
                for number, row in enumerate(block.probabilities):
                    label = int(block.label[number])
                    cells = ("" if np.isnan(p) else str(p) for p in row)
                    name = label_names[label] if label >= 0 else ""
                    writer.writerow(
                        [*head, block.ids[number], block.speakers[number], name, *cells]
                    )
                n_rows += len(block.ids)
        return PredictionsInfo(file=path.name, rows=n_rows, sha256=file_sha256(temporary))


def merge_predictions(
    files: Sequence[Path], out: Path, label_names: Sequence[str]
) -> PredictionsInfo:
    """Join predictions files of one pair, in the order given; memory does not grow with them.

    Raises:
        InputError: a file is missing, or has other columns.
    """
    expected = ",".join([*KEYS, *(PREFIX + name for name in label_names)])
    n_rows = 0
    with atomic_path(out) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as joined:
            joined.write(expected + "\n")
            for path in files:
                with _open(path) as part:
                    if (header := part.readline().rstrip("\n")) != expected:
                        raise InputError(f"{path}: columns are {header}, not {expected}")
                    for line in part:
                        joined.write(line)
                        n_rows += 1
        return PredictionsInfo(file=out.name, rows=n_rows, sha256=file_sha256(temporary))


def read_predictions(
    path: Path, label_names: Sequence[str], selections: Sequence[str] | None = None
) -> list[Predictions]:
    """Read the blocks of a predictions file, of some selections only when they are named.

    Raises:
        InputError: the file is missing, or a line is not as the format says.
    """
    columns = [*KEYS, *(PREFIX + name for name in label_names)]
    index = {"": -1, **{name: number for number, name in enumerate(label_names)}}
    collected: dict[tuple[str, ...], _Columns] = {}
    with _open(path) as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if header != columns:
            raise InputError(f"{path}: columns are {','.join(header)}, not {','.join(columns)}")
        for row in reader:
            if len(row) != len(columns):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(row)} fields, the header names "
                    f"{len(columns)}; the file is cut short or was edited"
                )
            if selections is not None and row[3] not in selections:
                continue
            block = collected.setdefault(tuple(row[:4]), _Columns())
            try:
                block.add(row, index)
            except (KeyError, ValueError):
                raise InputError(
                    f"{path}, line {reader.line_num}: label '{row[6]}' or probabilities "
                    f"{row[7:]} are not as written; write the result again"
                ) from None
    return [block.finish(key, len(label_names), path) for key, block in collected.items()]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Columns:
    """A block while it is read."""

    ids: list[str] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    probabilities: list[list[float]] = field(default_factory=list)

    def add(self, row: Sequence[str], index: dict[str, int]) -> None:
        self.label.append(index[row[6]])
        self.probabilities.append([float(cell) if cell else np.nan for cell in row[7:]])
        self.ids.append(row[4])
        self.speakers.append(row[5])

    def finish(self, key: tuple[str, ...], n_classes: int, path: Path) -> Predictions:
        run_id, seed, fold, selection = key
        try:
            numbers = int(seed), int(fold)
        except ValueError:
            raise InputError(
                f"{path}: {run_id}: seed '{seed}' and fold '{fold}' are whole numbers"
            ) from None
        return Predictions(
            run_id=run_id,
            seed=numbers[0],
            fold=numbers[1],
            selection=selection,
            ids=self.ids,
            speakers=self.speakers,
            label=np.asarray(self.label, np.int64),
            probabilities=np.asarray(self.probabilities, np.float32).reshape(-1, n_classes),
        )


def _open(path: Path) -> TextIO:
    try:
        return open(path, encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a result file needs its predictions "
            "beside it"
        ) from error
