"""What a stand-in corpus is made of: people, lines they say, and scenes that hold them.

A scene becomes one video file. A layout (`layouts/`) decides which lines share a scene, who sits
where, and what the files and labels are called; `perform.py` plays scenes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from corpora.standin.picture.identity import Look
from corpora.standin.picture.stage import Seat
from corpora.standin.sound.voice import Voice
from corpora.standin.traits import Traits


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A speaker: `id` is the manifest's speaker, `sex` is "F" or "M"."""

    id: str
    sex: str
    session: int
    look: Look
    voice: Voice


@dataclass(frozen=True, slots=True)
class Show:
    """What one modality shows: a class and how strongly, 0 to 1."""

    emotion: str
    intensity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One utterance as planned.

    Attributes:
        id: the utterance's name in the layout; set by the layout.
        speaker: `Person.id`.
        label: a class, or a code of the corpus that its reader drops.
        text: the transcript; may be empty in a layout that has empty transcripts.
        spoken: what is said.
        visual, acoustic: what face and voice show.
        lexical: the class the words were written for, None when they go with any.
        wav: where the layout keeps this utterance's sound alone, "" for nowhere.
    """

    id: str = ""
    speaker: str
    label: str
    text: str
    spoken: str
    visual: Show
    acoustic: Show
    lexical: str | None
    wav: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A view that lasts from the start of line `first_line` to the next shot: who sits where."""

    first_line: int
    backdrop: str
    seats: Mapping[str, Seat]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One video file.

    Attributes:
        video: path relative to the corpus's root. container: ffmpeg's name of the format.
        variable_rate: frames at uneven times, as a recorder that drops frames gives them.
        people: everybody seen or heard. sides: which side of the frame each sits on.
        lines: in the order spoken. shots: at least one, the first from line 0.
        audio_codec, audio_rate_hz: of the video and of the lines' own files.
        pause_s: shortest and longest silence between lines. lead_s: silence at both ends.
        clip_margin_s: how much silence a line's times include at each end.
        seed: of everything random in it.
    """

    name: str
    video: str
    container: str
    width: int
    height: int
    rate_fps: int
    variable_rate: bool
    people: Mapping[str, Person]
    sides: Mapping[str, str]
    lines: tuple[Line, ...]
    shots: tuple[Shot, ...]
    traits: Traits
    audio_codec: str
    audio_rate_hz: int
    pause_s: tuple[float, float]
    lead_s: float
    clip_margin_s: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A line as performed: the truth about one utterance.

    Attributes:
        start_s, end_s: in the scene's video.
        head_box: x0, y0, x1, y1 as fractions of the frame, the mean over the utterance.
        head_boxes: time_s, x0, y0, x1, y1 about twice a second.
    """

    line: Line
    file: str
    side: str
    start_s: float
    end_s: float
    head_box: tuple[float, ...]
    head_boxes: tuple[tuple[float, ...], ...]
