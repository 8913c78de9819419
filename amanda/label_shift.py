"""The class shares of an unlabelled domain, estimated from a classifier's probabilities.

A classifier that was trained where classes have other shares is too fond of them. Expectation
maximisation finds the shares q under which its probabilities, weighed by q over the training
shares, average to q: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to
new a priori probabilities", Neural Computation 14 (2002). It needs calibrated probabilities
(Alexandari, Kundaje and Shrikumar, ICML 2020), so they are first brought to the temperature that
fits labelled val rows (Guo et al., ICML 2017). Both suppose that only the shares differ between the
domains (label shift), not what a class looks like.
"""

import numpy as np
from jaxtyping import Float, Int

LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.25, 10.0
"""A val split without a mistake would ask for temperature 0 and make every prediction certain."""

_STEPS, _TOLERANCE = 1000, 1e-10
_TINY = 1e-12


def tempered(
    probabilities: Float[np.ndarray, "n classes"], temperature: float
) -> Float[np.ndarray, "n classes"]:
    """Probabilities of logits divided by `temperature`: p^(1/T), each row summing to 1."""
    log_p = np.log(np.maximum(probabilities.astype(np.float64), _TINY)) / temperature
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def fit_temperature(
    probabilities: Float[np.ndarray, "n classes"], label: Int[np.ndarray, "n"]
) -> float:
    """The temperature with the least cross entropy on labelled rows; 1 without a row.

    In 1/T the cross entropy is convex, so halving the interval of its slope's sign finds it.
    """
    if not len(label):
        return 1.0
    log_p = np.log(np.maximum(probabilities.astype(np.float64), _TINY))
    true = log_p[np.arange(len(label)), label].mean()

    def slope(inverse: float) -> float:
        return float((tempered(probabilities, 1 / inverse) * log_p).sum(axis=1).mean() - true)

    low, high = 1 / MOST_TEMPERATURE, 1 / LEAST_TEMPERATURE
    if slope(low) >= 0:
        return MOST_TEMPERATURE
    if slope(high) <= 0:
        return LEAST_TEMPERATURE
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)


def estimate_shares(
    probabilities: Float[np.ndarray, "n classes"],
    trained_shares: Float[np.ndarray, "classes"],
    *,
    pseudo_count: float = 0.0,
) -> Float[np.ndarray, "classes"]:
    """The class shares of unlabelled rows by expectation maximisation.

    Each step weighs class c of every row by q_c / trained_c, and takes the mean as the new q; it
    climbs the likelihood Σ_i log Σ_c p_ic q_c / trained_c, which has one maximum.

    Args:
        probabilities: (n, classes), calibrated where classes have `trained_shares`.
        trained_shares: (classes,), each above 0.
        pseudo_count: added to each class's count; above 0 no share ends at 0.
    """
    p = probabilities.astype(np.float64)
    shares = np.asarray(trained_shares, np.float64)
    ratio = p / shares
    n, n_classes = p.shape
    for _ in range(_STEPS):
        weighed = ratio * shares
        counts = (weighed / weighed.sum(axis=1, keepdims=True)).sum(axis=0)
        new = (counts + pseudo_count) / (n + n_classes * pseudo_count)
        if np.abs(new - shares).max() < _TOLERANCE:
            return new
        shares = new
    return shares


def estimate_target_shares(
    val_probabilities: Float[np.ndarray, "a classes"],
    val_label: Int[np.ndarray, "a"],
    target_probabilities: Float[np.ndarray, "b classes"],
    source_shares: Float[np.ndarray, "classes"],
) -> Float[np.ndarray, "classes"]:
    """The target's class shares by a source classifier: calibrate, then `estimate_shares`.

    The shares that predictions are weighed against are the mean calibrated prediction on val,
    which is what the classifier believes where it was trained; `source_shares` without val rows.
    One row is added to each class, so that a class that few predict is not given up.
    """
    temperature = fit_temperature(val_probabilities, val_label)
    believed = np.asarray(source_shares, np.float64)
    if len(val_label):
        believed = tempered(val_probabilities, temperature).mean(axis=0)
    believed = np.maximum(believed, 1e-3)
    return estimate_shares(
        tempered(target_probabilities, temperature),
        believed / believed.sum(),
        pseudo_count=1.0,
    )
