"""From what training hands over to what the result file holds: probabilities become scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from amanda.metrics import SCORES, evaluate
from amanda.predictions import Predictions
from amanda.records import LAST, ORACLE, EpochRecord, RunRecord, Selection
from amanda.result_schema import Score
from amanda.store.names import JOINT
from amanda.validator_quality import judge
from amanda.validators import VALIDATORS


def selection_order(names: Sequence[str]) -> list[str]:
    """Selections as files and pages list them: last, validators, others, oracle."""
    known = [LAST, *VALIDATORS]
    others = sorted(name for name in names if name not in (*known, ORACLE))
    return [name for name in (*known, *others, ORACLE) if name in names]


def score_run(run: RunRecord, label_names: Sequence[str]) -> dict[str, Any]:
    """One entry of `runs` in a result file."""
    names = selection_order(list(run.selections))
    selections = {
        name: _selection(run.selections[name], run.test.label, label_names) for name in names
    }
    return {
        "seed": run.seed,
        "fold": run.fold,
        "wall_s": run.wall_s,
        "epochs": [_epoch(number, e) for number, e in enumerate(run.epochs, start=1)],
        "selections": selections,
        "test_f1": [{"epoch": e, "weighted_f1": value} for e, value in run.test_f1.items()],
        "selection_quality": judge(
            {number: e.validators for number, e in enumerate(run.epochs, start=1)},
            run.test_f1,
            {name: chosen["weighted_f1"] for name, chosen in selections.items()},
        ),
        "balance": run.balance and asdict(run.balance),
    }


def _epoch(number: int, epoch: EpochRecord) -> dict[str, Any]:
    return {"epoch": number, **asdict(epoch)}


def _selection(
    chosen: Selection, label: Int[np.ndarray, "n"], label_names: Sequence[str]
) -> dict[str, Any]:
    joint = score_branch(label, chosen.probabilities[JOINT], label_names)
    branches = {
        name: score_branch(label, probabilities, label_names)
        for name, probabilities in chosen.probabilities.items()
        if name != JOINT
    }
    for branch in branches.values():
        for key in ("confusion", "label_marginals"):
            del branch[key]
    return {
        "epoch": chosen.epoch,
        "value": chosen.value,
        "used_target_labels": chosen.used_target_labels,
        "n_unpredicted": len(label) - joint["n"],
        **joint,
        "branches": branches,
    }


def score_branch(
    label: Int[np.ndarray, "n"],
    probabilities: Float32[np.ndarray, "n classes"],
    label_names: Sequence[str],
) -> dict[str, Any]:
    """`evaluate` on the rows that the branch could predict (the others are all NaN)."""
    present = ~np.isnan(probabilities).all(axis=1)
    return evaluate(label[present], probabilities[present], label_names)


def aggregate(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean, sample standard deviation and values of each metric, by selection.

    Args:
        runs: the `selections` of each run.
    """
    names = selection_order([*{name: None for run in runs for name in run}])
    return {
        name: {
            metric: _score([run[name][metric] for run in runs if name in run]) for metric in SCORES
        }
        for name in names
    }


def _score(values: list[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return Score(
        mean=float(np.mean(known)) if known else None,
        std=float(np.std(known, ddof=1)) if len(known) > 1 else None,
        values=values,
    ).model_dump()


def prediction_blocks(run_id: str, runs: Sequence[RunRecord]) -> Iterator[Predictions]:
    """The rows of the predictions file, in its order."""
    for run in runs:
        for name in selection_order(list(run.selections)):
            yield Predictions(
                run_id=run_id,
                seed=run.seed,
                fold=run.fold,
                selection=name,
                ids=run.test.ids,
                speakers=run.test.speakers,
                label=run.test.label,
                probabilities=run.selections[name].probabilities[JOINT],
            )
