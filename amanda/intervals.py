"""Intervals of a difference between two methods, by resampling speakers and runs.

Reference: the bootstrap of clusters crossed with runs after Owen, "The pigeonhole bootstrap",
Annals of Applied Statistics 1 (2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from amanda.metrics import COUNT_SCORES
from amanda.store.errors import nearest

_RESAMPLES_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class PairedRun:
    """Predictions of two methods on the same rows, from one seed or split. Rows have labels.

    Attributes:
        label: (n,) true class.
        speaker: n names; rows of one name are resampled together. A row with no name ("") stands
            alone.
        first, second: (n,) predicted classes; the difference is first minus second.
    """

    label: Int[np.ndarray, "n"]
    speaker: Sequence[str]
    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its percentile bootstrap interval.

    Attributes:
        estimate: the figure on the rows as they are.
        low, high: the interval at `level`; NaN for one speaker, who says nothing about others.
        p_value: two-sided, of no difference: 1 less the level at which the interval just meets 0,
            never below 2 / (resamples + 1); NaN for one speaker.
        n_speakers: clusters that were resampled; below about ten the interval is a rough guide.
        n_runs: runs that were averaged.
    """

    estimate: float
    low: float
    high: float
    level: float
    p_value: float
    n_speakers: int
    n_runs: int


def difference_interval(
    runs: Sequence[PairedRun],
    n_classes: int,
    *,
    metric: str = "weighted_f1",
    level: float = 0.95,
    n_resamples: int = 2000,
    resample_runs: bool = True,
    seed: int = 0,
) -> Interval:
    """Interval of the mean over runs of (score of `first` − score of `second`).

    Each resample draws speakers with replacement, one draw for both methods and all runs, and draws
    runs with replacement too: speakers stand for the people one would meet, runs for the trainings
    one would start. Drawing only one of the two says nothing about the other, and covers too
    little: `benchmarks/interval_coverage.py` measures by how much.

    Args:
        runs: one a seed; their rows may differ (another split seed).
        metric: a name in `COUNT_SCORES`.
        resample_runs: False for a statement about these trained models only.
        seed: of the resampling.

    Raises:
        ValueError: no run, a run without rows, columns of different lengths, or another metric.
    """
    if not runs:
        raise ValueError("no run to compare")
    if metric not in COUNT_SCORES:
        raise ValueError(f"metric '{metric}': {nearest(metric, list(COUNT_SCORES))}")
    score = COUNT_SCORES[metric]
    clusters: dict[object, int] = {}
    counts = [_cluster_counts(number, run, n_classes, clusters) for number, run in enumerate(runs)]
    n_speakers, n_runs = len(clusters), len(runs)
    # (runs, 2, speakers, classes, classes): confusion of each method on each speaker's rows.
    table = np.zeros((n_runs, 2, n_speakers, n_classes, n_classes))
    for number, count in enumerate(counts):
        table[number, :, : count.shape[1]] = count

    def mean_difference(
        weight: Float[np.ndarray, "b speakers"], run_weight: Float[np.ndarray, "b runs"]
    ) -> Float[np.ndarray, "b"]:
        values = score(np.einsum("bs,rmsij->brmij", weight, table, optimize=True))
        difference = values[..., 0] - values[..., 1]
        # A run none of whose test speakers were drawn says nothing in this resample.
        run_weight = np.where(np.isnan(difference), 0.0, run_weight)
        total = run_weight.sum(axis=1)
        summed = (np.nan_to_num(difference) * run_weight).sum(axis=1)
        return np.divide(summed, total, out=np.full_like(total, np.nan), where=total > 0)

    generator, blocks = np.random.default_rng(seed), _blocks(n_resamples)
    even = np.full(n_speakers, 1 / n_speakers)
    # A draw of thousands of speakers is large: small integers, and a block of them at a time.
    speakers = [generator.multinomial(n_speakers, even, n).astype(np.uint16) for n in blocks]
    drawn_runs = (
        [generator.multinomial(n_runs, np.full(n_runs, 1 / n_runs), n) for n in blocks]
        if resample_runs
        else [np.ones((n, n_runs)) for n in blocks]
    )
    resampled = np.concatenate(
        [
            mean_difference(drawn.astype(float), run_weight.astype(float))
            for drawn, run_weight in zip(speakers, drawn_runs, strict=True)
        ]
    )
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    p_value = _two_sided(resampled[~np.isnan(resampled)])
    if n_speakers == 1:
        low = high = p_value = np.nan
    estimate = mean_difference(np.ones((1, n_speakers)), np.ones((1, n_runs)))
    return Interval(
        estimate=float(estimate[0]),
        low=float(low),
        high=float(high),
        level=level,
        p_value=p_value,
        n_speakers=n_speakers,
        n_runs=n_runs,
    )


def _blocks(n: int) -> list[int]:
    return [min(_RESAMPLES_AT_ONCE, n - done) for done in range(0, n, _RESAMPLES_AT_ONCE)]


def _two_sided(resampled: Float[np.ndarray, "b"]) -> float:
    """Twice the share of resamples on the farther side of 0, the estimate counted as one."""
    beyond = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(resampled) + 1))


def _cluster_counts(
    number: int, run: PairedRun, n_classes: int, clusters: dict[object, int]
) -> Float[np.ndarray, "2 speakers classes classes"]:
    """Confusion matrices of both methods a speaker; new speakers are added to `clusters`."""
    n = len(run.label)
    if not n or any(len(column) != n for column in (run.speaker, run.first, run.second)):
        raise ValueError(f"run {number}: needs rows, and columns of one length")
    if run.label.min() < 0:
        raise ValueError(f"run {number}: rows without a label cannot be scored; leave them out")
    keys = [name or (number, row) for row, name in enumerate(run.speaker)]
    speaker = np.array([clusters.setdefault(key, len(clusters)) for key in keys])
    counts = np.zeros((2, len(clusters), n_classes, n_classes))
    for method, predicted in enumerate((run.first, run.second)):
        np.add.at(counts[method], (speaker, run.label, predicted), 1.0)
    return counts
