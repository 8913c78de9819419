"""Validators against closed forms worked by hand, and what they must not depend on."""

import dataclasses
import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from amanda.validators import VALIDATORS, ValidatorInputs, select_epoch, validate

UNIFORM = np.full((6, 4), 0.25)
CORNERS = np.eye(4)


def inputs(**changes):
    rng = np.random.default_rng(0)
    values = {
        "source_val_label": rng.integers(0, 4, 12),
        "source_val_probabilities": rng.dirichlet(np.ones(4), 12),
        "target_val_probabilities": rng.dirichlet(np.ones(4), 15),
        "source_val_features": rng.normal(size=(12, 5)),
        "source_train_features": rng.normal(size=(40, 5)),
        "target_train_features": rng.normal(0.5, 1, size=(30, 5)),
    }
    return ValidatorInputs(**{**values, **changes})


def score(name, **changes):
    return VALIDATORS[name].score(inputs(**changes))


def score_two_classes(name, p):
    """The value for target-val predictions of two classes."""
    labels = np.zeros(12, int)
    return score(
        name,
        source_val_label=labels,
        source_val_probabilities=np.full((12, 2), 0.5),
        target_val_probabilities=p,
    )


def test_inputs_have_no_field_for_a_target_label():
    names = [field.name for field in dataclasses.fields(ValidatorInputs)]
    assert not [n for n in names if n.startswith("target") and "label" in n]
    assert not [n for n in names if "test" in n]


def test_source_val_f1_by_hand():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    value = score(
        "source_val_f1",
        source_val_label=np.array([0, 1, 1, -1]),
        source_val_probabilities=p,
        target_val_probabilities=p,
        source_val_features=None,
    )
    assert value == pytest.approx((1 * 2 / 3 + 2 * 2 / 3) / 3)


def test_entropy_and_im_at_their_extremes():
    assert score("entropy", target_val_probabilities=UNIFORM) == pytest.approx(math.log(4))
    assert score("entropy", target_val_probabilities=CORNERS) == 0.0
    # Sure and diverse is best, uniform worth nothing, sure of one class worth nothing.
    assert score("im", target_val_probabilities=CORNERS) == pytest.approx(math.log(4))
    assert score("im", target_val_probabilities=UNIFORM) == pytest.approx(0.0, abs=1e-12)
    one_class = np.tile(CORNERS[:1], (5, 1))
    assert score("im", target_val_probabilities=one_class) == pytest.approx(0.0, abs=1e-12)


def test_im_by_hand():
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    of_mean = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    expected = of_mean - math.log(2) / 2
    assert score_two_classes("im", p) == pytest.approx(expected)


def test_snd_by_hand():
    # Rows 0 and 1 are alike, row 2 is orthogonal. Self is left out, so row 0 sees similarity
    # 1/0.05 = 20 to row 1 and 0 to row 2; row 2 sees both alike.
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    near = 1 / (1 + math.exp(-20))
    h = -(near * math.log(near) + (1 - near) * math.log(1 - near))
    assert score_two_classes("snd", p) == pytest.approx((2 * h + math.log(2)) / 3)


def test_snd_of_one_dense_cluster_is_the_most_there_can_be():
    n = 7
    alike = np.tile([[0.7, 0.1, 0.1, 0.1]], (n, 1))
    assert score("snd", target_val_probabilities=alike) == pytest.approx(math.log(n - 1))


def test_snd_in_blocks_equals_one_block(monkeypatch):
    whole = score("snd")
    monkeypatch.setattr("amanda.validators._ROWS_AT_ONCE", 4)
    assert score("snd") == pytest.approx(whole, rel=1e-12)


def test_bnm_by_hand():
    # Singular values of k stacked identities are sqrt(k); 4 of them over 4k rows.
    stacked = np.tile(CORNERS, (9, 1))
    assert score("bnm", target_val_probabilities=stacked) == pytest.approx(4 * 3 / 36)
    # Rank one: a single singular value, the Frobenius norm.
    assert score("bnm", target_val_probabilities=UNIFORM) == pytest.approx(
        math.sqrt(6 * 4 / 16) / 6
    )


