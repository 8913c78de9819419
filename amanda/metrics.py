"""What predictions are worth: the scores of one evaluation.

Conventions. Fractions, not percent. Classes are counted from 0 in the order of `label_names`; -1 is
"no label", and rows that have none enter no score. The predicted class is the most probable one,
the first of several that tie. Where a score is 0/0:

- a class's F1 is null when the class is neither among the true nor the predicted labels, and 0 when
  it is there but never right;
- macro F1 averages the classes whose F1 is not null, as scikit-learn's default does;
- UAR (unweighted average recall, "balanced accuracy") averages the classes that have true rows.

All but calibration follow from the confusion matrix, in one place for scores and for intervals
(`amanda.intervals`); tests hold them against scikit-learn.

References: weighted F1 is the paper's score (section 4); expected calibration error after Guo et
al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

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


def macro_f1(
    matrix: Float[np.ndarray, "*batch classes classes"],
) -> Float[np.ndarray, "*batch"]:
    """Mean F1 of the classes that are true or predicted in each matrix; NaN for an empty one."""
    involved = matrix.sum(axis=-1) + matrix.sum(axis=-2)
    right = np.einsum("...ii->...i", matrix)
    f1 = np.divide(2 * right, involved, out=np.zeros_like(involved), where=involved > 0)
    return _mean_where(f1, involved > 0)


def uar(
    matrix: Float[np.ndarray, "*batch classes classes"],
) -> Float[np.ndarray, "*batch"]:
    """Mean recall of the classes that have true rows in each matrix; NaN for an empty one."""
    true, right = matrix.sum(axis=-1), np.einsum("...ii->...i", matrix)
    recall = np.divide(right, true, out=np.zeros_like(true), where=true > 0)
    return _mean_where(recall, true > 0)


def accuracy(
    matrix: Float[np.ndarray, "*batch classes classes"],
) -> Float[np.ndarray, "*batch"]:
    """Share of rows on the diagonal of each matrix; NaN for an empty one."""
    total, right = matrix.sum(axis=(-1, -2)), np.einsum("...ii->...", matrix)
    return np.asarray(np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0))


def _mean_where(
    values: Float[np.ndarray, "*batch k"], counted: Bool[np.ndarray, "*batch k"]
) -> Float[np.ndarray, "*batch"]:
    n = counted.sum(axis=-1).astype(float)
    total = np.where(counted, values, 0.0).sum(axis=-1)
    return np.asarray(np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0))


COUNT_SCORES: Mapping[str, Callable[..., np.ndarray]] = {
    "weighted_f1": weighted_f1,
    "macro_f1": macro_f1,
    "uar": uar,
    "accuracy": accuracy,
}
"""The scores that follow from counts alone: (*batch, classes, classes), rows true, to (*batch)."""


def expected_calibration_error(
    correct: np.ndarray, confidence: Float[np.ndarray, "n"], *, n_bins: int = ECE_BINS
) -> float:
    """Mean over rows of |accuracy − mean confidence| of the row's bin.

    Bins are of equal width over (0, 1], closed above: with 15 bins the first is (0, 1/15].
    """
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gap = np.bincount(bins, weights=correct - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))


def _scores(matrix: Int[np.ndarray, "classes classes"]) -> dict[str, float]:
    return {name: float(score(matrix.astype(float))) for name, score in COUNT_SCORES.items()}


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
