"""Model folders and feature files from strangers: refused in one sentence, and nothing is run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_features import write_pair

import amanda
from amanda.models import CARD, WEIGHTS
from amanda.predictions import file_sha256
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.training import train_method

SMALL = {"epochs": 1, "seeds": 1, "batch_size": 16, "dim": 8, "channels": 4}
HUGE = 10**12


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A folder with `model` and `features.h5` that fit together."""
    folder = tmp_path_factory.mktemp("sound")
    pair = write_pair(folder)
    run = RunSettings(standardise="source", **SMALL)
    train_method(
        *pair, run, out=folder / "r.json", device="cpu", workers=1, save_model=folder / "models"
    )
    (folder / "models/seed-0").rename(folder / "model")
    pair[1].rename(folder / "features.h5")
    return folder


def predict(model: Path, features: Path) -> int:
    """How many clips are predicted."""
    return sum(len(block.ids) for block in amanda.load(model).predict(features))


def test_the_sound_ones_are_predicted(sound):
    assert predict(sound / "model", sound / "features.h5") == 72


def encoder(name: str, **values: object) -> Callable[[dict], None]:
    return lambda card: card["architecture"]["encoders"][name].update(values)


def architecture(**values: object) -> Callable[[dict], None]:
    return lambda card: card["architecture"].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (architecture(encoders=[1]), r"architecture\.encoders: Input should be a valid dict"),
        (architecture(encoders={}), r"but encoders \[\]; the parts are of different models"),
        (architecture(dim="8"), r"architecture\.dim: Input should be a valid integer"),
        (architecture(dim=10**30), r"architecture\.dim: Input should be less than"),
        (architecture(n_classes=3), "4 label_names, but n_classes 3"),
        (architecture(flags=["../x"]), "flags .* are no modalities"),
        (architecture(shell="rm"), r"architecture\.shell: Extra inputs are not permitted"),
        (encoder("visual", kind="os.system"), "Input tag 'os.system' found"),
        (encoder("acoustic", kernels=list(range(1, 10**5))), "at most 64 items"),
        (encoder("acoustic", precision="eval"), "Input should be 'float32', 'tf32' or 'bfloat16'"),
        (
            encoder("acoustic", layers=3),
            r"of acoustic is \(12,\) .* needs \(18,\)",
        ),
        (lambda card: card["label_names"].pop(), "3 label_names, but n_classes 4"),
        (lambda card: card.update(label_names=["sad"] * 4), "a class stands twice"),
        (lambda card: card["modalities"].append("thermal"), "'thermal'\\], but encoders"),
    ],
)
def test_cards(sound, tmp_path, change, message):
    shutil.copytree(sound / "model", tmp_path / "m")
    card = json.loads((tmp_path / "m" / CARD).read_text())
    change(card)
    (tmp_path / "m" / CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match=message) as told:
        predict(tmp_path / "m", sound / "features.h5")
    assert "\n" not in str(told.value)


def every_weight(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict], None]:
    return lambda tensors: tensors.update(
        {name: change(t) for name, t in tensors.items() if name.startswith("state/")}
    )


SCALE, MEAN = "standardisation/acoustic/scale", "standardisation/acoustic/mean"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(SCALE), "statistics of acoustic are mean; they must be mean and scale"),
        (lambda t: t.update({MEAN: torch.zeros(3)}), r"mean of acoustic is \(3,\)"),
        (lambda t: t.update({MEAN: torch.zeros(12, 12)}), r"mean of acoustic is \(12, 12\)"),
        (lambda t: t.update({SCALE: torch.zeros(12)}), "holds values that are not positive"),
        (every_weight(torch.Tensor.half), "is of torch.float16, the architecture needs torch.fl"),
        (every_weight(lambda t: t.to(torch.complex64)), "is of torch.complex64"),
        (every_weight(lambda t: t[..., :1].contiguous()), "the architecture needs"),
    ],
)
def test_weights(sound, tmp_path, change, message):
    shutil.copytree(sound / "model", tmp_path / "m")
    tensors = load_file(tmp_path / "m" / WEIGHTS)
    change(tensors)
    save_file(tensors, tmp_path / "m" / WEIGHTS)
    card = json.loads((tmp_path / "m" / CARD).read_text())
    card["weights_sha256"] = file_sha256(tmp_path / "m" / WEIGHTS)
    (tmp_path / "m" / CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match=message):
        amanda.load(tmp_path / "m")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def replaced(file: h5py.File, name: str, **values: object) -> None:
    del file[name]
    file.create_dataset(name, **values)


