"""Is there a gap between two corpora, and can it be learned? Supervised against direct transfer.

    python -m benchmarks.learnable_gap ie2msp msp2ie --features features

For each pair and each of several split seeds (the paper's split, drawn anew from the feature
files), one model is trained on the target's own labels (supervised) and one on the source alone
(direct transfer), and both are tested on the target's test split at the last epoch. Printed:
weighted F1 of both, their difference with a 95% interval that resamples speakers and runs
(`amanda.intervals.difference_interval`), and the weighted F1 of guessing by the source's class
shares.
Finished trainings are kept in the working folder. The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

METHODS = ("supervised", "direct_transfer")
N_GUESSES = 2000


Job = tuple[Path, Path, str, int, int, int, Path]


def run_one(job: Job) -> Path:
    """Train one method on one split; returns the result file."""
    source, target, method, split_seed, epochs, batch_size, out = job
    if not out.exists():
        from amanda.settings import RunSettings
        from amanda.training import train_method

        settings = RunSettings(
            method=method,
            split="paper",
            split_seed=split_seed,
            seeds=1,
            epochs=epochs,
            batch_size=batch_size,
            eval_every=epochs,
        )
        train_method(source, target, settings, out=out, device="cpu", workers=1)
    return out


def last_epoch(result: Path):
    """Test predictions of the last epoch of a result file with one run."""
    from amanda.predictions import predictions_path, read_predictions
    from amanda.store.names import CLASSES

    (block,) = read_predictions(predictions_path(result), CLASSES, ["last"])
    return block


def guess_f1(label: np.ndarray, shares: Sequence[float], seed: int) -> float:
    """Mean weighted F1 of guessing each label by class shares."""
    from sklearn.metrics import f1_score

    generator = np.random.default_rng(seed)
    guesses = generator.choice(len(shares), size=(N_GUESSES, len(label)), p=shares)
    scores = [f1_score(label, g, average="weighted", zero_division=0) for g in guesses[:200]]
    return float(np.mean(scores))


def source_shares(result: Path) -> list[float]:
    """Class shares of the source as its result file counts them, train split."""
    from amanda.results import read_result

    counts = read_result(result).file.features.source.splits["train"].classes
    total = sum(counts.values())
    return [count / total for count in counts.values()]


def measure(pair: str, results: dict[tuple[str, int], Path], split_seeds: range) -> dict:
    """The figures of one pair."""
    from amanda.comparison import paired_runs
    from amanda.intervals import difference_interval
    from amanda.metrics import evaluate
    from amanda.store.names import CLASSES

    scores: dict[str, list[float]] = {method: [] for method in METHODS}
    guesses: list[float] = []
    runs = []
    for seed in split_seeds:
        blocks = {method: last_epoch(results[method, seed]) for method in METHODS}
        for method, block in blocks.items():
            figures = evaluate(block.label, block.probabilities, CLASSES)
            scores[method].append(figures["weighted_f1"])
        (run,) = paired_runs([blocks[METHODS[0]]], [blocks[METHODS[1]]])
        runs.append(run)
        shares = source_shares(results["direct_transfer", seed])
        guesses.append(guess_f1(run.label, shares, seed))
    interval = difference_interval(runs, len(CLASSES))
    return {
        "pair": pair,
        "supervised": float(np.mean(scores["supervised"])),
        "direct_transfer": float(np.mean(scores["direct_transfer"])),
        "guess": float(np.mean(guesses)),
        "difference": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "by_split_seed": scores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="for example ie2msp")
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--split-seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="as the demo's config")
    parser.add_argument("--batch-size", type=int, default=32, help="as the demo's config")
    parser.add_argument("--work", type=Path, help="where finished trainings are kept")
    arguments = parser.parse_args()
    from amanda.store.names import split_pair

    work = arguments.work or Path(tempfile.mkdtemp(prefix="learnable-gap-"))
    seeds = range(arguments.split_seeds)
    epochs, batch_size = arguments.epochs, arguments.batch_size
    jobs: dict[Path, Job] = {}
    outs: dict[tuple[str, str, int], Path] = {}
    for pair in arguments.pairs:
        source, target = (arguments.features / f"{name}.h5" for name in split_pair(pair))
        for method in METHODS:
            # A supervised model never sees the source: one serves every pair of its target.
            whose = target.stem if method == "supervised" else pair
            for seed in seeds:
                out = work / f"{whose}-{method}-{seed}-{epochs}-{batch_size}.json"
                outs[pair, method, seed] = out
                jobs.setdefault(out, (source, target, method, seed, epochs, batch_size, out))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    n_processes = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(n_processes) as pool:
        list(pool.imap(run_one, jobs.values()))
    figures = []
    for pair in arguments.pairs:
        results = {(method, seed): outs[pair, method, seed] for method in METHODS for seed in seeds}
        figures.append(measure(pair, results, seeds))
        f = figures[-1]
        print(
            f"{pair}: supervised {f['supervised']:.3f}, "
            f"direct transfer {f['direct_transfer']:.3f}, "
            f"difference {f['difference']:.3f} [{f['low']:.3f}, {f['high']:.3f}], "
            f"guess by the source's shares {f['guess']:.3f}"
        )
    print(json.dumps({"learnable_gap": figures}))


if __name__ == "__main__":
    main()
