"""How good validators are at choosing an epoch, judged by the target's test labels afterwards.

Nothing here chooses: it says, once labels are looked at, what each label-free choice cost.

- **Rank correlation**: Spearman's, over the evaluated epochs of a run, between a validator's value
  (its sign turned where lower is better) and weighted F1 on the target's test split. 1 is a
  validator that orders the epochs as their labels do; 0 one that knows nothing.
- **Regret**: weighted F1 of the oracle's epoch minus that of the chosen one, a fraction ≥ 0.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from amanda.metrics import count_confusion, weighted_f1
from amanda.records import ORACLE, Evaluation, TestRows
from amanda.store.names import JOINT
from amanda.validators import VALIDATORS


def score_epochs(evaluations: Sequence[Evaluation], test: TestRows) -> dict[int, float]:
    """Weighted F1 on the labelled test rows by evaluated epoch; {} where no row has a label."""
    known = test.label >= 0
    if not known.any():
        return {}
    scores = {}
    for evaluation in evaluations:
        p = evaluation.test[JOINT][known]
        # A row without any usable modality has no prediction and enters no score.
        predicted = ~np.isnan(p).any(axis=1)
        counts = count_confusion(
            test.label[known][predicted], p[predicted].argmax(axis=1), p.shape[1]
        )
        scores[evaluation.epoch] = float(weighted_f1(counts))
    return scores


def judge(
    validators: Mapping[int, Mapping[str, float]],
    test_f1: Mapping[int, float],
    chosen_f1: Mapping[str, float | None],
) -> dict[str, dict[str, float | None]]:
    """Rank correlation and regret of each selection but the oracle.

    Args:
        validators: values by name of each evaluated epoch.
        test_f1: of `score_epochs`.
        chosen_f1: weighted F1 of each selection's epoch, "oracle" among them.

    Returns:
        By selection `rank_correlation` (None for "last", and where it is not defined) and
        `regret`; {} where the target has no labels.
    """
    best = chosen_f1.get(ORACLE)
    if best is None:
        return {}
    quality: dict[str, dict[str, float | None]] = {}
    for name, value in chosen_f1.items():
        if name == ORACLE or value is None:
            continue
        correlation = None
        if name in VALIDATORS:
            sign = 1.0 if VALIDATORS[name].direction == "max" else -1.0
            epochs = [e for e in test_f1 if name in validators.get(e, {})]
            correlation = rank_correlation(
                np.array([sign * validators[e][name] for e in epochs]),
                np.array([test_f1[e] for e in epochs]),
            )
        quality[name] = {"rank_correlation": correlation, "regret": best - value}
    return quality


def rank_correlation(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> float | None:
    """Spearman's ρ, ties sharing their mean rank; None for fewer than three pairs, or where one
    side is constant or not finite."""
    if len(x) < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    ranks = [_ranks(values) for values in (x, y)]
    if any(r.std() == 0 for r in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return ((last - count + 1 + last) / 2)[place]