def sparse(file: h5py.File) -> None:
    """A thousand milliard frames that take no room on disk, and all the memory of a reader."""
    replaced(file, "acoustic/values", shape=(HUGE, 2, 6), dtype="f2", chunks=(1024, 2, 6))
    replaced(file, "acoustic/valid", shape=(HUGE,), dtype=bool, chunks=(1024,), fillvalue=True)
    n = len(file["utterances/id"])
    file["acoustic/offsets"][...] = np.linspace(0, HUGE, n + 1).astype(np.int64)


def many_ids(file: h5py.File) -> None:
    text = h5py.string_dtype()
    replaced(file, "utterances/id", shape=(HUGE,), dtype=text, chunks=(1024,))


def pickled(file: h5py.File) -> None:
    file["acoustic"].attrs["model"] = np.void(pickle.dumps(Bomb()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (sparse, r"/acoustic/\w+ claims .* bytes, more than a file of .* can hold"),
        (many_ids, r"/utterances/id claims .* bytes"),
        (pickled, "acoustic: model is .* but the model was trained on 'acoustic'"),
        (
            lambda f: replaced(f, "acoustic/valid", data=np.ones(3, bool)),
            r"valid is \(3,\) of bool",
        ),
        (
            lambda f: replaced(
                f, "acoustic/valid", data=np.full(f["acoustic/valid"].shape, np.nan)
            ),
            "valid is .* of float64, not a bool a frame",
        ),
        (lambda f: f["acoustic/offsets"].__setitem__(1, 2**62), "do not fit together"),
        (lambda f: f["acoustic/offsets"].__setitem__(1, -5), "do not fit together"),
        (lambda f: replaced(f, "utterances/label", data=np.full(72, np.nan)), "not whole numbers"),
        (lambda f: replaced(f, "acoustic/values", data=np.zeros((5, 2))), "cannot be read"),
        (
            lambda f: f.__setitem__("visual2", h5py.ExternalLink("other.h5", "/")),
            "/visual2 is a link to another file",
        ),
    ],
)
def test_feature_files(sound, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    shutil.copy(sound / "features.h5", tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        change(file)
    with pytest.raises(InputError, match=message):
        predict(sound / "model", tmp_path / "f.h5")
    assert not Path("exploded").exists()


def test_a_pickle_is_no_feature_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.h5").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="not an HDF5 file"):
        FeatureFile(tmp_path / "f.h5")
    assert not Path("exploded").exists()


def test_a_model_that_names_a_file_as_its_profile(sound, tmp_path, monkeypatch, capsys):
    from typer.testing import CliRunner

    from amanda.cli import app

    shutil.copytree(sound / "model", tmp_path / "m")
    card = json.loads((tmp_path / "m" / CARD).read_text())
    (tmp_path / "m" / CARD).write_text(json.dumps({**card, "profile": "theirs.yaml"}))
    (tmp_path / "clips.csv").write_text("id,path,text\na,,I am here\n")
    flags = ["--model", str(tmp_path / "m"), "--clips", str(tmp_path / "clips.csv")]
    done = CliRunner().invoke(app, ["predict", *flags, "--out", str(tmp_path / "p.csv")])
    assert isinstance(done.exception, InputError)
    assert "names the profile 'theirs.yaml', a file" in str(done.exception)
