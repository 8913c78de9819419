"""Supervised: Eq. 5 on the target's own labelled train split; an upper bound (paper, Table 2)."""

from amanda.methods._base import Method, Step, Terms


class Supervised(Method):
    """Trains on the target's labels: the only method that does."""

    labelled = "target"
    sees_target = False

    def terms(self, step: Step) -> Terms:
        return Terms(loss=self.common_loss(step))


METHOD = Supervised
