"""How long a training step takes, against padded formulations of the same mathematics.

    python -m benchmarks.training_step

A step goes from stored float16 sequences to updated weights: batching, forward, the losses of
Amanda (p=2), backward, Adam. Batches hold 128 + 128 utterances with the lengths of conversations
(`benchmarks.synthetic`), drawn at random; in each round every formulation takes a step on the same
utterances, one after another, so that a machine that others share slows all alike; ratios of CPU
time (`cpu_ratio_…`) depend least on what else runs. Before anything is timed, losses and gradients
of ours and of the plain Conv1d are compared.

The ceiling is this machine's fastest float32 matrix product with the same threads; the floor of the
work is the time at that ceiling for the products a step cannot do without (`floor_flop`). On a GPU
the padded formulation runs there too. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from amanda.batches import Batch, Packer, row_stream
from amanda.device import machine_cpus
from amanda.loop import Trainer, context_of, describe
from amanda.methods import method_class
from amanda.networks import build
from amanda.settings import RunSettings
from amanda.training_data import TrainingData
from benchmarks.formulations import PaddedModel, pad
from benchmarks.machine import describe_machine, product_ceiling
from benchmarks.synthetic import draw_data

Rows = tuple[np.ndarray, np.ndarray]
OURS = {"ours": "float32", "ours_bf16": "bfloat16"}
PADDED = {"conv1d": "conv1d", "padded": "conv2d"}


def trainer_of(data: TrainingData, settings: RunSettings, device: torch.device) -> Trainer:
    """A trainer of the product, with the weights of seed 0."""
    torch.manual_seed(0)
    model = build(describe(data, settings)).to(device).train()
    method = method_class(settings.method)(settings, context_of(data, settings))
    return Trainer(settings, method, model, {})


def formulations(
    data: TrainingData, names: list[str], device: torch.device
) -> dict[str, Callable[[Rows], None]]:
    """Name to a step on given rows."""
    steps: dict[str, Callable[[Rows], None]] = {}
    there = data.to(device) if device.type != "cpu" else data
    for name in names:
        settings = RunSettings(precision=OURS.get(name, "float32"))
        trainer, packer = trainer_of(data, settings, device), Packer(device)
        if name in OURS:
            steps[name] = partial(our_step, trainer, there, packer)
        else:
            trainer = Trainer(
                settings, trainer.method, PaddedModel(PADDED[name], trainer.model), {}
            )
            trainer.model.to(device).train()
            steps[name] = partial(padded_step, PADDED[name], trainer, data, device)
    return steps


def our_batch(data: TrainingData, packer: Packer, rows: Rows) -> Batch:
    parts = (data.labelled_train, data.target_train)
    inputs = packer([(part.sequences, r) for part, r in zip(parts, rows, strict=True)])
    label = torch.from_numpy(data.labelled_train.label[rows[0]]).to(packer.device)
    return Batch(inputs, label)


def our_step(trainer: Trainer, data: TrainingData, packer: Packer, rows: Rows) -> None:
    trainer.step(our_batch(data, packer, rows), progress=0.1)


def padded_step(
    kind: str, trainer: Trainer, data: TrainingData, device: torch.device, rows: Rows
) -> None:
    batch = pad(kind, data.labelled_train, data.target_train, rows, device)
    trainer.step(batch, progress=0.1)


def largest_difference(data: TrainingData, n: int = 16) -> float:
    """Of losses and gradients between ours and the plain Conv1d, without dropout, relative."""
    settings = RunSettings(dropout=0.0, head_dropout=0.0, clip=0.0)
    device, rows = torch.device("cpu"), (np.arange(n), np.arange(n))
    ours = trainer_of(data, settings, device)
    plain = Trainer(settings, ours.method, PaddedModel("conv1d", ours.model), {})
    plain.model.heads = trainer_of(data, settings, device).model.heads
    batches = (
        our_batch(data, Packer(device), rows),
        pad("conv1d", data.labelled_train, data.target_train, rows, device),
    )
    found = []
    for trainer, batch in zip((ours, plain), batches, strict=True):
        total = trainer.step(batch, progress=0.1).loss["total"]
        grads = {name: p.grad for name, p in trainer.model.named_parameters()}
        found.append((total.detach(), grads))
    (loss, ours_g), (expected, plain_g) = found
    differences = [abs(loss - expected) / abs(expected)]
    for name, gradient in ours_g.items():
        if name.startswith("heads") or name.endswith(("out.weight", "out.bias")):
            scale = plain_g[name].abs().max().clamp_min(1e-12)
            differences.append((gradient - plain_g[name]).abs().max() / scale)
    return float(max(differences))


def floor_flop(data: TrainingData, batch_size: int, settings: RunSettings) -> dict[str, float]:
    """Floating-point operations of a mean step that no way of computing it can leave out.

    TextCNN: every frame times every tap of the channels that dropout leaves (their maxima must be
    known); its gradient is sparse and counts nothing. LSTM: the input product and its weight
    gradient, three recurrent products.
    """
    kept = 1 - settings.dropout
    flop = {}
    for name, (layers, width) in data.shapes.items():
        parts = (data.labelled_train, data.target_train)
        frames = sum(part.sequences[name].lengths.mean() for part in parts) * batch_size
        if name == "visual":
            gates = 4 * settings.dim
            flop[name] = 2 * frames * gates * (2 * layers * width + 3 * settings.dim)
        else:
            taps = sum(settings.kernels) * settings.channels
            flop[name] = 2 * frames * layers * width * taps * kept
    return flop


def timed(step: Callable[[Rows], None], rows: Rows, device: torch.device) -> tuple[float, float]:
    """Wall and CPU seconds of one step."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    step(rows)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start_s, time.process_time() - start_cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch-size", type=int, default=128, help="utterances a domain")
    parser.add_argument("--pool", type=int, default=300, help="utterances a domain to draw from")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--padded-rounds", type=int, default=2, help="rounds with padded formulations"
    )
    parser.add_argument("--formulations", default="ours,ours_bf16,conv1d,padded")
    arguments = parser.parse_args()
    torch.set_num_threads(min(arguments.threads, machine_cpus()))
    device, names = torch.device(arguments.device), arguments.formulations.split(",")
    print(describe_machine(device))
    data = draw_data(arguments.pool, 2)
    print(f"largest relative difference to a plain Conv1d: {largest_difference(data):.1e}")
    steps = formulations(data, names, device)
    streams = [
        row_stream(arguments.pool, arguments.batch_size, np.random.default_rng([0, domain]))
        for domain in (0, 1)
    ]
    times: dict[str, list[float]] = {name: [] for name in names}
    cpu_times: dict[str, list[float]] = {name: [] for name in names}
    ceilings = []
    for number in range(arguments.rounds + 1):
        rows = next(streams[0]), next(streams[1])
        ceilings.append(product_ceiling(torch.float32, device))
        for name in names:
            if name in PADDED and number > arguments.padded_rounds:
                continue
            if name in PADDED and number == 0 and device.type == "cpu":
                continue  # nothing to warm up that lasts as long as a step
            taken_s, cpu_s = timed(steps[name], rows, device)
            print(f"round {number}, {name}: {taken_s:.3f} s, CPU {cpu_s:.3f} s", flush=True)
            if number > 0:  # the first step of each allocates and compiles
                times[name].append(taken_s)
                cpu_times[name].append(cpu_s)
    report(times, cpu_times, ceilings, data, arguments)


