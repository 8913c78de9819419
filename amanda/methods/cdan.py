"""CDAN: the discriminator sees the representation and the prediction together.

Long et al., "Conditional adversarial domain adaptation", NeurIPS 2018. What it sees is the outer
product of the predicted probabilities g, which carry no gradient, and the representation f. Where
that is wider than 4096, the paper's randomised product stands for it: (R_f f ∘ R_g g) / √1024 with
fixed standard normal matrices.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from amanda.methods._adversarial import Adversarial
from amanda.methods._base import Context
from amanda.networks import Outputs
from amanda.settings import RunSettings
from amanda.store.names import JOINT

MAX_WIDTH, RANDOM_WIDTH = 4096, 1024


def outer_product(f: Float[Tensor, "n d"], g: Float[Tensor, "n classes"]) -> Float[Tensor, "n _"]:
    """g ⊗ f, class after class: column c·d + i is g_c · f_i."""
    return (g[:, :, None] * f[:, None, :]).flatten(1)


class RandomProduct(nn.Module):
    """(R_f f ∘ R_g g) / √width, whose inner products are unbiased for those of g ⊗ f."""

    of_features: Tensor
    of_classes: Tensor

    def __init__(self, dim: int, n_classes: int, width: int = RANDOM_WIDTH):
        super().__init__()
        self.width = width
        self.register_buffer("of_features", torch.randn(dim, width))
        self.register_buffer("of_classes", torch.randn(n_classes, width))

    def forward(
        self, f: Float[Tensor, "n d"], g: Float[Tensor, "n classes"]
    ) -> Float[Tensor, "n width"]:
        return (f @ self.of_features) * (g @ self.of_classes) / self.width**0.5


class CDAN(Adversarial):
    """Eq. 5 and one conditional domain discriminator."""

    def __init__(self, settings: RunSettings, context: Context):
        super().__init__(settings, context)
        n_classes = len(context.label_names)
        for branch in self.branches:
            dim = context.dim * (len(context.modalities) if branch == JOINT else 1)
            if dim * n_classes > MAX_WIDTH:
                # It has no parameter; it is among the networks so as to be moved with them.
                self.networks[f"product.{branch}"] = RandomProduct(dim, n_classes)

    def view_width(self, dim: int) -> int:
        full = dim * len(self.context.label_names)
        return full if full <= MAX_WIDTH else RANDOM_WIDTH

    def views(self, branch: str, outputs: Outputs) -> list[Tensor]:
        g = torch.softmax(outputs.logits[branch], dim=1).detach()
        product = self.networks.get(f"product.{branch}", outer_product)
        return [product(outputs.representation[branch], g)]


METHOD = CDAN
