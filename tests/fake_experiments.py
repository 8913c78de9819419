"""Made-up trainings for a whole budget of experiments: every file of the plan, none trained."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fake_results import fake_features, fake_method_result

from amanda.config import parse_config
from amanda.experiments import Experiments
from amanda.experiments_tables import parse_cell, write_counts, write_table
from amanda.representations import Representations, write_representations
from amanda.store.names import STANDIN, split_pair

LEVELS = {"direct_transfer": 0.5, "dann": 0.47, "cdan": 0.53, "cdan_e": 0.55, "mada": 0.54}


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The working folder is `folder`: plans name files relative to it."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def plan_of(
    folder: Path, corpora: tuple[str, ...] = ("ie", "msp"), **values: object
) -> Experiments:
    """The experiments of a config whose corpora are feature files in `folder`."""
    config = {
        "corpora": {name: {"features": str(folder / f"{name}.h5")} for name in corpora},
        "train": {"batch_size": 32},
        **values,
    }
    return Experiments(parse_config(config))


def fake_experiments(
    folder: Path,
    *,
    corpora: tuple[str, ...] = ("ie", "msp"),
    origin: str = STANDIN,
    n: int = 240,
    **values: object,
) -> Experiments:
    """Write feature files, every result of the plan, and the tables, below `folder`."""
    for number, name in enumerate(corpora):
        fake_features(folder / f"{name}.h5", name, n=n, origin=origin, seed=number)
    experiments = plan_of(folder, corpora, **values)
    for training in experiments.trainings:
        fake_training(folder, training)
    with inside(folder):
        for table in experiments.tables:
            cells = [parse_cell(str(cell)) for cell in experiments.cells(table)]
            write_table(table, cells, experiments.budget.name, folder / "results" / f"{table}.json")
        write_counts([folder / f"{name}.h5" for name in corpora], Path("results/table7.json"))
    return experiments


def fake_training(folder: Path, training: object) -> None:
    """One result file with its predictions and representations."""
    settings = training.settings
    source, target = split_pair(training.pair)
    level = LEVELS.get(settings.method, 0.6 - 0.05 * settings.alpha2)
    if settings.method == "supervised":
        level = 0.8
    changed = {
        key: value
        for key, value in settings.changed().items()
        if key not in ("method", "surrogate", "seeds", "epochs")
    }
    result = folder / training.result
    fake_method_result(
        result,
        folder / f"{source}.h5",
        folder / f"{target}.h5",
        method=settings.method,
        surrogate=settings.surrogate,
        level=level,
        seeds=settings.seeds,
        n_epochs=settings.epochs,
        **changed,
    )
    rng = np.random.default_rng(len(settings.method))
    shift = 3.0 if settings.method == "direct_transfer" else 0.5
    label = [rng.integers(0, 4, k) for k in (120, 60)]
    rows = [2 * np.eye(4, 12)[each] + rng.normal(0, 0.6, (len(each), 12)) for each in label]
    write_representations(
        folder / training.representations,
        Representations(
            source=rows[0].astype(np.float32),
            target=(rows[1] + shift).astype(np.float32),
            source_label=label[0],
            target_label=label[1],
        ),
    )
