"""A table of several result files, for a paper: a row a method, a column a pair.

Everything is computed from the predictions files. Cells are the mean and sample standard deviation
over runs. Three marks:

- **bold**: the best mean of a column; methods trained on target labels stand apart.
- *: the difference from direct transfer with the same inputs is other than 0 at the level asked
  for, adjusted after Holm over the methods of the column (`amanda.comparison`).
- ↓: negative transfer, a mean below that of direct transfer with the same inputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from amanda.comparison import holm, interval_json, paired_runs, predictions_of
from amanda.intervals import Interval, difference_interval
from amanda.lookup import find_baseline, is_direct_transfer, is_upper_bound
from amanda.metrics import COUNT_SCORES, SCORES
from amanda.predictions import Predictions
from amanda.result_schema import MethodResult, ResultFile
from amanda.results import Result, method_order, read_result, refuse_other_pair
from amanda.scoring import score_branch
from amanda.settings import RunSettings, shared_changes
from amanda.store.errors import InputError, nearest

LOWER_IS_BETTER = ("ece",)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method on one pair.

    Attributes:
        values: the score of each run; empty where the target has no labels.
        difference: from direct transfer with the same inputs; None for that itself, where there is
            none, or where the score does not follow from predicted classes (ece).
        p_holm: of the difference, adjusted over the column; NaN where unknown.
        best, negative: the marks of this module's docstring.
    """

    values: tuple[float, ...]
    difference: Interval | None
    p_holm: float
    best: bool
    negative: bool

    @property
    def mean(self) -> float:
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation; NaN for fewer than two runs."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A method.

    Attributes:
        cells: by pair; a pair on which it was not trained is absent.
    """

    run_id: str
    label: str
    upper_bound: bool
    cells: dict[str, Cell]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The whole table; `pairs` are its columns, `standin` those made with generated corpora."""

    metric: str
    selection: str
    level: float
    pairs: tuple[str, ...]
    rows: tuple[TableRow, ...]
    standin: tuple[str, ...]
    shared: str

    @property
    def n_runs(self) -> tuple[int, ...]:
        """The numbers of runs that cells average, ascending."""
        return tuple(sorted({len(c.values) for r in self.rows for c in r.cells.values()}))

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON: fractions, null for what is not known."""
        return {
            "metric": self.metric,
            "selection": self.selection,
            "level": self.level,
            "pairs": list(self.pairs),
            "stand_in": list(self.standin),
            "settings_of_all": self.shared,
            "rows": [
                {
                    "run_id": row.run_id,
                    "label": row.label,
                    "upper_bound": row.upper_bound,
                    "cells": {pair: _cell_json(cell) for pair, cell in row.cells.items()},
                }
                for row in self.rows
            ],
        }


def make_table(
    files: Sequence[Path],
    *,
    metric: str = "weighted_f1",
    selection: str = "last",
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Table:
    """The table of result files, of one pair or several; their predictions lie beside them.

    Raises:
        InputError: no file, an unknown metric or selection, or files of one pair that do not go
            together (other features or splits, a run twice).
    """
    if not files:
        raise InputError("no result file; name some, as results/*.json")
    if metric not in SCORES:
        raise InputError(f"metric '{metric}': no such score; {nearest(metric, list(SCORES))}")
    parts: dict[str, list[Result]] = {}
    for path in files:
        result = read_result(path)
        parts.setdefault(result.file.pair, []).append(result)
    columns = {
        pair: _column(results, metric, selection, level, n_resamples)
        for pair, results in parts.items()
    }
    methods: dict[str, MethodResult] = {}
    for pair, results in parts.items():
        for result in results:
            for method in result.file.methods:
                methods.setdefault(method.run_id, method)
                _refuse_twice(method, pair, results)
    ordered = sorted(methods.values(), key=method_order)
    labels, shared = _labels(ordered)
    return Table(
        metric=metric,
        selection=selection,
        level=level,
        pairs=tuple(parts),
        rows=tuple(
            TableRow(
                run_id=method.run_id,
                label=label,
                upper_bound=is_upper_bound(method),
                cells={
                    pair: column[method.run_id]
                    for pair, column in columns.items()
                    if method.run_id in column
                },
            )
            for method, label in zip(ordered, labels, strict=True)
        ),
        standin=tuple(p for p, rs in parts.items() if rs[0].file.corpora == "stand-in"),
        shared=shared,
    )


def _column(
    results: Sequence[Result], metric: str, selection: str, level: float, n_resamples: int
) -> dict[str, Cell]:
    """Cells of one pair by run_id."""
    first, methods = results[0], [m for result in results for m in result.file.methods]
    blocks: dict[str, list[Predictions]] = {}
    for result in results:
        refuse_other_pair(first, result)
        blocks |= predictions_of(result, selection)
    values = {m.run_id: _scores(blocks.get(m.run_id, []), first.file, metric) for m in methods}
    baselines = {m.run_id: find_baseline(methods, m, is_direct_transfer) for m in methods}
    differences: dict[str, Interval | None] = {}
    for method in methods:
        baseline = baselines[method.run_id]
        runs = (
            paired_runs(blocks.get(method.run_id, []), blocks[baseline.run_id])
            if (baseline and metric in COUNT_SCORES and baseline.run_id in blocks)
            else []
        )
        differences[method.run_id] = (
            difference_interval(
                runs,
                len(first.file.label_names),
                metric=metric,
                level=level,
                n_resamples=n_resamples,
            )
            if runs
            else None
        )
    # Upper bounds do not compete, so they are no part of the family either.
    family = [m.run_id for m in methods if differences[m.run_id] and not is_upper_bound(m)]
    adjusted = dict(zip(family, holm([_p(differences[r]) for r in family]), strict=True))
    sign = -1 if metric in LOWER_IS_BETTER else 1
    competing = [
        sign * float(np.mean(values[m.run_id]))
        for m in methods
        if values[m.run_id] and not is_upper_bound(m)
    ]
    cells = {}
    for method in methods:
        own, baseline = values[method.run_id], baselines[method.run_id]
        reference = values[baseline.run_id] if baseline else ()
        mean = sign * float(np.mean(own)) if own else math.nan
        cells[method.run_id] = Cell(
            values=own,
            difference=differences[method.run_id],
            p_holm=adjusted.get(method.run_id, math.nan),
            best=not is_upper_bound(method) and len(competing) > 1 and mean == max(competing),
            negative=bool(own and reference and mean < sign * float(np.mean(reference))),
        )
    return cells


def _scores(blocks: Sequence[Predictions], file: ResultFile, metric: str) -> tuple[float, ...]:
    """A method's score in each run."""
    found = (score_branch(b.label, b.probabilities, file.label_names)[metric] for b in blocks)
    return tuple(value for value in found if value is not None)


