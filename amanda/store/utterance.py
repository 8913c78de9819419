"""One utterance as the manifest has it, and the names of its columns."""

from dataclasses import dataclass, field, fields

from amanda.store.names import RECORDED

REQUIRED = ("id", "path", "start_s", "end_s", "text", "label", "speaker", "group", "split")
"""The columns that every manifest of ours has; only `id` and `path` must be in one of yours."""
SHARE_PREFIX = "p_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One row of a manifest.

    Attributes:
        label: a class name, or "" when unlabelled.
        group: what a speaker-independent split must keep together.
        channel: index from 0 of the audio channel to take; None for a mono file.
        region: x0, y0, x1, y1 of where the person is, as fractions of the frame.
        valence, arousal, dominance: the corpus's own scale, None when it has none.
        shares: fraction of the raters that chose each class, empty when unknown. They may sum to
            less than 1: the others chose something that is no class here.
        origin: "recorded", or "stand-in" for generated corpora.
    """

    id: str
    path: str
    start_s: float | None = None
    end_s: float | None = None
    text: str = ""
    label: str = ""
    speaker: str = ""
    group: str = ""
    split: str = "train"
    audio_path: str = ""
    audio_start_s: float | None = None
    channel: int | None = None
    region: tuple[float, float, float, float] | None = None
    language: str = ""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    n_raters: int | None = None
    origin: str = RECORDED
    shares: dict[str, float] = field(default_factory=dict)


OPTIONAL = tuple(f.name for f in fields(Utterance) if f.name not in (*REQUIRED, "shares"))
