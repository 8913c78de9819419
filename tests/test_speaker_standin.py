"""The speaker's face in generated television scenes, through the real detector."""

import pytest

from benchmarks.speaker_choice import (
    GLIMPSE_HZ,
    first_box,
    largest_face,
    make_cases,
    measure,
    ours,
    ours_without_sound,
)
from corpora.standin import write_standin

pytestmark = [pytest.mark.slow, pytest.mark.weights]


def test_the_speaker_is_chosen_in_95_percent_and_by_simple_rules_in_far_fewer(tmp_path):
    write_standin("meld", tmp_path / "meld", n_utterances=40, seed=21)
    cases, _ = make_cases(tmp_path / "meld", GLIMPSE_HZ)
    assert len(cases) == 40
    rules = {
        "ours": ours,
        "no sound": ours_without_sound,
        "first": first_box,
        "largest": largest_face,
    }
    table = measure(cases, rules)
    assert table["ours"]["seen"] >= 0.95
    for name in ("no sound", "first", "largest"):
        assert table[name]["seen"] <= table["ours"]["seen"] - 0.2
