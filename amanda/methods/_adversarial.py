"""What the adversarial methods share: domain discriminators behind a gradient reversal.

A discriminator learns to tell the domains apart; the reversed gradient makes the encoders work
against it (Ganin et al., "Domain-adversarial training of neural networks", JMLR 2016). The reversal
is scaled by λ = 2 / (1 + e^(−10p)) − 1 with p the share of the *training* that is done, so λ ends
at 1 whatever the size of the corpora; the discriminator's own gradient is not scaled.

With `adversary_on: each`, every branch (each modality, and the joint representation) has its own
discriminators, and the term is the mean over branches. Utterances that lack a branch's modality
have no weight in it.
"""

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from amanda.methods._base import Context, Method, Step, Terms
from amanda.networks import Outputs, he_initialise, mlp
from amanda.settings import RunSettings
from amanda.store.names import JOINT

STEEPNESS = 10.0


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.strength * gradient, None


def reverse_gradient(x: Float[Tensor, "*shape"], strength: float) -> Float[Tensor, "*shape"]:
    """`x`; its gradient is multiplied by −strength on the way back."""
    reversed_: Tensor = _Reversal.apply(x, strength)
    return reversed_


def reversal_strength(progress: float) -> float:
    """λ of the module's docstring: 0 at the start of training, 1 at its end (0.99 at half)."""
    return 2 / (1 + math.exp(-STEEPNESS * progress)) - 1


def domain_loss(
    source: Float[Tensor, "n"],
    target: Float[Tensor, "m"],
    source_weight: Float[Tensor, "n"] | None = None,
    target_weight: Float[Tensor, "m"] | None = None,
) -> Float[Tensor, ""]:
    """Binary cross entropy of domain logits (source 1, target 0).

    The mean of the two domains' means, so with equal batches the mean over all utterances;
    libraries that add the two have twice this. Weights are divided by their sum in each domain,
    through which no gradient flows. A domain without any weight counts 0.
    """
    means = []
    for loss, weight in (
        (functional.softplus(-source), source_weight),
        (functional.softplus(target), target_weight),
    ):
        if weight is None:
            means.append(loss.mean())
        else:
            tiny = torch.finfo(weight.dtype).tiny
            means.append((weight * loss).sum() / weight.sum().detach().clamp_min(tiny))
    return (means[0] + means[1]) / 2


class Adversarial(Method):
    """Eq. 5 and a domain loss; a subclass says what its discriminators see.

    Attributes:
        own_weight: of the domain loss, unless `adversary_weight` is set.
    """

    own_weight: ClassVar[float] = 1.0

    def __init__(self, settings: RunSettings, context: Context):
        super().__init__(settings, context)
        self.lr_factor = settings.adversary_lr_factor
        weight = settings.adversary_weight
        self.weight = self.own_weight if weight is None else weight
        each = settings.adversary_on == "each"
        self.branches = (*context.modalities, JOINT) if each else (JOINT,)
        for branch in self.branches:
            dim = context.dim * (len(context.modalities) if branch == JOINT else 1)
            for number in range(self.n_views):
                net = mlp(
                    (self.view_width(dim), *settings.adversary_hidden, 1),
                    settings.adversary_dropout,
                )
                he_initialise(net)
                self.networks[f"discriminator.{branch}.{number}"] = net

    @property
    def n_views(self) -> int:
        """Discriminators a branch."""
        return 1

    def view_width(self, dim: int) -> int:
        """What a discriminator sees of a representation of width `dim`."""
        return dim

    def views(self, branch: str, outputs: Outputs) -> list[Float[Tensor, "n _"]]:
        """What each discriminator of a branch sees, before the reversal."""
        raise NotImplementedError

    def weights(self, branch: str, outputs: Outputs, strength: float) -> Float[Tensor, "n"] | None:
        """Weight of each utterance in the domain loss; None is all alike."""
        present = outputs.rows_present(branch)
        return None if present is None else present.to(outputs.logits[branch].dtype)

    def terms(self, step: Step) -> Terms:
        assert step.target is not None
        loss = self.common_loss(step)
        strength = reversal_strength(step.progress)
        each = [
            self._branch_loss(branch, step.labelled, step.target, strength)
            for branch in self.branches
        ]
        loss["domain"] = self.weight * torch.stack(each).mean()
        return Terms(loss=loss)

    def _branch_loss(
        self, branch: str, source: Outputs, target: Outputs, strength: float
    ) -> Float[Tensor, ""]:
        """Sum over the branch's discriminators."""
        weights = [self.weights(branch, outputs, strength) for outputs in (source, target)]
        views = zip(self.views(branch, source), self.views(branch, target), strict=True)
        losses = []
        for number, pair in enumerate(views):
            net: nn.Module = self.networks[f"discriminator.{branch}.{number}"]
            logits = [net(reverse_gradient(view, strength)).squeeze(1) for view in pair]
            losses.append(domain_loss(*logits, *weights))
        return torch.stack(losses).sum()
