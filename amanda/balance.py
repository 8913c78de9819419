"""How evenly the modalities are aligned: one number a training, with what noise alone would give.

The paper shows curves of L_m / Σ L_m over batches. A batch's covariance is noisy, and Eq. 9 has no
divisor, so such curves fall when representations shrink and differ where modalities have different
scales, whether or not the domains meet. Here both are measured apart, once a training, on the
whole train splits, with the last epoch's model in evaluation mode:

- **loss**: Eq. 9 of each branch, in the space and with the moment of the settings.
- **floor**: what Eq. 9 would be on average if both domains were one, by sampling alone. A split in
  halves gives 4·V/n for a domain of n rows with ‖Ĉ − C‖² ≈ V/n, so the floor V_s/n_s + V_t/n_t is
  (half_s + half_t) / 4, each half's loss averaged over random splits.
- **relative**: loss over ‖C_s‖·‖C_t‖, which does not change with scale.
- **proxy A-distance**: 2·(1 − 2ε), ε the held-out error of a linear classifier between the domains
  (Ben-David et al., "A theory of learning from different domains", Machine Learning 79, 2010): 0
  where they cannot be told apart, 2 where they always can.
- **index**: imbalance of the modalities' losses, the joint branch left out. With shares
  s_m = L_m / Σ L_m of M modalities it is M / (2(M − 1)) · Σ_m |s_m − 1/M|: 0 when all are equal, 1
  when one modality has all of the loss.
- **pull**: ψ_m + ψ_joint. Modality m's covariance is a diagonal block of the joint one, so the
  joint loss contains L_m and pulls on it too; ψ_m alone understates what Eq. 12 does.
"""

import math
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from amanda.batches import LabelledSplit, Packer, UnlabelledSplit
from amanda.methods import method_class
from amanda.methods._base import alignment_losses
from amanda.networks import Model, Outputs
from amanda.records import Balance
from amanda.settings import RunSettings
from amanda.store.names import JOINT
from amanda.surrogates import parse_surrogate, psi
from amanda.training_data import TrainingData

N_HALVINGS = 8
MAX_ROWS = 1000
_ROWS_AT_ONCE = 128
_LEAST_ROWS = 8


def measure_balance(
    model: Model, data: TrainingData, settings: RunSettings, seed: int, device: torch.device
) -> Balance | None:
    """The balance of a trained model, which is in evaluation mode; None without two domains.

    A model trained on the target's labels has seen one domain alone, and a target without a train
    split has nothing to measure.
    """
    rows = min(len(data.labelled_train), len(data.target_train))
    if method_class(settings.method).labelled == "target" or rows < _LEAST_ROWS:
        return None
    packer, generator = Packer(device), np.random.default_rng([seed, 3])
    source = _outputs(model, data.labelled_train, packer)
    target = _outputs(model, data.target_train, packer)
    plain, relative = alignment_losses(source, target, settings)
    loss, scale_free = _floats(plain), _floats(relative)
    halves = [_half_loss(outputs, settings, generator) for outputs in (source, target)]
    floor = {branch: (halves[0][branch] + halves[1][branch]) / 4 for branch in loss}
    modalities = source.modalities
    return Balance(
        loss=loss,
        relative=scale_free,
        floor=floor,
        proxy_a_distance={
            branch: _proxy_a_distance(source, target, branch, generator)
            for branch in source.branches
        },
        index=imbalance([loss[m] for m in modalities]),
        index_floor=imbalance([floor[m] for m in modalities]),
        index_relative=imbalance([scale_free[m] for m in modalities]),
        **_weights(loss, modalities, settings),
    )


def imbalance(losses: Float[np.ndarray, "modalities"] | list[float]) -> float | None:
    """The index of the module's docstring; 0 where all losses are 0, None for fewer than two
    modalities or where one has no loss (NaN).

    >>> imbalance([1.0, 1.0, 1.0]), imbalance([5.0, 0.0, 0.0])
    (0.0, 1.0)
    """
    n, total = len(losses), float(np.sum(losses))
    if n < 2 or not math.isfinite(total):
        return None
    if total == 0:
        return 0.0
    shares = np.asarray(losses) / total
    return float(n / (2 * (n - 1)) * np.abs(shares - 1 / n).sum())


