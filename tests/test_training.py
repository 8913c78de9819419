"""Training from feature files to a result file."""

import json
import math
import os
import signal
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from small_features import write_corpus, write_pair

from amanda.evaluation import select
from amanda.loading import load_training_data
from amanda.loop import lr_share, train
from amanda.methods import method_class
from amanda.models import load_model, restore
from amanda.networks import build
from amanda.records import (
    EpochRecord,
    Evaluation,
    RunRecord,
    Selection,
    TestRows,
    read_run,
    write_run,
)
from amanda.results import check_result, read_result
from amanda.settings import RunSettings
from amanda.standardise import column_moments
from amanda.store.errors import AmandaError, InputError
from amanda.store.features import FeatureFile
from amanda.training import train_method
from amanda.training_data import load_mapped, save_mapped
from amanda.validators import VALIDATORS

CPU = torch.device("cpu")
SMALL = {"epochs": 3, "seeds": 1, "batch_size": 16, "dim": 8, "channels": 4}
MODALITIES = ("acoustic", "visual", "lexical")


def settings(**changes: object) -> RunSettings:
    return RunSettings(**(SMALL | changes))  # type: ignore[arg-type]


def load(source: Path, target: Path, method: str = "amanda", folder=None, standardise="none"):
    with FeatureFile(source) as a, FeatureFile(target) as b:
        return load_training_data(
            a, b, MODALITIES, method_class(method), standardise=standardise, folder=folder
        )


def trained(data, run: RunSettings, seed: int = 0):
    """Run the loop to its end."""
    training = train(data, run, seed, CPU)
    while True:
        try:
            next(training)
        except StopIteration as stop:
            return stop.value


def train_pair(pair: tuple[Path, Path], out: Path, run: RunSettings | None = None, **options):
    options = {"device": "cpu", "workers": 1} | options
    return train_method(*pair, run or settings(), out=out, **options)


# The result


