"""From a corpus's own labels to classes: neutral, happy, sad, angry, or others by a user's map.

Readers yield the corpus's own labels; the table here, or a user's map in its place, turns them
into classes. A label that the table does not have drops its row, and the drop is counted. A
corpus without a table yields classes itself, so another label there is a mistake.

A user's map is a YAML file, in its short form `corpus label: class` lines, or in its long form

    classes: [negative, positive]     # in the order of the feature file; default: the four
    from: valence                     # or emotion, the default
    labels: {negative: negative, positive: positive}     # default: each class by its own name

From valence, a row's own label is negative, neutral or positive: below, at or above `middle`, which
is known for the readers of `MIDDLE_VALENCE`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from amanda.store.errors import InputError, nearest
from amanda.store.names import CLASSES
from amanda.store.utterance import Utterance

LABELS: dict[str, dict[str, str]] = {
    # Excitement counts as happy, as everywhere in the literature on four classes.
    "ie": {"neu": "neutral", "hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry"},
    # The raters' consensus; O is another emotion, X no agreement.
    "msp": {"N": "neutral", "H": "happy", "S": "sad", "A": "angry"},
    "meld": {"neutral": "neutral", "joy": "happy", "sadness": "sad", "anger": "angry"},
    # What `mosei_label` gives.
    "mosei": {"neutral": "neutral", "happy": "happy", "sad": "sad", "anger": "angry"},
}
MIDDLE_VALENCE = {"ie": 3.0, "msp": 3.0, "meld": 0.0, "mosei": 0.0}
"""What is neither pleasant nor unpleasant on each corpus's scale."""

MOSEI_EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")

EMOTION, VALENCE = "emotion", "valence"
_SIGNS = ("negative", "neutral", "positive")
_KEYS = ("classes", "from", "labels", "middle")
_CLASS = re.compile(r"[^\W\d]\w{0,39}")
_MOST_CLASSES = 100


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """How a row comes to its class.

    Attributes:
        classes: their names, in order.
        labels: the class of each of the corpus's labels; None where those are classes already.
        source: what the corpus's labels are: its emotion labels, or the sign of its valence.
        middle: of the valence, with `source` valence.
    """

    classes: tuple[str, ...] = CLASSES
    labels: dict[str, str] | None = None
    source: str = EMOTION
    middle: float = 0.0

    def label_of(self, row: Utterance) -> str:
        """The row's own label, "" where it has none."""
        if self.source == EMOTION:
            return row.label
        if row.valence is None:
            return ""
        return _SIGNS[1 + (row.valence > self.middle) - (row.valence < self.middle)]

    def class_of(self, label: str) -> str:
        """The class of one of the corpus's labels, "" for none."""
        return label if self.labels is None else self.labels.get(label, "")

    def class_shares(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Raters' shares by class, of their shares by the corpus's labels; {} where none are known.

        Labels of one class are summed; those of none are left out, so the sum may be below 1.
        Raters chose emotions: of the sign of a valence no shares are known.
        """
        if not shares or self.source != EMOTION:
            return {}
        summed = dict.fromkeys(self.classes, 0.0)
        for label, share in shares.items():
            name = self.class_of(label)
            if name in summed:
                summed[name] += share
        return summed


def rule_of(reader: str, label_map: Path | None) -> LabelRule:
    """The rule of a reader, or of a user's map in its place.

    Raises:
        InputError: the map cannot be read, or does not fit together.
    """
    if label_map is None:
        return LabelRule(labels=LABELS.get(reader))
    return read_label_map(label_map, reader)


def read_label_map(path: Path, reader: str = "csv") -> LabelRule:
    """A user's map, in its short or its long form."""
    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML ({reason})") from error
    if not isinstance(loaded, dict) or not loaded:
        raise InputError(f"{path}: write one `corpus label: class` line a label, as exc: happy")
    if not isinstance(loaded.get("classes"), list) and not isinstance(loaded.get("labels"), dict):
        return LabelRule(labels=_labels(path, loaded, CLASSES))
    for key in loaded:
        if key not in _KEYS:
            raise InputError(f"{path}: unknown key '{key}'; {nearest(str(key), [*_KEYS])}")
    classes = _classes(path, loaded.get("classes", list(CLASSES)))
    labels = loaded.get("labels", {name: name for name in classes})
    source = loaded.get("from", EMOTION)
    if source not in (EMOTION, VALENCE):
        raise InputError(f"{path}: from: {source} is neither {EMOTION} nor {VALENCE}")
    if not isinstance(labels, dict) or not labels:
        raise InputError(f"{path}: write labels as {{corpus label: class}}")
    rule = LabelRule(
        classes=classes,
        labels=_labels(path, labels, classes),
        source=source,
        middle=_middle(path, loaded, reader) if source == VALENCE else 0.0,
    )
    for label in rule.labels or () if source == VALENCE else ():
        if label not in _SIGNS:
            raise InputError(f"{path}: from valence, a label is one of {', '.join(_SIGNS)}")
    return rule


def _classes(path: Path, classes: Any) -> tuple[str, ...]:
    if not isinstance(classes, list) or not 2 <= len(classes) <= _MOST_CLASSES:
        raise InputError(
            f"{path}: classes lists 2 to {_MOST_CLASSES} names, as [negative, positive]"
        )
    for name in classes:
        if not isinstance(name, str) or not _CLASS.fullmatch(name):
            raise InputError(
                f"{path}: {name!r} cannot name a class; use letters, digits and underscores"
            )
    if len(set(classes)) < len(classes):
        raise InputError(f"{path}: a class stands twice in {', '.join(classes)}")
    return tuple(classes)


def _labels(path: Path, loaded: dict[Any, Any], classes: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for label, name in loaded.items():
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise InputError(f"{path}: label {label!r} is not a text in YAML; put it in quotes")
        if name not in classes:
            raise InputError(
                f"{path}: '{label}: {name}' names no class; {nearest(str(name), [*classes])}"
            )
        labels[str(label)] = name
    return labels


def _middle(path: Path, loaded: dict[Any, Any], reader: str) -> float:
    middle = loaded.get("middle", MIDDLE_VALENCE.get(reader))
    if isinstance(middle, bool) or not isinstance(middle, int | float):
        raise InputError(f"{path}: from valence; say which valence is neutral, as middle: 3")
    return float(middle)


def mosei_label(sentiment: float, emotions: Mapping[str, float]) -> str:
    """CMU-MOSEI's label of a segment, by the paper's Appendix E.

    Sentiment 0 and all emotion scores 0 is neutral; else the unique highest score names the
    emotion; no unique highest gives "" (the segment is discarded).

    Args:
        sentiment: -3 to 3.
        emotions: score of each of happy, sad, anger, surprise, disgust, fear, from 0 up.
    """
    highest = max(emotions.values())
    if sentiment == 0 and all(score == 0 for score in emotions.values()):
        return "neutral"
    at_the_top = [name for name, score in emotions.items() if score == highest]
    return at_the_top[0] if len(at_the_top) == 1 else ""
