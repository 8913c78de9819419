"""How often the intervals of `amanda.intervals.difference_interval` hold the true difference.

Simulated test splits: speakers differ in how much a method gains on them, trainings (runs) differ
in luck. Ways of resampling are compared; 95% is the aim. The last line is one JSON object.

    python benchmarks/interval_coverage.py --trials 300
"""

import argparse
import json
import time

import numpy as np

from amanda.intervals import PairedRun, difference_interval

GAIN, N_CLASSES, ROWS_PER_SPEAKER = 0.1, 4, 25


def simulate(
    rng: np.random.Generator, n_speakers: int, n_runs: int, speaker_sd: float, run_sd: float
) -> list[PairedRun]:
    """Runs whose expected weighted F1 differs by about GAIN."""
    speaker = np.repeat(np.arange(n_speakers), ROWS_PER_SPEAKER)
    n = len(speaker)
    label = rng.integers(0, N_CLASSES, n)
    gain = GAIN + rng.normal(0, speaker_sd, n_speakers)[speaker] + rng.normal(0, 0.15, n)

    def predict(p: np.ndarray) -> np.ndarray:
        wrong = (label + rng.integers(1, N_CLASSES, n)) % N_CLASSES
        return np.where(rng.random(n) < p, label, wrong)

    return [
        PairedRun(
            label=label,
            speaker=[f"s{s}" for s in speaker],
            first=predict(0.6 + gain + rng.normal(0, run_sd)),
            second=predict(np.full(n, 0.6 + rng.normal(0, run_sd))),
        )
        for _ in range(n_runs)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300)
    n_trials = parser.parse_args().trials
    rows, start_s = [], time.perf_counter()
    for n_speakers, n_runs in ((5, 5), (10, 3), (20, 3)):
        for speaker_sd, run_sd in ((0.05, 0.0), (0.05, 0.03), (0.0, 0.03)):
            rng = np.random.default_rng(1)
            held = {True: 0, False: 0}
            for trial in range(n_trials):
                runs = simulate(rng, n_speakers, n_runs, speaker_sd, run_sd)
                for both in held:
                    interval = difference_interval(
                        runs, N_CLASSES, n_resamples=400, resample_runs=both, seed=trial
                    )
                    held[both] += interval.low <= GAIN <= interval.high
            row = {
                "speakers": n_speakers,
                "runs": n_runs,
                "speaker_sd": speaker_sd,
                "run_sd": run_sd,
                "speakers_and_runs": held[True] / n_trials,
                "speakers_only": held[False] / n_trials,
            }
            rows.append(row)
            print("  ".join(f"{key} {value:g}" for key, value in row.items()), flush=True)
    print(json.dumps({"coverage": rows, "trials": n_trials, "s": time.perf_counter() - start_s}))


if __name__ == "__main__":
    main()
