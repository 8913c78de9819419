"""What a stand-in corpus is made of: people, lines they say, and scenes that hold them.

A scene becomes one video file. A layout (`layouts/`) decides which lines share a scene, who sits
where, and what the files and labels are called; `perform.py` plays scenes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

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


@dataclass(frozen=True, slots=True)
class Turn:
    """A line with its place in time and its dry sound at `RATE_HZ` of `sound/voice.py`.

    Its clip goes from `start_s` to `end_s`, its speech from `speech_s` to `hush_s`.
    """

    line: Line
    start_s: float
    end_s: float
    speech_s: float
    hush_s: float
    sound: Float32[np.ndarray, "samples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A view that lasts until the next shot: who sits where.

    Attributes:
        first_line, at: the line in which it begins, and after which share of that line's time.
        seats: by person, the farthest from the camera first; empty for a room without people.
        backdrop_seed: gives the same room again after a cut; None for a room drawn anew.
    """

    first_line: int
    backdrop: str
    seats: Mapping[str, Seat]
    at: float = 0.0
    backdrop_seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One video file.

    Attributes:
        video: path relative to the corpus's root. container: ffmpeg's name of the format.
        variable_rate: frames at uneven times, as a recorder that drops frames gives them.
        people: everybody seen or heard. sides: which side of the frame each sits on.
        lines: in the order spoken. shots: at least one, in order; the first begins with the video.
        audio_codec, audio_rate_hz: of the video and of the lines' own files. channels: of the
            video's sound, all alike.
        pause_s: shortest and longest silence between lines. lead_s: silence at both ends.
        clip_margin_s: how much silence a line's times include at each end.
        seed: of everything random in it.
        wav: where the layout keeps the whole scene's sound alone, "" for nowhere.
        reactions: what people show who listen; those left out show a little of what the speaker
            does. nodding: those who nod as they listen.
        laughter_s: how long an audience laughs at the end; the last line's times include it.
        listener_every: a face that does not speak is drawn anew every so many frames.
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
    wav: str = ""
    channels: int = 1
    reactions: Mapping[str, Show] = field(default_factory=dict)
    nodding: frozenset[str] = frozenset()
    laughter_s: float = 0.0
    listener_every: int = 3


FaceTimes = tuple[tuple[float, float, float, float, float, float], ...]
"""start_s, end_s, x, y, width, height of one person's face, in order of time. Times are those of
the video, lengths are fractions of the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A line as performed: the truth about one utterance.

    Attributes:
        start_s, end_s: in the scene's video.
        head_box: x0, y0, x1, y1 as fractions of the frame, the mean over the utterance; empty when
            the speaker is never in the picture.
        head_boxes: time_s, x0, y0, x1, y1 about twice a second.
        faces: where everybody's face is through the utterance, by person, the speaker first.
    """

    line: Line
    file: str
    side: str
    start_s: float
    end_s: float
    head_box: tuple[float, ...]
    head_boxes: tuple[tuple[float, ...], ...]
    faces: Mapping[str, FaceTimes]
