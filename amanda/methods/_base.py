"""What a method is: named loss terms of one step. One loop sums, logs and steps (`amanda.loop`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from amanda import losses
from amanda.label_shift import estimate_target_shares
from amanda.networks import Outputs
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.store.names import JOINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a method sees of one step.

    Attributes:
        labelled: outputs of the labelled domain's utterances (`Method.labelled`).
        label: their labels.
        target: outputs of the target's utterances, whose labels are nowhere; None unless
            `Method.sees_target`.
        progress: share of the training that is done, 0 at the first step, below 1 at the last.
    """

    labelled: Outputs
    label: Int64[Tensor, "n"]
    target: Outputs | None
    progress: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a method answers.

    Attributes:
        loss: 0-dimensional terms by name, weights included; their sum is minimised.
        alignment, alignment_relative: Eq. 9 by branch, plain and free of scale, where the method
            has computed them; the loop computes them for its log otherwise.
        psi: Eq. 13's weight by branch.
    """

    loss: dict[str, Tensor]
    alignment: Mapping[str, Tensor] = field(default_factory=dict)
    alignment_relative: Mapping[str, Tensor] = field(default_factory=dict)
    psi: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a method may know of the data before it trains.

    Attributes:
        label_names: the classes.
        modalities: those used.
        dim: width of each modality's representation; the joint one is as wide as all of them.
        label_share: (classes,) shares in the labelled train split (Eq. 6).
    """

    label_names: tuple[str, ...]
    modalities: tuple[str, ...]
    dim: int
    label_share: Float[Tensor, "classes"]


class Method:
    """A method, made once a training.

    Attributes:
        labelled: whose train split has labels: the source, or, for an upper bound only, the target.
        sees_target: whether steps hold target utterances, without labels.
        aligns_labels: whether Eq. 8's term belongs to it (`label_alignment: method`).
        networks: modules of its own that are trained too, such as a domain discriminator.
        lr_factor: their learning rate over the model's.
    """

    labelled: ClassVar[Literal["source", "target"]] = "source"
    sees_target: ClassVar[bool] = True
    aligns_labels: ClassVar[bool] = False

    def __init__(self, settings: RunSettings, context: Context):
        self.settings, self.context = settings, context
        self.networks: dict[str, nn.Module] = {}
        self.lr_factor = 1.0
        wanted = {"method": self.aligns_labels, "with": True, "without": False}
        self.prior: Tensor | None = None
        if self.sees_target and wanted[settings.label_alignment] and settings.alpha1 > 0:
            self.prior = label_prior(settings, context)

    def terms(self, step: Step) -> Terms:
        """The loss terms of one step."""
        raise NotImplementedError

    @property
    def estimates_prior(self) -> bool:
        """Whether `estimate_prior` is to be called after each epoch."""
        return self.settings.label_prior == "estimated" and self.prior is not None

    @property
    def estimated_prior(self) -> dict[str, float]:
        """By class, what Eq. 8 draws to now; empty where it is not estimated."""
        if not self.estimates_prior or self.prior is None:
            return {}
        return dict(zip(self.context.label_names, self.prior.tolist(), strict=True))

    def estimate_prior(
        self,
        val_probabilities: Float[np.ndarray, "a classes"],
        val_label: Int64[np.ndarray, "a"],
        target_probabilities: Float[np.ndarray, "b classes"],
    ) -> None:
        """Draw to the target's shares as the joint branch's predictions now tell them: those on
        the labelled val split, which calibrate, and on the target's train split.

        What was drawn to before counts as much as the new estimate, since early models know little
        and each estimate shapes the predictions that the next one is made from.
        """
        if self.prior is None:
            return
        shares = estimate_target_shares(
            val_probabilities, val_label, target_probabilities, self.context.label_share.numpy()
        )
        self.prior = (self.prior + torch.from_numpy(shares).to(self.prior)) / 2

    def common_loss(self, step: Step) -> dict[str, Tensor]:
        """What every method has: Eq. 5 on the labelled rows, and Eq. 8 where it is asked for."""
        loss = information_bottleneck(step.labelled, step.label, self.settings)
        if self.prior is not None and step.target is not None:
            self.prior = self.prior.to(step.label.device)  # once: a copy would wait for a GPU
            term = losses.label_alignment(step.target.logits[JOINT], self.prior)
            loss["label_alignment"] = self.settings.alpha1 * term
        return loss


def label_prior(settings: RunSettings, context: Context) -> Float[Tensor, "classes"] | None:
    """What Eq. 8 draws the target's mean prediction to; None for no such term.

    Raises:
        InputError: the given prior has another number of classes.
    """
    n_classes = len(context.label_names)
    if settings.label_prior in ("source", "estimated"):  # the estimates start from the source's
        return context.label_share
    if settings.label_prior == "uniform":
        return torch.full((n_classes,), 1 / n_classes)
    if settings.label_prior == "none":
        return None
    given = settings.given_prior or ()
    if len(given) != n_classes:
        raise InputError(
            f"given_prior has {len(given)} shares for {n_classes} classes "
            f"({', '.join(context.label_names)}); write one each"
        )
    return torch.tensor(given)


def information_bottleneck(
    outputs: Outputs, label: Int64[Tensor, "n"], settings: RunSettings
) -> dict[str, Tensor]:
    """Eq. 5 on labelled rows: cross entropies "ce_BRANCH", and "bottleneck" over all branches."""
    loss = {}
    for branch in outputs.branches:
        weight = 1.0 if branch == JOINT else settings.ce_weight_single
        rows = outputs.rows_present(branch)
        loss[f"ce_{branch}"] = weight * losses.cross_entropy(outputs.logits[branch], label, rows)
    if settings.bottleneck != "none":
        paper = settings.bottleneck == "paper"
        entropy = losses.bottleneck if paper else losses.release_bottleneck
        each = [
            entropy(outputs.representation[branch], outputs.columns_present(branch))
            for branch in outputs.branches
        ]
        loss["bottleneck"] = settings.gamma / 2 * torch.stack(each).sum()
    return loss


def alignment_losses(
    source: Outputs, target: Outputs, settings: RunSettings
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Eq. 9 by branch in the space and with the moment of the settings: plain and scale-free."""
    moment = losses.covariance if settings.covariance == "centred" else losses.uncentred_moment
    plain, relative = {}, {}
    for branch in source.branches:
        x_s, present_s = _aligned(source, branch, settings)
        x_t, present_t = _aligned(target, branch, settings)
        c_s, c_t = moment(x_s, present_s), moment(x_t, present_t)
        known = losses.known_to_both(present_s, present_t)
        if known is not None:
            c_s, c_t = torch.where(known, c_s, 0.0), torch.where(known, c_t, 0.0)
        plain[branch] = losses.correlation_alignment(c_s, c_t)
        relative[branch] = losses.relative_alignment(c_s.detach(), c_t.detach())
    return plain, relative


def _aligned(outputs: Outputs, branch: str, settings: RunSettings) -> tuple[Tensor, Tensor | None]:
    """What is aligned of a branch, and which of its entries rest on evidence."""
    if settings.alignment_space == "representation":
        return outputs.representation[branch], outputs.columns_present(branch)
    x = outputs.logits[branch]
    if settings.alignment_space == "softmax":
        x = torch.softmax(x, dim=1)
    rows = outputs.rows_present(branch)
    return x, None if rows is None else rows[:, None].expand_as(x)
