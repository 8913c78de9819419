"""From a corpus's own labels to the classes neutral, happy, sad, angry.

Readers yield the corpus's own labels; the table here, or a user's map in its place, turns them
into classes. A label that the table does not have drops its row, and the drop is counted. A
corpus without a table yields classes itself, so another label there is a mistake.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from amanda.store.errors import InputError, nearest
from amanda.store.names import CLASSES

LABELS: dict[str, dict[str, str]] = {
    # Excitement counts as happy, as everywhere in the literature on four classes.
    "ie": {"neu": "neutral", "hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry"},
    # The raters' consensus; O is another emotion, X no agreement.
    "msp": {"N": "neutral", "H": "happy", "S": "sad", "A": "angry"},
    "meld": {"neutral": "neutral", "joy": "happy", "sadness": "sad", "anger": "angry"},
    # What `mosei_label` gives.
    "mosei": {"neutral": "neutral", "happy": "happy", "sad": "sad", "anger": "angry"},
}

MOSEI_EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")


def labels_of(reader: str, label_map: Path | None) -> dict[str, str] | None:
    """The class of each of a corpus's labels; None where the reader yields classes itself.

    Raises:
        InputError: the user's map cannot be read, or names something that is no class.
    """
    return LABELS.get(reader) if label_map is None else read_label_map(label_map)


def read_label_map(path: Path) -> dict[str, str]:
    """A user's map: a YAML file of `corpus label: class` lines."""
    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML ({reason})") from error
    if not isinstance(loaded, dict) or not loaded:
        raise InputError(f"{path}: write one `corpus label: class` line a label, as exc: happy")
    labels: dict[str, str] = {}
    for label, name in loaded.items():
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise InputError(f"{path}: label {label!r} is not a text in YAML; put it in quotes")
        if name not in CLASSES:
            raise InputError(
                f"{path}: '{label}: {name}' names no class; {nearest(str(name), [*CLASSES])}"
            )
        labels[str(label)] = name
    return labels


def class_shares(shares: Mapping[str, float], labels: Mapping[str, str] | None) -> dict[str, float]:
    """Raters' shares by class, of their shares by the corpus's labels; {} where none are known.

    Labels of one class are summed; those of none are left out, so the sum may be below 1.
    """
    summed = dict.fromkeys(CLASSES, 0.0)
    for label, share in shares.items():
        name = label if labels is None else labels.get(label, "")
        if name in summed:
            summed[name] += share
    return summed if shares else {}


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
