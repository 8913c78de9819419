"""What a reader yields beside utterances: rows that it leaves out, and things worth counting."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An utterance of the corpus that does not enter the manifest.

    Attributes:
        id: the utterance's id, "" when it could not be read.
        reason: why, in words that are the same for every row with this reason: it is counted.
        file: where it was seen, relative to the corpus root.
        line: line number in `file`, from 1.
    """

    id: str
    reason: str
    file: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that drops no utterance but should not pass in silence, such as a transcript line
    that does not parse. Attributes as in `Dropped`; `what` is counted."""

    what: str
    file: str = ""
    line: int | None = None


def no_class(label: str) -> str:
    """The reason to drop a row for its label."""
    return f"label {label} is no class"


def is_no_class(reason: str) -> bool:
    """Whether a reason is one of `no_class`."""
    return reason.startswith("label ") and reason.endswith(" is no class")
