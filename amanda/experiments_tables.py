"""The tables of the experiments as files: our figures and the paper's, cell by cell.

A table file (JSON, `amanda-table`) is made from result files and says for each cell which one. Both
figures stand side by side in it, as fractions. docs/reproducing-the-paper.md describes it.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from amanda.comparison import paired_runs
from amanda.experiments import SWEEP
from amanda.experiments_budget import ABLATIONS, BUDGETS, METHODS, Budget
from amanda.experiments_files import (
    BudgetInfo,
    CountsFile,
    Difference,
    Named,
    TableCell,
    TableFile,
)
from amanda.intervals import difference_interval
from amanda.paper_tables import ROWS, PaperTable, departures, paper_counts, paper_tables
from amanda.predictions import Predictions, read_predictions
from amanda.provenance import describe_program
from amanda.records import LAST
from amanda.result_schema import MethodResult, Number, Score
from amanda.results import Result, read_result
from amanda.store.atomic import write_text
from amanda.store.errors import InputError, nearest
from amanda.store.features import FeatureFile
from amanda.store.names import SPLITS, STANDIN, split_pair

KEPT_METRICS = ("weighted_f1", "accuracy")


@dataclass(frozen=True)
class Filled:
    """A cell as asked for: which result file fills it."""

    row: str
    column: str
    path: Path


def parse_cell(text: str) -> Filled:
    """`ROW@COLUMN=FILE`, the column empty for a row of a sweep that has no α2."""
    place, equals, path = text.partition("=")
    row, at, column = place.partition("@")
    if not (equals and at and path):
        raise InputError(f"cell '{text}': write ROW@COLUMN=FILE, as dann@ie2msp=results/r.json")
    known = [*ROWS, *ABLATIONS]
    if row not in known:
        raise InputError(f"cell '{text}': no row '{row}'; {nearest(row, known)}")
    return Filled(row, column, Path(path))


def write_table(name: str, cells: Sequence[Filled], budget: str, out: Path) -> TableFile:
    """Write the table `name` ("table1", "table2", "table3", "ablation", "sweep_<pair>").

    Raises:
        InputError: an unknown table or budget, no cell, or a result file that cannot be read or
            does not belong where it is put.
    """
    if budget not in BUDGETS:
        raise InputError(f"budget '{budget}': no such budget; {nearest(budget, list(BUDGETS))}")
    if not cells:
        raise InputError(f"{out}: no cell to fill; train something first")
    rows, columns, figures, title = _frame(name, cells)
    read = _Read()
    filled = []
    n_seeds = min(len(read.method(c.path).runs) for c in cells) if name.startswith(SWEEP) else None
    for cell in cells:
        if cell.row not in {row.key for row in rows}:
            raise InputError(f"{name}: no row '{cell.row}'; {nearest(cell.row, list(ROWS))}")
        filled.append(_cell(cell, cells, figures, read, n_seeds))
    standin = any(read.result(c.path).file.corpora == "stand-in" for c in cells)
    table = TableFile(
        name=name,
        title=title,
        corpora="stand-in" if standin else "real",
        pair=name.removeprefix(SWEEP) if name.startswith(SWEEP) else None,
        budget=BudgetInfo(name=budget, sentence=_sentence(budget, filled, read, cells)),
        rows=rows,
        columns=columns,
        cells=filled,
        paper=_paper_side(rows, columns, figures, name),
        paper_accuracy={
            column: figure.accuracy
            for (_, column), figure in (figures.figures.items() if figures else ())
            if figure.accuracy is not None
        },
        provenance=describe_program(),
    )
    _write(out, table)
    return table


def write_counts(files: Sequence[Path], out: Path) -> CountsFile:
    """Write Table 7 from feature files.

    Raises:
        InputError: no file, one that cannot be read, or two of one corpus.
    """
    if not files:
        raise InputError(f"{out}: no feature file to count")
    ours: dict[str, dict[str, dict[str, int]]] = {}
    rules, origins = {}, set()
    for path in files:
        with FeatureFile(path) as features:
            if features.corpus in ours:
                raise InputError(f"{path}: another file of corpus '{features.corpus}' is given")
            origins.add(features.origin)
            rules[features.corpus] = str(features.attrs.get("split_rule", ""))
            counts = {}
            for number, label in enumerate(features.label_names):
                here = features.label == number
                counts[label] = {
                    split: int(np.count_nonzero(here[features.rows(split)])) for split in SPLITS
                }
            ours[features.corpus] = counts
    table = CountsFile(
        title="Utterances by class and split",
        corpora="stand-in" if STANDIN in origins else "real",
        ours=ours,
        paper={corpus: found for corpus in ours if (found := paper_counts(corpus))},
        split_rule=rules,
        provenance=describe_program(),
    )
    _write(out, table)
    return table


class _Read:
    """Result files of one method, each read once."""

    def __init__(self) -> None:
        self._results: dict[Path, Result] = {}
        self._blocks: dict[Path, list[Predictions]] = {}

    def result(self, path: Path) -> Result:
        if path not in self._results:
            result = read_result(path)
            if len(result.file.methods) != 1:
                raise InputError(
                    f"{path}: holds {len(result.file.methods)} methods; a cell is filled by a file "
                    "of one, as in results/runs/"
                )
            self._results[path] = result
        return self._results[path]

    def method(self, path: Path) -> MethodResult:
        return self.result(path).file.methods[0]

    def blocks(self, path: Path) -> list[Predictions]:
        """Last-epoch predictions; empty where their file is not there."""
        if path not in self._blocks:
            result = self.result(path)
            beside, names = result.predictions_path, result.file.label_names
            self._blocks[path] = (
                list(read_predictions(beside, names, [LAST])) if beside.exists() else []
            )
        return self._blocks[path]


def _frame(
    name: str, cells: Iterable[Filled]
) -> tuple[list[Named], list[Named], PaperTable | None, str]:
    """Rows, columns, the paper's table, and the title."""
    papers = paper_tables()
    if name == "ablation":
        order = list(dict.fromkeys(cell.column for cell in cells))
        used = {cell.row for cell in cells}
        rows = [Named(key=k, label=row.label) for k, row in ABLATIONS.items() if k in used]
        columns = [Named(key=pair, label=pair) for pair in order]
        return rows, columns, None, "What each part of the method gives"
    if name.startswith(SWEEP):
        pair = name.removeprefix(SWEEP)
        swept = next((t for t in papers.values() if t.pair == pair), None)
        like = swept or papers["table4"]
        title = f"Weights α2 of the surrogate, {' → '.join(split_pair(pair))}"
    elif name in ("table1", "table2", "table3"):
        swept = like = papers[name]
        title = like.title
    else:
        tables = ["table1", "table2", "table3", "ablation", "sweep_<pair>"]
        raise InputError(f"table '{name}': no such table; one of {', '.join(tables)}")
    rows = [Named(key=key, label=ROWS[key].label) for key in like.rows]
    keys = list(like.columns) + [
        c for c in dict.fromkeys(cell.column for cell in cells) if c and c not in like.columns
    ]
    if name.startswith(SWEEP):
        keys.sort(key=float)
    return rows, [Named(key=key, label=key) for key in keys], swept, title


