"""Differences between two methods of a pair, with their intervals, from the predictions file."""

from collections.abc import Callable

from amanda import lookup
from amanda.comparison import paired_runs
from amanda.intervals import Interval, difference_interval
from amanda.lookup import is_direct_transfer, is_plain_sum
from amanda.report.registry import Pair
from amanda.result_schema import MethodResult

__all__ = ["FEW_SPEAKERS", "difference", "find_baseline", "is_direct_transfer", "is_plain_sum"]

FEW_SPEAKERS = 10
"""Of fewer, resampling says little of other speakers, and the page says so."""


def find_baseline(
    pair: Pair, method: MethodResult, is_baseline: Callable[[MethodResult], bool]
) -> MethodResult | None:
    """The baseline of the pair that `method` is measured from (`amanda.lookup`)."""
    return lookup.find_baseline(pair.file.methods, method, is_baseline)


def difference(pair: Pair, method: MethodResult, baseline: MethodResult | None) -> Interval | None:
    """Weighted F1 at the last epoch, `method` minus `baseline`, over the runs that both have.

    None without a baseline, or without the predictions of both.
    """
    if baseline is None:
        return None
    blocks = pair.last_predictions
    runs = paired_runs(blocks.get(method.run_id, []), blocks.get(baseline.run_id, []))
    return difference_interval(runs, len(pair.file.label_names)) if runs else None
