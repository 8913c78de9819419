"""RTTM, what diarisation systems write: one line a turn.

    SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>

Source: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A.
"""

from pathlib import Path

from amanda.store.errors import InputError
from corpora.segments.segment import Segment, read_text, seconds

_OTHER_TYPES = frozenset(
    (
        *("SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER"),
        *("EDIT", "IP", "SU", "CB", "A/P", "SPKR-INFO"),
    )
)
_MIN_FIELDS = 8


def read_rttm(path: Path) -> list[Segment]:
    """The turns of an RTTM file, in file order; lines of other types are left out.

    Raises:
        InputError: a line is no RTTM; it is named.
    """
    segments: list[Segment] = []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        fields, where = text.split(), f"{path}, line {line}"
        if not fields or fields[0].startswith(";;") or fields[0] in _OTHER_TYPES:
            continue
        if fields[0] != "SPEAKER" or len(fields) < _MIN_FIELDS:
            raise InputError(
                f"{where}: '{text.strip()[:40]}' is no RTTM; a turn is SPEAKER recording channel "
                "start duration <NA> <NA> speaker <NA> <NA>"
            )
        _, recording, channel, start, duration, _, _, speaker, *_ = fields
        start_s = seconds(start, "start", where)
        duration_s = seconds(duration, "duration", where)
        if start_s < 0 or duration_s < 0:
            raise InputError(f"{where}: start {start} and duration {duration} are from 0 up")
        segments.append(
            Segment(
                start_s=start_s,
                end_s=start_s + duration_s,
                speaker="" if speaker == "<NA>" else speaker,
                recording=recording,
                channel=int(channel) if channel.isascii() and channel.isdigit() else None,
                line=line,
            )
        )
    return segments
