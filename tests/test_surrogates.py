"""Surrogates against closed forms in numpy, and the identities that hold exactly."""

import math

import numpy as np
import pytest
import torch

from amanda.store.errors import InputError
from amanda.surrogates import KINDS, general, parse_surrogate, psi

NORMS = ["norm:1", "norm:1.5", "norm:2", "norm:3", "norm:10", "norm:inf"]
LOGEXPS = ["logexp:0.25", "logexp:0.5", "logexp:1", "logexp:7"]
RANDOM = [np.random.default_rng(seed).gamma(1.0, 3.0, size=4) for seed in range(5)]
SPECIAL = [
    np.zeros(4),
    np.array([0.0, 0.0, 3.0, 0.0]),
    np.array([2.0, 2.0, 1.0, 2.0]),
    np.array([1e-200, 3e-200, 0.0, 2e-200]),
    np.array([1e200, 1.0, 0.0, 5e199]),
    np.array([2330.0, 610.0, 590.0, 800.0]),
    np.array([5.0]),
]


def value_and_psi(name: str, losses: np.ndarray) -> tuple[float, np.ndarray]:
    surrogate, tensor = parse_surrogate(name), torch.from_numpy(losses.copy())
    return surrogate(tensor).item(), psi(surrogate, tensor).numpy()


def closed_form(name: str, a: np.ndarray) -> tuple[float, np.ndarray]:
    """Eq. 11 with Eq. 14 or 15 as they stand; a = 0 is left to tests of its own."""
    kind, parameter = name.split(":")
    number = float(parameter)
    if kind == "logexp":
        peak = (number * a).max()
        weights = np.exp(number * a - peak)
        return (peak + math.log(weights.sum())) / number, weights / weights.sum()
    if number == math.inf:
        ties = a == a.max()
        return a.max(), ties / ties.sum()
    unit = a / a.max()  # both sides of Eq. 14 are free of scale
    norm = (unit**number).sum() ** (1 / number)
    return a.max() * norm, (unit / norm) ** (number - 1)


@pytest.mark.parametrize("name", NORMS + LOGEXPS)
@pytest.mark.parametrize("losses", RANDOM + SPECIAL[1:], ids=str)
def test_value_and_weights_are_those_of_the_paper(name: str, losses: np.ndarray) -> None:
    value, weights = value_and_psi(name, losses)
    expected_value, expected_weights = closed_form(name, losses)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-6, atol=1e-300)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("losses", RANDOM + SPECIAL, ids=str)
def test_identities_of_norms(name: str, losses: np.ndarray) -> None:
    value, weights = value_and_psi(name, losses)
    p = float(name.removeprefix("norm:"))
    dual = math.inf if p == 1 else 1.0 if p == math.inf else p / (p - 1)
    np.testing.assert_allclose((weights * losses).sum(), value, rtol=1e-6)  # Euler
    np.testing.assert_allclose(np.linalg.norm(weights, dual), 1.0, rtol=1e-6)  # Lemma 1
    assert (weights >= 0).all()


@pytest.mark.parametrize("name", LOGEXPS)
@pytest.mark.parametrize("losses", RANDOM + SPECIAL, ids=str)
def test_identities_of_logexp(name: str, losses: np.ndarray) -> None:
    value, weights = value_and_psi(name, losses)
    t = float(name.removeprefix("logexp:"))
    seen = weights[weights > 0]
    entropy = -(seen * np.log(seen)).sum()
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-6)  # Lemma 1
    np.testing.assert_allclose(value, (weights * losses).sum() + entropy / t, rtol=1e-6)


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_is_zero_at_zero_with_equal_weights(name: str) -> None:
    value, weights = value_and_psi(name, np.zeros(4))
    p = float(name.removeprefix("norm:"))
    assert value == 0.0
    np.testing.assert_allclose(weights, np.full(4, 4 ** (1 / p - 1)), rtol=1e-12)


def test_logexp_at_zero() -> None:
    value, weights = value_and_psi("logexp:2", np.zeros(4))
    assert value == pytest.approx(math.log(4) / 2)
    np.testing.assert_allclose(weights, 0.25)


def test_by_hand() -> None:
    value, weights = value_and_psi("norm:2", np.array([3.0, 4.0]))
    assert value == pytest.approx(5.0)
    np.testing.assert_allclose(weights, [0.6, 0.8])
    value, weights = value_and_psi("logexp:1", np.array([0.0, math.log(3.0)]))
    assert value == pytest.approx(math.log(4.0))
    np.testing.assert_allclose(weights, [0.25, 0.75])


