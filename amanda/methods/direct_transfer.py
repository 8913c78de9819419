"""Direct transfer: Eq. 5 on the source alone; what adapting is measured against."""

from amanda.methods._base import Method, Step, Terms


class DirectTransfer(Method):
    """Trains on the labelled source and never sees the target."""

    sees_target = False

    def terms(self, step: Step) -> Terms:
        return Terms(loss=self.common_loss(step))


METHOD = DirectTransfer
