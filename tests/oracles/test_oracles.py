"""Our losses, layers and validators against those of skada and pytorch-adapt.

`make oracles` runs this in an environment of its own; elsewhere it is skipped. Where a library has
another normalisation, the comparison says which. No maintained implementation of MADA or CDAN+E as
a whole is known.
"""

import numpy as np
import pytest
import torch

REASON = "compared in an environment of its own: make oracles"


def imported(name: str):
    """A module of another library; without it this whole file is skipped."""
    return pytest.importorskip(name, reason=REASON, exc_type=ImportError)


adapt_layers = imported("pytorch_adapt.layers")
adapt_validators = imported("pytorch_adapt.validators")
skada_losses = imported("skada.deep.losses")

from amanda import losses  # noqa: E402
from amanda.methods._adversarial import reverse_gradient  # noqa: E402
from amanda.methods.cdan import RandomProduct, outer_product  # noqa: E402
from amanda.methods.cdan_e import certainty  # noqa: E402
from amanda.validators import VALIDATORS, ValidatorInputs  # noqa: E402

SEEDS = range(3)
N, DIM, CLASSES = 24, 7, 4


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def inputs(logits: torch.Tensor) -> ValidatorInputs:
    p = torch.softmax(logits, dim=1).numpy()
    return ValidatorInputs(
        source_val_label=np.zeros(len(p), np.int64),
        source_val_probabilities=p,
        target_val_probabilities=p,
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("library", ["skada", "pytorch-adapt"])
def test_correlation_alignment_is_coral_without_its_divisor(seed: int, library: str) -> None:
    """Both divide by 4d² (Deep CORAL); Eq. 9 does not."""
    x, y = draw(seed, N, DIM), 2 * draw(seed + 100, N + 5, DIM) + 1
    ours = losses.correlation_alignment(losses.covariance(x), losses.covariance(y))
    theirs = (
        skada_losses.deepcoral_loss(x, y) if library == "skada" else adapt_layers.CORALLoss()(x, y)
    )
    assert ours.item() / (4 * DIM**2) == pytest.approx(theirs.item(), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_of_correlation_alignment(seed: int) -> None:
    gradients = []
    for theirs in (False, True):
        x, y = draw(seed, N, DIM).requires_grad_(), draw(seed + 1, N, DIM)
        loss = (
            skada_losses.deepcoral_loss(x, y) * 4 * DIM**2
            if theirs
            else losses.correlation_alignment(losses.covariance(x), losses.covariance(y))
        )
        loss.backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_gradient_reversal(strength: float) -> None:
    ours, theirs = (draw(0, N, DIM).requires_grad_() for _ in range(2))
    out = reverse_gradient(ours, strength), adapt_layers.GradientReversal(strength)(theirs)
    torch.testing.assert_close(*out)
    for each in out:
        each.pow(3).sum().backward()
    # The library keeps its weight in float32.
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_certainty_is_the_weight_by_entropy(seed: int) -> None:
    """Theirs is divided by its sum, as ours is later in each domain."""
    logits = 3 * draw(seed, N, CLASSES)
    ours = certainty(logits, 1.0)
    torch.testing.assert_close(ours / ours.sum(), adapt_layers.EntropyWeights()(logits))


def test_random_product() -> None:
    f, g = draw(0, N, 50), torch.softmax(draw(1, N, CLASSES), dim=1)
    ours, theirs = (
        RandomProduct(50, CLASSES).double(),
        adapt_layers.RandomizedDotProduct([50, CLASSES], 1024),
    )
    theirs.set_rand_mat(0, ours.of_features)
    theirs.set_rand_mat(1, ours.of_classes)
    torch.testing.assert_close(ours(f, g), theirs(f, g))


def test_outer_product_is_a_batched_matrix_product() -> None:
    """Their CDAN without random matrices: bmm of predictions and features, flattened."""
    f, g = draw(0, N, DIM), torch.softmax(draw(1, N, CLASSES), dim=1)
    expected = torch.bmm(g.unsqueeze(2), f.unsqueeze(1)).view(N, -1)
    torch.testing.assert_close(outer_product(f, g), expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sharpness", [0.5, 3.0])
@pytest.mark.parametrize(
    ("ours", "theirs", "layer", "sign"),
    [
        ("entropy", "EntropyValidator", "logits", -1),  # theirs is higher where better
        ("im", "IMValidator", "logits", 1),
        ("snd", "SNDValidator", "preds", 1),
        ("bnm", "BNMValidator", "logits", 1),
    ],
)
def test_validators(
    seed: int, sharpness: float, ours: str, theirs: str, layer: str, sign: int
) -> None:
    logits = sharpness * draw(seed, N, CLASSES)
    p = torch.softmax(logits, dim=1)
    given = {"logits": logits, "preds": p}
    validator = getattr(adapt_validators, theirs)(layer=layer)
    expected = sign * validator(target_train=given)
    assert VALIDATORS[ours].score(inputs(logits)) == pytest.approx(expected, rel=1e-6)


def test_label_alignment_is_their_class_balance_up_to_a_constant() -> None:
    """With a uniform prior Eq. 8 is KL(prior ‖ mean prediction) plus the prior's entropy."""
    logits = draw(0, N, CLASSES)
    prior = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    mean = torch.softmax(logits, dim=1).mean(dim=0)
    divergence = torch.nn.functional.kl_div(mean.log(), prior, reduction="sum")
    entropy = -(prior * prior.log()).sum()
    assert losses.label_alignment(logits, prior).item() == pytest.approx(
        (divergence + entropy).item()
    )
