"""Table files (`amanda-table`): their form, and how they are read.

docs/reproducing-the-paper.md describes them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amanda.result_schema import BalanceResult, Number, Score, SelectionQuality
from amanda.store.errors import InputError

FORMAT, VERSION = "amanda-table", 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(_Part):
    """A row or a column."""

    key: str
    label: str


class BudgetInfo(_Part):
    """What was trained, and a sentence that says so."""

    name: str
    sentence: str


class Difference(_Part):
    """Weighted F1 less direct transfer's with the same inputs and variant, same seeds."""

    estimate: Number
    low: Number
    high: Number
    n_speakers: int


class TableCell(_Part):
    """One cell.

    Attributes:
        column: "" for a row of a sweep that does not depend on α2.
        scores: selection to metric to score, over `seeds` alone.
        paper: the paper's figure; null where it has none.
        balance: how evenly modalities are aligned, a run each; empty where it was not measured.
        quality: validator or oracle to its rank correlation and regret, a run each.
        difference: null for direct transfer itself, and where it or the predictions are not there.
        departures: settings in which this training differs from the paper's, {setting: value}.
    """

    row: str
    column: str
    variant: str
    pair: str
    run_id: str
    file: str
    seeds: list[int]
    epochs: int
    scores: dict[str, dict[str, Score]]
    paper: Number
    difference: Difference | None
    departures: dict[str, Any]
    warnings: list[str]
    standardise: str
    target_labels_used: list[str]
    balance: list[BalanceResult] = []
    quality: dict[str, list[SelectionQuality]] = {}


class TableFile(_Part):
    """A table."""

    format: Literal["amanda-table"] = "amanda-table"
    version: Literal[1] = 1
    name: str
    title: str
    corpora: Literal["stand-in", "real"]
    metric: str = "weighted_f1"
    pair: str | None
    budget: BudgetInfo
    rows: Annotated[list[Named], Field(min_length=1)]
    columns: list[Named]
    cells: list[TableCell]
    paper: dict[str, dict[str, Number]]
    paper_accuracy: dict[str, Number]
    provenance: dict[str, Any]


class CountsFile(_Part):
    """Table 7: utterances by corpus, class and split, ours and the paper's."""

    format: Literal["amanda-table"] = "amanda-table"
    version: Literal[1] = 1
    name: Literal["table7"] = "table7"
    title: str
    corpora: Literal["stand-in", "real"]
    ours: dict[str, dict[str, dict[str, int]]]
    paper: dict[str, dict[str, dict[str, int]]]
    split_rule: dict[str, str]
    provenance: dict[str, Any]


def read_table(path: Path) -> TableFile | CountsFile:
    """Read a table file.

    Raises:
        InputError: it cannot be read, or is no table file.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not JSON, or cut short ({error}); make it again") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{path}: not a table file (it has no format: {FORMAT})")
    model = CountsFile if data.get("name") == "table7" else TableFile
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}; make it again") from error


def by_place(table: TableFile) -> Mapping[tuple[str, str, str], TableCell]:
    """Cells by row, column and variant."""
    return {(cell.row, cell.column, cell.variant): cell for cell in table.cells}
