"""How many trainings of the experiments are done, and when the rest will be.

The workflow writes the plan once it starts (`PLAN`); what is finished is read from the files that
trainings leave, and how long one takes from `bench_logs/`. Before the first has finished, time is
projected from a stated measure, and the sentence says which.
"""

import contextlib
import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict, ValidationError

from amanda.config import CorpusConfig
from amanda.experiments import Experiments, Training
from amanda.paper_tables import paper_counts
from amanda.store.atomic import write_text
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.names import split_pair

PLAN = "results/paper.plan.json"

START_S = 6.0
"""Seconds until a job trains."""
SECONDS_PER_UTTERANCE = {"embedded": 0.0086, "paper": 0.021}
"""Seconds on one core for an utterance of the longer train split in one epoch, by profile.

`embedded`: 53 jobs, 118 trainings of 40 epochs and 255 utterances, took 9978 s of CPU time, two
jobs side by side on two cores (`results/paper.html`). `paper`: 41 s an epoch of 3,868 utterances on
two cores (`python -m benchmarks.training_run`).
"""
SOURCE_ONLY = 0.55
"""The same of a method that sees one domain alone, over that of others: 75 to 105 s of 164."""


class Entry(BaseModel):
    """One training of the plan: a method on a pair.

    Attributes:
        n_runs: seeds times folds.
        seconds: projected for all its runs; None where nothing is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pair: str
    run_id: str
    label: str
    n_runs: int
    seconds: float | None


class Plan(BaseModel):
    """The trainings of the experiments.

    Attributes:
        n_parallel: trainings at once.
        basis: what `seconds` of the entries were projected from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: str
    n_parallel: int
    basis: str
    entries: list[Entry]

    @property
    def n_trainings(self) -> int:
        return sum(entry.n_runs for entry in self.entries)


def make_plan(experiments: Experiments, n_parallel: int) -> Plan:
    """The plan of a config, each training's time projected."""
    given = experiments.config.experiments.seconds_per_training
    entries = []
    for training in experiments.trainings:
        settings = training.settings
        n_runs = settings.seeds * settings.n_folds
        each = given or _stated_seconds(experiments, training)
        entries.append(
            Entry(
                pair=training.pair,
                run_id=settings.run_id,
                label=settings.label,
                n_runs=n_runs,
                seconds=None if each is None else START_S + each * n_runs,
            )
        )
    basis = "as configured" if given else "from the corpora's sizes and a stated measure"
    return Plan(
        budget=experiments.budget.name, n_parallel=max(1, n_parallel), basis=basis, entries=entries
    )


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan for `amanda progress`."""
    write_text(path, json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_plan(path: Path) -> Plan:
    """A plan as `write_plan` left it.

    Raises:
        InputError: there is none, or it is no plan.
    """
    try:
        return Plan.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: no plan there ({error.strerror}); snakemake writes it when it starts on "
            "results/paper.html"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a plan of experiments; delete it and start again") from error


@dataclass(frozen=True)
class Progress:
    """Where a plan stands.

    Attributes:
        n_done: trainings done (seeds count).
        n_trainings: of all.
        left_s: time for the rest; None where it cannot be told.
        basis: what `left_s` was worked out from.
    """

    budget: str
    n_done: int
    n_trainings: int
    n_parallel: int
    left_s: float | None
    basis: str

    def to_text(self, now: datetime.datetime | None = None) -> str:
        """One or two sentences, with the time of day at which it ends."""
        head = (
            f"Experiments, budget {self.budget}: {self.n_done} of {self.n_trainings} trainings done"
        )
        if self.n_done == self.n_trainings:
            return head + "."
        if self.left_s is None:
            return head + "; when it ends can be told once one has finished."
        end = (now or datetime.datetime.now()) + datetime.timedelta(seconds=self.left_s)
        when = f"{end:%H:%M}" if self.left_s < 86400 else f"{end:%d %B %H:%M}"
        at_once = f", {self.n_parallel} at a time" if self.n_parallel > 1 else ""
        return f"{head}; {duration(self.left_s)} left{at_once}, until {when} ({self.basis})."


def measure(plan: Plan, root: Path) -> Progress:
    """Where `plan` stands in a working folder.

    Args:
        root: the folder that holds results/ and bench_logs/.
    """
    done = {entry: _n_finished(entry, Path(root)) for entry in plan.entries}
    by_pair: dict[str, list[float]] = {}
    for entry in plan.entries:
        seconds = _measured_s(entry, Path(root)) if done[entry] == entry.n_runs else None
        if seconds is not None:
            by_pair.setdefault(entry.pair, []).append(seconds / entry.n_runs)
    every = [seconds for each in by_pair.values() for seconds in each]
    left: float | None = 0.0
    for entry in plan.entries:
        missing = entry.n_runs - done[entry]
        if not missing or left is None:
            continue
        if every:
            left += missing * fmean(by_pair.get(entry.pair, every))
        elif entry.seconds is not None:
            left += missing * entry.seconds / entry.n_runs
        else:
            left = None
    basis = f"from {len(every)} finished runs" if every else plan.basis
    return Progress(
        budget=plan.budget,
        n_done=sum(done.values()),
        n_trainings=plan.n_trainings,
        n_parallel=plan.n_parallel,
        left_s=None if left is None else left / plan.n_parallel,
        basis=basis,
    )


def duration(seconds: float) -> str:
    """'45 s', '12 min', '3 h 05 min', '4 days 2 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} days {hours % 24} h"


