"""Scores against scikit-learn and hand-worked cases; intervals against what they should cover."""

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from amanda.metrics import (
    SCORES,
    PairedRun,
    count_confusion,
    difference_interval,
    evaluate,
    expected_calibration_error,
    per_class_f1,
    weighted_f1,
)

NAMES = ("neutral", "happy", "sad", "angry")


def sure(predicted, n_classes=4, confidence=0.7):
    """Probabilities that predict these classes with one confidence."""
    rest = (1 - confidence) / (n_classes - 1)
    p = np.full((len(predicted), n_classes), rest)
    p[np.arange(len(predicted)), predicted] = confidence
    return p


@pytest.fixture
def random_case():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, 97), rng.dirichlet(np.ones(4), 97)


def test_hand_worked_case():
    # Two of three neutral right, one of two happy right; sad and angry never seen.
    label = np.array([0, 0, 0, 1, 1])
    result = evaluate(label, sure([0, 0, 1, 1, 0]), NAMES)
    assert result["confusion"] == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert result["per_class_f1"] == {"neutral": 2 / 3, "happy": 0.5, "sad": None, "angry": None}
    assert result["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 0.5) / 5)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert result["uar"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result["accuracy"] == pytest.approx(0.6)
    assert result["ece"] == pytest.approx(0.7 - 0.6)
    assert result["label_marginals"]["true"] == {
        "neutral": 0.6,
        "happy": 0.4,
        "sad": 0.0,
        "angry": 0.0,
    }
    assert result["label_marginals"]["predicted"]["neutral"] == pytest.approx(0.6)
    assert result["label_marginals"]["mean_probability"]["sad"] == pytest.approx(0.1)


def test_scores_agree_with_scikit_learn(random_case):
    label, p = random_case
    guess = p.argmax(axis=1)
    result = evaluate(label, p, NAMES)
    assert result["weighted_f1"] == pytest.approx(sk.f1_score(label, guess, average="weighted"))
    assert result["macro_f1"] == pytest.approx(sk.f1_score(label, guess, average="macro"))
    assert result["uar"] == pytest.approx(sk.balanced_accuracy_score(label, guess))
    assert result["accuracy"] == pytest.approx(sk.accuracy_score(label, guess))
    assert result["confusion"] == sk.confusion_matrix(label, guess).tolist()
    assert list(result["per_class_f1"].values()) == pytest.approx(
        sk.f1_score(label, guess, average=None).tolist()
    )
    matrix = count_confusion(label, guess, 4)
    assert float(weighted_f1(matrix)) == pytest.approx(result["weighted_f1"], rel=1e-12)


def test_row_order_does_not_matter(random_case):
    label, p = random_case
    order = np.random.default_rng(1).permutation(len(label))
    first, second = evaluate(label, p, NAMES), evaluate(label[order], p[order], NAMES)
    for name in SCORES:
        assert first[name] == pytest.approx(second[name], rel=1e-12)
    assert first["confusion"] == second["confusion"]


def test_renaming_classes_permutes_what_is_by_class(random_case):
    label, p = random_case
    swap = np.array([2, 0, 3, 1])
    first = evaluate(label, p, NAMES)
    second = evaluate(np.argsort(swap)[label], p[:, swap], [NAMES[i] for i in swap])
    assert second["per_class_f1"] == pytest.approx(first["per_class_f1"])
    assert second["weighted_f1"] == pytest.approx(first["weighted_f1"])


def test_a_class_only_predicted_has_f1_zero_and_no_weight():
    label = np.array([0, 0, 1, 1])
    result = evaluate(label, sure([0, 2, 1, 1]), NAMES)
    assert result["per_class_f1"] == {"neutral": 2 / 3, "happy": 1.0, "sad": 0.0, "angry": None}
    assert result["weighted_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_rows_without_label_enter_no_score_but_the_predicted_marginals():
    label = np.array([0, -1, 1, -1])
    p = sure([0, 3, 1, 3])
    result = evaluate(label, p, NAMES)
    assert (result["n"], result["n_labelled"]) == (4, 2)
    assert result["accuracy"] == 1.0
    assert result["label_marginals"]["true"]["neutral"] == 0.5
    assert result["label_marginals"]["predicted"]["angry"] == 0.5


def test_no_label_at_all_gives_null_scores():
    result = evaluate(np.full(6, -1), sure([0, 0, 0, 1, 2, 3]), NAMES)
    assert all(result[name] is None for name in SCORES)
    assert result["confusion"] is None
    assert set(result["per_class_f1"].values()) == {None}
    assert set(result["label_marginals"]["true"].values()) == {None}
    assert result["label_marginals"]["predicted"]["neutral"] == 0.5
    json.dumps(result, allow_nan=False)


def test_no_row_at_all_gives_null_scores():
    result = evaluate(np.zeros(0, int), np.zeros((0, 4)), NAMES)
    assert result["n"] == 0
    assert result["weighted_f1"] is None
    assert set(result["label_marginals"]["mean_probability"].values()) == {None}


@pytest.mark.parametrize(
    ("label", "p", "match"),
    [
        (np.array([0]), np.array([[2.0, 1.0, 0.5, 0.5]]), "row 0: .* did you pass logits"),
        (np.array([0]), np.full((1, 4), np.nan), "row 0: .* is not a distribution"),
        (np.array([4]), np.full((1, 4), 0.25), "label 4 is not a class"),
        (np.array([0]), np.full((1, 3), 1 / 3), "3 probabilities a row for 4 classes"),
    ],
)
def test_wrong_input_is_told(label, p, match):
    with pytest.raises(ValueError, match=match):
        evaluate(label, p, NAMES)


def test_calibration_error_by_hand():
    # Bins of 1/15: 0.70 and 0.72 share (10/15, 11/15], one right of two; 0.95 stands alone, right.
    correct = np.array([True, False, True])
    confidence = np.array([0.70, 0.72, 0.95])
    expected = 2 / 3 * abs(0.5 - 0.71) + 1 / 3 * abs(1 - 0.95)
    assert expected_calibration_error(correct, confidence) == pytest.approx(expected)


def test_calibration_error_counts_edges_and_certainty():
    one_bin = expected_calibration_error(np.array([True]), np.array([1.0]), n_bins=10)
    assert one_bin == 0.0
    # An edge belongs to the bin below it: 0.5 and 0.45 fall together with two bins.
    together = expected_calibration_error(np.array([True, False]), np.array([0.5, 0.45]), n_bins=2)
    assert together == pytest.approx(abs(0.5 - 0.475))


def test_f1_of_a_class_by_hand():
    matrix = np.array([[5, 1], [2, 0]])
    assert per_class_f1(matrix) == [pytest.approx(10 / 13), 0.0]


def paired(rng, *, n_speakers=8, n=20, gain=0.0, spread=0.0, label=None):
    speaker = np.repeat(np.arange(n_speakers), n)
    label = rng.integers(0, 4, len(speaker)) if label is None else label
    gains = gain + rng.normal(0, spread, n_speakers)

    def predict(p):
        right = rng.random(len(label)) < p
        return np.where(right, label, (label + rng.integers(1, 4, len(label))) % 4)

    return PairedRun(
        label=label,
        speaker=[f"s{s}" for s in speaker],
        first=predict(0.5 + gains[speaker]),
        second=predict(np.full(len(label), 0.5)),
    )


def test_interval_estimate_is_the_mean_of_the_differences():
    rng = np.random.default_rng(0)
    runs = [paired(rng, gain=0.2) for _ in range(3)]
    expected = np.mean(
        [
            sk.f1_score(r.label, r.first, average="weighted")
            - sk.f1_score(r.label, r.second, average="weighted")
            for r in runs
        ]
    )
    interval = difference_interval(runs, 4, n_resamples=200)
    assert interval.estimate == pytest.approx(expected)
    assert interval.low < expected < interval.high
    assert (interval.n_speakers, interval.n_runs) == (8, 3)


def test_interval_equals_a_loop_over_resampled_rows():
    rng = np.random.default_rng(3)
    run = paired(rng, n_speakers=5, n=7, gain=0.1)
    names = sorted(set(run.speaker))
    draws = np.random.default_rng(9).multinomial(5, np.full(5, 0.2), 300)
    values = []
    for draw in draws:
        rows = np.concatenate(
            [
                np.tile(np.flatnonzero(np.array(run.speaker) == name), times)
                for name, times in zip(names, draw, strict=True)
            ]
        ).astype(int)
        first, second = (
            sk.f1_score(run.label[rows], g[rows], average="weighted", zero_division=0)
            for g in (run.first, run.second)
        )
        values.append(first - second)
    interval = difference_interval([run], 4, n_resamples=300, resample_runs=False, seed=9)
    assert (interval.low, interval.high) == pytest.approx(
        tuple(np.quantile(values, [0.025, 0.975]))
    )


def test_interval_swaps_sign_with_the_methods_and_is_zero_for_one_method():
    rng = np.random.default_rng(1)
    run = paired(rng, gain=0.2)
    swapped = PairedRun(label=run.label, speaker=run.speaker, first=run.second, second=run.first)
    there = difference_interval([run], 4, n_resamples=500, seed=4)
    back = difference_interval([swapped], 4, n_resamples=500, seed=4)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    same = PairedRun(label=run.label, speaker=run.speaker, first=run.first, second=run.first)
    nothing = difference_interval([same], 4, n_resamples=50)
    assert (nothing.estimate, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_interval_is_wider_when_rows_of_a_speaker_go_together():
    rng = np.random.default_rng(2)
    run = paired(rng, n_speakers=6, n=60, gain=0.1, spread=0.2)
    alone = PairedRun(
        label=run.label, speaker=[""] * len(run.label), first=run.first, second=run.second
    )
    clustered = difference_interval([run], 4, n_resamples=500)
    by_row = difference_interval([alone], 4, n_resamples=500)
    assert by_row.n_speakers == 360
    assert clustered.high - clustered.low > 1.5 * (by_row.high - by_row.low)


def test_interval_covers_the_true_difference_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    trials = 120
    for trial in range(trials):
        label = rng.integers(0, 4, 8 * 20)
        # A run's own luck moves its difference too, as a training's seed does.
        runs = [paired(rng, gain=0.15 + rng.normal(0, 0.03), label=label) for _ in range(3)]
        interval = difference_interval(runs, 4, n_resamples=300, seed=trial)
        covered += interval.low <= 0.15 <= interval.high
    assert covered / trials >= 0.9


def test_interval_of_one_speaker_is_unknown():
    run = paired(np.random.default_rng(7), n_speakers=1, n=30, gain=0.3)
    interval = difference_interval([run, run], 4, n_resamples=50)
    assert interval.estimate > 0
    assert np.isnan([interval.low, interval.high]).all()


def test_interval_of_runs_on_different_speakers_leaves_out_what_was_not_drawn():
    rng = np.random.default_rng(6)
    first, second = paired(rng, n_speakers=2, gain=0.3), paired(rng, n_speakers=2, gain=0.3)
    other = PairedRun(
        label=second.label,
        speaker=[f"other-{s}" for s in second.speaker],
        first=second.first,
        second=second.second,
    )
    interval = difference_interval([first, other], 4, n_resamples=400)
    assert interval.n_speakers == 4
    assert np.isfinite([interval.low, interval.high]).all()


@pytest.mark.parametrize(
    ("runs", "match"),
    [
        ([], "no run"),
        (
            [
                PairedRun(
                    label=np.array([-1]),
                    speaker=["a"],
                    first=np.array([0]),
                    second=np.array([0]),
                )
            ],
            "rows without a label",
        ),
        (
            [
                PairedRun(
                    label=np.array([0]),
                    speaker=["a", "b"],
                    first=np.array([0]),
                    second=np.array([0]),
                )
            ],
            "columns of one length",
        ),
    ],
)
def test_interval_refuses_what_it_cannot_compare(runs, match):
    with pytest.raises(ValueError, match=match):
        difference_interval(runs, 4)