def report(
    times: dict[str, list[float]],
    cpu_times: dict[str, list[float]],
    ceilings: list[float],
    data: TrainingData,
    arguments: argparse.Namespace,
) -> None:
    """Print the table and the JSON line."""
    median_s = {name: statistics.median(each) for name, each in times.items()}
    for name, each in times.items():
        every = ", ".join(f"{taken_s:.3f}" for taken_s in each)
        print(f"{name:10s} median {median_s[name]:8.3f} s  of {every}")
    settings, ceiling = RunSettings(), max(ceilings)
    flop = floor_flop(data, arguments.batch_size, settings)
    floor_s = sum(flop.values()) / ceiling
    print(f"ceiling of float32 products: {ceiling / 1e9:.0f} GFLOP/s")
    print("needed: " + ", ".join(f"{name} {each / 1e9:.0f} GFLOP" for name, each in flop.items()))

    def ratio(slow: str, fast: str, of: dict[str, list[float]] = times) -> float | None:
        """Median over rounds, each with the same utterances."""
        if slow not in of or fast not in of:
            return None
        return statistics.median(s / f for s, f in zip(of[slow], of[fast], strict=False))

    figures = {
        "ratio_padded": ratio("padded", "ours"),
        "ratio_conv1d": ratio("conv1d", "ours"),
        "ratio_padded_bf16": ratio("padded", "ours_bf16"),
        "cpu_ratio_padded": ratio("padded", "ours", cpu_times),
        "cpu_ratio_conv1d": ratio("conv1d", "ours", cpu_times),
        "cpu_ratio_padded_bf16": ratio("padded", "ours_bf16", cpu_times),
        "share_of_floor": floor_s / median_s["ours"] if "ours" in median_s else None,
        "floor_s": floor_s,
        "ceiling_gflops": ceiling / 1e9,
        "step_s": median_s,
        "threads": torch.get_num_threads(),
        "device": str(arguments.device),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