def _labels(methods: Sequence[MethodResult]) -> tuple[list[str], str]:
    """A label a method, and the settings that all have, which labels leave out."""
    try:
        runs = [RunSettings(**method.config) for method in methods]
    except (InputError, ValidationError):  # settings that this version does not know
        return [method.label for method in methods], ""
    shared = shared_changes(runs)
    said = ", ".join(f"{key}={value}" for key, value in sorted(shared.items()))
    return [run.label_beside(shared) for run in runs], said


def _refuse_twice(method: MethodResult, pair: str, results: Sequence[Result]) -> None:
    holders = [r.path for r in results if any(m.run_id == method.run_id for m in r.file.methods)]
    if len(holders) > 1:
        raise InputError(
            f"{holders[1]}: run {method.run_id} on {pair} is in {holders[0]} too; name one of them"
        )


def _p(interval: Interval | None) -> float:
    return math.nan if interval is None else interval.p_value


def _cell_json(cell: Cell) -> dict[str, Any]:
    known = {"mean": cell.mean, "std": cell.std, "p_holm": cell.p_holm}
    return {
        **{key: None if math.isnan(value) else value for key, value in known.items()},
        "values": list(cell.values),
        "to_direct_transfer": None if cell.difference is None else interval_json(cell.difference),
        "best": cell.best,
        "negative_transfer": cell.negative,
    }
