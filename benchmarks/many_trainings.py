"""A thousand small trainings in one process: neither memory nor the time of a step may grow.

    python -m benchmarks.many_trainings

Methods take turns. Time and resident memory of each are printed a hundred at a time, and the last
line is one JSON object: the last tenth's mean over the first tenth's (after one warming tenth), of
seconds a training, and the growth of resident memory in MB.
"""

import argparse
import json
import time

import numpy as np
import psutil
import torch

from amanda.loop import train
from amanda.settings import RunSettings
from benchmarks.synthetic import draw_data

METHODS = ("amanda", "direct_transfer", "dann", "cdan_e", "mada")
SHAPES = {"acoustic": (2, 16), "visual": (1, 16), "lexical": (2, 16)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainings", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, process = draw_data(16, 6, SHAPES), psutil.Process()
    seconds, resident_mb = [], []
    tenth = max(arguments.trainings // 10, len(METHODS))
    for number in range(arguments.trainings):
        settings = RunSettings(
            method=METHODS[number % len(METHODS)],
            epochs=2,
            eval_every=2,
            batch_size=8,
            dim=8,
            channels=8,
            adversary_hidden=(16,),
        )
        start_s = time.process_time()
        for _ in train(data, settings, number, torch.device("cpu")):
            pass
        seconds.append(time.process_time() - start_s)
        resident_mb.append(process.memory_info().rss / 1e6)
        if (number + 1) % tenth == 0:
            here = slice(number + 1 - tenth, number + 1)
            print(
                f"{number + 1:5} trainings: {np.mean(seconds[here]):.3f} s each, "
                f"{np.mean(resident_mb[here]):.0f} MB",
                flush=True,
            )
    first, last = slice(tenth, 2 * tenth), slice(-tenth, None)
    figures = {
        "trainings": arguments.trainings,
        "cpu_s_ratio": float(np.median(seconds[last]) / np.median(seconds[first])),
        "memory_growth_mb": float(np.mean(resident_mb[last]) - np.mean(resident_mb[first])),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
