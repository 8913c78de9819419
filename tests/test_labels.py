"""Label rules: the built-in tables, a user's map, and CMU-MOSEI's rule of the paper."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.names import CLASSES
from corpora.labels import LABELS, class_shares, labels_of, mosei_label, read_label_map

EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")


def test_iemocap_happy_is_happiness_and_excitement() -> None:
    assert {code for code, name in LABELS["ie"].items() if name == "happy"} == {"hap", "exc"}
    assert set(LABELS["ie"]) == {"neu", "hap", "exc", "sad", "ang"}


def test_msp_has_the_consensus_codes_and_neither_other_nor_disagreement() -> None:
    assert LABELS["msp"] == {"N": "neutral", "H": "happy", "S": "sad", "A": "angry"}


def test_every_table_names_every_class() -> None:
    for reader, table in LABELS.items():
        assert set(table.values()) == set(CLASSES), reader


def test_a_users_map_takes_the_tables_place(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("fru: angry\nneu: neutral\n7: sad\n'no': happy\n")
    assert labels_of("ie", path) == {"fru": "angry", "neu": "neutral", "7": "sad", "no": "happy"}
    assert labels_of("ie", None) == LABELS["ie"]
    assert labels_of("csv", None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fru: angri\n", "'fru: angri' names no class; did you mean 'angry'"),
        ("no: happy\n", "label False is not a text in YAML; put it in quotes"),
        ("- fru\n", "write one `corpus label: class` line a label"),
        ("", "write one `corpus label: class` line"),
        ("a: [b\n", "cannot be read as YAML"),
        ("fru: [angry]\n", "names no class"),
    ],
)
def test_a_map_that_is_none_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_label_map(path)
    assert "\n" not in str(caught.value)


def test_a_missing_map_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: cannot be read"):
        read_label_map(tmp_path / "gone.yaml")


def test_shares_of_labels_of_one_class_are_summed() -> None:
    raters = {"hap": 0.25, "exc": 0.5, "neu": 0.125, "fru": 0.125}
    none = dict.fromkeys(CLASSES, 0.0)
    assert class_shares(raters, LABELS["ie"]) == {**none, "neutral": 0.125, "happy": 0.75}
    assert class_shares({"happy": 0.5, "bored": 0.5}, None) == {**none, "happy": 0.5}
    assert class_shares({"fru": 1.0}, LABELS["ie"]) == none, "raters are known, none chose a class"
    assert class_shares({}, LABELS["ie"]) == {}, "nothing is known of the raters"


@pytest.mark.parametrize(
    ("sentiment", "scores", "label"),
    [
        (0, (0, 0, 0, 0, 0, 0), "neutral"),
        (-1, (0, 0, 0, 0, 0, 0), ""),  # no emotion, but not neutral: all tie at 0
        (0, (0.67, 0, 0, 0, 0, 0), "happy"),  # sentiment 0 with an emotion is no neutral
        (2, (1, 0.67, 0, 0, 0, 0), "happy"),
        (1, (1, 0, 1, 0, 0, 0), ""),
        (-3, (0, 0, 0, 0.5, 0.5, 0.33), ""),
        (-3, (0, 0.33, 0.67, 0, 0, 0), "anger"),
        (0, (0, 0.67, 0, 0, 0, 1), "fear"),
    ],
)
def test_mosei_by_hand(sentiment: float, scores: tuple[float, ...], label: str) -> None:
    emotions = dict(zip(EMOTIONS, map(float, scores), strict=True))
    assert mosei_label(float(sentiment), emotions) == label


@given(
    st.sampled_from([-3.0, -0.33, 0.0, 1.0]),
    st.lists(st.sampled_from([0.0, 0.33, 0.67, 1.0, 3.0]), min_size=6, max_size=6),
    st.permutations(range(6)),
)
def test_mosei_does_not_depend_on_the_order_of_the_emotions(
    sentiment: float, scores: list[float], order: list[int]
) -> None:
    emotions = dict(zip(EMOTIONS, scores, strict=True))
    shuffled = {EMOTIONS[i]: scores[i] for i in order}
    label = mosei_label(sentiment, emotions)
    assert label == mosei_label(sentiment, shuffled)
    if label in EMOTIONS:
        assert all(emotions[label] > score for e, score in emotions.items() if e != label)
    elif label == "":
        assert sorted(scores)[-1] == sorted(scores)[-2]
        assert sentiment != 0 or any(scores)
