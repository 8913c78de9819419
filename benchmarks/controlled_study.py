"""A controlled study: corpora whose domain gap is known, in one modality alone or in labels alone.

    python -m benchmarks.controlled_study --work results/controlled-study

All corpora are generated in one layout, without traits of their own ("ref"), so that the two
domains of a cell differ by what the cell says and by who speaks. Cells: no gap; light (visual),
noise (acoustic) and wording (lexical), each at three strengths; other class shares at three
strengths. Printed as Markdown: weighted F1 by method with the imbalance index, where the gap is
seen, and label alignment with each prior under label shift. The last line is one JSON object.

Every corpus, feature file and training is kept in the working folder, so the command goes on where
it was; what is left is projected before anything starts. `--cells` limits it to some.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAYOUT, SOURCE = "msp", "ref"
STRENGTHS = (0.5, 1.0, 2.0)
NO_GAP = {"visual": 0.0, "acoustic": 0.0, "lexical": 0.0}
GAPS = {"light": "visual", "noise": "acoustic", "wording": "lexical"}
SOURCE_SHARES = {"neutral": 0.3, "happy": 0.3, "sad": 0.2, "angry": 0.2}
FAR_SHARES = {"neutral": 0.05, "happy": 0.15, "sad": 0.3, "angry": 0.5}
SHIFTS = {"shift1": 1 / 3, "shift2": 2 / 3, "shift3": 1.0}
"""Share of the way from the source's class shares to `FAR_SHARES`."""

METHODS = {
    "direct_transfer": {"method": "direct_transfer"},
    "dann": {"method": "dann"},
    "without_ca": {"method": "amanda", "alpha2": 0.0},
    "norm:1": {"method": "amanda", "surrogate": "norm:1"},
    "norm:2": {"method": "amanda", "surrogate": "norm:2"},
    "norm:2 modalities": {
        "method": "amanda",
        "surrogate": "norm:2",
        "surrogate_over": "modalities",
    },
    "norm:inf": {"method": "amanda", "surrogate": "norm:inf"},
}
PRIORS = ("none", "source", "estimated", "given")

CPU_S_PER_CLIP, CPU_S_PER_ROW_EPOCH = 0.5, 0.008
"""For the projection alone, CPU times of one `make demo` on two cores by its benchmark files: 53 to
80 s to draw 360 utterances, 90 to 113 s to extract them, 330 to 350 s for 3 × 40 epochs of Amanda
on them; yours differs."""


@dataclass(frozen=True)
class Cell:
    """One target corpus and what is trained on it.

    Attributes:
        name: of the target corpus.
        gap: strength of traits by modality.
        shares: class shares of the target.
        methods: title to settings.
    """

    name: str
    gap: Mapping[str, float]
    shares: Mapping[str, float]
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: METHODS)


def cells() -> list[Cell]:
    """The thirteen cells, in the order of the page."""
    found = [Cell("none", NO_GAP, SOURCE_SHARES)]
    for name, modality in GAPS.items():
        for number, strength in enumerate(STRENGTHS, start=1):
            found.append(Cell(f"{name}{number}", NO_GAP | {modality: strength}, SOURCE_SHARES))
    for name, share in SHIFTS.items():
        shares = {
            c: round((1 - share) * SOURCE_SHARES[c] + share * FAR_SHARES[c], 6)
            for c in SOURCE_SHARES
        }
        found.append(Cell(name, NO_GAP, shares, _shift_methods(shares)))
    return found


