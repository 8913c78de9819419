"""Differences between two methods of a pair, with their intervals, from the predictions file."""

from collections.abc import Callable

import numpy as np

from amanda.metrics import Interval, PairedRun, difference_interval
from amanda.predictions import Predictions
from amanda.report.registry import Pair
from amanda.result_schema import MethodResult


def is_direct_transfer(method: MethodResult) -> bool:
    """Whether a method is the baseline that adaptation is measured from."""
    return method.method == "direct_transfer"


def is_plain_sum(method: MethodResult) -> bool:
    """Whether a method adds up the alignment losses with equal weights: A-N (p=1)."""
    return method.surrogate == "norm:1"


def find_baseline(
    pair: Pair, method: MethodResult, is_baseline: Callable[[MethodResult], bool]
) -> MethodResult | None:
    """The baseline that `method` is measured from: with the same inputs, and of several the one
    with most settings in common. None for a baseline itself, or where there is none."""

    def in_common(other: MethodResult) -> tuple[int, int]:
        equal = sum(method.config.get(key) == value for key, value in other.config.items())
        return equal, -len(other.label)

    same_inputs = [
        other
        for other in pair.file.methods
        if is_baseline(other)
        and (other.standardise, other.modalities) == (method.standardise, method.modalities)
        and other.variant == method.variant
    ]
    if is_baseline(method) or not same_inputs:
        return None
    return max(same_inputs, key=in_common)


def difference(pair: Pair, method: MethodResult, baseline: MethodResult | None) -> Interval | None:
    """Weighted F1 at the last epoch, `method` minus `baseline`, over the runs that both have.

    None without a baseline, or without the predictions of both.
    """
    if baseline is None:
        return None
    theirs = {(b.seed, b.fold): b for b in pair.last_predictions.get(baseline.run_id, [])}
    runs = []
    for block in pair.last_predictions.get(method.run_id, []):
        other = theirs.get((block.seed, block.fold))
        run = None if other is None else _paired(block, other)
        if run is not None:
            runs.append(run)
    return difference_interval(runs, len(pair.file.label_names)) if runs else None


def _paired(first: Predictions, second: Predictions) -> PairedRun | None:
    """The labelled rows that both could predict; None when there are none."""
    if list(first.ids) != list(second.ids):
        return None
    known = first.label >= 0
    for block in (first, second):
        known = known & ~np.isnan(block.probabilities).any(axis=1)
    if not known.any():
        return None
    return PairedRun(
        label=first.label[known],
        speaker=[name for name, keep in zip(first.speakers, known, strict=True) if keep],
        first=first.probabilities[known].argmax(axis=1),
        second=second.probabilities[known].argmax(axis=1),
    )
