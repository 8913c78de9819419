"""Class shares of an unlabelled domain: closed cases, and shares that are known."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from small_features import write_corpus

from amanda.label_shift import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    estimate_shares,
    estimate_target_shares,
    fit_temperature,
    tempered,
)
from amanda.settings import RunSettings
from amanda.training import train_method

SHARES = np.array([0.4, 0.3, 0.2, 0.1])


def gaussian_domain(
    shares: np.ndarray, n: int, seed: int, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, points and the exact log densities a class, of four classes on a line."""
    rng = np.random.default_rng(seed)
    label = rng.choice(4, n, p=shares)
    x = 2.0 * label + rng.normal(0, spread, n)
    log_density = -((x[:, None] - 2.0 * np.arange(4)) ** 2) / (2 * spread**2)
    return label, x, log_density


def bayes(log_density: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Exact posteriors under `shares`."""
    p = np.exp(log_density) * shares
    return p / p.sum(axis=1, keepdims=True)


# Temperature


def test_temperature_by_an_optimiser() -> None:
    label, _, density = gaussian_domain(SHARES, 400, seed=1)
    p = tempered(bayes(density, SHARES), 0.6)  # overconfident
    found = minimize_scalar(
        lambda t: -np.log(tempered(p, t)[np.arange(400), label]).mean(),
        bounds=(0.3, 5),
        method="bounded",
    )
    assert fit_temperature(p, label) == pytest.approx(found.x, rel=1e-3)


def test_temperature_undoes_what_was_done() -> None:
    label, _, density = gaussian_domain(SHARES, 20_000, seed=2)
    exact = bayes(density, SHARES)
    assert fit_temperature(exact, label) == pytest.approx(1, abs=0.05)
    assert fit_temperature(tempered(exact, 0.5), label) == pytest.approx(2, abs=0.1)


def test_temperature_is_held_where_val_has_no_mistake_or_only_mistakes() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(p, np.array([0, 1])) == LEAST_TEMPERATURE
    assert fit_temperature(p, np.array([1, 0])) == MOST_TEMPERATURE
    assert fit_temperature(p[:0], np.array([], int)) == 1


def test_tempering_keeps_order_and_sums() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    for temperature in (0.3, 1.0, 4.0):
        q = tempered(p, temperature)
        assert q.sum(axis=1) == pytest.approx(np.ones(30))
        assert (q.argsort(axis=1) == p.argsort(axis=1)).all()
    assert tempered(p, 1.0) == pytest.approx(p)
    assert tempered(p, 1e6) == pytest.approx(np.full((30, 4), 0.25), abs=1e-4)


# Shares


def test_certain_predictions_are_counted() -> None:
    p = np.eye(4)[[0, 0, 1, 3]]
    assert estimate_shares(p, np.full(4, 0.25)) == pytest.approx([0.5, 0.25, 0, 0.25])
    with_pseudo = estimate_shares(p, np.full(4, 0.25), pseudo_count=1.0)
    assert with_pseudo == pytest.approx([3 / 8, 2 / 8, 1 / 8, 2 / 8])


def test_a_classifier_that_knows_nothing_moves_nothing() -> None:
    p = np.tile(SHARES, (50, 1))
    assert estimate_shares(p, SHARES) == pytest.approx(SHARES)


def test_two_classes_by_hand() -> None:
    """Likelihood of q for rows (.8, .2) × 3 and (.2, .8) × 1, trained at a half each.

    Its slope 3·.6/(.2 + .6q) − .6/(.8 − .6q) is 0 at q = (2.4 − .2)/2.4.
    """
    p = np.array([[0.8, 0.2]] * 3 + [[0.2, 0.8]])
    q = estimate_shares(p, np.array([0.5, 0.5]))
    assert q[0] == pytest.approx(2.2 / 2.4, abs=1e-6)


@pytest.mark.parametrize(
    "target", [[0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]
)
def test_known_shares_are_found(target: list[float]) -> None:
    """A classifier that is exact on the source, and a target with other shares."""
    wanted = np.array(target)
    val_label, _, val = gaussian_domain(SHARES, 1000, seed=3)
    _, _, density = gaussian_domain(wanted, 4000, seed=4)
    seen = bayes(density, SHARES)
    found = estimate_target_shares(bayes(val, SHARES), val_label, seen, SHARES)
    assert found.sum() == pytest.approx(1)
    assert np.abs(found - wanted).sum() / 2 < 0.06
    # Overconfidence of the classifier is calibrated away; left in, it would bend the estimate.
    sharp = estimate_target_shares(
        tempered(bayes(val, SHARES), 0.4), val_label, tempered(seen, 0.4), SHARES
    )
    assert np.abs(sharp - wanted).sum() / 2 < 0.06
    uncorrected = seen.mean(axis=0)
    assert np.abs(found - wanted).sum() <= np.abs(uncorrected - wanted).sum() + 0.02


def test_estimates_are_shares_whatever_comes() -> None:
    rng = np.random.default_rng(5)
    for n in (1, 3, 40):
        p = rng.dirichlet(np.full(4, 0.2), n)
        empty = np.empty((0, 4)), np.empty(0, int)
        found = estimate_target_shares(*empty, p, SHARES)
        assert found.sum() == pytest.approx(1)
        assert (found > 0).all()


def test_row_order_does_not_matter() -> None:
    p = np.random.default_rng(6).dirichlet(np.ones(4), 60)
    assert estimate_shares(p, SHARES) == pytest.approx(estimate_shares(p[::-1], SHARES))


# In training


def shifted_pair(folder: Path) -> tuple[Path, Path]:
    """Corpora that differ in their class shares alone: equal ones, and half of one class."""

    def edit(columns: dict[str, np.ndarray]) -> None:
        unwanted = (columns["label"] != 0) & (np.arange(len(columns["label"])) % 5 > 1)
        columns["split"] = np.where(unwanted, "none", columns["split"])

    source = write_corpus(folder / "one.h5", n=288, seed=1, gap=0)
    return source, write_corpus(folder / "two.h5", n=576, seed=2, gap=0, edit=edit)


def test_training_estimates_and_records_the_targets_shares(tmp_path: Path) -> None:
    source, target = shifted_pair(tmp_path)
    settings = RunSettings(
        label_prior="estimated",
        epochs=14,
        eval_every=14,
        dim=8,
        channels=8,
        batch_size=32,
        seeds=1,
        lr=5e-3,
        dropout=0.1,
        head_dropout=0.0,
    )
    result = train_method(
        source, target, settings, out=tmp_path / "r.json", device="cpu", workers=1
    )
    method = result.file.methods[0]
    shares = [epoch.label_prior for epoch in method.runs[0].epochs]
    equal = dict.fromkeys(result.file.label_names, pytest.approx(0.25, abs=0.01))
    assert shares[0] == equal  # the source's, until there are predictions
    counts = result.file.features.target.splits["train"].classes
    true = {name: n / sum(counts.values()) for name, n in counts.items()}
    gap = [sum(abs((s[name] or 0) - true[name]) for name in true) / 2 for s in shares]
    assert gap[0] > 0.15
    assert gap[-1] < 0.1
    assert sum(v or 0.0 for v in shares[-1].values()) == pytest.approx(1)


def test_other_priors_record_none(tmp_path: Path) -> None:
    source, target = shifted_pair(tmp_path)
    settings = RunSettings(epochs=1, dim=4, channels=4, seeds=1)
    result = train_method(source, target, settings, out=tmp_path / "r.json", device="cpu")
    assert result.file.methods[0].runs[0].epochs[0].label_prior == {}
