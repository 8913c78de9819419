"""A whole training at the paper's sizes: time an epoch, memory, and what scales with the data.

    python -m benchmarks.training_run

Feature files of 3,868 + 2,827 training utterances with the lengths of conversations are drawn
(`benchmarks.synthetic`, 12 GB in --work, kept for the next call), and once with half as many. In
processes of their own, one after another, a training of `--epochs` runs on each: resident in
memory, and mapped from the files as where they exceed `amanda train --memory-gb`. The first epoch
warms up and is not counted. The last line is one JSON object:

- `epoch_s`: the mean epoch, evaluation apart; `evaluation_share`: of one evaluation an epoch;
- `loading_share`: time to draw and pack batches over that of the steps;
- `peak_over_features_gb`: peak memory of the process less the size of the features;
- `growth`: epoch time with all the data over that with half, divided by 2: 1 is linear.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAPER_SIZES = (3868, 2827)
N_WARM = 1


@dataclass
class Spent:
    """Seconds spent waiting for the next of an iterator."""

    seconds: float = 0.0

    def over(self, items: Iterator) -> Iterator:
        while True:
            start_s = time.perf_counter()
            item = next(items)
            self.seconds += time.perf_counter() - start_s
            yield item


def measure(source: Path, target: Path, streamed: bool, epochs: int, threads: int) -> dict:
    """Train Amanda (p=2) on two feature files and time it; runs in a process of its own."""
    import torch

    import amanda.loop as loop
    from amanda.loading import load_training_data
    from amanda.methods import method_class
    from amanda.settings import RunSettings
    from amanda.store.features import FeatureFile

    torch.set_num_threads(threads)
    settings = RunSettings(epochs=epochs + N_WARM)
    start_s = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        FeatureFile(source) as a,
        FeatureFile(target) as b,
    ):
        data, _, _ = load_training_data(
            a,
            b,
            a.modalities,
            method_class("amanda"),
            standardise="none",
            folder=Path(folder) if streamed else None,
        )
        load_s = time.perf_counter() - start_s
        packing, evaluating = Spent(), Spent()
        stream, evaluator = loop.batch_stream, loop.Evaluator
        loop.batch_stream = lambda *given: packing.over(stream(*given))

        class Timed(evaluator):
            def __call__(self, *given):
                begin_s = time.perf_counter()
                evaluation = super().__call__(*given)
                evaluating.seconds += time.perf_counter() - begin_s
                return evaluation

        loop.Evaluator = Timed
        ends_s, spent = [], []
        for _ in loop.train(data, settings, 0, torch.device("cpu")):
            ends_s.append(time.perf_counter())
            spent.append((packing.seconds, evaluating.seconds))
    total_s = ends_s[-1] - ends_s[N_WARM - 1]
    packing_s, evaluating_s = (
        late - early for late, early in zip(spent[-1], spent[N_WARM - 1], strict=True)
    )
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "load_s": load_s,
        "epoch_s": (total_s - evaluating_s) / epochs,
        "loading_share": packing_s / (total_s - evaluating_s),
        "evaluation_share": evaluating_s / total_s,
        "features_gb": data.n_bytes / 1e9,
        "peak_gb": peak_gb,
        "peak_over_features_gb": peak_gb - data.n_bytes / 1e9,
    }


def corpora(work: Path, sizes: tuple[int, int]) -> tuple[Path, Path]:
    """Feature files of these training sizes; drawn unless they are there."""
    from benchmarks.synthetic import write_corpus

    paths = work / f"source{sizes[0]}.h5", work / f"target{sizes[1]}.h5"
    for number, (path, n) in enumerate(zip(paths, sizes, strict=True)):
        if not path.exists():
            write_corpus(path, n, seed=number + 1)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "training-run")
    parser.add_argument("--epochs", type=int, default=2, help="timed, after one that is not")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="of the paper's sizes")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    import torch

    from benchmarks.machine import describe_machine

    torch.set_num_threads(arguments.threads)
    print(describe_machine(torch.device("cpu")), flush=True)
    whole = tuple(round(n * arguments.share) for n in PAPER_SIZES)
    half = tuple(n // 2 for n in whole)
    context = multiprocessing.get_context("spawn")
    figures = {}
    for name, sizes, streamed in (
        ("half", half, False),
        ("whole", whole, False),
        ("streamed", whole, True),
    ):
        paths = corpora(arguments.work, sizes)
        with context.Pool(1) as pool:
            given = (*paths, streamed, arguments.epochs, arguments.threads)
            figures[name] = pool.apply(measure, given)
        print(f"{name}, {sizes[0]} + {sizes[1]} utterances: {figures[name]}", flush=True)
    steps = [-(-max(sizes) // 128) for sizes in (whole, half)]
    growth = figures["whole"]["epoch_s"] / figures["half"]["epoch_s"] / (steps[0] / steps[1])
    print(json.dumps({**figures, "growth": growth, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
