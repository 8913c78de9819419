"""Label rules: the built-in tables, a user's map, and CMU-MOSEI's rule of the paper."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.names import CLASSES
from amanda.store.utterance import Utterance
from corpora.labels import LABELS, LabelRule, mosei_label, read_label_map, rule_of

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
    labels = {"fru": "angry", "neu": "neutral", "7": "sad", "no": "happy"}
    assert rule_of("ie", path) == LabelRule(labels=labels)
    assert rule_of("ie", None) == LabelRule(labels=LABELS["ie"])
    assert rule_of("csv", None) == LabelRule(labels=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fru: angri\n", "'fru: angri' names no class; did you mean 'angry'"),
        ("no: happy\n", "label False is not a text in YAML; put it in quotes"),
        ("- fru\n", "write one `corpus label: class` line a label"),
        ("", "write one `corpus label: class` line"),
        ("a: [b\n", "cannot be read as YAML"),
        ("fru: [angry]\n", "names no class"),
        ("classes: [a]\n", "classes lists 2 to 100 names"),
        ("classes: [a, no]\n", "False cannot name a class; use letters"),
        ("classes: [a, 'b,c']\n", "'b,c' cannot name a class"),
        ("classes: [a, a]\n", "a class stands twice"),
        ("classes: [a, b]\nlabel: {x: a}\n", "unknown key 'label'; did you mean 'labels'"),
        ("classes: [a, b]\nlabels: [a]\n", "write labels as"),
        ("classes: [a, glad]\nlabels: {x: gald}\n", "names no class; did you mean 'glad'"),
        ("labels: {x: glad}\n", "'x: glad' names no class; known: neutral, happy"),
        ("classes: [a, b]\nfrom: text\n", "from: text is neither emotion nor valence"),
        ("classes: [a, b]\nfrom: valence\n", "say which valence is neutral, as middle: 3"),
        ("classes: [a, b]\nfrom: valence\nmiddle: 3\n", "a label is one of negative, neutral"),
        ("x: " + "[" * 3000, "cannot be read as YAML"),
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


SIX = """\
classes: [neutral, happy, sad, angry, frustrated, excited]
labels: {neu: neutral, hap: happy, sad: sad, ang: angry, fru: frustrated, exc: excited}
"""
SIGN = "classes: [negative, positive]\nfrom: valence\n"


def test_a_map_may_have_classes_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "six.yaml"
    path.write_text(SIX)
    rule = rule_of("ie", path)
    assert rule.classes == ("neutral", "happy", "sad", "angry", "frustrated", "excited")
    assert rule.class_of("exc") == "excited"
    assert rule.class_of("xxx") == ""
    path.write_text("classes: [calm, tense]\n")
    assert rule_of("csv", path).labels == {"calm": "calm", "tense": "tense"}


@pytest.mark.parametrize(
    ("reader", "valences", "labels"),
    [
        (
            "mosei",
            (-3.0, -0.33, 0.0, 0.33, None),
            ("negative", "negative", "neutral", "positive", ""),
        ),
        ("meld", (-1.0, 0.0, 1.0), ("negative", "neutral", "positive")),
        ("ie", (2.5, 3.0, 3.5), ("negative", "neutral", "positive")),
        ("msp", (1.0, 3.0, 5.0), ("negative", "neutral", "positive")),
    ],
)
def test_the_sign_of_the_valence_is_that_of_each_corpuss_scale(
    reader: str, valences: tuple[float | None, ...], labels: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "sign.yaml"
    path.write_text(SIGN)
    rule = rule_of(reader, path)
    rows = [Utterance(id="u", path="a", label="hap", valence=v) for v in valences]
    assert tuple(rule.label_of(row) for row in rows) == labels
    assert rule.class_of("neutral") == "", "dropped, for it is none of the classes"
    assert rule.class_shares({"hap": 1.0}) == {}, "raters chose emotions"


def test_the_label_maps_of_the_docs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
    maps = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    rules = []
    for text in maps:
        (tmp_path / "map.yaml").write_text(text)
        rules.append(rule_of("ie", tmp_path / "map.yaml"))
    assert [len(rule.classes) for rule in rules] == [4, 6, 2]
    assert [rule.source for rule in rules] == ["emotion", "emotion", "valence"]
    assert rules[2].middle == rule_of("ie", None).middle + 3


def test_the_middle_of_ones_own_scale(tmp_path: Path) -> None:
    path = tmp_path / "sign.yaml"
    path.write_text(SIGN + "middle: 50\n")
    rule = rule_of("csv", path)
    assert rule.label_of(Utterance(id="u", path="a", valence=49.9)) == "negative"


def test_shares_of_labels_of_one_class_are_summed() -> None:
    raters = {"hap": 0.25, "exc": 0.5, "neu": 0.125, "fru": 0.125}
    none = dict.fromkeys(CLASSES, 0.0)
    rule, plain = rule_of("ie", None), rule_of("csv", None)
    assert rule.class_shares(raters) == {**none, "neutral": 0.125, "happy": 0.75}
    assert plain.class_shares({"happy": 0.5, "bored": 0.5}) == {**none, "happy": 0.5}
    assert rule.class_shares({"fru": 1.0}) == none, "raters are known, none chose a class"
    assert rule.class_shares({}) == {}, "nothing is known of the raters"


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
