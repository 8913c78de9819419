"""Trained models on clips they have never seen: the evaluation's answers, whatever is missing."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from small_features import write_corpus, write_pair

from amanda.calibration import calibrated, fit_calibration
from amanda.models import load_model
from amanda.prediction_table import write_prediction_table
from amanda.predictions import predictions_path, read_predictions
from amanda.predictor import Predictor, load
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.names import CLASSES
from amanda.training import train_method

SMALL = {"epochs": 3, "seeds": 1, "batch_size": 16, "dim": 8, "channels": 4}


def trained(folder: Path, missing: dict[str, float] | None = None, **changes: object) -> Predictor:
    """A small model trained on one.h5 → two.h5 in `folder`."""
    pair = write_pair(folder, missing=missing)
    run = RunSettings(**(SMALL | changes))  # type: ignore[arg-type]
    models = folder / "models"
    train_method(*pair, run, out=folder / "r.json", device="cpu", workers=1, save_model=models)
    return load(models / "seed-0")


def whole(predictor: Predictor, path: Path, rows: np.ndarray | None = None) -> dict:
    """All blocks together: "ids", "present" and each branch's probabilities."""
    blocks = list(predictor.predict(path, rows))
    joined = {
        branch: np.concatenate([block.probabilities[branch] for block in blocks])
        for branch in blocks[0].probabilities
    }
    return joined | {"ids": [clip for block in blocks for clip in block.ids]}


@pytest.mark.parametrize("standardise", ["none", "domain"])
def test_the_answers_are_those_of_the_evaluation(tmp_path, standardise):
    predictor = trained(tmp_path, missing={"visual": 0.3}, standardise=standardise)
    (block,) = read_predictions(predictions_path(tmp_path / "r.json"), CLASSES, ["last"])
    said = whole(predictor, tmp_path / "two.h5")
    rows = [said["ids"].index(clip) for clip in block.ids]
    expected = calibrated(block.probabilities, predictor.card.calibration)
    np.testing.assert_allclose(said["joint"][rows], expected, atol=1e-5)


def test_blocks_and_order_do_not_matter(tmp_path):
    predictor = trained(tmp_path)
    path = write_corpus(tmp_path / "new.h5", n=300, seed=9)
    said = whole(predictor, path)
    order = np.random.default_rng(0).permutation(300)[:170]
    some = whole(predictor, path, order)
    assert some["ids"] == [said["ids"][row] for row in order]
    for branch in ("acoustic", "visual", "lexical", "joint"):
        np.testing.assert_allclose(some[branch], said[branch][order], atol=1e-6)
        np.testing.assert_allclose(said[branch].sum(axis=1), 1, atol=1e-5)


def test_a_missing_modality_leaves_the_other_branches_as_they_are(tmp_path):
    predictor = trained(tmp_path, missing={"visual": 0.4})
    everything = write_corpus(tmp_path / "all.h5", seed=9)
    # Only acoustic and lexical are drawn alike: each modality takes its numbers in turn.
    acoustic_alone = write_corpus(tmp_path / "some.h5", seed=9, shapes={"acoustic": (2, 6)})
    a, b = whole(predictor, everything), whole(predictor, acoustic_alone)
    np.testing.assert_allclose(a["acoustic"], b["acoustic"], atol=1e-6)
    assert np.isnan(b["visual"]).all()
    assert np.isnan(b["lexical"]).all()
    assert not np.isnan(b["joint"]).any()


