"""A stretch of a recording, and what the readers of segments share."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from amanda.store.errors import InputError

MAX_BYTES = 64_000_000
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

# Tiers that say what a stretch is, not who speaks: their name is no speaker.
_NO_SPEAKER = re.compile(
    r"default|(tier|utterance|transcript|transcription|text|sentence|segment|turn|speech)s?\s*\d*",
    re.IGNORECASE,
)
# Tiers of forced aligners, alone or after a speaker ("Anna - words"): smaller than utterances.
_PARTS_OF_UTTERANCES = re.compile(
    r"(.*[\s_-])?(word|phone|phoneme|syllable|token|morph|char)s?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch of a recording.

    Attributes:
        speaker: "" when the file does not say.
        tier: the tier it stands on, "" in RTTM.
        is_detail: on a tier of words or phones, or one that depends on another: the same stretch
            stands on a tier of utterances too.
        recording: the name of the recording in RTTM, "" where a file is of one recording.
        channel: channel number from 1 as RTTM has it.
        line: where it stands in its file.
    """

    start_s: float
    end_s: float
    speaker: str = ""
    text: str = ""
    tier: str = ""
    is_detail: bool = False
    recording: str = ""
    channel: int | None = None
    line: int = 0


def read_text(path: Path) -> str:
    """A text file in UTF-8, or in UTF-16 with its byte order mark.

    Raises:
        InputError: it cannot be read, is too large, or is in another encoding; the line is named.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES // 10**6} MB; is this a text file?")
    encoding = next((e for mark, e in _BYTE_ORDER_MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not {encoding}; save the file as UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}, line {line}: a NUL byte; save the file as UTF-8 text")
    return text


def seconds(text: str, what: str, where: str) -> float:
    """A finite number. Raises `InputError`: `where`: `what` 'x' is not a number."""
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise InputError(f"{where}: {what} '{text[:40]}' is not a number")
    return float(text)


def speaker_of(tier: str) -> str:
    """The speaker that a tier is named after; "" for tiers named after what they hold."""
    return "" if _NO_SPEAKER.fullmatch(tier.strip()) else tier.strip()


def is_part_of_utterances(tier: str) -> bool:
    """Whether a tier holds words, phones or the like, by its name."""
    return _PARTS_OF_UTTERANCES.fullmatch(tier.strip()) is not None