def _weights(
    loss: Mapping[str, float], modalities: list[str], settings: RunSettings
) -> dict[str, dict[str, float]]:
    """ψ and pull at the whole splits' losses; empty for a method without a surrogate."""
    if settings.method != "amanda":
        return {"psi": {}, "pull": {}}
    over = [b for b in loss if b != JOINT or settings.surrogate_over == "all"]
    at = torch.tensor([loss[branch] for branch in over], dtype=torch.float64)
    weights = dict(zip(over, psi(parse_surrogate(settings.surrogate), at).tolist(), strict=True))
    # Only covariances of representations hold the single ones as blocks.
    inside = weights.get(JOINT, 0.0) if settings.alignment_space == "representation" else 0.0
    return {"psi": weights, "pull": {m: weights[m] + inside for m in modalities}}


@torch.no_grad()
def _outputs(model: Model, split: LabelledSplit | UnlabelledSplit, packer: Packer) -> Outputs:
    """What the model says of a whole split."""
    parts = []
    for start in range(0, len(split), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(split)))
        parts.append(model(packer([(split.sequences, rows)])))
    branches, present = parts[0].branches, None
    if any(part.present is not None for part in parts):
        present = {
            m: torch.cat([_presence(part, m) for part in parts]) for m in parts[0].modalities
        }
    return Outputs(
        {b: torch.cat([part.representation[b] for part in parts]) for b in branches},
        {b: torch.cat([part.logits[b] for part in parts]) for b in branches},
        present,
    )


def _presence(part: Outputs, modality: str) -> torch.Tensor:
    if part.present is not None:
        return part.present[modality]
    z = part.representation[modality]
    return torch.ones(len(z), dtype=torch.bool, device=z.device)


def _rows(outputs: Outputs, rows: Int[np.ndarray, "n"]) -> Outputs:
    at = torch.from_numpy(rows).to(outputs.logits[JOINT].device)
    present = outputs.present
    return Outputs(
        {branch: values[at] for branch, values in outputs.representation.items()},
        {branch: values[at] for branch, values in outputs.logits.items()},
        None if present is None else {m: values[at] for m, values in present.items()},
    )


def _half_loss(
    outputs: Outputs, settings: RunSettings, generator: np.random.Generator
) -> dict[str, float]:
    """Eq. 9 between two random halves of one domain, by branch, mean over `N_HALVINGS` splits."""
    n = len(outputs.logits[JOINT])
    sums = dict.fromkeys(outputs.branches, 0.0)
    for _ in range(N_HALVINGS):
        order = generator.permutation(n)
        first, second = _rows(outputs, order[: n // 2]), _rows(outputs, order[n // 2 :])
        for branch, value in _floats(alignment_losses(first, second, settings)[0]).items():
            sums[branch] += value / N_HALVINGS
    return sums


def _floats(values: Mapping[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _proxy_a_distance(
    source: Outputs, target: Outputs, branch: str, generator: np.random.Generator
) -> float | None:
    """Of the branch's representations, over the utterances that have its modality."""
    domains = [_evidence(source, branch), _evidence(target, branch)]
    return proxy_a_distance(domains[0], domains[1], generator)


def _evidence(outputs: Outputs, branch: str) -> Float[np.ndarray, "n dim"]:
    z, rows = outputs.representation[branch], outputs.rows_present(branch)
    return (z if rows is None else z[rows]).double().cpu().numpy()


def proxy_a_distance(
    source: Float[np.ndarray, "n dim"],
    target: Float[np.ndarray, "m dim"],
    generator: np.random.Generator,
) -> float | None:
    """2·(1 − 2ε) with the error ε of logistic regression, trained on one half and tested on the
    other, both ways round, with as many rows of each domain, at most `MAX_ROWS`.

    None for fewer than 8 rows of a domain. Sampling can put it a little below 0.
    """
    n = min(len(source), len(target), MAX_ROWS)
    n -= n % 2
    if n < _LEAST_ROWS:
        return None
    x = np.concatenate([z[generator.permutation(len(z))[:n]] for z in (source, target)])
    scale = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    domain, half = np.repeat([0, 1], n), np.tile(np.arange(n) < n // 2, 2)
    errors = []
    for train in (half, ~half):
        classifier = LogisticRegression(max_iter=100)
        with warnings.catch_warnings():
            # An error rate needs the boundary's place, not its last digits.
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(x[train], domain[train])
        errors.append(float((classifier.predict(x[~train]) != domain[~train]).mean()))
    distance = 2 * (1 - 2 * float(np.mean(errors)))
    return distance if math.isfinite(distance) else None
