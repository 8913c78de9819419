"""Scores that choose an epoch without target labels.

Each validator reads one epoch's outputs in evaluation mode and gives one number; the run's choice
is the best epoch, the earliest of several that tie. What a validator may see is `ValidatorInputs`:
it has no field for target labels, and nothing of the target's test split belongs in it.

| name | reads | better |
|---|---|---|
| source_val_f1 | labelled source val | higher |
| entropy | target val | lower |
| im | target val | higher |
| snd | target val | higher |
| bnm | target val | higher |
| dev | labelled source val, representations of both train splits | lower |

References: entropy, Morerio et al., ICLR 2018; information maximisation (IM), Musgrave et al.,
"Benchmarking validation methods for unsupervised domain adaptation", 2022; soft neighbourhood
density (SND), Saito et al., ICCV 2021; batch nuclear norm (BNM), Cui et al., CVPR 2020; deep
embedded validation (DEV), You et al., ICML 2019. Logarithms are natural.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from amanda.metrics import count_confusion, weighted_f1

Direction = Literal["max", "min"]

SND_TEMPERATURE = 0.05
MAX_LOG_DENSITY_RATIO = math.log(1e6)
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class ValidatorInputs:
    """What the model of one epoch says, joint branch, in evaluation mode.

    Attributes:
        source_val_label: (a,) class, -1 for none.
        source_val_probabilities: (a, classes).
        source_val_features: (a, dim) joint representation.
        target_val_probabilities: (b, classes).
        source_train_features, target_train_features: (c, dim), (d, dim) joint representation of
            the train splits, or of a fixed sample of them; only DEV reads them, and it is left
            out where they are None.
    """

    source_val_label: Int[np.ndarray, "a"]
    source_val_probabilities: Float[np.ndarray, "a classes"]
    target_val_probabilities: Float[np.ndarray, "b classes"]
    source_val_features: Float[np.ndarray, "a dim"] | None = None
    source_train_features: Float[np.ndarray, "c dim"] | None = None
    target_train_features: Float[np.ndarray, "d dim"] | None = None


@dataclass(frozen=True, kw_only=True)
class Validator:
    """A label-free rule for choosing an epoch.

    Attributes:
        title: its name on a page.
        meaning: what it measures, in a few words, and who proposed it.
        direction: whether the largest or the smallest value is chosen.
        score: the value of one epoch; None when it cannot be computed (an empty val split).
    """

    title: str
    meaning: str
    direction: Direction
    score: Callable[[ValidatorInputs], float | None]


def source_val_f1(inputs: ValidatorInputs) -> float | None:
    """Weighted F1 on the source's val split."""
    known = inputs.source_val_label >= 0
    if not known.any():
        return None
    guess = inputs.source_val_probabilities[known].argmax(axis=1)
    n_classes = inputs.source_val_probabilities.shape[1]
    return float(weighted_f1(count_confusion(inputs.source_val_label[known], guess, n_classes)))


def entropy(inputs: ValidatorInputs) -> float | None:
    """Mean entropy of the target's predictions: H̄ = −1/b Σ_i Σ_c p_ic log p_ic."""
    p = inputs.target_val_probabilities.astype(np.float64)
    return float(_entropy(p).mean()) if len(p) else None


def information_maximisation(inputs: ValidatorInputs) -> float | None:
    """Diverse as a whole, sure one by one: H(1/b Σ_i p_i) − H̄."""
    p = inputs.target_val_probabilities.astype(np.float64)
    return float(_entropy(p.mean(axis=0)) - _entropy(p).mean()) if len(p) else None


