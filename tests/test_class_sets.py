"""Other classes than the four, from a label map to a trained model."""

from pathlib import Path

import numpy as np
from corpus_trees import write
from small_models import write_models

from amanda.settings import RunSettings
from amanda.store.check import check_files
from amanda.store.features import FeatureFile
from amanda.training import train_method
from corpora.manifest import build_manifest
from extractors.extract import run_extraction

SIGNS = ("negative", "neutral", "positive")


def text_corpus(folder: Path, name: str) -> Path:
    """A CSV of texts with a valence from 0 to 100 and no label at all."""
    words = ("never", "home", "happy")
    rows = [
        f"{name}{i:02},,i am {words[i % 3]} {'ab'[i % 2]},{(10, 50, 90)[i % 3]},s{i % 6}"
        for i in range(48)
    ]
    return write(folder / f"{name}.csv", "\n".join(["id,path,text,valence,speaker", *rows]) + "\n")


def test_the_sign_of_a_valence_is_learned_from_text(tmp_path: Path) -> None:
    profile = str(write_models(tmp_path / "models"))
    label_map = write(
        tmp_path / "sign.yaml", f"classes: [{', '.join(SIGNS)}]\nfrom: valence\nmiddle: 50\n"
    )
    files = []
    for name in ("here", "there"):
        manifest = tmp_path / "manifests" / f"{name}.csv"
        root = text_corpus(tmp_path, name)
        build_manifest("csv", root, manifest, label_map=label_map)
        files.append(tmp_path / f"{name}.h5")
        run_extraction(manifest, files[-1], profile=profile, modalities=["lexical"], n_shards=2)
    assert check_files(files) == []
    with FeatureFile(files[0]) as features:
        assert features.label_names == SIGNS
        assert np.bincount(features.label).tolist() == [16, 16, 16]
        row = features.ids.index("here02")
        assert SIGNS[features.label[row]] == "positive"
    settings = RunSettings(method="direct_transfer", seeds=1, epochs=1, batch_size=16)
    result = train_method(*files, settings, out=tmp_path / "r.json", workers=1)
    assert result.file.label_names == list(SIGNS)
    run = result.file.methods[0].runs[0]
    assert list(run.selections["last"].per_class_f1) == list(SIGNS)


def test_files_with_other_classes_are_not_paired(tmp_path: Path) -> None:
    profile = str(write_models(tmp_path / "models"))
    files = []
    for name, classes in (
        ("here", "[negative, neutral, positive]"),
        ("there", "[negative, positive]"),
    ):
        text = f"classes: {classes}\nfrom: valence\nmiddle: 50\n"
        label_map = write(tmp_path / f"{name}.yaml", text)
        manifest = tmp_path / "manifests" / f"{name}.csv"
        build_manifest("csv", text_corpus(tmp_path, name), manifest, label_map=label_map)
        files.append(tmp_path / f"{name}.h5")
        run_extraction(manifest, files[-1], profile=profile, modalities=["lexical"], n_shards=1)
    (problem,) = check_files(files)
    assert "here.h5 has the classes negative, neutral, positive, " in problem
