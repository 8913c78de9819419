"""What the number format of TextCNN's products does to the final weighted F1.

    python -m benchmarks.number_formats ie2msp msp2ie --features features

Trains Amanda (p=2) with the same seeds three times on each pair: `float32` with screening (the
default where the processor multiplies bfloat16), `plain` float32 without it, and `bfloat16`. The
differences from `plain` come with 95% intervals over seeds and test utterances
(`amanda.intervals.difference_interval`). The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np

VARIANTS = ("plain", "float32", "bfloat16")


def run_one(job: tuple[Path, Path, str, int, int, int, Path]) -> Path:
    """Train one variant on one pair; returns the result file."""
    source, target, variant, seeds, epochs, batch_size, out = job
    if not out.exists():
        import amanda.window_maxima
        from amanda.settings import RunSettings
        from amanda.training import train_method

        screens = amanda.window_maxima.multiplies_bfloat16
        if variant == "plain":
            amanda.window_maxima.multiplies_bfloat16 = lambda: False
        settings = RunSettings(
            seeds=seeds,
            epochs=epochs,
            batch_size=batch_size,
            eval_every=epochs,
            precision="bfloat16" if variant == "bfloat16" else "float32",
        )
        train_method(source, target, settings, out=out, device="cpu", workers=1)
        amanda.window_maxima.multiplies_bfloat16 = screens
    return out


def differences(results: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Variant to its mean weighted F1 and its difference from `plain`, of the last epoch."""
    from amanda.comparison import paired_runs
    from amanda.intervals import difference_interval
    from amanda.metrics import evaluate
    from amanda.predictions import predictions_path, read_predictions
    from amanda.store.names import CLASSES

    blocks = {
        name: read_predictions(predictions_path(path), CLASSES, ["last"])
        for name, path in results.items()
    }
    found = {}
    for name, each in blocks.items():
        scores = [evaluate(b.label, b.probabilities, CLASSES)["weighted_f1"] for b in each]
        found[name] = {"weighted_f1": float(np.mean(scores))}
        if name != "plain":
            interval = difference_interval(paired_runs(each, blocks["plain"]), len(CLASSES))
            found[name] |= {
                "difference": interval.estimate,
                "low": interval.low,
                "high": interval.high,
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="for example ie2msp")
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="as the demo's config")
    parser.add_argument("--batch-size", type=int, default=32, help="as the demo's config")
    parser.add_argument("--work", type=Path, help="where finished trainings are kept")
    arguments = parser.parse_args()
    from amanda.device import machine_cpus
    from amanda.store.names import split_pair

    work = arguments.work or Path(tempfile.mkdtemp(prefix="number-formats-"))
    jobs = {}
    for pair in arguments.pairs:
        source, target = (arguments.features / f"{name}.h5" for name in split_pair(pair))
        for variant in VARIANTS:
            out = work / f"{pair}-{variant}.json"
            jobs[pair, variant] = (
                source,
                target,
                variant,
                arguments.seeds,
                arguments.epochs,
                arguments.batch_size,
                out,
            )
    with multiprocessing.get_context("spawn").Pool(machine_cpus(), _one_thread) as pool:
        done = dict(zip(jobs, pool.imap(run_one, jobs.values()), strict=True))
    figures = {
        pair: differences({variant: done[pair, variant] for variant in VARIANTS})
        for pair in arguments.pairs
    }
    for pair, by_variant in figures.items():
        for variant, row in by_variant.items():
            print(pair, variant, {name: round(value, 4) for name, value in row.items()})
    print(json.dumps(figures))


def _one_thread() -> None:
    import os

    os.environ["OMP_NUM_THREADS"] = "1"


if __name__ == "__main__":
    main()
