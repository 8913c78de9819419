"""`amanda train`: one method on one pair, all seeds and folds, from feature files to a result."""

import glob
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file

from amanda import TRAIN_VERSION, __version__, networks
from amanda.batches import Packer, warn_if_small
from amanda.calibration import Calibration, fit_calibration
from amanda.device import machine_memory_mb, resolve_device, usable_cpus
from amanda.evaluation import predict
from amanda.loading import load_training_data, size_bytes
from amanda.loop import context_of, describe, seeded
from amanda.methods import method_class
from amanda.models import save_model as save_model_folder
from amanda.records import LAST, RunRecord, read_run
from amanda.representations import (
    read_representations,
    representations_path,
    write_representations,
)
from amanda.result_schema import CorpusInfo
from amanda.results import Result, describe_features, write_method_result
from amanda.run_warnings import collapse_warnings, file_warnings
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.names import JOINT, STANDIN
from amanda.store.pairing import check_pair
from amanda.store.progress import track
from amanda.store.wording import counted
from amanda.training_data import TrainingData, save_mapped
from amanda.workers import (
    Task,
    is_finished,
    run_file,
    run_here,
    run_in_processes,
    sample_file,
    state_file,
)

log = logging.getLogger(__name__)

GPU_WORK_BYTES = 4 * 10**9
"""What a training takes of a GPU besides its features: the process's context, and a step."""
MARGINAL_GAP = 0.1
"""Total variation between prior and predicted marginals from which label alignment is doubted."""


def train_method(
    source: Path,
    target: Path,
    settings: RunSettings,
    *,
    out: Path,
    device: str = "auto",
    workers: int = 0,
    memory_gb: float = 0,
    save_model: Path | None = None,
    allow_mismatch: bool = False,
) -> Result:
    """Train one method on one pair, seeds 0 to `settings.seeds` − 1, and write its result file.

    With `split: kfold` each seed is trained on each fold. Finished seeds lie in a hidden folder
    beside `out` until all are; called again, training goes on with the others. A sample of
    representations is written beside the result (`amanda.representations`).

    Args:
        source, target: feature files; labels of the target are used only by `supervised`, and to
            score its test split.
        workers: seeds trained at once; 0 is one a core, and on a GPU as many as its memory holds.
        memory_gb: features up to this size are kept in memory, larger ones are read from the
            feature files as they are used; 0 is half of the machine's memory.
        save_model: folder for the last epoch's models, `seed-N` each, or `fold-K-seed-N`.
        allow_mismatch: pair features of different models.

    Raises:
        InputError: the files cannot be paired or trained on, or a setting does not fit them.
        AmandaError: a training diverged, or its process died.
    """
    where, method = resolve_device(device), method_class(settings.method)
    with FeatureFile(source) as source_file, FeatureFile(target) as target_file:
        files = source_file, target_file
        _resplit(files, settings, fold=0)
        modalities = check_pair(
            source_file, target_file, settings.modalities, allow_mismatch=allow_mismatch
        )
        infos = describe_features(source_file), describe_features(target_file)
        target_labels_used = [] if method.labelled == "source" else ["supervised:train,val"]
        if target_file.attrs.get("label_cap"):  # which rows there are was chosen by their labels
            target_labels_used.append("cap:train,val,test")
        pair = _Pair(
            files=files,
            infos=infos,
            modalities=modalities,
            settings=settings,
            kept=_kept_folder(out, settings, infos, modalities),
            device=where,
            workers=workers,
            memory_gb=memory_gb or machine_memory_mb() / 1000 / 2,
            save_model=save_model,
        )
        folds = [_Fold(pair, number) for number in range(settings.n_folds)]
        n_runs = settings.seeds * len(folds)
        done = settings.epochs * (n_runs - sum(len(fold.todo) for fold in folds))
        what = f"{infos[0].corpus}2{infos[1].corpus} {settings.label}: epochs"
        epochs = chain.from_iterable(fold.train() for fold in folds)
        for _ in track(epochs, total=settings.epochs * n_runs, what=what, done=done):
            pass
    runs = [run for fold in folds for run in fold.runs]
    sample = read_representations(sample_file(folds[0].kept))
    write_representations(representations_path(out), sample)
    result = write_method_result(
        out,
        settings,
        runs,
        source=infos[0],
        target=infos[1],
        label_names=source_file.label_names,
        modalities=modalities,
        device=_device_name(where),
        target_labels_used=target_labels_used,
        warnings=[
            *file_warnings(files),
            *dict.fromkeys(note for fold in folds for note in fold.notes),
            *collapse_warnings(runs, source_file.label_names),
            *_marginal_warnings(
                [f.prior for f in folds if f.prior is not None], runs, source_file.label_names
            ),
        ],
    )
    shutil.rmtree(pair.kept, ignore_errors=True)
    return result


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """What all folds of a training have in common."""

    files: tuple[FeatureFile, FeatureFile]
    infos: tuple[CorpusInfo, CorpusInfo]
    modalities: Sequence[str]
    settings: RunSettings
    kept: Path
    device: torch.device
    workers: int
    memory_gb: float
    save_model: Path | None


