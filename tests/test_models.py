"""Model folders: what comes back is what was saved, and what a stranger's folder cannot do."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from amanda.models import CARD, WEIGHTS, load_model, restore, save_model
from amanda.predictions import file_sha256
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.store.names import CLASSES

ARCHITECTURE = {"n_inputs": 5, "dim": 3, "n_classes": 4}


class Network(nn.Module):
    """A recurrent and a linear layer: the kinds of weights that the real one has."""

    def __init__(self, n_inputs, dim, n_classes):
        super().__init__()
        self.lstm = nn.LSTM(n_inputs, dim)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(dim, n_classes))

    def forward(self, x):
        return self.head(self.lstm(x)[0].amax(dim=0))


def build(architecture):
    return Network(**architecture)


def save(folder, network=None, **changes):
    values = {
        "architecture": ARCHITECTURE,
        "settings": RunSettings(epochs=3),
        "source": "ie",
        "target": "msp",
        "corpora": "stand-in",
        "label_names": CLASSES,
        "modalities": ("acoustic",),
        "extraction": {"acoustic": {"extractor": "whisper", "layers": [1, 4, 6]}},
        "seed": 2,
        "epoch": 3,
        "standardisation": {"acoustic": {"mean": torch.arange(5.0), "scale": torch.ones(5)}},
    }
    network = network or Network(**ARCHITECTURE)
    save_model(folder, network.state_dict(), **{**values, **changes})
    return network


def rewrite(folder, change):
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))


def replace_weights(folder, tensors):
    save_file(tensors, folder / WEIGHTS)
    rewrite(folder, lambda card: card.update(weights_sha256=file_sha256(folder / WEIGHTS)))


def test_a_saved_model_gives_the_same_outputs(tmp_path):
    network = save(tmp_path / "seed-2").eval()
    saved = load_model(tmp_path / "seed-2")
    restored = restore(saved, build)
    x = torch.randn(7, 2, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(restored(x), network(x), rtol=0, atol=0)
    assert not restored.training
    assert not any(p.is_meta for p in restored.parameters())


def test_the_card_comes_back(tmp_path):
    save(tmp_path / "m")
    saved = load_model(tmp_path / "m")
    assert saved.card.settings == RunSettings(epochs=3)
    assert saved.card.label_names == list(CLASSES)
    assert (saved.card.seed, saved.card.selection, saved.card.calibration) == (2, "last", None)
    assert saved.card.extraction["acoustic"]["layers"] == [1, 4, 6]
    torch.testing.assert_close(saved.standardisation["acoustic"]["mean"], torch.arange(5.0))


def test_views_of_other_tensors_are_saved(tmp_path):
    network = Network(**ARCHITECTURE)
    network.head[1].weight = nn.Parameter(torch.randn(3, 4).t())
    save(tmp_path / "m", network)
    found = load_model(tmp_path / "m").state["head.1.weight"]
    torch.testing.assert_close(found, network.head[1].weight.data, rtol=0, atol=0)


def test_a_model_is_replaced_whole(tmp_path):
    folder = tmp_path / "m"
    save(folder)
    (folder / "left-over").write_text("x")
    save(folder, seed=5)
    assert load_model(folder).card.seed == 5
    assert sorted(p.name for p in folder.iterdir()) == [CARD, WEIGHTS]
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_that_is_no_model_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds no model\.json; name a new folder"):
        save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_failed_save_leaves_the_former_model(tmp_path):
    folder = tmp_path / "m"
    save(folder)
    with pytest.raises(ValueError, match="corpora"):
        save(folder, corpora="unknown")
    assert load_model(folder).card.seed == 2
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_weights_that_are_not_finite_are_refused(tmp_path):
    network = Network(**ARCHITECTURE)
    with torch.no_grad():
        network.head[1].bias[1] = torch.nan
    with pytest.raises(InputError, match=r"'head\.1\.bias' has values that are not finite"):
        save(tmp_path / "m", network)
    assert not list(tmp_path.iterdir())


def test_the_folder_of_all_seeds_names_a_models_folder(tmp_path):
    save(tmp_path / "seed-0")
    with pytest.raises(InputError, match=r"did you mean .*seed-0\?"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_missing_files_are_named(tmp_path, name):
    save(tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    with pytest.raises(InputError, match=f"{name}: missing"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_links_out_of_the_folder_are_refused(tmp_path, name):
    save(tmp_path / "m")
    (tmp_path / "m" / name).rename(tmp_path / name)
    (tmp_path / "m" / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match="is a link"):
        load_model(tmp_path / "m")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_pickles_are_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "m")
    (tmp_path / "m" / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="different models"):
        load_model(tmp_path / "m")
    rewrite(
        tmp_path / "m",
        lambda card: card.update(weights_sha256=file_sha256(tmp_path / "m" / WEIGHTS)),
    )
    with pytest.raises(InputError, match="not a safetensors file"):
        load_model(tmp_path / "m")
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.update(format="x"), "not a model card"),
        (lambda c: c.update(version=9), "version 9; this program reads 1"),
        (lambda c: c.pop("architecture"), "architecture: Field required"),
        (lambda c: c.update(code="import os"), "code: Extra inputs are not permitted"),
        (lambda c: c.update(modalities=["../../etc"]), r"modalities\.0: String should match"),
        (
            lambda c: c.update(modalities=["visual"]),
            "statistics of 'acoustic', which is no modality",
        ),
        (
            lambda c: c.update(calibration=dict(temperature=0, n=1, ece_before=0, ece_after=0)),
            "calibration.temperature: Input should be greater than 0",
        ),
        (lambda c: c["settings"].update(lr=-1), r"settings\.lr: "),
    ],
)
def test_cards_that_are_wrong_are_told(tmp_path, change, match):
    save(tmp_path / "m")
    rewrite(tmp_path / "m", change)
    with pytest.raises(InputError, match=match):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 9999, "\x00"])
def test_cards_that_are_not_json(tmp_path, text):
    save(tmp_path / "m")
    (tmp_path / "m" / CARD).write_text(text)
    with pytest.raises(InputError, match=r"not JSON|not a model card"):
        load_model(tmp_path / "m")


def test_a_huge_card_is_not_read(tmp_path):
    save(tmp_path / "m")
    with open(tmp_path / "m" / CARD, "ab") as file:
        file.truncate(2**25)
    with pytest.raises(InputError, match="above 16 MiB"):
        load_model(tmp_path / "m")


def test_an_architecture_that_would_fill_memory_is_refused_without_taking_any(tmp_path):
    save(tmp_path / "m")
    rewrite(tmp_path / "m", lambda card: card["architecture"].update(dim=10**7))
    with pytest.raises(InputError, match=r"has shape .* the architecture needs"):
        restore(load_model(tmp_path / "m"), build)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.pop("state/head.1.bias"), r"no tensor 'head\.1\.bias'"),
        (lambda t: t.update({"state/more": torch.ones(1)}), "'more' is not in the architecture"),
        (
            lambda t: t.update({"state/head.1.weight": torch.ones(4, 4)}),
            r"'head\.1\.weight' has shape \(4, 4\), the architecture needs \(4, 3\)",
        ),
    ],
)
def test_weights_that_do_not_fit_the_architecture(tmp_path, change, match):
    save(tmp_path / "m")
    tensors = load_file(tmp_path / "m" / WEIGHTS)
    change(tensors)
    replace_weights(tmp_path / "m", tensors)
    with pytest.raises(InputError, match=match):
        restore(load_model(tmp_path / "m"), build)


def test_an_unknown_tensor_or_architecture_is_refused(tmp_path):
    save(tmp_path / "m")
    rewrite(tmp_path / "m", lambda card: card.update(architecture={"shell": "rm"}))
    with pytest.raises(InputError, match="architecture cannot be built"):
        restore(load_model(tmp_path / "m"), build)
    tensors = load_file(tmp_path / "m" / WEIGHTS)
    replace_weights(tmp_path / "m", {**tensors, "elsewhere": torch.ones(1)})
    with pytest.raises(InputError, match="unknown tensor 'elsewhere'"):
        load_model(tmp_path / "m")