def _cell(
    cell: Filled,
    cells: Sequence[Filled],
    figures: PaperTable | None,
    read: _Read,
    n_seeds: int | None,
) -> TableCell:
    result, method = read.result(cell.path), read.method(cell.path)
    places = [
        number for number, run in enumerate(method.runs) if n_seeds is None or run.seed < n_seeds
    ]
    column = cell.column or (figures.columns[0] if figures else "")
    found = figures.figures.get((cell.row, column)) if figures else None
    if found is None and figures is None:
        found = _of_ablation(cell.row, cell.column)
    runs = [method.runs[place] for place in places]
    seeds = sorted({run.seed for run in runs})
    return TableCell(
        row=cell.row,
        column=cell.column,
        variant=method.variant,
        pair=result.file.pair,
        run_id=method.run_id,
        file=str(cell.path),
        seeds=seeds,
        epochs=len(method.runs[0].epochs),
        scores={
            selection: {
                metric: _over(scores[metric], places) for metric in KEPT_METRICS if metric in scores
            }
            for selection, scores in method.aggregate.items()
        },
        paper=found.f1 if found else None,
        difference=_difference(cell, cells, read, set(seeds)),
        departures=departures(method.config),
        warnings=method.warnings,
        standardise=method.standardise,
        target_labels_used=method.target_labels_used,
        balance=[run.balance for run in runs if run.balance is not None],
        quality={
            name: [run.selection_quality[name] for run in runs if name in run.selection_quality]
            for name in (runs[0].selection_quality if runs else ())
        },
    )


