"""What training hands to the result file: one `RunRecord` a seed, kept on disk between seeds.

No metric is computed here: a record holds probabilities, `amanda.results` turns them into metrics.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from amanda.store.atomic import atomic_path

LAST, ORACLE = "last", "oracle"
"""Names of the two selections that are not a validator's."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the model says at the end of an epoch.

    Attributes:
        epoch: counted from 1.
        validators: those that could be computed, by name.
        test: branch to probabilities of the target's test rows.
    """

    epoch: int
    validators: Mapping[str, float]
    test: Mapping[str, Float32[np.ndarray, "n classes"]]


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch: means over its steps, and validators after its last step.

    Attributes:
        loss: each term as it enters the sum, weight included, and their sum, "total".
        alignment: Eq. 9 by modality and "joint"; empty for a method that sees no target rows.
        alignment_relative: the same over ‖C_s‖·‖C_t‖, which does not change with scale.
        psi: weights of Eq. 13 by modality and "joint"; empty without a surrogate.
        label_prior: shares by class that Eq. 8 drew to, where they were estimated; else empty.
        validators: by name; empty for an epoch that was not evaluated.
        lr: Adam's learning rate in the epoch's last step.
    """

    loss: Mapping[str, float]
    alignment: Mapping[str, float] = field(default_factory=dict)
    alignment_relative: Mapping[str, float] = field(default_factory=dict)
    psi: Mapping[str, float] = field(default_factory=dict)
    label_prior: Mapping[str, float] = field(default_factory=dict)
    validators: Mapping[str, float] = field(default_factory=dict)
    lr: float


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The predictions of the epoch that one rule chose.

    Attributes:
        epoch: counted from 1.
        value: what the rule saw at that epoch; None for "last".
        used_target_labels: true for the oracle alone.
        probabilities: branch ("joint" and each modality) to the class probabilities of the target's
            test rows, in the order of `TestRows`; NaN where a row lacks that modality.
    """

    epoch: int
    value: float | None
    used_target_labels: bool
    probabilities: Mapping[str, Float32[np.ndarray, "n classes"]]


@dataclass(frozen=True, kw_only=True)
class TestRows:
    """The target's test utterances; `label` is -1 where there is none.

    They are for measuring and for the oracle; no other part of training receives them.
    """

    __test__ = False  # not a test class, whatever its name says

    ids: Sequence[str]
    speakers: Sequence[str]
    label: Int[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Balance:
    """How evenly the last epoch's model aligns the modalities; `amanda.balance` defines each part.

    Attributes:
        loss, relative, floor: by modality and "joint".
        proxy_a_distance: the same; None where a domain has too few rows.
        index, index_floor, index_relative: imbalance of the modalities' losses, of what noise alone
            gives, and of the losses free of scale; None for one modality.
        psi, pull: weights at these losses; empty without a surrogate.
    """

    loss: Mapping[str, float]
    relative: Mapping[str, float]
    floor: Mapping[str, float]
    proxy_a_distance: Mapping[str, float | None]
    index: float | None
    index_floor: float | None
    index_relative: float | None
    psi: Mapping[str, float]
    pull: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One training with one seed.

    Attributes:
        test: the rows that every selection's probabilities belong to.
        selections: "last", each validator's, and "oracle" (absent where no test row has a label).
        test_f1: weighted F1 of each evaluated epoch on the labelled test rows, for judging what
            chose an epoch; empty without labels.
        balance: None where a training sees one domain alone.
        wall_s: the training's wall time.
    """

    seed: int
    fold: int
    test: TestRows
    epochs: Sequence[EpochRecord]
    selections: Mapping[str, Selection]
    test_f1: Mapping[int, float] = field(default_factory=dict)
    balance: Balance | None = None
    wall_s: float


def write_run(path: Path, run: RunRecord) -> None:
    """Keep `run` at `path` (.npz), whole or not at all, for `read_run`."""
    arrays: dict[str, np.ndarray] = {}
    selections = {}
    for name, chosen in run.selections.items():
        selections[name] = {
            "epoch": chosen.epoch,
            "value": chosen.value,
            "used_target_labels": chosen.used_target_labels,
        }
        for branch, probabilities in chosen.probabilities.items():
            arrays[f"{name}/{branch}"] = probabilities
    head = {
        "seed": run.seed,
        "fold": run.fold,
        "wall_s": run.wall_s,
        "ids": list(run.test.ids),
        "speakers": list(run.test.speakers),
        "label": [int(label) for label in run.test.label],
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "selections": selections,
        "test_f1": list(run.test_f1.items()),
        "balance": run.balance and asdict(run.balance),
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, head=np.asarray(json.dumps(head)), **arrays)  # type: ignore[arg-type]


def read_run(path: Path) -> RunRecord:
    """A run as `write_run` kept it."""
    with np.load(path, allow_pickle=False) as stored:
        head = json.loads(str(stored["head"]))
        probabilities: dict[str, dict[str, np.ndarray]] = {}
        for key in stored.files:
            if key != "head":
                name, _, branch = key.partition("/")
                probabilities.setdefault(name, {})[branch] = stored[key]
    return RunRecord(
        seed=head["seed"],
        fold=head["fold"],
        test=TestRows(
            ids=head["ids"], speakers=head["speakers"], label=np.asarray(head["label"], np.int64)
        ),
        epochs=[EpochRecord(**epoch) for epoch in head["epochs"]],
        selections={
            name: Selection(**chosen, probabilities=probabilities[name])
            for name, chosen in head["selections"].items()
        },
        test_f1={int(epoch): value for epoch, value in head["test_f1"]},
        balance=head["balance"] and Balance(**head["balance"]),
        wall_s=head["wall_s"],
    )
