"""DANN: the discriminator sees the representation (Ganin et al., JMLR 2016)."""

from torch import Tensor

from amanda.methods._adversarial import Adversarial
from amanda.networks import Outputs


class DANN(Adversarial):
    """Eq. 5 and one domain discriminator."""

    def views(self, branch: str, outputs: Outputs) -> list[Tensor]:
        return [outputs.representation[branch]]


METHOD = DANN
