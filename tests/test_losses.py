"""Losses against closed forms in numpy (float64, 1e-6), hand-worked cases and invariants."""

import math

import numpy as np
import pytest
import torch

from amanda import losses
from amanda.losses import VARIANCE_FLOOR

SEEDS = range(3)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_missing(n: int, blocks: tuple[int, ...], seed: int) -> torch.Tensor:
    """(n, sum(blocks)) bool; a row lacks whole blocks of columns."""
    generator = np.random.default_rng(seed)
    columns = [np.repeat(generator.random((n, 1)) < 0.6, width, axis=1) for width in blocks]
    return torch.from_numpy(np.concatenate(columns, axis=1))


def numpy_pairwise(x: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Covariances entry by entry, over the rows that have both columns."""
    d = x.shape[1]
    result = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            both = present[:, i] & present[:, j]
            if both.sum() > 1:
                result[i, j] = np.cov(x[both, i], x[both, j], ddof=1)[0, 1]
    return result


# Cross entropy


@pytest.mark.parametrize("seed", SEEDS)
def test_cross_entropy(seed: int) -> None:
    logits, label = randn(9, 4, seed=seed), torch.arange(9) % 4
    p = np.exp(logits.numpy())
    p /= p.sum(axis=1, keepdims=True)
    each = -np.log(p[np.arange(9), label.numpy()])
    assert losses.cross_entropy(logits, label).item() == pytest.approx(each.mean(), rel=1e-6)
    present = torch.tensor([True, False, True] * 3)
    masked = losses.cross_entropy(logits, label, present).item()
    assert masked == pytest.approx(each[present.numpy()].mean(), rel=1e-6)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]], dtype=torch.float64)
    assert losses.cross_entropy(logits, torch.tensor([1])).item() == pytest.approx(math.log(4 / 3))


def test_rows_without_evidence_have_no_gradient_and_none_at_all_is_zero() -> None:
    logits, label = randn(3, 4).requires_grad_(), torch.tensor([0, 1, 2])
    present = torch.tensor([True, False, True])
    losses.cross_entropy(logits, label, present).backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().max() == 0
    assert logits.grad[0].abs().max() > 0
    nothing = torch.zeros(3, dtype=torch.bool)
    assert losses.cross_entropy(logits, label, nothing).item() == 0.0


# Bottleneck


@pytest.mark.parametrize("seed", SEEDS)
def test_bottleneck(seed: int) -> None:
    z = randn(20, 7, seed=seed)
    expected = np.log(z.numpy().var(axis=0, ddof=1) + VARIANCE_FLOOR).sum()
    assert losses.bottleneck(z).item() == pytest.approx(expected, rel=1e-6)


def test_bottleneck_by_hand() -> None:
    z = torch.tensor([[1.0, 5.0], [3.0, 5.0]], dtype=torch.float64)  # variances 2 and 0
    expected = math.log(2 + VARIANCE_FLOOR) + math.log(VARIANCE_FLOOR)
    assert losses.bottleneck(z).item() == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_bottleneck_with_missing_rows(seed: int) -> None:
    z, present = randn(20, 5, seed=seed), some_missing(20, (3, 2), seed)
    expected = sum(
        math.log(z[present[:, j], j].numpy().var(ddof=1) + VARIANCE_FLOOR) for j in range(5)
    )
    assert losses.bottleneck(z, present).item() == pytest.approx(expected, rel=1e-6)
    everywhere = torch.ones(20, 5, dtype=torch.bool)
    assert losses.bottleneck(z, everywhere).item() == pytest.approx(losses.bottleneck(z).item())


def test_bottleneck_moves_with_scale_not_with_place_or_order() -> None:
    z = randn(12, 4)
    here = losses.bottleneck(z).item()
    assert losses.bottleneck(z + 3.0).item() == pytest.approx(here, rel=1e-9)
    assert losses.bottleneck(z.flip(0)).item() == pytest.approx(here, rel=1e-12)
    assert losses.bottleneck(2 * z).item() == pytest.approx(here + 4 * math.log(4), rel=1e-5)


@pytest.mark.parametrize("missing", [False, True])
def test_joint_bottleneck_is_the_sum_of_the_single_ones(missing: bool) -> None:
    """Decision 3: with a diagonal Σ this is exact, so each encoder's γ counts twice."""
    z, widths = randn(20, 9), (4, 3, 2)
    present = some_missing(20, widths, 1) if missing else None
    singles = 0.0
    for start, width in zip((0, 4, 7), widths, strict=True):
        here = slice(start, start + width)
        mask = None if present is None else present[:, here]
        singles += losses.bottleneck(z[:, here], mask).item()
    assert losses.bottleneck(z, present).item() == pytest.approx(singles, rel=1e-12)


def test_release_bottleneck() -> None:
    z = randn(40, 3)
    unit = z.numpy() / np.linalg.norm(z.numpy(), axis=1, keepdims=True)
    expected = math.log10(np.linalg.det(np.cov(unit.T)) / 9 + 1)
    assert losses.release_bottleneck(z).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("width", [128, 384])
def test_release_bottleneck_is_dead_at_the_papers_width(width: int) -> None:
    z = randn(128, width).float().requires_grad_()
    term = losses.release_bottleneck(z)
    term.backward()
    assert term.item() == 0.0
    assert z.grad is not None
    assert z.grad.abs().max() == 0.0


# Label alignment


@pytest.mark.parametrize("seed", SEEDS)
def test_label_alignment(seed: int) -> None:
    logits = 3 * randn(11, 4, seed=seed)
    prior = torch.tensor([0.3, 0.3, 0.2, 0.2], dtype=torch.float64)
    p = np.exp(logits.numpy())
    p /= p.sum(axis=1, keepdims=True)
    expected = -(prior.numpy() * np.log(p.mean(axis=0))).sum()
    assert losses.label_alignment(logits, prior).item() == pytest.approx(expected, rel=1e-6)


def test_label_alignment_is_least_where_the_mean_prediction_is_the_prior() -> None:
    prior = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    entropy = -(prior * prior.log()).sum().item()
    at_prior = torch.log(prior).expand(6, 3).clone().requires_grad_()
    loss = losses.label_alignment(at_prior, prior)
    loss.backward()
    assert loss.item() == pytest.approx(entropy)
    assert at_prior.grad is not None
    assert at_prior.grad.abs().max() < 1e-12
    # Sure predictions with the prior's shares are as good as unsure ones.
    sure = torch.full((4, 3), -40.0, dtype=torch.float64)
    sure[[0, 1, 2, 3], [0, 0, 1, 2]] = 40.0
    assert losses.label_alignment(sure, prior).item() == pytest.approx(entropy)
    for seed in SEEDS:
        assert losses.label_alignment(randn(6, 3, seed=seed), prior).item() > entropy


def test_label_alignment_with_a_class_that_the_prior_lacks_is_finite() -> None:
    logits = torch.tensor([[0.0, -1e4]]).requires_grad_()
    loss = losses.label_alignment(logits, torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


# Correlation alignment


@pytest.mark.parametrize("seed", SEEDS)
def test_covariance(seed: int) -> None:
    x = randn(15, 6, seed=seed) + 7.0
    np.testing.assert_allclose(losses.covariance(x), np.cov(x.numpy().T, ddof=1), rtol=1e-6)
    present = some_missing(15, (4, 2), seed)
    expected = numpy_pairwise(x.numpy(), present.numpy())
    np.testing.assert_allclose(losses.covariance(x, present), expected, rtol=1e-6, atol=1e-12)


def test_covariance_without_two_rows_is_zero_and_has_a_gradient_of_zero() -> None:
    x, present = randn(4, 3).requires_grad_(), torch.ones(4, 3, dtype=torch.bool)
    present[1:, 2] = False
    c = losses.covariance(x, present)
    assert c[2].abs().max() == 0
    assert c[:, 2].abs().max() == 0
    c.square().sum().backward()
    assert x.grad is not None
    assert x.grad[:, 2].abs().max() == 0
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_uncentred_moment(seed: int) -> None:
    x = randn(15, 4, seed=seed) + 2.0
    v = x.numpy()
    mean = v.mean(axis=0, keepdims=True)
    expected = (v.T @ v - mean.T @ mean) / 14
    np.testing.assert_allclose(losses.uncentred_moment(x), expected, rtol=1e-6)
    everywhere = torch.ones(15, 4, dtype=torch.bool)
    np.testing.assert_allclose(losses.uncentred_moment(x, everywhere), expected, rtol=1e-6)
    # Two domains that differ in their means alone: no gap for the paper, a gap for the release.
    moved = x + 1.0
    pairs = [(f(x), f(moved)) for f in (losses.covariance, losses.uncentred_moment)]
    gaps = [losses.correlation_alignment(*pair).item() for pair in pairs]
    assert gaps[0] == pytest.approx(0.0, abs=1e-18)
    assert gaps[1] > 1.0


def test_correlation_alignment_by_hand() -> None:
    source = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    target = torch.tensor([[3.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    assert losses.correlation_alignment(source, target).item() == 4 + 1 + 1
    assert losses.correlation_alignment(source, source).item() == 0
    relative = losses.relative_alignment(source, target).item()
    assert relative == pytest.approx(6 / (math.sqrt(2) * math.sqrt(12)))


def test_relative_alignment_is_free_of_scale() -> None:
    source, target = losses.covariance(randn(9, 3)), losses.covariance(2 * randn(9, 3, seed=1))
    here = losses.relative_alignment(source, target).item()
    small = losses.relative_alignment(source * 1e-6, target * 1e-6).item()
    assert small == pytest.approx(here, rel=1e-9)
    zero = torch.zeros(3, 3)
    assert losses.relative_alignment(zero, zero).item() == 0.0
    assert math.isnan(losses.relative_alignment(source, zero).item())
    assert math.isnan(losses.relative_alignment(source * 1e-14, target).item())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("missing", [False, True])
def test_joint_alignment_is_at_least_the_sum_of_the_single_ones(seed: int, missing: bool) -> None:
    """The single covariances are diagonal blocks of the joint one, whatever is missing."""
    widths, total, singles = (3, 2, 4), 9, 0.0
    source, target = randn(12, total, seed=seed), randn(10, total, seed=seed + 50) * 1.5
    masks = [some_missing(n, widths, seed + n) if missing else None for n in (12, 10)]

    def gap(here: slice) -> float:
        present = [None if mask is None else mask[:, here] for mask in masks]
        known = losses.known_to_both(present[0], present[1])
        pair = [
            losses.covariance(x[:, here], mask)
            for x, mask in zip((source, target), present, strict=True)
        ]
        if known is not None:
            pair = [torch.where(known, c, 0.0) for c in pair]
        return losses.correlation_alignment(*pair).item()

    for start, width in zip((0, 3, 5), widths, strict=True):
        singles += gap(slice(start, start + width))
    assert gap(slice(0, total)) >= singles


def test_known_to_both() -> None:
    one = torch.tensor([[True, True], [True, False], [True, False]])
    all_present = torch.ones(2, 2, dtype=torch.bool)
    assert losses.known_to_both(None, None) is None
    assert losses.known_to_both(None, one).tolist() == [[True, False], [False, False]]
    assert losses.known_to_both(all_present, one).tolist() == [[True, False], [False, False]]


def test_order_of_rows_does_not_matter() -> None:
    x, present = randn(14, 4), some_missing(14, (2, 2), 3)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    for function in (losses.covariance, losses.uncentred_moment):
        np.testing.assert_allclose(function(x, present), function(x[order], present[order]))
