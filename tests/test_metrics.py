"""Scores against scikit-learn and hand-worked cases."""

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from amanda.metrics import (
    COUNT_SCORES,
    SCORES,
    count_confusion,
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


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("weighted_f1", lambda y, g: sk.f1_score(y, g, average="weighted", zero_division=0)),
        ("macro_f1", lambda y, g: sk.f1_score(y, g, average="macro", zero_division=0)),
        ("uar", sk.balanced_accuracy_score),
        ("accuracy", sk.accuracy_score),
    ],
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_of_many_count_matrices_are_those_of_each(name, reference):
    rng = np.random.default_rng(3)
    # Few rows of four classes, so that some are absent among the labels or the guesses.
    cases = [(rng.integers(0, 4, 6), rng.integers(0, 4, 6)) for _ in range(12)]
    matrices = np.stack([count_confusion(y, g, 4) for y, g in cases])
    found = COUNT_SCORES[name](matrices.reshape(3, 4, 4, 4))
    assert found.shape == (3, 4)
    assert found.ravel() == pytest.approx([reference(y, g) for y, g in cases])


@pytest.mark.parametrize("name", list(COUNT_SCORES))
def test_scores_of_counts_that_are_all_zero_are_unknown(name):
    matrices = np.stack([np.zeros((4, 4)), np.eye(4)])
    found = COUNT_SCORES[name](matrices)
    assert np.isnan(found[0])
    assert found[1] == 1