class _Fold:
    """The seeds of one fold; of the only one, where the split is no `kfold`.

    Attributes:
        todo: the seeds that no former call has finished.
        notes, prior, runs: what `train` leaves: sentences on rows left out, the label prior
            (classes,), and a record of every seed.
    """

    def __init__(self, pair: _Pair, number: int):
        self.pair, self.number = pair, number
        self.kept = pair.kept / f"fold-{number}" if pair.settings.n_folds > 1 else pair.kept
        self.kept.mkdir(exist_ok=True)
        shutil.rmtree(self.kept / "data", ignore_errors=True)  # of an interrupted call
        self.seeds = range(pair.settings.seeds)
        with_model = pair.save_model is not None
        self.todo = [s for s in self.seeds if not is_finished(self.kept, s, with_model=with_model)]
        self.notes: list[str] = []
        self.prior: torch.Tensor | None = None
        self.runs: list[RunRecord] = []

    def train(self) -> Iterator[int]:
        """Load this fold's data and train; yields a seed's number after each of its epochs."""
        pair, settings = self.pair, self.pair.settings
        method = method_class(settings.method)
        n_bytes = size_bytes(pair.files, pair.modalities)
        n_workers = _n_workers(pair.workers, len(self.todo), pair.device, n_bytes)
        # Processes share what is mapped, also where it fits in memory.
        mapped = n_workers > 1 or n_bytes > pair.memory_gb * 1e9
        folder = self.kept / "data" if mapped else None
        _resplit(pair.files, settings, self.number)
        data, test, self.notes = load_training_data(
            *pair.files,
            pair.modalities,
            method,
            standardise=settings.standardise,
            folder=folder,
        )
        source, target = pair.files
        teacher = source if method.labelled == "source" else target
        warn_if_small(str(teacher.path), len(data.labelled_train), settings.batch_size)
        if method.sees_target:
            warn_if_small(str(target.path), len(data.target_train), settings.batch_size)
        with seeded(0, pair.device):  # what does not fit the data is told before anything starts
            self.prior = method(settings, context_of(data, settings)).prior
        task = Task(
            settings=settings,
            fold=self.number,
            test=test,
            kept=self.kept,
            keep_model=pair.save_model is not None,
            device=str(pair.device),
            n_threads=max(1, usable_cpus() // n_workers),
        )
        yield from _epochs(task, data, folder, self.todo, n_workers)
        self.runs = [read_run(run_file(self.kept, seed)) for seed in self.seeds]
        if pair.save_model is not None:
            self._save_models(pair.save_model, task, data)
        shutil.rmtree(self.kept / "data", ignore_errors=True)

    def _save_models(self, folder: Path, task: Task, data: TrainingData) -> None:
        pair = self.pair
        target = pair.files[1]
        standardisation = {
            name: {"mean": part.scaling.mean, "scale": part.scaling.scale}
            for name, part in data.target_test.sequences.items()
            if part.scaling is not None
        }
        prefix = f"fold-{self.number}-" if pair.settings.n_folds > 1 else ""
        architecture = describe(data, pair.settings)
        for run in self.runs:
            state = load_file(state_file(task.kept, run.seed))
            save_model_folder(
                folder / f"{prefix}seed-{run.seed}",
                state,
                architecture=architecture,
                settings=pair.settings,
                source=pair.infos[0].corpus,
                target=pair.infos[1].corpus,
                corpora="stand-in" if STANDIN in (i.origin for i in pair.infos) else "real",
                label_names=data.label_names,
                modalities=data.modalities,
                extraction={name: target.modality(name).identity() for name in pair.modalities},
                seed=run.seed,
                epoch=run.selections[LAST].epoch,
                selection=LAST,
                standardisation=standardisation,
                profile=target.profile,
                calibration=_calibration(architecture, state, data),
            )


def _calibration(
    architecture: Mapping[str, Any], state: Mapping[str, torch.Tensor], data: TrainingData
) -> Calibration | None:
    """Fitted on the labelled val split, which training did not see."""
    with torch.device("meta"):  # no memory, and no random number, for weights that are replaced
        model = networks.build(architecture).eval()
    model.load_state_dict(dict(state), assign=True)
    answers = predict(model, data.labelled_val, Packer(torch.device("cpu")))
    return fit_calibration(answers.probabilities[JOINT], data.labelled_val.label)


def _resplit(files: Sequence[FeatureFile], settings: RunSettings, fold: int) -> None:
    for file in files:
        file.resplit(settings.split, settings.split_seed, folds=settings.n_folds, fold=fold)


def _kept_folder(
    out: Path,
    settings: RunSettings,
    infos: tuple[CorpusInfo, CorpusInfo],
    modalities: Sequence[str],
) -> Path:
    """Where finished seeds of exactly this training lie; those of another one for `out` go."""
    key = [
        settings.run_id,
        *(info.file_sha256 for info in infos),
        *modalities,
        __version__,
        TRAIN_VERSION,
    ]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    kept = out.parent / f".{out.stem}.{digest}.unfinished"
    for other in out.parent.glob(f".{glob.escape(out.stem)}.{'?' * len(digest)}.unfinished"):
        if other != kept:
            shutil.rmtree(other, ignore_errors=True)
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out}: its folder cannot be written to ({error.strerror}); choose another output"
        ) from error
    return kept


