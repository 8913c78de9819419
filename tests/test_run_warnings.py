"""Trainings that collapsed are told, and so is what was warned about when features were made."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from small_features import write_pair

from amanda.records import EpochRecord, RunRecord, Selection, TestRows
from amanda.run_warnings import collapse_warnings
from amanda.settings import RunSettings
from amanda.store.names import CLASSES
from amanda.training import train_method


def record(guess: list[int], relative: dict[str, float] | None = None, fold: int = 0) -> RunRecord:
    """A run whose joint branch is sure of `guess` (-1: could not predict)."""
    probabilities = np.full((len(guess), 4), np.nan, np.float32)
    for row, cls in enumerate(guess):
        if cls >= 0:
            probabilities[row] = 0.1
            probabilities[row, cls] = 0.7
    last = Selection(
        epoch=1, value=None, used_target_labels=False, probabilities={"joint": probabilities}
    )
    epoch = EpochRecord(
        loss={}, alignment={}, alignment_relative=relative or {}, psi={}, validators={}, lr=0.1
    )
    rows = TestRows(
        ids=[str(i) for i in range(len(guess))],
        speakers=["s"] * len(guess),
        label=np.zeros(len(guess), np.int64),
    )
    return RunRecord(
        seed=2, fold=fold, test=rows, epochs=[epoch], selections={"last": last}, wall_s=1.0
    )


@pytest.mark.parametrize(
    ("guess", "told"),
    [
        ([2] * 20, "100% of the test utterances are called sad"),
        ([2] * 19 + [0], "95% of the test utterances are called sad"),
        ([2] * 18 + [0, 1], ""),
        ([2] * 9, ""),  # too few to say
        ([2] * 12 + [-1] * 12, "100% of the test utterances are called sad"),
    ],
)
def test_one_class_for_nearly_all(guess, told):
    found = collapse_warnings([record(guess)], CLASSES)
    assert bool(found) == bool(told)
    for sentence in found:
        assert sentence.startswith(f"seed 2: {told}; this training collapsed")


def test_representations_that_no_longer_vary():
    run = record([0, 1, 2, 3] * 5, {"acoustic": float("nan"), "joint": 0.3}, fold=1)
    (sentence,) = collapse_warnings([run], CLASSES)
    assert sentence.startswith("seed 2, fold 1: the representations of acoustic no longer vary; it")
    assert "this training collapsed" not in sentence  # the joint branch has the other modalities
    run = record([0, 1, 2, 3] * 5, {"acoustic": float("nan"), "joint": float("nan")})
    (sentence,) = collapse_warnings([run], CLASSES)
    assert "of acoustic, joint no longer vary; this training collapsed" in sentence


def test_both_domains_flat_are_told_where_they_varied_before():
    run = record([0, 1, 2, 3] * 5, {"acoustic": 0.0, "visual": 0.0, "joint": 0.3})
    assert collapse_warnings([run], CLASSES) == []
    earlier = replace(run.epochs[0], alignment_relative={"acoustic": 0.5, "visual": 0.0})
    run = replace(run, epochs=[earlier, *run.epochs])
    (sentence,) = collapse_warnings([run], CLASSES)
    assert sentence.startswith("seed 2: the representations of acoustic no longer vary; it learned")


def test_what_the_features_were_warned_about_reaches_the_result(tmp_path):
    source, target = write_pair(tmp_path)
    with h5py.File(target, "r+") as file:
        file.attrs["warnings"] = "lexical: the corpus is in 'de' and the model in 'en'"
    run = RunSettings(method="direct_transfer", seeds=1, epochs=1, dim=8, channels=4, batch_size=16)
    result = train_method(source, target, run, out=tmp_path / "r.json", device="cpu", workers=1)
    (method,) = result.file.methods
    assert "two: lexical: the corpus is in 'de' and the model in 'en'" in method.warnings
    assert "the model in 'en'" in result.to_text()