def _shift_methods(shares: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Direct transfer, and Amanda with each prior of label alignment."""
    methods: dict[str, dict[str, Any]] = {"direct_transfer": {"method": "direct_transfer"}}
    for prior in PRIORS:
        methods[prior] = {"method": "amanda", "surrogate": "norm:2", "label_prior": prior}
    methods["given"]["given_prior"] = tuple(shares.values())
    return methods


# Making corpora and trainings


@dataclass(frozen=True)
class Job:
    """Commands that make one file, run one after another; skipped where the file is."""

    out: Path
    commands: tuple[tuple[str, ...], ...]
    cpu_s: float


def corpus_job(work: Path, name: str, seed: int, cell: Cell, n_utterances: int) -> Job:
    """A generated corpus, its manifest and its features."""
    folder, manifest = work / "data" / name, work / "manifests" / f"{name}.csv"
    features = work / "features" / f"{name}.h5"
    prior = ",".join(f"{c}={share:g}" for c, share in cell.shares.items())
    gap = ",".join(f"{m}={strength:g}" for m, strength in cell.gap.items())
    return Job(
        features,
        (
            (
                *("standin", "--corpus", LAYOUT, "--out", str(folder), "--seed", str(seed)),
                *("--utterances", str(n_utterances), "--prior", prior, "--gap", gap),
            ),
            (
                *("manifest", "--corpus", LAYOUT, "--root", str(folder)),
                *("--split", "paper", "--out", str(manifest)),
            ),
            (
                *("extract", "--manifest", str(manifest), "--corpus", name, "--device", "cpu"),
                *("--out", str(features)),
            ),
        ),
        CPU_S_PER_CLIP * n_utterances,
    )


def train_job(
    source: Path, target: Path, settings: Mapping[str, Any], out: Path, n_rows: int
) -> Job:
    """One method on one cell, all seeds."""
    from amanda.settings import RunSettings, to_flags

    made = RunSettings(**settings)
    command = (
        *("train", "--source", str(source), "--target", str(target), "--device", "cpu"),
        *("--workers", "1", "--out", str(out), *to_flags(made)),
    )
    return Job(out, (command,), CPU_S_PER_ROW_EPOCH * n_rows * made.epochs * made.seeds)


def run_jobs(jobs: Sequence[Job], n_processes: int) -> None:
    """Run what is not there yet, `n_processes` at a time, one thread each."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(job: Job) -> Job:
        for command in job.commands:
            done = subprocess.run(
                [sys.executable, "-m", "amanda.cli", *command],
                env=environment,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(f"amanda {' '.join(command)}: {done.stderr[-2000:]}")
        return job

    left = [job for job in jobs if not job.out.exists()]
    start_s = time.monotonic()
    with ThreadPoolExecutor(n_processes) as pool:
        for number, future in enumerate(as_completed([pool.submit(run, job) for job in left]), 1):
            job, taken = future.result(), time.monotonic() - start_s
            rest = taken / number * (len(left) - number)
            print(
                f"{number}/{len(left)} {job.out.name}, about {rest / 60:.0f} min left",
                file=sys.stderr,
            )


# Reading


def measure(result: Path, methods: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By title of a method: F1 over the runs, its difference from direct transfer, its balance.

    Args:
        result: merged result file of a cell.
        methods: title to full settings.
    """
    from amanda.comparison import compare
    from amanda.results import read_result
    from amanda.settings import RunSettings

    read = read_result(result)
    by_id = {method.run_id: method for method in read.file.methods}
    ids = {title: RunSettings(**settings).run_id for title, settings in methods.items()}
    found: dict[str, dict[str, Any]] = {}
    for title, run_id in ids.items():
        method = by_id[run_id]
        balances = [run.balance for run in method.runs if run.balance is not None]
        figures: dict[str, Any] = {
            "f1": method.aggregate["last"]["weighted_f1"].values,
            "index": _mean([b.index for b in balances]),
            "index_floor": _mean([b.index_floor for b in balances]),
            "index_relative": _mean([b.index_relative for b in balances]),
            "relative": _by_branch([b.relative for b in balances]),
            "proxy_a_distance": _by_branch([b.proxy_a_distance for b in balances]),
            "pull": _by_branch([b.pull for b in balances]),
        }
        if title != "direct_transfer":
            made = compare(read, [run_id], [ids["direct_transfer"]], n_resamples=2000)
            interval = made.differences[0].interval
            figures |= {
                "difference": interval.estimate,
                "low": interval.low,
                "high": interval.high,
            }
        found[title] = figures
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _by_branch(each: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    names = each[0] if each else {}
    return {name: _mean([values[name] for values in each]) for name in names}


# Printing


def markdown(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The tables of the cells that are there, as `measure` gives them by cell."""
    gaps = {name: f for name, f in figures.items() if not name.startswith("shift")}
    shifts = {name: f for name, f in figures.items() if name.startswith("shift")}
    parts = []
    if gaps:
        titles = list(METHODS)
        parts += [
            "### Weighted F1 (percent) by method\n",
            "Below, the difference from direct transfer with its 95% interval.\n",
            _table(gaps, titles, _f1_cell),
            "### Imbalance index of the alignment losses\n",
            "0: all modalities alike, 1: one has all of the loss. In brackets what sampling alone "
            "gives; then the index of the losses free of scale.\n",
            _table(gaps, titles, _index_cell),
            "### Where the gap is: proxy A-distance by modality, direct transfer\n",
            _table(gaps, ["direct_transfer"], _distance_cell),
            "### Pull on each modality, ψ_m + ψ_joint\n",
            _table(gaps, [t for t in titles if t.startswith("norm")], _pull_cell),
        ]
    if shifts:
        parts += [
            "### Label shift alone: label alignment with each prior, weighted F1 (percent)\n",
            _table(shifts, ["direct_transfer", *PRIORS], _f1_cell),
        ]
    return "\n".join(parts)


def _table(figures: Mapping[str, Mapping[str, Any]], titles: Sequence[str], cell: Any) -> str:
    lines = ["| cell | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for name, methods in figures.items():
        shown = [cell(methods[t]) if t in methods else "–" for t in titles]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _f1_cell(figures: Mapping[str, Any]) -> str:
    known = [value for value in figures["f1"] if value is not None]
    text = f"{100 * sum(known) / len(known):.1f}" if known else "–"
    if "difference" in figures:
        low, high = (100 * figures[key] for key in ("low", "high"))
        text += f" ({100 * figures['difference']:+.1f}: {low:+.1f} to {high:+.1f})"
    return text


def _index_cell(figures: Mapping[str, Any]) -> str:
    if figures["index"] is None:
        return "–"
    index, floor, relative = (figures[k] for k in ("index", "index_floor", "index_relative"))
    return f"{index:.2f} ({floor:.2f}); {relative:.2f}"


def _distance_cell(figures: Mapping[str, Any]) -> str:
    return _branches(figures["proxy_a_distance"])


def _pull_cell(figures: Mapping[str, Any]) -> str:
    return _branches(figures["pull"])


def _branches(values: Mapping[str, float | None]) -> str:
    shown = (f"{name} {'–' if v is None else f'{v:.2f}'}" for name, v in values.items())
    return ", ".join(shown) or "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("results/controlled-study"))
    parser.add_argument("--utterances", type=int, default=240, help="a corpus")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="as the demo's config")
    parser.add_argument("--batch-size", type=int, default=32, help="as the demo's config")
    parser.add_argument("--cells", default="", help="only these, as none,light1,shift3")
    parser.add_argument("--project", action="store_true", help="print the projection alone")
    parser.add_argument("--out", type=Path, help="write the Markdown here too")
    arguments = parser.parse_args()
    work, wanted = arguments.work, [c for c in arguments.cells.split(",") if c]
    if unknown := set(wanted) - {cell.name for cell in cells()}:
        parser.error(
            f"no cell {', '.join(unknown)}; there are {', '.join(c.name for c in cells())}"
        )
    chosen = [cell for cell in cells() if not wanted or cell.name in wanted]
    common = {
        "seeds": arguments.seeds,
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "eval_every": 5,
    }
    methods = {
        cell.name: {t: {**common, **changes} for t, changes in cell.methods.items()}
        for cell in chosen
    }
    plain = Cell(SOURCE, NO_GAP, SOURCE_SHARES)
    corpora = [corpus_job(work, SOURCE, 0, plain, arguments.utterances)]
    # One seed for every target: the same people say what the cell makes of it.
    corpora += [corpus_job(work, c.name, 1, c, arguments.utterances) for c in chosen]
    trainings = list(_trainings(work, methods, arguments.utterances))
    left = [job for job in (*corpora, *(j for _, j in trainings)) if not job.out.exists()]
    n_processes = len(os.sched_getaffinity(0))
    minutes = sum(job.cpu_s for job in left) / 60
    print(
        f"{len(left)} of {len(corpora) + len(trainings)} steps to do: about {minutes:.0f} CPU "
        f"minutes, {minutes / n_processes:.0f} min on {n_processes} idle cores",
        file=sys.stderr,
    )
    if arguments.project:
        return
    run_jobs(corpora, n_processes)
    run_jobs([job for _, job in trainings], n_processes)
    figures = {}
    from amanda.results import merge_results

    for cell in chosen:
        parts = [job.out for name, job in trainings if name == cell.name]
        merged = merge_results(parts, work / "results" / f"{SOURCE}2{cell.name}.json")
        figures[cell.name] = measure(merged.path, methods[cell.name])
    page = markdown(figures)
    print(page)
    if arguments.out is not None:
        arguments.out.write_text(page, encoding="utf-8")
    print(json.dumps({"controlled_study": figures, "settings": common}))


def _trainings(
    work: Path, methods: Mapping[str, Mapping[str, Mapping[str, Any]]], n_utterances: int
) -> Iterator[tuple[str, Job]]:
    from amanda.settings import RunSettings

    features = work / "features"
    for name, each in methods.items():
        for settings in each.values():
            out = work / "runs" / f"{SOURCE}2{name}" / f"{RunSettings(**settings).run_id}.json"
            yield (
                name,
                train_job(
                    features / f"{SOURCE}.h5", features / f"{name}.h5", settings, out, n_utterances
                ),
            )


if __name__ == "__main__":
    main()
