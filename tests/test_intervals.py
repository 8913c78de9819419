"""Intervals of differences: against loops, closed cases, and what they should cover."""

import numpy as np
import pytest
from sklearn import metrics as sk

from amanda.intervals import PairedRun, difference_interval


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


def test_p_value_and_interval_say_the_same():
    rng = np.random.default_rng(11)
    for gain in (0.0, 0.05, 0.1, 0.3):
        run = paired(rng, gain=gain)
        interval = difference_interval([run], 4, n_resamples=999)
        excludes = interval.low > 0 or interval.high < 0
        # At the very edge quantiles are interpolated and shares are not.
        if abs(interval.p_value - 0.05) > 0.005:
            assert (interval.p_value < 0.05) == excludes
    assert interval.p_value == pytest.approx(2 / 1000)


def test_p_value_of_one_method_with_itself_is_1_and_of_one_speaker_unknown():
    run = paired(np.random.default_rng(1))
    same = PairedRun(label=run.label, speaker=run.speaker, first=run.first, second=run.first)
    assert difference_interval([same], 4, n_resamples=99).p_value == 1
    alone = paired(np.random.default_rng(7), n_speakers=1, n=30, gain=0.3)
    assert np.isnan(difference_interval([alone], 4, n_resamples=99).p_value)


def test_no_gain_is_called_one_about_as_rarely_as_the_level_says():
    rng = np.random.default_rng(8)
    label = rng.integers(0, 4, 12 * 20)
    trials = 100
    small = sum(
        difference_interval(
            [paired(rng, n_speakers=12, label=label) for _ in range(3)], 4, n_resamples=300, seed=t
        ).p_value
        < 0.05
        for t in range(trials)
    )
    assert small / trials <= 0.12


def test_blocks_of_resamples_do_not_change_the_draws(monkeypatch):
    run = paired(np.random.default_rng(2), gain=0.1)
    whole = difference_interval([run, run], 4, n_resamples=301)
    monkeypatch.setattr("amanda.intervals._RESAMPLES_AT_ONCE", 50)
    assert difference_interval([run, run], 4, n_resamples=301) == whole


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("macro_f1", lambda y, g: sk.f1_score(y, g, average="macro")),
        ("uar", sk.balanced_accuracy_score),
        ("accuracy", sk.accuracy_score),
    ],
)
def test_other_scores(metric, reference):
    run = paired(np.random.default_rng(4), gain=0.2)
    interval = difference_interval([run], 4, metric=metric, n_resamples=99)
    expected = reference(run.label, run.first) - reference(run.label, run.second)
    assert interval.estimate == pytest.approx(expected)
    assert interval.low < expected < interval.high


def test_a_score_that_counts_do_not_give_is_refused():
    run = paired(np.random.default_rng(4))
    with pytest.raises(ValueError, match="did you mean 'uar'"):
        difference_interval([run], 4, metric="uarr")
