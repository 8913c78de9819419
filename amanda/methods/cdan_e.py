"""CDAN+E: CDAN in which sure predictions weigh more (Long et al., NeurIPS 2018)."""

import torch
from jaxtyping import Float
from torch import Tensor

from amanda.methods._adversarial import reverse_gradient
from amanda.methods.cdan import CDAN
from amanda.networks import Outputs


def certainty(logits: Float[Tensor, "n classes"], strength: float) -> Float[Tensor, "n"]:
    """w = 1 + e^(−H), H the entropy of the prediction, whose gradient is reversed.

    As in the authors' release: the weights carry a gradient, and are later divided by their sum in
    each domain, which carries none. A library that divides by the sum over both domains together
    has another loss.
    """
    log_p = torch.log_softmax(logits, dim=1)
    entropy = -(log_p.exp() * log_p).sum(dim=1)
    return 1 + torch.exp(-reverse_gradient(entropy, strength))


class CDANE(CDAN):
    """CDAN with entropy conditioning."""

    def weights(self, branch: str, outputs: Outputs, strength: float) -> Tensor | None:
        present = super().weights(branch, outputs, strength)
        weight = certainty(outputs.logits[branch], strength)
        return weight if present is None else weight * present


METHOD = CDANE
