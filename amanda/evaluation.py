"""What a model says at the end of an epoch, and which epoch each rule chooses by it.

Everything is in evaluation mode. Validators read val splits, and fixed samples of both train splits
for DEV; the target's test split is predicted too, but only the oracle chooses by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from sklearn.metrics import f1_score
from torch.nn import functional

from amanda.batches import LabelledSplit, Packer, Rows, UnlabelledSplit
from amanda.networks import Model, Outputs
from amanda.records import LAST, ORACLE, Evaluation, Selection, TestRows
from amanda.store.names import JOINT
from amanda.training_data import TrainingData
from amanda.validators import VALIDATORS, ValidatorInputs, select_epoch, validate

_ROWS_AT_ONCE = 128


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A model's answers on n utterances.

    Attributes:
        probabilities: branch to (n, classes); NaN rows where the branch's modality is missing.
        features: (n, M·d) joint representation.
    """

    probabilities: Mapping[str, Float32[np.ndarray, "n classes"]]
    features: Float32[np.ndarray, "n dim"]


@torch.no_grad()
def predict(
    model: Model,
    split: LabelledSplit | UnlabelledSplit,
    packer: Packer,
    rows: Rows | None = None,
) -> Predictions:
    """The answers of `model`, which is in evaluation mode, on `rows` of a split (None: all)."""
    rows = np.arange(len(split)) if rows is None else rows
    probabilities: dict[str, list[np.ndarray]] = {}
    features = [np.empty((0, model.dim * len(model.encoders)), np.float32)]
    for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        outputs = model(packer([(split.sequences, block)]))
        features.append(outputs.representation[JOINT].cpu().numpy())
        for branch, p in branch_probabilities(outputs).items():
            probabilities.setdefault(branch, []).append(p)
    return Predictions(
        probabilities={branch: np.concatenate(p) for branch, p in probabilities.items()},
        features=np.concatenate(features),
    )


def branch_probabilities(outputs: Outputs) -> dict[str, Float32[np.ndarray, "n classes"]]:
    """Class probabilities of each branch; NaN rows where its modality is missing."""
    result = {}
    for branch in outputs.branches:
        p = functional.softmax(outputs.logits[branch], dim=1)
        rows = outputs.rows_present(branch)
        if rows is not None:
            p = torch.where(rows[:, None], p, torch.nan)
        result[branch] = p.cpu().numpy()
    return result


class Evaluator:
    """Evaluates a model after an epoch.

    DEV compares the train splits on a fixed random sample of each, as large as the target's val
    split, so that it costs no more than the other validators.
    """

    def __init__(
        self,
        data: TrainingData,
        seed: int,
        device: torch.device,
        packer: Packer | None = None,
    ):
        self.data, self.packer = data, packer or Packer(device)
        generator = np.random.default_rng([seed, 2])
        n = len(data.target_val)
        self.samples = [
            generator.permutation(len(train))[:n]
            for train in (data.labelled_train, data.target_train)
        ]

    def __call__(self, model: Model, epoch: int) -> Evaluation:
        """Evaluate; the model is in training mode before and after."""
        model.eval()
        data, packer = self.data, self.packer
        val = predict(model, data.labelled_val, packer)
        train = predict(model, data.labelled_train, packer, self.samples[0])
        target_train = predict(model, data.target_train, packer, self.samples[1])
        target_val = predict(model, data.target_val, packer)
        test = predict(model, data.target_test, packer)
        model.train()
        inputs = ValidatorInputs(
            source_val_label=data.labelled_val.label,
            source_val_probabilities=val.probabilities[JOINT],
            source_val_features=val.features,
            source_train_features=train.features,
            target_train_features=target_train.features,
            target_val_probabilities=target_val.probabilities[JOINT],
        )
        scores = {name: value for name, value in validate(inputs).items() if value is not None}
        return Evaluation(epoch=epoch, validators=scores, test=test.probabilities)


def select(evaluations: Sequence[Evaluation], test: TestRows) -> dict[str, Selection]:
    """What each rule chooses: "last", every validator, and the oracle where there are labels."""
    chosen = {LAST: _selection(evaluations[-1], None)}
    for name, validator in VALIDATORS.items():
        values = [evaluation.validators.get(name) for evaluation in evaluations]
        best = select_epoch(values, validator.direction)
        if best is not None:
            chosen[name] = _selection(evaluations[best], values[best])
    known = test.label >= 0
    if known.any():
        label = test.label[known]
        scores: list[float | None] = []
        for evaluation in evaluations:
            guess = evaluation.test[JOINT][known].argmax(axis=1)
            scores.append(float(f1_score(label, guess, average="weighted", zero_division=0)))
        best = select_epoch(scores, "max")
        assert best is not None
        chosen[ORACLE] = _selection(evaluations[best], scores[best], used_target_labels=True)
    return chosen


def _selection(
    evaluation: Evaluation, value: float | None, *, used_target_labels: bool = False
) -> Selection:
    return Selection(
        epoch=evaluation.epoch,
        value=value,
        used_target_labels=used_target_labels,
        probabilities=evaluation.test,
    )
