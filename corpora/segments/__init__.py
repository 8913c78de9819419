"""Who speaks when in a long recording: RTTM, ELAN and Praat TextGrid files."""

from corpora.segments.elan import read_elan
from corpora.segments.rttm import read_rttm
from corpora.segments.segment import Segment
from corpora.segments.textgrid import read_textgrid

READERS = {".rttm": read_rttm, ".eaf": read_elan, ".textgrid": read_textgrid}
"""By file suffix, in lower case."""

__all__ = ["READERS", "Segment", "read_elan", "read_rttm", "read_textgrid"]