def test_the_table_says_what_was_missing(tmp_path):
    predictor = trained(tmp_path, missing={"visual": 0.4})
    new = write_corpus(tmp_path / "new.h5", seed=9, missing={"visual": 0.5, "acoustic": 0.5})
    out = tmp_path / "predictions.csv"
    summary = write_prediction_table(out, predictor.predict(new), predictor.card)
    with open(out, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with FeatureFile(new) as features:
        lacks = {m: ~features.modality(m).usable for m in ("acoustic", "visual", "lexical")}
    for i, row in enumerate(rows):
        had = [m for m in lacks if not lacks[m][i]]
        assert row["modalities"] == "+".join(had)
        assert (row["visual_happy"] == "") == lacks["visual"][i]
        shares = [float(row[f"p_{name}"]) for name in CLASSES]
        assert row["predicted"] == CLASSES[int(np.argmax(shares))]
        assert float(row["confidence"]) == max(shares)
    assert summary.n == len(rows) == sum(summary.predicted.values())
    assert summary.without == {m: int(gone.sum()) for m, gone in lacks.items()}
    # In training some utterances lacked the picture, and none the sound.
    assert len(summary.warnings) == 1
    assert "have no acoustic" in summary.warnings[0]


def test_a_clip_without_anything_has_empty_cells(tmp_path):
    predictor = trained(tmp_path)
    none = dict.fromkeys(("acoustic", "visual", "lexical"), 1.0)
    new = write_corpus(tmp_path / "new.h5", seed=9, missing=none)
    out = tmp_path / "predictions.csv"
    summary = write_prediction_table(out, predictor.predict(new), predictor.card)
    assert summary.unpredicted == summary.n > 0
    with open(out, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert row.pop("id")
            assert set(row.values()) == {""}


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        ({"acoustic": (2, 7)}, "2 layers of width 7 in .*, the model takes 2 of 6"),
        ({"thermal": (2, 6)}, "has thermal; the model needs one or more of acoustic, visual"),
    ],
)
def test_features_that_do_not_fit_are_refused(tmp_path, shapes, sentence):
    predictor = trained(tmp_path)
    new = write_corpus(tmp_path / "new.h5", shapes=shapes)
    with pytest.raises(InputError, match=sentence):
        next(predictor.predict(new))


def test_features_of_another_model_are_refused(tmp_path):
    predictor = trained(tmp_path)
    card = predictor.card
    extraction = {**card.extraction, "lexical": {**card.extraction["lexical"], "model": "bert"}}
    saved = load_model(tmp_path / "models/seed-0")
    other = type(saved)(
        card=card.model_copy(update={"extraction": extraction}),
        state=saved.state,
        standardisation=saved.standardisation,
    )
    with pytest.raises(InputError, match=r"lexical: model is 'lexical' in .*trained on 'bert'"):
        next(Predictor(other).predict(tmp_path / "two.h5"))
    next(Predictor(other).predict(tmp_path / "two.h5", allow_mismatch=True))


# Calibration


def test_the_temperature_is_the_one_with_the_least_cross_entropy():
    generator = np.random.default_rng(3)
    label = generator.integers(0, 4, 500)
    logits = generator.normal(size=(500, 4)) * 3
    logits[np.arange(500), label] += 2
    probabilities = np.exp(log_softmax(logits, axis=1))
    fitted = fit_calibration(probabilities, label)
    assert fitted is not None

    def cross_entropy(temperature: float) -> float:
        return -log_softmax(logits / temperature, axis=1)[np.arange(500), label].mean()

    best = minimize_scalar(cross_entropy, bounds=(0.3, 9), method="bounded")
    assert fitted.temperature == pytest.approx(best.x, rel=1e-3)
    assert fitted.ece_after < fitted.ece_before
    after = calibrated(probabilities, fitted)
    np.testing.assert_array_equal(after.argmax(axis=1), probabilities.argmax(axis=1))
    expected = np.exp(log_softmax(logits / fitted.temperature, axis=1))
    np.testing.assert_allclose(after, expected, atol=1e-6)


def test_rows_that_were_not_predicted_have_no_part_in_calibration():
    probabilities = np.array([[0.7, 0.3], [np.nan, np.nan], [0.4, 0.6]])
    fitted = fit_calibration(probabilities, np.array([0, 1, 1]))
    assert fitted is not None
    assert fitted.n == 2
    assert fit_calibration(probabilities[1:2], np.array([1])) is None
    after = calibrated(probabilities, fitted)
    assert np.isnan(after[1]).all()
    np.testing.assert_array_equal(calibrated(probabilities, None), probabilities.astype("f4"))