def test_writes_a_sound_result(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "r.json"
    result = train_pair(write_pair(tmp_path), out, settings(seeds=2))
    assert check_result(out) == []
    (method,) = result.file.methods
    assert [run.seed for run in method.runs] == [0, 1]
    for run in method.runs:
        assert [epoch.epoch for epoch in run.epochs] == [1, 2, 3]
        assert set(run.selections) == {"last", "oracle", *VALIDATORS}
        assert run.selections["last"].epoch == 3
        for epoch in run.epochs:
            terms = {name: value for name, value in epoch.loss.items() if name != "total"}
            assert set(terms) == {
                *(f"ce_{branch}" for branch in (*MODALITIES, "joint")),
                "bottleneck",
                "label_alignment",
                "correlation_alignment",
            }
            assert sum(terms.values()) == pytest.approx(epoch.loss["total"], rel=1e-5)
            assert list(epoch.alignment) == [*MODALITIES, "joint"]
            assert sum(epoch.alignment[m] for m in MODALITIES) <= epoch.alignment["joint"]
            assert set(epoch.psi) == set(epoch.alignment) == set(epoch.alignment_relative)
            assert set(epoch.validators) == set(VALIDATORS)
    assert method.target_labels_used == []
    assert list(tmp_path.glob("runs/.*")) == []  # nothing hidden is left
    assert "A-N (p=2)" in result.to_text()


def test_learns_what_can_be_learned(tmp_path: Path) -> None:
    """Most test utterances of a corpus without a gap, where a guess finds a quarter."""
    pair = (
        write_corpus(tmp_path / "one.h5", seed=1, gap=0.0),
        write_corpus(tmp_path / "two.h5", seed=2, gap=0.0),
    )
    run = settings(epochs=30, lr=3e-3, dim=16, channels=16)
    result = train_pair(pair, tmp_path / "r.json", run)
    (method,) = result.file.methods
    assert method.aggregate["last"]["accuracy"].mean > 0.5
    losses = [epoch.loss["ce_joint"] for epoch in method.runs[0].epochs]
    assert losses[-1] < 0.5 * losses[0]


def test_same_seed_same_file(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, missing={"visual": 0.3})
    texts = []
    for name in ("a", "b"):
        result = train_pair(pair, tmp_path / f"{name}.json")
        content = json.loads(result.path.read_text())
        content.pop("provenance")
        content["predictions"].pop("file")
        for method in content["methods"]:
            method.pop("provenance")
            for run in method["runs"]:
                run.pop("wall_s")
        texts.append((json.dumps(content), result.predictions_path.read_bytes()))
    assert texts[0] == texts[1]
    other = train_pair(pair, tmp_path / "c.json", settings(lr=1e-3))
    assert other.predictions_path.read_bytes() != texts[0][1]


def test_leaves_the_global_generator_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_pair(write_pair(tmp_path), tmp_path / "r.json", settings(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


# Target labels


def _permuted(columns: dict[str, np.ndarray]) -> None:
    columns["label"] = np.random.default_rng(3).permutation(columns["label"])


def _removed(columns: dict[str, np.ndarray]) -> None:
    columns["label"][:] = -1


@pytest.mark.parametrize("method", ["amanda", "direct_transfer", "cdan_e"])
def test_target_labels_do_not_reach_training(tmp_path: Path, method: str) -> None:
    """Permuted or removed, they leave weights, losses and label-free validators as they are."""
    runs = []
    for name, edit in (("as_is", None), ("permuted", _permuted), ("removed", _removed)):
        (tmp_path / name).mkdir()
        data, test, _ = load(*write_pair(tmp_path / name, edit=edit), method)
        runs.append((trained(data, settings(method=method, standardise="domain")), test))
    (first, labels), *others = runs
    for other, other_labels in others:
        assert labels.label.tolist() != other_labels.label.tolist()
        for name, weight in first.model.state_dict().items():
            assert torch.equal(weight, other.model.state_dict()[name]), name
        assert first.epochs == other.epochs  # losses and validators, to the last bit
        ours, theirs = select(first.evaluations, labels), select(other.evaluations, other_labels)
        for rule in ("last", *VALIDATORS):
            assert ours[rule].epoch == theirs[rule].epoch
            for branch, p in ours[rule].probabilities.items():
                np.testing.assert_array_equal(p, theirs[rule].probabilities[branch])


def test_supervised_alone_learns_from_target_labels(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    states = []
    for name, edit in (("a", None), ("b", _permuted)):
        data, _, _ = load(*write_pair(tmp_path / name, edit=edit), "supervised")
        states.append(trained(data, settings(method="supervised")).model.state_dict())
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
    result = train_pair(
        write_pair(tmp_path), tmp_path / "r.json", settings(method="supervised", epochs=1)
    )
    assert result.file.target_labels_used == ["supervised:train,val"]


def test_an_unlabelled_target_trains_and_is_predicted(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, edit=_removed)
    result = train_pair(pair, tmp_path / "r.json")
    assert check_result(result.path) == []
    (run,) = result.file.methods[0].runs
    assert "oracle" not in run.selections
    assert run.selections["last"].weighted_f1 is None
    assert run.selections["last"].n == 12
    assert set(run.selections) == {"last", *VALIDATORS}
    rows = result.predictions_path.read_text().splitlines()
    assert len(rows) == 1 + 12 * len(run.selections)


# Missing evidence


def test_missing_modalities(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, missing={"visual": 0.5, "lexical": 0.3})
    data, _, _ = load(*pair)
    assert data.missing_in_training(sees_target=True) == ("visual", "lexical")
    assert data.missing_in_training(sees_target=False) == ()
    result = train_pair(pair, tmp_path / "r.json")
    assert check_result(result.path) == []
    last = result.file.methods[0].runs[0].selections["last"]
    assert last.n == 12  # the joint branch predicts every row
    lengths = {m: part.lengths for m, part in data.target_test.sequences.items()}
    for modality in MODALITIES:
        assert last.branches[modality].n == int((lengths[modality] > 0).sum())
    assert last.branches["visual"].n < 12


def test_invalid_frames_are_gone(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, missing={"visual": 0.5})
    data, _, _ = load(*pair)
    with FeatureFile(pair[1]) as file:
        rows = file.rows("train")
        stored = file.modality("visual")
        usable = stored.usable[rows]
        expected = stored.read(rows[usable])
    kept = data.target_train.sequences["visual"]
    assert (kept.lengths[~usable] == 0).all()
    assert torch.equal(kept.values, torch.from_numpy(expected.values[expected.valid]).flatten(1))
    assert not expected.valid.all()


def test_rows_without_any_modality_are_left_out_and_said(tmp_path: Path) -> None:
    everything = dict.fromkeys(MODALITIES, 0.5)
    data, test, notes = load(*write_pair(tmp_path, missing=everything))
    assert len(data.target_train) < 48
    assert len(data.target_test) == len(test) == 12
    (train_note, *_) = notes
    assert "train utterances are without a usable modality and left out, two_0" in train_note
    result = train_pair((tmp_path / "one.h5", tmp_path / "two.h5"), tmp_path / "r.json")
    assert train_note in result.file.methods[0].warnings


def test_one_modality_alone(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, missing={"visual": 1.0})
    result = train_pair(pair, tmp_path / "r.json", settings(epochs=1))
    assert result.file.methods[0].modalities == ["acoustic", "lexical"]
    result = train_pair(pair, tmp_path / "s.json", settings(epochs=1, modalities="lexical"))
    assert result.file.methods[0].modalities == ["lexical"]
    assert set(result.file.methods[0].runs[0].epochs[0].alignment) == {"lexical", "joint"}


# Standardisation


def test_moments_in_one_pass() -> None:
    x = np.random.default_rng(0).normal(1000.0, 0.01, size=(50, 3))
    for cuts in ([], [1], [10, 10, 30]):
        mean, std = column_moments(iter(np.split(x, cuts)), 3)
        np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(std, x.std(axis=0), rtol=1e-6)
    mean, std = column_moments(iter([]), 2)
    assert mean.tolist() == [0.0, 0.0]
    assert std.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("mode", ["none", "source", "domain"])
def test_standardisation_uses_valid_train_frames(tmp_path: Path, mode: str) -> None:
    data, _, _ = load(*write_pair(tmp_path, missing={"visual": 0.3}), standardise=mode)
    for modality in MODALITIES:
        parts = {name: getattr(data, name) for name in ("labelled_train", "target_train")}
        frames = {n: p.sequences[modality].values.double().numpy() for n, p in parts.items()}
        for side, basis in (
            ("labelled_train", "labelled_train"),
            ("labelled_val", "labelled_train"),
            ("target_test", "target_train" if mode == "domain" else "labelled_train"),
        ):
            scaling = getattr(data, side).sequences[modality].scaling
            if mode == "none":
                assert scaling is None
                continue
            np.testing.assert_allclose(scaling.mean, frames[basis].mean(axis=0), rtol=1e-5)
            np.testing.assert_allclose(scaling.scale, frames[basis].std(axis=0), rtol=1e-5)


def test_a_constant_column_is_only_centred(tmp_path: Path) -> None:
    data, _, _ = load(*write_pair(tmp_path))
    part = data.labelled_train.sequences["acoustic"]
    part.values[:, 0] = 3.0
    from amanda.standardise import scaling_of

    assert scaling_of(part).mean[0] == 3.0
    assert scaling_of(part).scale[0] == 1.0


# Selection


def _evaluation(epoch: int, guess: list[int], **validators: float) -> Evaluation:
    p = np.eye(2, dtype=np.float32)[guess]
    return Evaluation(epoch=epoch, validators=validators, test={"joint": p})


def test_selection_rules() -> None:
    test = TestRows(ids=list("abcd"), speakers=[""] * 4, label=np.array([0, 1, 1, -1]))
    evaluations = [
        _evaluation(2, [1, 0, 0, 0], entropy=0.5, im=0.1),
        _evaluation(4, [0, 1, 1, 0], entropy=0.2, im=0.7),
        _evaluation(6, [0, 1, 0, 1], entropy=0.2, im=math.nan),
        _evaluation(7, [0, 1, 1, 1], im=0.7),
    ]
    chosen = select(evaluations, test)
    epochs = {name: (selection.epoch, selection.value) for name, selection in chosen.items()}
    # The least entropy and the largest IM, the earliest of equals; all right first at epoch 4.
    assert epochs == {"last": (7, None), "entropy": (4, 0.2), "im": (4, 0.7), "oracle": (4, 1.0)}
    assert [n for n, s in chosen.items() if s.used_target_labels] == ["oracle"]
    unlabelled = TestRows(ids=list("abcd"), speakers=[""] * 4, label=np.full(4, -1))
    assert "oracle" not in select(evaluations, unlabelled)


def test_evaluates_every_few_epochs_and_the_last(tmp_path: Path) -> None:
    data, _, _ = load(*write_pair(tmp_path))
    done = trained(data, settings(epochs=5, eval_every=2))
    assert [bool(epoch.validators) for epoch in done.epochs] == [False, True, False, True, True]
    assert [evaluation.epoch for evaluation in done.evaluations] == [2, 4, 5]
    # Looking does not change what is trained.
    always = trained(data, settings(epochs=5))
    for name, weight in done.model.state_dict().items():
        assert torch.equal(weight, always.model.state_dict()[name])


def test_without_val_splits_no_validator_has_a_value(tmp_path: Path) -> None:
    def no_val(columns: dict[str, np.ndarray]) -> None:
        columns["split"][columns["split"] == "val"] = "train"

    source = write_corpus(tmp_path / "one.h5", seed=1, edit=no_val)
    target = write_corpus(tmp_path / "two.h5", seed=2, edit=no_val)
    result = train_pair((source, target), tmp_path / "r.json")
    assert set(result.file.methods[0].runs[0].selections) == {"last", "oracle"}


# The optimiser


def test_learning_rate() -> None:
    shares = [lr_share(step / 10, 0.2) for step in range(10)]
    assert shares[:3] == [1.0, 1.0, 1.0]
    assert shares[3:] == pytest.approx([7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert lr_share(0.99, 1.0) == 1.0


def test_learning_rate_of_an_epoch_is_recorded(tmp_path: Path) -> None:
    data, _, _ = load(*write_pair(tmp_path))
    epochs = trained(data, settings(epochs=4, batch_size=64, lr=0.1, constant_share=0.5)).epochs
    assert [epoch.lr for epoch in epochs] == pytest.approx([0.1, 0.1, 0.1, 0.05])


def test_divergence_is_told_with_epoch_and_term(tmp_path: Path) -> None:
    data, _, _ = load(*write_pair(tmp_path))
    with pytest.raises(AmandaError, match=r"seed 3, epoch \d+: loss '\w+' is \w+, .*lower lr"):
        trained(data, settings(lr=1e30, clip=0, epochs=20), seed=3)


# Input that cannot be trained on


def _no_sad_in_train(columns: dict[str, np.ndarray]) -> None:
    columns["split"][(columns["label"] == 2) & (columns["split"] == "train")] = "test"


def _no_train(columns: dict[str, np.ndarray]) -> None:
    columns["split"][columns["split"] == "train"] = "val"


def _no_test(columns: dict[str, np.ndarray]) -> None:
    columns["split"][columns["split"] == "test"] = "val"


def test_a_class_absent_in_the_source(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "one.h5", edit=_no_sad_in_train)
    target = write_corpus(tmp_path / "two.h5")
    with pytest.raises(InputError, match=r"one\.h5: no 'sad' utterance in split train"):
        train_pair((source, target), tmp_path / "r.json")
    # As a target it is fine: training looks at no label of it.
    train_pair((target, source), tmp_path / "r.json", settings(epochs=1))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (_no_train, r"two\.h5: 0 usable utterances in split train; at least 2 needed"),
        (_no_test, r"two\.h5: 0 usable utterances in split test; at least 1 needed"),
    ],
)
def test_a_target_without_a_split(tmp_path: Path, edit, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        train_pair(write_pair(tmp_path, edit=edit), tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()


def test_direct_transfer_needs_no_target_train_split(tmp_path: Path) -> None:
    run = settings(method="direct_transfer", epochs=1)
    result = train_pair(write_pair(tmp_path, edit=_no_train), tmp_path / "r.json", run)
    epoch = result.file.methods[0].runs[0].epochs[0]
    assert epoch.alignment == {}
    assert epoch.psi == {}


def test_unlabelled_source_rows_are_left_out(tmp_path: Path) -> None:
    def some(columns: dict[str, np.ndarray]) -> None:
        columns["label"][:5] = -1

    source = write_corpus(tmp_path / "one.h5", edit=some)
    data, _, notes = load(source, write_corpus(tmp_path / "two.h5"))
    assert len(data.labelled_train) == 43
    assert "5 of 48 train utterances are without a label and left out, one_000 first" in notes[0]
    with pytest.raises(InputError, match="0 labelled utterances in split train"):
        load(write_corpus(tmp_path / "one.h5", edit=_removed), tmp_path / "two.h5")


def test_a_small_corpus_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pair = write_pair(tmp_path)
    train_pair(pair, tmp_path / "r.json", settings(batch_size=128, epochs=1))
    assert "one.h5: 48 training utterances are fewer than batch_size 128" in caplog.text
    assert "two.h5: 48 training utterances" in caplog.text


def test_a_prior_that_the_target_does_not_have_is_warned_about(tmp_path: Path) -> None:
    run = settings(label_prior="given", given_prior=(0.97, 0.01, 0.01, 0.01), epochs=1)
    result = train_pair(write_pair(tmp_path), tmp_path / "r.json", run)
    said = "label alignment did not reach its prior on the target (neutral 0."
    assert [w.startswith(said) for w in result.file.methods[0].warnings].count(True) == 1
    off = settings(**{**run.model_dump(), "alpha1": 0.0})
    without = train_pair(write_pair(tmp_path), tmp_path / "s.json", off).file.methods[0].warnings
    assert not any(warning.startswith("label alignment") for warning in without)


def test_wrong_number_of_given_shares(tmp_path: Path) -> None:
    run = settings(label_prior="given", given_prior=(0.5, 0.5))
    with pytest.raises(InputError, match="given_prior has 2 shares for 4 classes"):
        train_pair(write_pair(tmp_path), tmp_path / "r.json", run)


def test_wrong_number_of_workers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--workers -1"):
        train_pair(write_pair(tmp_path), tmp_path / "r.json", workers=-1)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="its folder cannot be written to"):
        train_pair(write_pair(tmp_path), tmp_path / "file" / "r.json")


# Saved models


@pytest.mark.parametrize("standardise", ["none", "domain"])
def test_saved_models_predict_as_they_did(tmp_path: Path, standardise: str) -> None:
    pair = write_pair(tmp_path, missing={"visual": 0.3})
    run = settings(seeds=2, standardise=standardise)
    result = train_pair(pair, tmp_path / "r.json", run, save_model=tmp_path / "models")
    data, test, _ = load(*pair, standardise=standardise)
    from amanda.batches import Packer
    from amanda.evaluation import predict

    written = result.predictions_path.read_text().splitlines()
    for seed in (0, 1):
        saved = load_model(tmp_path / "models" / f"seed-{seed}")
        model = restore(saved, build)
        assert saved.card.epoch == 3
        assert saved.card.selection == "last"
        assert saved.card.extraction["acoustic"]["model"] == "acoustic"
        for modality, statistics in saved.standardisation.items():
            scaling = data.target_test.sequences[modality].scaling
            assert torch.equal(statistics["mean"], scaling.mean)
            assert torch.equal(statistics["scale"], scaling.scale)
        assert bool(saved.standardisation) == (standardise == "domain")
        p = predict(model, data.target_test, Packer(CPU)).probabilities["joint"]
        rows = [row.split(",") for row in written if f",{seed},0,last," in row]
        assert [row[4] for row in rows] == list(test.ids)
        np.testing.assert_allclose(np.array([row[7:] for row in rows], float), p, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", ["amanda", "cdan_e"])
def test_trains_on_a_gpu(tmp_path: Path, method: str) -> None:
    pair, run = write_pair(tmp_path, missing={"visual": 0.3}), settings(method=method, epochs=2)
    losses = []
    for device in ("cpu", "cuda"):
        result = train_pair(pair, tmp_path / f"{device}.json", run, device=device)
        assert check_result(result.path) == []
        losses.append(result.file.methods[0].runs[0].epochs[0].loss["total"])
    # Dropout draws differ between devices, so the two trainings are alike, not equal.
    assert losses[0] == pytest.approx(losses[1], rel=0.2)


# Seeds: kept, shared, in processes


def test_records_survive_the_disk(tmp_path: Path) -> None:
    p = np.array([[0.25, 0.75], [np.nan, np.nan]], np.float32)
    run = RunRecord(
        seed=3,
        fold=1,
        test=TestRows(ids=["a", "b"], speakers=["x", ""], label=np.array([1, -1])),
        epochs=[EpochRecord(loss={"total": 1.5}, psi={"joint": 0.1}, lr=0.5)],
        selections={
            "last": Selection(
                epoch=1, value=None, used_target_labels=False, probabilities={"joint": p}
            )
        },
        wall_s=2.5,
    )
    write_run(tmp_path / "seed-3.npz", run)
    again = read_run(tmp_path / "seed-3.npz")
    assert again.epochs == list(run.epochs)
    assert (again.seed, again.fold, again.wall_s) == (3, 1, 2.5)
    assert (again.test.ids, again.test.speakers) == (["a", "b"], ["x", ""])
    np.testing.assert_array_equal(again.test.label, run.test.label)
    np.testing.assert_array_equal(again.selections["last"].probabilities["joint"], p)
    assert again.selections["last"].value is None


def test_mapped_data_train_as_data_in_memory(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, missing={"visual": 0.3})
    here, _, _ = load(*pair, standardise="domain")
    mapped, _, _ = load(*pair, standardise="domain", folder=tmp_path / "data")
    save_mapped(mapped, tmp_path / "data")
    again = load_mapped(tmp_path / "data")
    assert again.label_names == here.label_names
    assert again.shapes == dict(here.shapes)
    states = [trained(data, settings(epochs=1)).model.state_dict() for data in (here, again)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_finished_seeds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, out, run = write_pair(tmp_path), tmp_path / "r.json", settings(seeds=3, epochs=1)
    whole = train_pair(pair, tmp_path / "whole.json", run)
    import amanda.workers

    real, started = amanda.workers.train, []

    def fails_at_seed_2(data, settings, seed, device):
        started.append(seed)
        if seed == 2 and started.count(2) == 1:
            raise KeyboardInterrupt
        return real(data, settings, seed, device)

    monkeypatch.setattr(amanda.workers, "train", fails_at_seed_2)
    with pytest.raises(KeyboardInterrupt):
        train_pair(pair, out, run)
    assert not out.exists()
    (kept,) = tmp_path.glob(".r.*.unfinished")
    assert sorted(path.name for path in kept.glob("seed-*")) == ["seed-0.npz", "seed-1.npz"]
    train_pair(pair, out, run)
    assert started == [0, 1, 2, 2]
    assert not kept.exists()
    assert _scores(out) == _scores(whole.path)


def test_seeds_kept_of_another_training_are_not_used(tmp_path: Path) -> None:
    pair, out = write_pair(tmp_path), tmp_path / "r.json"
    stale, of_another = (tmp_path / f".{name}.0123456789ab.unfinished" for name in ("r", "r.old"))
    stale.mkdir()
    of_another.mkdir()
    (stale / "seed-0.npz").write_bytes(b"of something else")
    train_pair(pair, out)
    assert not stale.exists()
    assert of_another.exists()
    assert check_result(out) == []


@pytest.mark.slow  # a process imports torch
def test_processes_train_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pair, run = write_pair(tmp_path), settings(seeds=2, standardise="source")
    one = train_pair(pair, tmp_path / "one.json", run, workers=1)
    two = train_pair(pair, tmp_path / "two.json", run, workers=2, save_model=tmp_path / "m")
    assert _scores(one.path) == _scores(two.path)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["seed-0", "seed-1"]
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.slow  # a process imports torch
def test_an_error_in_a_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = settings(seeds=2, lr=1e30, clip=0, epochs=20)
    with pytest.raises(AmandaError, match=r"seed \d, epoch \d+: loss"):
        train_pair(write_pair(tmp_path), tmp_path / "r.json", run, workers=2)


@pytest.mark.slow  # a process imports torch
def test_a_killed_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing

    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def kill_one() -> None:
        for _ in range(600):
            for child in multiprocessing.active_children():
                if child.pid is not None:
                    os.kill(child.pid, signal.SIGKILL)
                    return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(AmandaError, match=r"seed \d: its process was ended by SIGKILL, as"):
        train_pair(write_pair(tmp_path), tmp_path / "r.json", settings(seeds=2), workers=2)
    killer.join()
    assert multiprocessing.active_children() == []


def _scores(path: Path) -> list:
    return [
        {name: selection.model_dump() for name, selection in run.selections.items()}
        for run in read_result(path).file.methods[0].runs
    ]


# Features larger than memory


def test_streamed_features_train_as_resident_ones(tmp_path: Path) -> None:
    """These have invalid frames, so they are mapped from a copy without them."""
    pair, run = write_pair(tmp_path, missing={"visual": 0.3}), settings(standardise="domain")
    resident = train_pair(pair, tmp_path / "a.json", run)
    streamed = train_pair(pair, tmp_path / "b.json", run, memory_gb=1e-6)
    assert _scores(resident.path) == _scores(streamed.path)
    assert list(tmp_path.glob(".*")) == []


def test_frames_that_are_all_valid_are_mapped_from_the_feature_file(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    for path in pair:
        with h5py.File(path, "r+") as file:
            for modality in MODALITIES:
                file[modality]["valid"][:] = True
    here, _, _ = load(*pair, standardise="domain")
    mapped, _, _ = load(*pair, standardise="domain", folder=tmp_path / "data")
    for part in ("labelled_train", "target_test"):
        for name, sequences in getattr(mapped, part).sequences.items():
            place = sequences.mapping.place
            assert place.path == pair[0 if part == "labelled_train" else 1]
            expected = getattr(here, part).sequences[name].values
            assert torch.equal(torch.cat(list(sequences.blocks(7))), expected)
    assert list(tmp_path.rglob("*.npy")) == []  # nothing was copied
    save_mapped(mapped, tmp_path / "data")
    again = load_mapped(tmp_path / "data")
    states = [
        trained(data, settings(epochs=1)).model.state_dict() for data in (here, mapped, again)
    ]
    for name, weight in states[0].items():
        assert torch.equal(weight, states[1][name]), name
        assert torch.equal(weight, states[2][name]), name