def test_p_1_weighs_all_alike_and_p_inf_shares_among_ties() -> None:
    assert value_and_psi("norm:1", np.array([0.0, 7.0, 2.0]))[1].tolist() == [1.0, 1.0, 1.0]
    assert value_and_psi("norm:inf", np.array([5.0, 1.0, 5.0]))[1].tolist() == [0.5, 0.0, 0.5]


def test_large_t_and_large_p_approach_p_inf() -> None:
    losses = np.array([1.0, 5.0, 4.5])
    expected = value_and_psi("norm:inf", losses)
    for name in ("logexp:10000", "norm:10000"):
        value, weights = value_and_psi(name, losses)
        assert value == pytest.approx(expected[0], rel=1e-3)
        np.testing.assert_allclose(weights, expected[1], atol=1e-6)


@pytest.mark.parametrize("name", NORMS + LOGEXPS)
def test_larger_losses_weigh_no_less_and_order_does_not_matter(name: str) -> None:
    for losses in RANDOM:
        value, weights = value_and_psi(name, losses)
        ranked = weights[np.argsort(losses)]
        assert (np.diff(ranked) >= -1e-12).all()
        order = np.random.default_rng(0).permutation(4)
        moved_value, moved = value_and_psi(name, losses[order])
        assert moved_value == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(moved, weights[order], rtol=1e-9)


@pytest.mark.parametrize("name", NORMS + LOGEXPS)
def test_float32_stays_finite(name: str) -> None:
    surrogate = parse_surrogate(name)
    for values in ([0.0, 0.0], [1e-40, 0.0], [3e38, 1e38], [1e-30, 1e30]):
        losses = torch.tensor(values)
        assert torch.isfinite(psi(surrogate, losses)).all(), values
    assert torch.isfinite(surrogate(torch.tensor([1e30, 2e30])))


def test_psi_carries_no_gradient_and_works_without_one() -> None:
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.no_grad():
        weights = psi(parse_surrogate("norm:2"), losses)
    assert not weights.requires_grad
    assert losses.grad is None


@pytest.mark.parametrize("losses", RANDOM, ids=str)
def test_general_agrees_with_the_families(losses: np.ndarray) -> None:
    tensor = torch.from_numpy(losses)
    families = {
        "norm:3": (lambda a: a**3, lambda s: s ** (1 / 3)),
        "logexp:0.5": (lambda a: torch.exp(0.5 * a), lambda s: torch.log(s) / 0.5),
    }
    for name, (phi, inverse) in families.items():
        ours, family = general(phi, inverse), parse_surrogate(name)
        np.testing.assert_allclose(ours(tensor).item(), family(tensor).item(), rtol=1e-9)
        np.testing.assert_allclose(psi(ours, tensor), psi(family, tensor), rtol=1e-9)


def test_general_weights_are_those_of_eq_13() -> None:
    losses = torch.tensor([0.5, 1.5, 3.0], dtype=torch.float64)
    weights = psi(general(torch.sinh, torch.asinh), losses).numpy()
    a = losses.numpy()  # φ = sinh, so φ' = cosh
    np.testing.assert_allclose(weights, np.cosh(a) / np.cosh(np.arcsinh(np.sinh(a).sum())))


def test_names() -> None:
    for kind in KINDS.values():
        assert str(parse_surrogate(kind.example)) == kind.example
    assert str(parse_surrogate(" norm:2.0")) == "norm:2"
    assert str(parse_surrogate("norm:INF")) == "norm:inf"
    assert str(parse_surrogate("logexp:.5")) == "logexp:0.5"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nrm:2", "no kind 'nrm'; did you mean 'norm'"),
        ("log-exp:2", "did you mean 'logexp'"),
        ("p2", "known: norm, logexp, phi"),
        ("norm", "has no parameter; P is a number ≥ 1, or inf, as in norm:2"),
        ("norm:", "has no parameter"),
        ("norm:two", "'two' is no number"),
        ("norm:0.5", "P is a number ≥ 1"),
        ("norm:-inf", "P is a number ≥ 1"),
        ("norm:nan", "P is a number ≥ 1"),
        ("logexp:0", "T is a finite number > 0"),
        ("logexp:-1", "T is a finite number > 0"),
        ("logexp:inf", "T is a finite number > 0"),
    ],
)
def test_wrong_names(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_surrogate(name)