def test_dev_equals_the_formula_written_out():
    given = inputs()
    both = np.concatenate([given.source_train_features, given.target_train_features])
    scaler = StandardScaler().fit(both)
    domain = [0] * 40 + [1] * 30
    classifier = LogisticRegression().fit(scaler.transform(both), domain)
    p = classifier.predict_proba(scaler.transform(given.source_val_features))
    w = 40 / 30 * p[:, 1] / p[:, 0]
    loss = -np.log(given.source_val_probabilities[np.arange(12), given.source_val_label])
    covariance = np.cov(w * loss, w)
    eta = -covariance[0, 1] / covariance[1, 1]
    expected = np.mean(w * loss) + eta * np.mean(w) - eta
    assert VALIDATORS["dev"].score(given) == pytest.approx(expected, rel=1e-4)


def test_dev_without_variation_is_the_plain_mean_risk():
    rng = np.random.default_rng(1)
    same = np.tile(rng.normal(size=(1, 5)), (12, 1))
    given = inputs(source_val_features=same, source_train_features=same, target_train_features=same)
    loss = -np.log(given.source_val_probabilities[np.arange(12), given.source_val_label])
    assert VALIDATORS["dev"].score(given) == pytest.approx(loss.mean(), rel=1e-6)


def test_dev_is_finite_for_separable_domains_and_certain_mistakes():
    wrong = np.tile([[1.0, 0.0, 0.0, 0.0]], (12, 1))
    value = score(
        "dev",
        source_val_label=np.full(12, 1),
        source_val_probabilities=wrong,
        target_train_features=np.full((30, 5), 1e4) + np.random.default_rng(2).normal(size=(30, 5)),
    )
    assert math.isfinite(value)


def test_dev_prefers_the_model_that_is_right_where_the_target_is():
    rng = np.random.default_rng(3)
    val = rng.normal(size=(200, 1))
    near_target = val[:, 0] > 0
    label = np.zeros(200, int)

    def risk(right):
        p = np.where(right[:, None], [[0.9, 0.1]], [[0.1, 0.9]])
        return score(
            "dev",
            source_val_label=label,
            source_val_probabilities=p,
            target_val_probabilities=p,
            source_val_features=val,
            source_train_features=rng.normal(size=(400, 1)),
            target_train_features=rng.normal(1.0, 1, size=(400, 1)),
        )

    assert risk(near_target) < risk(~near_target)


@pytest.mark.parametrize("name", list(VALIDATORS))
def test_row_order_does_not_matter(name):
    given = inputs()
    rng = np.random.default_rng(4)
    a, b, c, d = (rng.permutation(n) for n in (12, 15, 40, 30))
    shuffled = ValidatorInputs(
        source_val_label=given.source_val_label[a],
        source_val_probabilities=given.source_val_probabilities[a],
        source_val_features=given.source_val_features[a],
        target_val_probabilities=given.target_val_probabilities[b],
        source_train_features=given.source_train_features[c],
        target_train_features=given.target_train_features[d],
    )
    expected = VALIDATORS[name].score(given)
    assert VALIDATORS[name].score(shuffled) == pytest.approx(expected, rel=1e-4)


def test_values_come_in_a_fixed_order_and_null_where_there_is_nothing_to_read():
    empty = inputs(
        source_val_label=np.full(12, -1),
        target_val_probabilities=np.zeros((0, 4)),
        source_train_features=None,
    )
    assert validate(empty) == dict.fromkeys(VALIDATORS)
    assert list(validate(inputs())) == ["source_val_f1", "entropy", "im", "snd", "bnm", "dev"]
    assert all(math.isfinite(v) for v in validate(inputs()).values())


@pytest.mark.parametrize(
    ("values", "direction", "chosen"),
    [
        ([0.1, 0.3, 0.3, 0.2], "max", 1),
        ([0.1, 0.3, 0.1, 0.2], "min", 0),
        ([None, float("nan"), 0.5, float("inf")], "max", 2),
        ([None, float("-inf"), 0.5], "min", 2),
        ([None, None], "max", None),
        ([], "min", None),
    ],
)
def test_the_earliest_best_epoch_is_chosen(values, direction, chosen):
    assert select_epoch(values, direction) == chosen
