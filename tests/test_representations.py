"""The sample of representations that a training leaves: its model's, and of bounded size."""

import numpy as np
import pytest
import torch
from small_features import write_corpus, write_pair

from amanda import networks, representations
from amanda.batches import Packer
from amanda.evaluation import predict
from amanda.loading import load_training_data
from amanda.methods import method_class
from amanda.models import load_model, restore
from amanda.representations import read_representations, representations_path, write_representations
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.training import train_method

SMALL = {"epochs": 1, "batch_size": 16, "dim": 8, "channels": 4, "surrogate": "norm:2"}


def train(folder, pair, **changes):
    settings = RunSettings(**{**SMALL, "seeds": 1, **changes})
    out = folder / "r.json"
    train_method(*pair, settings, out=out, device="cpu", workers=1, save_model=folder / "model")
    return read_representations(representations_path(out))


def test_it_is_what_the_saved_model_makes_of_the_rows(tmp_path):
    pair = write_pair(tmp_path)
    found = train(tmp_path, pair)
    model = restore(load_model(tmp_path / "model/seed-0"), networks.build)
    with FeatureFile(pair[0]) as source, FeatureFile(pair[1]) as target:
        names = ["acoustic", "visual", "lexical"]
        data, test, _ = load_training_data(
            source, target, names, method_class("amanda"), standardise="none", folder=None
        )
        packer = Packer(torch.device("cpu"))
        expected = predict(model, data.target_test, packer).features
        trained = predict(model, data.labelled_train, packer).features
    np.testing.assert_allclose(found.target, expected, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found.source, trained, rtol=2e-3, atol=1e-3)
    assert found.source_label.tolist() == data.labelled_train.label.tolist()
    assert found.target_label.tolist() == test.label.tolist()


def test_its_size_is_bounded_and_every_method_has_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(representations, "MAX_ROWS", 10)
    pair = write_pair(tmp_path)
    first = train(tmp_path / "a", pair, seeds=2)
    other = train(tmp_path / "b", pair, method="direct_transfer")
    for one, two in ((first, other), (other, first)):
        assert len(one.source) == len(one.target) == 10
        assert (one.source_label == two.source_label).all()
        assert (one.target_label == two.target_label).all()
    assert not np.allclose(first.target, other.target)


def test_a_target_without_labels_has_none(tmp_path):
    def unlabel(columns):
        columns["label"][:] = -1

    source = write_corpus(tmp_path / "one.h5", seed=1)
    target = write_corpus(tmp_path / "two.h5", seed=2, edit=unlabel)
    assert set(train(tmp_path, (source, target)).target_label) == {-1}


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "r.representations.npz"
    with pytest.raises(InputError, match="cannot be read"):
        read_representations(path)
    rows = np.zeros((2, 3), np.float32)
    label = np.zeros(2, np.int64)
    sample = representations.Representations(
        source=rows, target=rows, source_label=label, target_label=label
    )
    write_representations(path, sample)
    assert read_representations(path).source.shape == (2, 3)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="not a file of representations; train the run again"):
        read_representations(path)
