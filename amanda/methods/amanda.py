"""Amanda: information bottleneck, label alignment, a surrogate of the correlation alignments."""

import torch

from amanda.given_surrogate import GivenSurrogate
from amanda.methods._base import Context, Method, Step, Terms, alignment_losses
from amanda.settings import RunSettings
from amanda.store.names import JOINT
from amanda.surrogates import parse_surrogate, psi


class Amanda(Method):
    """Eq. 10: L_IB + α1 · L_LA + α2 · h(L_CA), h by `amanda.surrogates`.

    In representation space the joint covariance holds the single ones as its diagonal blocks, so
    the joint alignment loss is never below their sum: with `surrogate_over: all`, norm:inf follows
    the joint term alone. `surrogate_over: modalities` leaves it out of h.
    """

    aligns_labels = True

    def __init__(self, settings: RunSettings, context: Context):
        super().__init__(settings, context)
        self.surrogate = parse_surrogate(settings.surrogate)
        if isinstance(self.surrogate, GivenSurrogate):
            _ = self.surrogate.function  # wrong functions are told before anything starts

    def terms(self, step: Step) -> Terms:
        assert step.target is not None
        loss = self.common_loss(step)
        alignment, relative = alignment_losses(step.labelled, step.target, self.settings)
        over = [b for b in alignment if b != JOINT or self.settings.surrogate_over == "all"]
        losses = torch.stack([alignment[branch] for branch in over])
        if self.settings.alpha2 > 0:
            loss["correlation_alignment"] = self.settings.alpha2 * self.surrogate(losses)
        weights = dict(zip(over, psi(self.surrogate, losses), strict=True))
        return Terms(loss=loss, alignment=alignment, alignment_relative=relative, psi=weights)


METHOD = Amanda