def _of_ablation(row: str, pair: str) -> Any:
    """What the paper has of an ablation: rows of its Table 3, and A. w/o CA of its sweeps."""
    for table in paper_tables().values():
        if table.name == "table3" and (row, pair) in table.figures:
            return table.figures[row, pair]
        if table.pair == pair and row in table.rows and row not in METHODS:
            return table.figures[row, table.columns[0]]
    return None


def _over(score: Score, places: Sequence[int]) -> Score:
    """A score over some of its runs."""
    if len(places) == len(score.values):
        return score
    values = [score.values[place] for place in places]
    known = [value for value in values if value is not None]
    return Score(
        mean=float(np.mean(known)) if known else None,
        std=float(np.std(known, ddof=1)) if len(known) > 1 else None,
        values=values,
    )


def _difference(
    cell: Filled, cells: Sequence[Filled], read: _Read, seeds: set[int]
) -> Difference | None:
    result, method = read.result(cell.path), read.method(cell.path)
    if method.method == "direct_transfer":
        return None
    for other in cells:
        baseline = read.method(other.path)
        if (
            baseline.method == "direct_transfer"
            and read.result(other.path).file.pair == result.file.pair
            and (baseline.standardise, baseline.variant) == (method.standardise, method.variant)
        ):
            break
    else:
        return None
    ours = [block for block in read.blocks(cell.path) if block.seed in seeds]
    runs = paired_runs(ours, read.blocks(other.path))
    if not runs:
        return None
    interval = difference_interval(runs, len(result.file.label_names))
    return Difference(
        estimate=interval.estimate,
        low=_finite(interval.low),
        high=_finite(interval.high),
        n_speakers=interval.n_speakers,
    )


def _paper_side(
    rows: Sequence[Named], columns: Sequence[Named], figures: PaperTable | None, name: str
) -> dict[str, dict[str, Number]]:
    """The paper's whole table by row and column, also where nothing of ours stands."""
    side: dict[str, dict[str, Number]] = {}
    for row in rows:
        for column in columns:
            found = (
                figures.figures.get((row.key, column.key))
                if figures
                else _of_ablation(row.key, column.key)
                if name == "ablation"
                else None
            )
            if found is not None:
                side.setdefault(row.key, {})[column.key] = found.f1
    return side


def _sentence(
    budget: str, filled: Sequence[TableCell], read: _Read, cells: Sequence[Filled]
) -> str:
    """'Budget embedded: 3 runs a cell, 40 epochs, batches of 32; 33 of the paper's 77 cells.'"""
    runs = _span([len(cell.seeds) for cell in filled])
    epochs = _span([cell.epochs for cell in filled])
    batches = _span([int(read.method(c.path).config.get("batch_size", 128)) for c in cells])
    note = " It is for tests: its figures say nothing." if budget == "smoke" else ""
    return (
        f"Budget {budget}: {_named(runs, 'run')} a cell, {_named(epochs, 'epoch')}, batches of "
        f"{batches} utterances a domain.{note}"
    )


def _named(n: str, what: str) -> str:
    """'1 run', '3 runs', '1 to 3 runs'."""
    return f"{n} {what}" if n == "1" else f"{n} {what}s"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _write(out: Path, table: BaseModel) -> None:
    text = json.dumps(table.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(Path(out), text + "\n")


def describe(budget: Budget) -> str:
    """A budget in a sentence, for the page's opening."""
    sweep = (
        f"α2 at {len(budget.alpha2)} weights × {len(budget.surrogates)} surrogates × "
        f"{_named(str(budget.sweep_seeds), 'seed')} on {_named(str(budget.n_sweeps), 'pair')}"
    )
    return (
        f"up to {_named(str(budget.n_pairs), 'pair')} × {len(budget.methods)} methods × "
        f"{_named(str(budget.seeds), 'seed')}, {sweep}, {len(budget.ablations)} rows of ablation, "
        f"{_named(str(budget.epochs), 'epoch')}"
    )