def soft_neighbourhood_density(inputs: ValidatorInputs) -> float | None:
    """Mean entropy of each prediction's soft neighbours.

    With u_i = p_i / ‖p_i‖₂, neighbours of i are weighted by softmax over j ≠ i of u_i·u_j / 0.05.
    High where predictions form dense clusters. Needs two rows.
    """
    p = inputs.target_val_probabilities.astype(np.float64)
    n = len(p)
    if n < 2:
        return None
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, n, _ROWS_AT_ONCE):
        block = unit[start : start + _ROWS_AT_ONCE]
        similarity = block @ unit.T / SND_TEMPERATURE
        similarity[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        weight = np.exp(similarity - similarity.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        total += float(_entropy(weight).sum())
    return total / n


def batch_nuclear_norm(inputs: ValidatorInputs) -> float | None:
    """Nuclear norm of the (b, classes) matrix of predictions, over b."""
    p = inputs.target_val_probabilities.astype(np.float64)
    return float(np.linalg.svd(p, compute_uv=False).sum() / len(p)) if len(p) else None


def deep_embedded_validation(inputs: ValidatorInputs) -> float | None:
    """Estimated target risk: source-val cross entropy, weighted by density ratio, with a control
    variate.

    w_i = N_s/N_t · P(target|z_i)/P(source|z_i) from a logistic regression on standardised train
    representations; risk = mean(w·ℓ) + η·mean(w) − η with η = −cov(w·ℓ, w)/var(w). Where the
    weights do not vary the control variate has nothing to correct and η is 0. A ratio is held
    within 10^±6, so that domains that separate perfectly give a finite risk.
    """
    val, source = inputs.source_val_features, inputs.source_train_features
    target = inputs.target_train_features
    known = inputs.source_val_label >= 0
    if val is None or source is None or target is None:
        return None
    if not (known.any() and len(source) and len(target)):
        return None
    weight = _density_ratio(source, target, val[known])
    rows, label = np.arange(int(known.sum())), inputs.source_val_label[known]
    p = inputs.source_val_probabilities[known].astype(np.float64)[rows, label]
    weighted_loss = weight * -np.log(np.maximum(p, np.finfo(np.float64).tiny))
    variance = weight.var(ddof=1) if len(weight) > 1 else 0.0
    if variance <= np.finfo(np.float64).eps * weight.mean() ** 2:
        return float(weighted_loss.mean())
    eta = -np.cov(weighted_loss, weight, ddof=1)[0, 1] / variance
    return float(weighted_loss.mean() + eta * weight.mean() - eta)


VALIDATORS: Mapping[str, Validator] = {
    "source_val_f1": Validator(
        title="Source-val F1",
        meaning="weighted F1 on the source’s labelled val split",
        direction="max",
        score=source_val_f1,
    ),
    "entropy": Validator(
        title="Entropy",
        meaning="mean entropy of the target predictions (Morerio et al. 2018)",
        direction="min",
        score=entropy,
    ),
    "im": Validator(
        title="IM",
        meaning="information maximisation: sure one by one, diverse together (Musgrave et al. "
        "2022)",
        direction="max",
        score=information_maximisation,
    ),
    "snd": Validator(
        title="SND",
        meaning="soft neighbourhood density: target predictions form dense clusters (Saito et al. "
        "2021)",
        direction="max",
        score=soft_neighbourhood_density,
    ),
    "bnm": Validator(
        title="BNM",
        meaning="batch nuclear norm of the target predictions (Cui et al. 2020)",
        direction="max",
        score=batch_nuclear_norm,
    ),
    "dev": Validator(
        title="DEV",
        meaning="deep embedded validation: source-val loss, weighted by how much a row looks like "
        "the target (You et al. 2019)",
        direction="min",
        score=deep_embedded_validation,
    ),
}


def validate(inputs: ValidatorInputs) -> dict[str, float | None]:
    """Every validator's value of one epoch, in the order of `VALIDATORS`."""
    return {name: validator.score(inputs) for name, validator in VALIDATORS.items()}


def select_epoch(values: Sequence[float | None], direction: Direction) -> int | None:
    """Index of the best value, the earliest of several that tie.

    Values that are None or not finite are never chosen; None when there is no other.
    """
    best: int | None = None
    for epoch, value in enumerate(values):
        if value is None or not math.isfinite(value):
            continue
        if best is None or _better(value, values[best], direction):
            best = epoch
    return best


def _better(value: float, than: float | None, direction: Direction) -> bool:
    assert than is not None
    return value > than if direction == "max" else value < than


def _entropy(p: Float[np.ndarray, "*batch k"]) -> Float[np.ndarray, "*batch"]:
    """−Σ p log p over the last axis, with 0 log 0 = 0."""
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1))


def _density_ratio(
    source: Float[np.ndarray, "c dim"],
    target: Float[np.ndarray, "d dim"],
    val: Float[np.ndarray, "a dim"],
) -> Float[np.ndarray, "a"]:
    """Target density over source density at `val`."""
    both = np.concatenate([source, target]).astype(np.float64)
    mean, scale = both.mean(axis=0), both.std(axis=0)
    scale[scale == 0] = 1.0
    domain = np.repeat([0, 1], [len(source), len(target)])
    # Imported here: tables and reports need the names of validators only, not seconds of imports.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(max_iter=100)
    with warnings.catch_warnings():
        # 100 steps of L-BFGS place the boundary; the last digits would not change a weight's use.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit((both - mean) / scale, domain)
    log_odds = classifier.decision_function((val.astype(np.float64) - mean) / scale)
    log_ratio = log_odds + math.log(len(source) / len(target))
    return np.exp(np.clip(log_ratio, -MAX_LOG_DENSITY_RATIO, MAX_LOG_DENSITY_RATIO))
