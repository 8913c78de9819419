"""The balance of modalities: its parts against closed forms, and what it must not do."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_features import SHAPES, write_corpus, write_pair

from amanda.balance import imbalance, measure_balance, proxy_a_distance
from amanda.batches import Packer, UnlabelledSplit
from amanda.loading import load_training_data
from amanda.loop import describe
from amanda.methods import method_class
from amanda.networks import Model, build
from amanda.records import Balance
from amanda.settings import RunSettings
from amanda.store.features import FeatureFile
from amanda.training import train_method
from amanda.training_data import TrainingData

CPU = torch.device("cpu")
SMALL = {"dim": 4, "channels": 4, "epochs": 2, "batch_size": 16, "seeds": 1}


def loaded(folder: Path, settings: RunSettings, **target: object) -> tuple[TrainingData, Model]:
    """The data of a small pair, and an untrained model in evaluation mode."""
    source, other = write_pair(folder, **target)
    with FeatureFile(source) as s, FeatureFile(other) as t:
        data, _, _ = load_training_data(
            s, t, list(SHAPES), method_class(settings.method), standardise="none", folder=None
        )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(describe(data, settings)).eval()
    return data, model


def measured(folder: Path, **changes: object) -> Balance:
    settings = RunSettings(**{**SMALL, **changes})
    data, model = loaded(folder, settings)
    balance = measure_balance(model, data, settings, 0, CPU)
    assert balance is not None
    return balance


def representations(model: Model, split: UnlabelledSplit) -> dict[str, np.ndarray]:
    with torch.no_grad():
        outputs = model(Packer(CPU)([(split.sequences, np.arange(len(split)))]))
    return {name: z.double().numpy() for name, z in outputs.representation.items()}


# The index


def test_index_by_hand() -> None:
    # Shares 1/2, 1/4, 1/4: 3/4 · (1/6 + 1/12 + 1/12).
    assert imbalance([2.0, 1.0, 1.0]) == pytest.approx(0.25)
    assert imbalance([3.0, 1.0]) == pytest.approx(0.5)


def test_index_is_0_for_equal_losses_and_1_for_one() -> None:
    assert imbalance([4.0, 4.0, 4.0]) == pytest.approx(0)
    assert imbalance([0.0, 0.0, 7.0]) == pytest.approx(1)
    assert imbalance([0.0, 0.0, 0.0]) == 0
    assert imbalance([3.0]) is None
    assert imbalance([3.0, math.nan]) is None


def test_index_ignores_scale_and_order_and_lies_between_0_and_1() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        losses = rng.gamma(0.5, size=4)
        index = imbalance(losses)
        assert index is not None
        assert 0 <= index <= 1
        assert imbalance(100 * losses[::-1]) == pytest.approx(index)


# Losses on whole splits


def test_losses_are_eq_9_on_the_whole_train_splits(tmp_path: Path) -> None:
    settings = RunSettings(**SMALL)
    data, model = loaded(tmp_path, settings)
    balance = measure_balance(model, data, settings, 0, CPU)
    assert balance is not None
    source = representations(model, UnlabelledSplit(data.labelled_train.sequences))
    target = representations(model, data.target_train)
    for branch in (*SHAPES, "joint"):
        c_s, c_t = np.cov(source[branch].T), np.cov(target[branch].T)
        loss = np.square(c_s - c_t).sum()
        assert balance.loss[branch] == pytest.approx(loss, rel=1e-4)
        norms = np.linalg.norm(c_s) * np.linalg.norm(c_t)
        assert balance.relative[branch] == pytest.approx(loss / norms, rel=1e-4)
    assert balance.index == pytest.approx(imbalance([balance.loss[m] for m in SHAPES]))
    assert balance.index_relative == pytest.approx(imbalance([balance.relative[m] for m in SHAPES]))


def test_joint_loss_and_floor_are_at_least_the_sums_of_the_single_ones(tmp_path: Path) -> None:
    balance = measured(tmp_path)
    for losses in (balance.loss, balance.floor):
        assert losses["joint"] >= sum(losses[m] for m in SHAPES) * (1 - 1e-5)


def test_floor_is_what_two_samples_of_one_distribution_give() -> None:
    """(half_s + half_t) / 4 predicts the loss between whole samples, of unequal sizes too."""
    from amanda.balance import _half_loss
    from amanda.methods._base import alignment_losses
    from amanda.networks import Outputs

    generator, settings = np.random.default_rng(0), RunSettings()

    def sample(n: int) -> Outputs:
        z = torch.from_numpy(generator.normal(size=(n, 6)) * np.arange(1, 7))
        return Outputs({"acoustic": z, "joint": z}, {"acoustic": z, "joint": z}, None)

    losses, floors = [], []
    for _ in range(60):
        pair = sample(200), sample(80)
        losses.append(float(alignment_losses(*pair, settings)[0]["joint"]))
        halves = [_half_loss(each, settings, generator)["joint"] for each in pair]
        floors.append(sum(halves) / 4)
    assert np.mean(floors) == pytest.approx(np.mean(losses), rel=0.15)


def test_batch_size_of_the_forward_and_missing_rows_leave_it_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RunSettings(**SMALL)
    data, model = loaded(tmp_path, settings, missing={"visual": 0.3, "lexical": 0.2})
    whole = measure_balance(model, data, settings, 0, CPU)
    monkeypatch.setattr("amanda.balance._ROWS_AT_ONCE", 7)
    parts = measure_balance(model, data, settings, 0, CPU)
    assert whole is not None
    assert parts is not None
    for branch in (*SHAPES, "joint"):
        assert parts.loss[branch] == pytest.approx(whole.loss[branch], rel=1e-4)
        assert parts.floor[branch] == pytest.approx(whole.floor[branch], rel=1e-4)
        assert math.isfinite(whole.loss[branch])


def test_the_target_trained_upper_bound_has_none(tmp_path: Path) -> None:
    settings = RunSettings(method="supervised", **SMALL)
    data, model = loaded(tmp_path, settings)
    assert measure_balance(model, data, settings, 0, CPU) is None


# Weights


def test_pull_holds_the_joint_terms_weight(tmp_path: Path) -> None:
    balance = measured(tmp_path, surrogate="norm:1")
    assert set(balance.psi) == {*SHAPES, "joint"}
    assert balance.pull == pytest.approx(dict.fromkeys(SHAPES, 2.0))
    peak = measured(tmp_path, surrogate="norm:inf")
    assert peak.psi == pytest.approx({**dict.fromkeys(SHAPES, 0.0), "joint": 1.0})
    assert peak.pull == pytest.approx(dict.fromkeys(SHAPES, 1.0))


def test_without_the_joint_term_pull_is_psi(tmp_path: Path) -> None:
    balance = measured(tmp_path, surrogate="norm:2", surrogate_over="modalities")
    assert set(balance.psi) == set(SHAPES)
    assert balance.pull == balance.psi
    losses = np.array([balance.loss[m] for m in SHAPES])
    expected = losses / np.linalg.norm(losses)
    assert [balance.psi[m] for m in SHAPES] == pytest.approx(expected.tolist())


def test_softmax_space_has_no_blocks(tmp_path: Path) -> None:
    balance = measured(tmp_path, alignment_space="softmax")
    assert balance.pull == {m: balance.psi[m] for m in SHAPES}


@pytest.mark.parametrize("method", ["direct_transfer", "dann"])
def test_methods_without_a_surrogate_have_losses_and_no_weights(
    tmp_path: Path, method: str
) -> None:
    balance = measured(tmp_path, method=method)
    assert balance.psi == balance.pull == {}
    assert balance.loss == measured(tmp_path).loss  # of the same model


# Proxy A-distance


def test_proxy_a_distance_of_one_distribution_is_about_0_and_of_separate_ones_2() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5))
    assert proxy_a_distance(x[:300], x[300:], rng) == pytest.approx(0, abs=0.25)
    assert proxy_a_distance(x[:300], x[300:] + 20, rng) == 2


def test_proxy_a_distance_grows_with_the_gap() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 400, 5))
    found = [proxy_a_distance(x, y + gap, rng) or 0.0 for gap in (0.0, 0.3, 0.8, 2.0)]
    assert found == sorted(found)


def test_proxy_a_distance_needs_rows_and_takes_constant_columns() -> None:
    rng = np.random.default_rng(2)
    assert proxy_a_distance(np.zeros((7, 2)), np.zeros((50, 2)), rng) is None
    x = np.concatenate([rng.normal(size=(40, 2)), np.ones((40, 1))], axis=1)
    assert proxy_a_distance(x, x + np.array([9.0, 0, 0]), rng) == 2


# In the result file


def test_it_is_in_the_result_file_for_every_run(tmp_path: Path) -> None:
    source, target = write_pair(tmp_path)
    settings = RunSettings(**{**SMALL, "seeds": 2})
    result = train_method(
        source, target, settings, out=tmp_path / "r.json", device="cpu", workers=1
    )
    for run in result.file.methods[0].runs:
        assert run.balance is not None
        assert run.balance.index is not None
        assert 0 <= run.balance.index <= 1
        assert run.balance.index_floor is not None
        assert set(run.balance.proxy_a_distance) == {*SHAPES, "joint"}


def test_a_gap_in_one_modality_is_seen_there(tmp_path: Path) -> None:
    """Frames of one modality of the target are stretched; its relative loss stands out."""
    source = write_corpus(tmp_path / "one.h5", seed=1, gap=0, n=96)
    target = write_corpus(tmp_path / "two.h5", seed=2, gap=0, n=96)
    import h5py

    with h5py.File(target, "r+") as file:
        file["acoustic/values"][:] = 4 * file["acoustic/values"][:]
    settings = RunSettings(method="direct_transfer", **SMALL)
    with FeatureFile(source) as s, FeatureFile(target) as t:
        data, _, _ = load_training_data(
            s, t, list(SHAPES), method_class("direct_transfer"), standardise="none", folder=None
        )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(describe(data, settings)).eval()
    balance = measure_balance(model, data, settings, 0, CPU)
    assert balance is not None
    assert balance.relative["acoustic"] > 3 * max(
        balance.relative[m] for m in ("visual", "lexical")
    )
    assert balance.index_relative is not None
    assert balance.index_relative > 0.5
