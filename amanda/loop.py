"""The training loop: one for all methods.

Randomness. A seed determines everything: the order of rows (by numpy generators of their own, the
same for every method), initial weights and dropout (by torch's generator, set here and put back
afterwards). So methods with the same seed start from the same encoders and see the same batches.
"""

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from amanda import networks
from amanda.batches import Batch, Packer, batch_stream, steps_per_epoch
from amanda.evaluation import Evaluator, predict
from amanda.methods import method_class
from amanda.methods._base import Context, Method, Step, Terms, alignment_losses
from amanda.networks import Model
from amanda.records import EpochRecord, Evaluation
from amanda.settings import RunSettings
from amanda.store.errors import AmandaError
from amanda.store.names import JOINT
from amanda.training_data import TrainingData

GROUPS = ("loss", "alignment", "alignment_relative", "psi")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished training. `model` is that of the last epoch, in evaluation mode."""

    model: Model
    architecture: dict[str, Any]
    epochs: list[EpochRecord]
    evaluations: list[Evaluation]
    wall_s: float


def train(
    data: TrainingData, settings: RunSettings, seed: int, device: torch.device
) -> Generator[EpochRecord, None, Trained]:
    """Train once; yields each epoch's record as it ends, and returns the training.

    Raises:
        AmandaError: a loss term is not finite; names epoch and term.
    """
    start_s = time.monotonic()
    with seeded(seed, device), tensor_float(settings.precision == "tf32"):
        architecture = describe(data, settings)
        model = networks.build(architecture).to(device).train()
        method = method_class(settings.method)(settings, context_of(data, settings))
        own = {name: network.to(device).train() for name, network in method.networks.items()}
        trainer = Trainer(settings, method, model, own)
        target = data.target_train if method.sees_target else None
        # Evaluation packs into the memory of the batches, between two of them.
        packer = Packer(device)
        batches = batch_stream(
            data.labelled_train, target, settings.batch_size, seed, device, packer
        )
        # The same number of steps for every method of a pair, whether it sees the target or not.
        longer = max(len(data.labelled_train), len(data.target_train))
        n_steps = steps_per_epoch(longer, settings.batch_size)
        evaluator = Evaluator(data, seed, device, packer)
        epochs: list[EpochRecord] = []
        evaluations: list[Evaluation] = []
        for epoch in range(1, settings.epochs + 1):
            sums = _Sums()
            for step in range(n_steps):
                progress = ((epoch - 1) * n_steps + step) / (settings.epochs * n_steps)
                sums.add(trainer.step(next(batches), progress))
            means = sums.means(f"seed {seed}, epoch {epoch}")
            validators = {}
            if epoch % settings.eval_every == 0 or epoch == settings.epochs:
                evaluations.append(evaluator(model, epoch))
                validators = dict(evaluations[-1].validators)
            prior = method.estimated_prior
            epochs.append(
                EpochRecord(**means, label_prior=prior, validators=validators, lr=trainer.lr)
            )
            if method.estimates_prior and epoch < settings.epochs:
                _estimate_prior(method, model, data, packer)
            yield epochs[-1]
    return Trained(
        model=model.eval(),
        architecture=architecture,
        epochs=epochs,
        evaluations=evaluations,
        wall_s=time.monotonic() - start_s,
    )


def _estimate_prior(method: Method, model: Model, data: TrainingData, packer: Packer) -> None:
    """Give `method` the predictions in evaluation mode that it estimates the target's shares by."""
    model.eval()
    val, target = (predict(model, part, packer) for part in (data.labelled_val, data.target_train))
    model.train()
    method.estimate_prior(
        val.probabilities[JOINT], data.labelled_val.label, target.probabilities[JOINT]
    )


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None, None, None]:
    """Torch's generators set to `seed`, and afterwards to what they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def tensor_float(allowed: bool) -> Generator[None, None, None]:
    """Whether a GPU may multiply float32 as TF32, which keeps 11 bits; afterwards as before."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def describe(data: TrainingData, settings: RunSettings) -> dict[str, Any]:
    """The architecture of one method's model on this data."""
    sees_target = method_class(settings.method).sees_target
    return networks.architecture(
        data.shapes,
        len(data.label_names),
        dim=settings.dim,
        dropout=settings.dropout,
        head_dropout=settings.head_dropout,
        kernels=settings.kernels,
        channels=settings.channels,
        precision=settings.precision,
        flags=data.missing_in_training(sees_target=sees_target),
    )


def context_of(data: TrainingData, settings: RunSettings) -> Context:
    """What a method may know of the data before it trains."""
    return Context(
        label_names=data.label_names,
        modalities=data.modalities,
        dim=settings.dim,
        label_share=data.label_share,
    )


def lr_share(progress: float, constant_share: float) -> float:
    """The learning rate's share of its full value: 1 up to `constant_share`, then down to 0.

    `progress` is the share of all steps that is done, so the rate changes with every step.
    """
    if progress < constant_share:
        return 1.0
    return (1 - progress) / (1 - constant_share)


class Trainer:
    """One step of the optimiser at a time."""

    def __init__(
        self, settings: RunSettings, method: Method, model: Model, own: dict[str, nn.Module]
    ):
        self.settings, self.method, self.model = settings, method, model
        self.networks = [*model.networks().values(), *own.values()]
        groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "factor": 1.0}]
        if own:
            parameters = [p for network in own.values() for p in network.parameters()]
            groups.append({"params": parameters, "factor": method.lr_factor})
        self.optimiser = torch.optim.Adam(
            groups,
            lr=settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.lr = settings.lr

    def step(self, batch: Batch, progress: float) -> Terms:
        """Train on one batch; the terms come back without gradients, and with their sum."""
        labelled, target = self.model(batch.inputs).split(len(batch.label))
        seen = target if self.method.sees_target else None
        terms = self.method.terms(
            Step(labelled=labelled, label=batch.label, target=seen, progress=progress)
        )
        total = torch.stack(list(terms.loss.values())).sum()
        self.lr = self.settings.lr * lr_share(progress, self.settings.constant_share)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr * group["factor"]
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        if self.settings.clip > 0:
            for network in self.networks:
                nn.utils.clip_grad_norm_(network.parameters(), self.settings.clip)
        self.optimiser.step()
        terms.loss["total"] = total
        if seen is None or terms.alignment:
            return terms
        with torch.no_grad():  # for the log: how far this method's domains are apart
            plain, relative = alignment_losses(labelled, seen, self.settings)
        return replace(terms, alignment=plain, alignment_relative=relative)


class _Sums:
    """Sums of an epoch's terms, kept where they were computed until the epoch ends."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], Tensor] = {}
        self.n_steps = 0

    def add(self, terms: Terms) -> None:
        self.n_steps += 1
        for group in GROUPS:
            for name, value in getattr(terms, group).items():
                key = group, name
                value = value.detach()
                self.sums[key] = self.sums[key] + value if key in self.sums else value

    def means(self, where: str) -> dict[str, dict[str, float]]:
        """Means over the steps, by group. Raises `AmandaError` for one that is not finite, but for
        a relative loss, which is NaN where representations no longer vary."""
        values = torch.stack([value.double() for value in self.sums.values()]).tolist()
        means: dict[str, dict[str, float]] = {group: {} for group in GROUPS}
        for (group, name), value in zip(self.sums, values, strict=True):
            if not math.isfinite(value) and group != "alignment_relative":
                raise AmandaError(
                    f"{where}: {group} '{name}' is {value}, so the training diverged; "
                    "lower lr, or the weight of that term"
                )
            means[group][name] = value / self.n_steps
        return means
