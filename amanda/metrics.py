"""What predictions are worth: scores of one evaluation, and intervals of a difference.

Conventions. Fractions, not percent. Classes are counted from 0 in the order of `label_names`; -1 is
"no label", and rows that have none enter no score. The predicted class is the most probable one,
the first of several that tie. Where a score is 0/0:

- a class's F1 is null when the class is neither among the true nor the predicted labels, and 0 when
  it is there but never right;
- macro F1 averages the classes whose F1 is not null, as scikit-learn's default does;
- UAR (unweighted average recall, "balanced accuracy") averages the classes that have true rows.

All but calibration follow from the confusion matrix, in one place for scores and intervals; tests
hold them against scikit-learn.

References: weighted F1 is the paper's score (section 4); expected calibration error after Guo et
al., "On Calibration of Modern Neural Networks", ICML 2017; the bootstrap of clusters crossed with
runs after Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

SCORES = ("weighted_f1", "macro_f1", "uar", "accuracy", "ece")
"""The scores of `evaluate` that are one number, in the order in which files and pages list them."""

ECE_BINS = 15
_SUM_TOLERANCE = 1e-3


def evaluate(
    label: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n classes"],
    label_names: Sequence[str],
) -> dict[str, Any]:
    """Score predictions against labels.

    Args:
        label: (n,) class of each row, -1 for none.
        probabilities: (n, classes), each row sums to 1.
        label_names: the classes, in order.

    Returns:
        Ready for JSON: `n` rows, `n_labelled` of them with a label, the numbers of `SCORES`,
        `per_class_f1` {class: F1 or None}, `confusion` (rows true, columns predicted, counts) and
        `label_marginals`: `true` {class: share of the labelled rows}, `predicted` {class: share of
        all rows predicted so} and `mean_probability` {class: mean over all rows}. Scores, F1s and
        the true marginals are None, and the confusion is None, when no row has a label.

    Raises:
        ValueError: a label is not a class, or a row is no distribution over the classes.
    """
    _check(label, probabilities, label_names)
    n_classes = len(label_names)
    probabilities = probabilities.astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    known = label >= 0
    result: dict[str, Any] = {"n": len(label), "n_labelled": int(known.sum())}
    if known.any():
        true, guess = label[known].astype(np.int64), predicted[known]
        matrix = count_confusion(true, guess, n_classes).astype(np.int64)
        result.update(_scores(matrix))
        result["ece"] = expected_calibration_error(
            guess == true, probabilities[known].max(axis=1), n_bins=ECE_BINS
        )
        result["per_class_f1"] = dict(zip(label_names, per_class_f1(matrix), strict=True))
        result["confusion"] = matrix.tolist()
    else:
        result.update({name: None for name in SCORES})
        result.update({"per_class_f1": dict.fromkeys(label_names), "confusion": None})
    result["label_marginals"] = {
        "true": _shares(label[known], label_names),
        "predicted": _shares(predicted, label_names),
        "mean_probability": (
            dict(zip(label_names, probabilities.mean(axis=0).tolist(), strict=True))
            if len(label)
            else dict.fromkeys(label_names)
        ),
    }
    return result


def count_confusion(
    true: Int[np.ndarray, "n"], predicted: Int[np.ndarray, "n"], n_classes: int
) -> Float[np.ndarray, "classes classes"]:
    """Counts of each (true, predicted) pair, rows true; every label is a class."""
    cell = true.astype(np.int64) * n_classes + predicted
    counts = np.bincount(cell, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.float64)


def per_class_f1(matrix: Int[np.ndarray, "classes classes"]) -> list[float | None]:
    """F1 of each class from counts, rows true; None where it is neither true nor predicted."""
    right = np.diag(matrix)
    involved = matrix.sum(axis=0) + matrix.sum(axis=1)
    return [2 * int(r) / int(i) if i else None for r, i in zip(right, involved, strict=True)]


def weighted_f1(
    matrix: Float[np.ndarray, "*batch classes classes"],
) -> Float[np.ndarray, "*batch"]:
    """Weighted F1 of each matrix of (weighted) counts, rows true; NaN where a matrix is all zero.

    Each class's F1 is weighted by its share of true rows, so one that is only predicted has no
    weight: equal to scikit-learn's `f1_score(average="weighted")`.
    """
    true = matrix.sum(axis=-1)
    involved = true + matrix.sum(axis=-2)
    right = np.einsum("...ii->...i", matrix)
    f1 = np.divide(2 * right, involved, out=np.zeros_like(involved), where=involved > 0)
    total = true.sum(axis=-1)
    nothing = np.full_like(total, np.nan)
    return np.asarray(np.divide((f1 * true).sum(axis=-1), total, out=nothing, where=total > 0))


def expected_calibration_error(
    correct: np.ndarray, confidence: Float[np.ndarray, "n"], *, n_bins: int = ECE_BINS
) -> float:
    """Mean over rows of |accuracy − mean confidence| of the row's bin.

    Bins are of equal width over (0, 1], closed above: with 15 bins the first is (0, 1/15].
    """
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gap = np.bincount(bins, weights=correct - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))


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
        n_speakers: clusters that were resampled; below about ten the interval is a rough guide.
        n_runs: runs that were averaged.
    """

    estimate: float
    low: float
    high: float
    level: float
    n_speakers: int
    n_runs: int