def _n_workers(asked: int, n_seeds: int, device: torch.device, n_bytes: int) -> int:
    """Processes to train in; one means this process.

    A training keeps a large GPU busy for a part of each step only, so several share one.
    """
    if asked < 0:
        raise InputError(f"--workers {asked}: write a number from 1 on, or 0 for one a core")
    default = usable_cpus()
    if device.type == "cuda":
        free_bytes = torch.cuda.mem_get_info(device)[0]
        default = min(default, int(free_bytes // (n_bytes + GPU_WORK_BYTES)))
    return max(1, min(asked or default, n_seeds))


def _epochs(
    task: Task, data: TrainingData, folder: Path | None, seeds: Sequence[int], n_workers: int
) -> Iterator[int]:
    if n_workers == 1:
        return run_here(task, data, seeds)
    assert folder is not None
    save_mapped(data, folder)
    return run_in_processes(task, folder, seeds, n_workers)


def _marginal_warnings(
    priors: Sequence[Float[torch.Tensor, "classes"]],
    runs: Sequence[RunRecord],
    label_names: Sequence[str],
) -> list[str]:
    """A sentence where label alignment ends far from the prior that it drew predictions to.

    Args:
        priors: one a fold.
    """
    if not priors:
        return []
    means = [np.nanmean(run.selections[LAST].probabilities[JOINT], axis=0) for run in runs]
    # An estimated prior moves; what predictions should have reached is the last one.
    moved = [list(run.epochs[-1].label_prior.values()) for run in runs]
    found = np.mean(means, axis=0)
    wanted = np.mean(moved if all(moved) else [prior.numpy() for prior in priors], axis=0)
    if np.abs(found - wanted).sum() / 2 <= MARGINAL_GAP:
        return []
    shares = ", ".join(
        f"{name} {f:.2f} for {w:.2f}" for name, f, w in zip(label_names, found, wanted, strict=True)
    )
    warning = (
        f"label alignment did not reach its prior on the target ({shares}); where the target's "
        "classes are distributed otherwise this term does harm (see label_prior)"
    )
    log.warning(warning)
    return [warning]


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({counted(usable_cpus(), 'thread')})"
