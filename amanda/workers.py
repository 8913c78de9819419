"""Seeds of one method, trained one after another or in several processes.

A finished seed is kept in a folder at once, so that an interrupted command goes on where it was.
Processes are spawned, not forked (torch's threads and CUDA survive no fork); they share features
through memory-mapped files, and each gets its share of the threads.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch
from safetensors.torch import save_file

from amanda.balance import measure_balance
from amanda.evaluation import select
from amanda.loop import train
from amanda.records import RunRecord, TestRows, write_run
from amanda.representations import sample_representations, write_representations
from amanda.settings import RunSettings
from amanda.store.atomic import atomic_path
from amanda.store.errors import AmandaError
from amanda.training_data import TrainingData, load_mapped
from amanda.validator_quality import score_epochs

_GPU_SHARE = 0.7
"""Of a GPU's free memory: features that take more stay in the CPU's."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every seed of a method has in common, on one fold.

    Attributes:
        fold: 0 where there is but one split.
        test: the target's test rows; training does not see them, its predictions are scored by
            them for the oracle alone.
        kept: folder of finished seeds.
        keep_model: whether a seed's weights are kept too.
        n_threads: of each process.
    """

    settings: RunSettings
    fold: int
    test: TestRows
    kept: Path
    keep_model: bool
    device: str
    n_threads: int


def run_file(kept: Path, seed: int) -> Path:
    """Where a finished seed lies."""
    return kept / f"seed-{seed}.npz"


def state_file(kept: Path, seed: int) -> Path:
    """Where its weights lie."""
    return kept / f"seed-{seed}.safetensors"


def sample_file(kept: Path) -> Path:
    """Where the first seed's sample of representations lies."""
    return kept / "representations.npz"


def is_finished(kept: Path, seed: int, *, with_model: bool) -> bool:
    """Whether a former call has finished this seed."""
    return run_file(kept, seed).exists() and (not with_model or state_file(kept, seed).exists())


def run_here(task: Task, data: TrainingData, seeds: Sequence[int]) -> Iterator[int]:
    """Train the seeds in this process; yields a seed's number after each of its epochs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(task.n_threads)
    try:
        for seed in seeds:
            yield from _run(task, data, seed)
    finally:
        torch.set_num_threads(threads)


def run_in_processes(
    task: Task, folder: Path, seeds: Sequence[int], n_workers: int
) -> Iterator[int]:
    """Train the seeds in processes of their own, `n_workers` at a time; yields like `run_here`.

    Args:
        folder: of `amanda.training_data.save_mapped`.

    Raises:
        AmandaError: a seed failed, or its process died. The other processes are ended.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(seeds)
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_workers:
                seed = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_work, args=(task, folder, seed, theirs), daemon=True
                )
                process.start()
                theirs.close()  # so that the end of the process is the end of the pipe
                running[ours] = seed, process
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                seed, process = running[connection]
                try:
                    message = connection.recv()
                except EOFError:
                    process.join()
                    del running[connection]
                    if not is_finished(task.kept, seed, with_model=task.keep_model):
                        raise AmandaError(_death(seed, process.exitcode)) from None
                    continue
                if isinstance(message, AmandaError):
                    raise message
                yield message
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _work(task: Task, folder: Path, seed: int, connection: Connection) -> None:
    """The life of one process."""
    # Ctrl-C reaches the whole group; the parent ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(task.n_threads)
    try:
        for message in _run(task, load_mapped(folder), seed):
            connection.send(message)
    except AmandaError as error:
        connection.send(error)
    except BrokenPipeError:
        return  # as `_end_with_parent`, if it comes first


def _end_with_parent() -> None:
    """Do not live on when the parent is killed: nobody waits for this seed any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(task: Task, data: TrainingData, seed: int) -> Iterator[int]:
    device = torch.device(task.device)
    if device.type == "cuda" and data.n_bytes < _GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
        data = data.to(device)  # else each batch is sent as it is needed
    training = train(data, task.settings, seed, device)
    while True:
        try:
            next(training)
        except StopIteration as stop:
            trained = stop.value
            break
        yield seed
    run = RunRecord(
        seed=seed,
        fold=task.fold,
        test=task.test,
        epochs=trained.epochs,
        selections=select(trained.evaluations, task.test),
        test_f1=score_epochs(trained.evaluations, task.test),
        balance=measure_balance(trained.model, data, task.settings, seed, device),
        wall_s=trained.wall_s,
    )
    if task.keep_model:
        with atomic_path(state_file(task.kept, seed)) as temporary:
            save_file(dict(trained.model.state_dict()), temporary)
    if seed == 0:
        sample = sample_representations(trained.model, data, task.test, device)
        write_representations(sample_file(task.kept), sample)
    write_run(run_file(task.kept, seed), run)


def _death(seed: int, exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"seed {seed}: its process failed (exit code {exit_code}); see its output above"
    name = signal.Signals(-exit_code).name
    memory = ", as the system does where memory is short" if name == "SIGKILL" else ""
    return (
        f"seed {seed}: its process was ended by {name}{memory}; finished seeds are kept, so run "
        "the same command again, with fewer --workers if memory was short"
    )