def difference_interval(
    runs: Sequence[PairedRun],
    n_classes: int,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    resample_runs: bool = True,
    seed: int = 0,
) -> Interval:
    """Interval of the mean over runs of (weighted F1 of `first` − weighted F1 of `second`).

    Each resample draws speakers with replacement, one draw for both methods and all runs, and draws
    runs with replacement too: speakers stand for the people one would meet, runs for the trainings
    one would start. Drawing only one of the two says nothing about the other, and covers too
    little: `benchmarks/interval_coverage.py` measures by how much.

    Args:
        runs: one a seed; their rows may differ (another split seed).
        resample_runs: False for a statement about these trained models only.
        seed: of the resampling.

    Raises:
        ValueError: no run, a run without rows, or columns of different lengths.
    """
    if not runs:
        raise ValueError("no run to compare")
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
        f1 = weighted_f1(np.einsum("bs,rmsij->brmij", weight, table, optimize=True))
        difference = f1[..., 0] - f1[..., 1]
        # A run none of whose test speakers were drawn says nothing in this resample.
        run_weight = np.where(np.isnan(difference), 0.0, run_weight)
        total = run_weight.sum(axis=1)
        summed = (np.nan_to_num(difference) * run_weight).sum(axis=1)
        return np.divide(summed, total, out=np.full_like(total, np.nan), where=total > 0)

    generator = np.random.default_rng(seed)
    speakers = generator.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), n_resamples)
    drawn_runs = (
        generator.multinomial(n_runs, np.full(n_runs, 1 / n_runs), n_resamples)
        if resample_runs
        else np.ones((n_resamples, n_runs))
    )
    resampled = mean_difference(speakers.astype(float), drawn_runs.astype(float))
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    if n_speakers == 1:
        low = high = np.nan
    estimate = mean_difference(np.ones((1, n_speakers)), np.ones((1, n_runs)))
    return Interval(
        estimate=float(estimate[0]),
        low=float(low),
        high=float(high),
        level=level,
        n_speakers=n_speakers,
        n_runs=n_runs,
    )


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


def _scores(matrix: Int[np.ndarray, "classes classes"]) -> dict[str, float]:
    n_true, right = matrix.sum(axis=1), np.diag(matrix)
    recall = right[n_true > 0] / n_true[n_true > 0]
    f1 = [value for value in per_class_f1(matrix) if value is not None]
    return {
        "weighted_f1": float(weighted_f1(matrix.astype(np.float64))),
        "macro_f1": float(np.mean(f1)),
        "uar": float(recall.mean()),
        "accuracy": float(right.sum() / matrix.sum()),
    }


def _shares(label: Int[np.ndarray, "n"], label_names: Sequence[str]) -> dict[str, float | None]:
    if not len(label):
        return dict.fromkeys(label_names)
    counts = np.bincount(label.astype(np.int64), minlength=len(label_names))
    return dict(zip(label_names, (counts / len(label)).tolist(), strict=True))


def _check(
    label: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n classes"],
    label_names: Sequence[str],
) -> None:
    n_classes = len(label_names)
    if probabilities.shape[1] != n_classes:
        raise ValueError(f"{probabilities.shape[1]} probabilities a row for {n_classes} classes")
    if len(label) and not (label.min() >= -1 and label.max() < n_classes):
        wrong = label[(label < -1) | (label >= n_classes)][0]
        raise ValueError(f"label {wrong} is not a class; use 0 to {n_classes - 1}, -1 for none")
    sums = probabilities.sum(axis=1)
    bad = ~(np.abs(sums - 1) <= _SUM_TOLERANCE) | (probabilities < 0).any(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"row {row}: {probabilities[row].tolist()} is not a distribution; did you pass logits?"
        )