def _n_finished(entry: Entry, root: Path) -> int:
    folder = root / "results/runs" / entry.pair
    if (folder / f"{entry.run_id}.json").is_file():
        return entry.n_runs
    kept = folder.glob(f".{entry.run_id}.*.unfinished/**/seed-*.npz")
    return min(sum(1 for _ in kept), entry.n_runs)


def _measured_s(entry: Entry, root: Path) -> float | None:
    """Wall time of the job by Snakemake's benchmark, else (by hand, or just now) by its result."""
    bench = root / "bench_logs/train" / entry.pair / f"{entry.run_id}.tsv"
    result = root / "results/runs" / entry.pair / f"{entry.run_id}.json"
    try:
        if bench.is_file():
            # The first column of the second line is seconds.
            return float(bench.read_text(encoding="utf-8").splitlines()[1].split("\t")[0])
        found = re.findall(r'"wall_s": ([0-9.e+-]+)', result.read_text(encoding="utf-8"))
        return sum(map(float, found)) or None
    except (OSError, IndexError, ValueError):
        return None


def _stated_seconds(experiments: Experiments, training: Training) -> float | None:
    """One seed of a training, all its threads at work, from the longer train split."""
    config, pair = experiments.config, training.pair
    share = SOURCE_ONLY if training.settings.method in ("direct_transfer", "supervised") else 1.0
    profiles = {config.corpora[name].profile or config.profile for name in split_pair(pair)}
    kind = "embedded" if profiles == {"embedded"} else "paper"
    counts = [_n_train(name, config.corpora[name]) for name in split_pair(pair)]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    of_one_core = SECONDS_PER_UTTERANCE[kind] * experiments.budget.epochs * max(known)
    return share * of_one_core / config.resources.train.threads


def _n_train(name: str, corpus: CorpusConfig) -> int | None:
    """Utterances of the train split: counted where features are there, else as published."""
    features = Path(corpus.features or f"features/{name}.h5")
    if features.is_file():
        with contextlib.suppress(InputError), FeatureFile(features) as file:
            return len(file.rows("train"))
    if corpus.standin is not None:
        return corpus.standin.utterances * 17 // 24
    published = paper_counts(corpus.reader or name) if corpus.root else {}
    return sum(splits["train"] for splits in published.values()) or None


def describe_projection(plan: Plan, progress: Progress) -> Sequence[str]:
    """What is printed before anything starts: the work, and its time."""
    lines = [progress.to_text()]
    if plan.budget == "paper":
        lines.append(
            "Budget paper trains everything that the paper reports. A projection on another "
            "machine or a GPU holds only once trainings have finished there; `amanda progress` "
            "then says anew."
        )
    return lines
