"""Surrogates given as functions: they train like any, and wrong ones are told before."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_features import write_pair

from amanda.given_surrogate import GivenSurrogate
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.surrogates import parse_surrogate, psi
from amanda.training import train_method

MODULE = """
import torch

def bent(a):
    return a.sqrt()

sinh = (lambda a: a.sinh(), lambda s: s.asinh())
square = (lambda a: a**2, lambda s: s.sqrt())
falling = (lambda a: -a, lambda s: -s)
concave = (bent, lambda s: s**2)
wrong_inverse = (lambda a: a**2, lambda s: s)
infinite = (lambda a: 1 / a, lambda s: 1 / s)
alone = torch.sinh
"""


@pytest.fixture(autouse=True)
def _importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given_functions.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "given_functions", raising=False)


def test_it_is_eq_11_and_its_weights_eq_13() -> None:
    surrogate = parse_surrogate("phi:given_functions.sinh")
    a = np.array([0.5, 1.5, 3.0])
    losses = torch.from_numpy(a)
    assert surrogate(losses).item() == pytest.approx(np.arcsinh(np.sinh(a).sum()))
    expected = np.cosh(a) / np.cosh(np.arcsinh(np.sinh(a).sum()))
    np.testing.assert_allclose(psi(surrogate, losses), expected)


def test_the_square_is_norm_2() -> None:
    losses = torch.tensor([0.3, 2.0, 1.0], dtype=torch.float64)
    ours, family = parse_surrogate("phi:given_functions.square"), parse_surrogate("norm:2")
    assert ours(losses).item() == pytest.approx(family(losses).item())
    np.testing.assert_allclose(psi(ours, losses), psi(family, losses))


def test_settings_name_it_without_importing_it() -> None:
    settings = RunSettings(surrogate="phi:no_such_module.sinh")
    assert settings.surrogate == "phi:no_such_module.sinh"
    assert settings.label == "A (phi:no_such_module.sinh)"
    assert str(GivenSurrogate("a.b")) == "phi:a.b"


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("phi", "write phi:MODULE.PAIR, as phi:mine.sinh"),
        ("phi:sinh", "write phi:MODULE.PAIR"),
        ("phi:mine.2", "write phi:MODULE.PAIR"),
        ("phy:mine.sinh", "no kind 'phy'; did you mean 'phi'"),
    ],
)
def test_wrong_names(name: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        parse_surrogate(name)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("no_such_module.sinh", "Python finds no module 'no_such_module'; .*PYTHONPATH"),
        ("given_functions.cosh", "given_functions has no 'cosh'"),
        ("given_functions.alone", "is no pair of functions"),
        ("given_functions.falling", "does not increase between 0.0 and 0.01"),
        ("given_functions.concave", "not convex at 0.01"),
        ("given_functions.wrong_inverse", "not the inverse of φ: at 8.0 there and back gives 64"),
        ("given_functions.infinite", "one finite number a loss, also at 0"),
    ],
)
def test_wrong_functions(name: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        _ = parse_surrogate(f"phi:{name}").function


def test_a_training_with_it(tmp_path: Path) -> None:
    small = {"epochs": 2, "dim": 4, "channels": 4, "batch_size": 16, "seeds": 1}
    pair = write_pair(tmp_path)
    given, named = (
        train_method(
            *pair,
            RunSettings(surrogate=surrogate, **small),
            out=tmp_path / f"{number}.json",
            device="cpu",
        ).file.methods[0]
        for number, surrogate in enumerate(("phi:given_functions.square", "norm:2"))
    )
    assert given.label.startswith("A (phi:given_functions.square)")
    ours, theirs = given.runs[0].epochs[-1], named.runs[0].epochs[-1]
    assert ours.loss["total"] == pytest.approx(theirs.loss["total"], rel=1e-3)
    assert ours.psi == pytest.approx(theirs.psi, rel=1e-2)


def test_wrong_functions_stop_a_training_before_it_starts(tmp_path: Path) -> None:
    pair, out = write_pair(tmp_path), tmp_path / "r.json"
    with pytest.raises(InputError, match="not convex"):
        train_method(*pair, RunSettings(surrogate="phi:given_functions.concave"), out=out)
    assert not out.exists()
