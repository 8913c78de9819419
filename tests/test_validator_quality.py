"""Rank correlation and regret, against scipy and by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from small_features import write_pair

from amanda.records import Evaluation, TestRows
from amanda.settings import RunSettings
from amanda.training import train_method
from amanda.validator_quality import judge, rank_correlation, score_epochs


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_spearmans_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, (2, 15)).astype(float)
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)


def test_rank_correlation_by_hand() -> None:
    up = np.array([1.0, 2.0, 3.0])
    assert rank_correlation(up, up**3) == pytest.approx(1)
    assert rank_correlation(up, -up) == pytest.approx(-1)


@pytest.mark.parametrize("x", [[1.0, 1.0, 1.0], [1.0, np.nan, 2.0], [1.0, 2.0]])
def test_rank_correlation_that_is_not_defined(x: list[float]) -> None:
    assert rank_correlation(np.array(x), np.arange(len(x), dtype=float)) is None


def test_judging_by_hand() -> None:
    validators = {1: {"entropy": 0.9, "im": 0.1}, 2: {"entropy": 0.5, "im": 0.3}}
    validators[3] = {"entropy": 0.2, "im": 0.2}
    quality = judge(
        validators,
        {1: 0.3, 2: 0.5, 3: 0.6},
        {"last": 0.6, "entropy": 0.6, "im": 0.5, "oracle": 0.6},
    )
    # Entropy falls as F1 rises, and lower is better: a perfect order. IM orders two of three pairs.
    assert quality["entropy"] == {"rank_correlation": pytest.approx(1), "regret": 0}
    assert quality["im"]["rank_correlation"] == pytest.approx(0.5)
    assert quality["im"]["regret"] == pytest.approx(0.1)
    assert quality["last"] == {"rank_correlation": None, "regret": 0}
    assert "oracle" not in quality


def test_without_target_labels_there_is_nothing_to_judge_by() -> None:
    assert judge({1: {"entropy": 1.0}}, {}, {"last": None, "entropy": None}) == {}


def test_epochs_are_scored_on_labelled_rows_that_were_predicted() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [np.nan, np.nan]], np.float32)
    evaluation = Evaluation(epoch=5, validators={}, test={"joint": p})
    rows = TestRows(ids=list("abcd"), speakers=[""] * 4, label=np.array([0, 1, -1, 1]))
    assert score_epochs([evaluation], rows) == {5: 1.0}
    unlabelled = TestRows(ids=list("abcd"), speakers=[""] * 4, label=np.full(4, -1))
    assert score_epochs([evaluation], unlabelled) == {}


def test_every_run_of_a_result_says_what_its_choices_cost(tmp_path: Path) -> None:
    source, target = write_pair(tmp_path)
    settings = RunSettings(dim=4, channels=4, epochs=6, eval_every=2, batch_size=16, seeds=1)
    result = train_method(source, target, settings, out=tmp_path / "r.json", device="cpu")
    (run,) = result.file.methods[0].runs
    assert [score.epoch for score in run.test_f1] == [2, 4, 6]
    best = max(score.weighted_f1 or 0.0 for score in run.test_f1)
    assert run.selections["oracle"].weighted_f1 == pytest.approx(best)
    assert set(run.selection_quality) == set(run.selections) - {"oracle"}
    for name, quality in run.selection_quality.items():
        assert quality.regret == pytest.approx(best - (run.selections[name].weighted_f1 or 0.0))
        assert quality.regret >= -1e-12
