"""Is one method better than another on a pair? Differences from the predictions files.

A difference is the mean over paired runs (same seed and fold, so same data order and first weights)
of the difference of a score on the target's test utterances. Its interval resamples test
utterances clustered by speaker, jointly over the runs, and the runs themselves
(`amanda.intervals.difference_interval`). Several differences that are asked for together are one
family: their p-values are adjusted after Holm, "A simple sequentially rejective multiple test
procedure", Scandinavian Journal of Statistics 6 (1979).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amanda.intervals import Interval, PairedRun, difference_interval
from amanda.lookup import find_method, is_upper_bound
from amanda.predictions import Predictions, read_predictions
from amanda.result_schema import MethodResult
from amanda.result_text import COLUMNS, STANDIN_SENTENCE, aligned
from amanda.results import Result
from amanda.store.errors import InputError, nearest

N_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One method minus another.

    Attributes:
        first, second: the two methods.
        interval: of first minus second.
        p_holm: the interval's p-value adjusted for the family; NaN where it has none.
    """

    first: MethodResult
    second: MethodResult
    interval: Interval
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A family of differences on one pair.

    Attributes:
        n_rows: labelled test utterances of a run that both methods predict (the first run's).
        metric: as `amanda.metrics.COUNT_SCORES` names it.
    """

    pair: str
    target: str
    standin: bool
    selection: str
    metric: str
    n_rows: int
    n_resamples: int
    differences: tuple[Difference, ...]


def compare(
    result: Result,
    first: Sequence[str],
    second: Sequence[str],
    *,
    selection: str = "last",
    metric: str = "weighted_f1",
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> Comparison:
    """Each method of `first` minus each of `second`, as one family.

    Args:
        result: a result file whose predictions lie beside it.
        first, second: methods as `find_method` takes them; no `first` is every method of the file
            but those of `second` and those trained on target labels.

    Raises:
        InputError: a name that is no method or several, a method compared with itself, a selection
            that the file does not have, no label to score by, or no run that both have.
    """
    file = result.file
    others = [find_method(file, name) for name in second]
    if first:
        ours = [find_method(file, name) for name in first]
    else:
        taken = {method.run_id for method in others}
        ours = [m for m in file.methods if m.run_id not in taken and not is_upper_bound(m)]
    blocks = predictions_of(result, selection)
    differences, n_rows = [], 0
    for a in ours:
        for b in others:
            if a.run_id == b.run_id:
                raise InputError(f"{result.path}: {a.label} cannot be compared with itself")
            runs = paired_runs(blocks.get(a.run_id, []), blocks.get(b.run_id, []))
            if not runs:
                raise InputError(
                    f"{result.path}: {a.label} and {b.label} have no seed in common whose test "
                    f"rows are the same and labelled; train both with the same seeds and split"
                )
            n_rows = n_rows or len(runs[0].label)
            interval = difference_interval(
                runs, len(file.label_names), metric=metric, level=level, n_resamples=n_resamples
            )
            differences.append((a, b, interval))
    adjusted = holm([interval.p_value for _, _, interval in differences])
    return Comparison(
        pair=file.pair,
        target=file.target,
        standin=file.corpora == "stand-in",
        selection=selection,
        metric=metric,
        n_rows=n_rows,
        n_resamples=n_resamples,
        differences=tuple(
            Difference(first=a, second=b, interval=interval, p_holm=p)
            for (a, b, interval), p in zip(differences, adjusted, strict=True)
        ),
    )


def predictions_of(result: Result, selection: str) -> dict[str, list[Predictions]]:
    """The blocks of one selection by run_id.

    Raises:
        InputError: no method has that selection; the nearest is named.
    """
    known = list(dict.fromkeys(name for m in result.file.methods for name in m.aggregate))
    if selection not in known:
        raise InputError(f"{result.path}: no selection '{selection}'; {nearest(selection, known)}")
    blocks: dict[str, list[Predictions]] = {}
    for block in read_predictions(result.predictions_path, result.file.label_names, [selection]):
        blocks.setdefault(block.run_id, []).append(block)
    return blocks


def paired_runs(first: Sequence[Predictions], second: Sequence[Predictions]) -> list[PairedRun]:
    """The runs that both have, with the labelled rows that both could predict.

    Runs whose test rows differ (another split) and runs without such a row are left out.
    """
    theirs = {(block.seed, block.fold): block for block in second}
    runs = []
    for block in first:
        other = theirs.get((block.seed, block.fold))
        if other is None or list(block.ids) != list(other.ids):
            continue
        known = block.label >= 0
        for each in (block, other):
            known = known & ~np.isnan(each.probabilities).any(axis=1)
        if known.any():
            runs.append(
                PairedRun(
                    label=block.label[known],
                    speaker=[name for name, k in zip(block.speakers, known, strict=True) if k],
                    first=block.probabilities[known].argmax(axis=1),
                    second=other.probabilities[known].argmax(axis=1),
                )
            )
    return runs


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; those that are NaN are no part of the family.

    The k-th smallest of m is multiplied by m − k + 1; a larger p never gets a smaller adjusted one.
    """
    known = [number for number, p in enumerate(p_values) if not math.isnan(p)]
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, number in enumerate(sorted(known, key=lambda n: p_values[n])):
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def as_text(comparison: Comparison) -> str:
    """Lines for a terminal; differences in points of 100."""
    intervals = [each.interval for each in comparison.differences]
    n_speakers = max(interval.n_speakers for interval in intervals)
    counts = sorted({interval.n_runs for interval in intervals})
    lines = [
        f"{comparison.pair}, selection {comparison.selection}, {COLUMNS[comparison.metric]}: "
        f"difference in points, with its {100 * intervals[0].level:g}% interval.",
        f"{comparison.n_rows} test utterances of {comparison.target}, resampled "
        f"{comparison.n_resamples:,} times by speaker ({n_speakers}) and run "
        f"({' or '.join(map(str, counts))}), one draw for both methods.",
    ]
    if comparison.standin:
        lines.append(STANDIN_SENTENCE + ".")
    if n_speakers == 1:
        lines.append("One speaker says nothing about others: no interval.")
    elif n_speakers < 10:
        lines.append(f"With {n_speakers} speakers the interval is a rough guide.")
    family = len(comparison.differences) > 1
    rows = [["first", "second", "difference", "interval", "p", *(["p (Holm)"] if family else [])]]
    for each in comparison.differences:
        interval = each.interval
        rows.append(
            [
                each.first.label,
                f"− {each.second.label}",
                points(interval.estimate),
                "–"
                if math.isnan(interval.low)
                else f"[{points(interval.low)}, {points(interval.high)}]",
                _p(interval.p_value),
                *([_p(each.p_holm)] if family else []),
            ]
        )
    return "\n".join([*lines, "", *aligned(rows)])


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The same ready for JSON; fractions, and null for what is not known."""
    return {
        "pair": comparison.pair,
        "corpora": "stand-in" if comparison.standin else "real",
        "selection": comparison.selection,
        "metric": comparison.metric,
        "n_rows": comparison.n_rows,
        "n_resamples": comparison.n_resamples,
        "differences": [
            {
                "a": each.first.run_id,
                "a_label": each.first.label,
                "b": each.second.run_id,
                "b_label": each.second.label,
                **interval_json(each.interval),
                "p_holm": _number(each.p_holm),
            }
            for each in comparison.differences
        ],
    }


def interval_json(interval: Interval) -> Mapping[str, Any]:
    """An interval ready for JSON."""
    return {
        "difference": interval.estimate,
        "low": _number(interval.low),
        "high": _number(interval.high),
        "level": interval.level,
        "p": _number(interval.p_value),
        "n_speakers": interval.n_speakers,
        "n_runs": interval.n_runs,
    }


def points(value: float) -> str:
    """'+1.2', '−3.4', and '0.0' for what rounds to it: a fraction in points of 100."""
    rounded = round(100 * value, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
