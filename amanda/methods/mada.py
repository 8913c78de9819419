"""MADA: a discriminator for each class (Pei et al., "Multi-adversarial domain adaptation", AAAI
2018).
"""

from torch import Tensor, softmax

from amanda.methods._adversarial import Adversarial
from amanda.networks import Outputs


class MADA(Adversarial):
    """Eq. 5 and K discriminators; the k-th sees ŷ_k · f, and no gradient flows through ŷ.

    Their losses are added, with weight 0.3 each as in the original. λ ends at 1.
    """

    own_weight = 0.3

    @property
    def n_views(self) -> int:
        return len(self.context.label_names)

    def views(self, branch: str, outputs: Outputs) -> list[Tensor]:
        p = softmax(outputs.logits[branch], dim=1).detach()
        return [p[:, k, None] * outputs.representation[branch] for k in range(self.n_views)]


METHOD = MADA
