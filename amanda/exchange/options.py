"""How features are imported, and what is said of an import or export."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from amanda.exchange.clips import check_modality
from amanda.store.errors import InputError

PER_MODALITY = ("extractor", "model", "revision", "preprocessing", "layers", "rate_hz")
"""The options that may differ by modality."""
EVERY = ""
"""The key of a setting that holds for every modality."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How features are imported. Mappings are by modality; `EVERY` stands for all of them.

    Attributes:
        extractor, model, revision, preprocessing: what made the features. Two files can be paired
            only where these agree; "imported" where neither the caller nor the file says.
        layers: names of the layers that a flat width holds one after another.
        rate_hz: frames a second, for files without times.
        allow_missing: keep utterances of the manifest without features, marked as such.
        allow_extra: leave out features of utterances that the manifest does not have.
        id_replace: a text in the file's ids, and what the manifest has in its place.
        padding: the side of padded arrays that the padding is on.
        zero_frames: whether a frame that is all zero is one without evidence.
        nonfinite: refuse NaN and inf, or store 0 for them.
        classes: what labels may name; None: those of the manifest, else the four.
        memory_gb: arrays larger than this together are refused; None: half of the machine's.
    """

    extractor: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    revision: Mapping[str, str] = field(default_factory=dict)
    preprocessing: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, Sequence[str | int]] = field(default_factory=dict)
    rate_hz: Mapping[str, float] = field(default_factory=dict)
    allow_missing: bool = False
    allow_extra: bool = False
    id_replace: tuple[str, str] | None = None
    padding: Literal["end", "start"] = "end"
    zero_frames: Literal["missing", "keep"] = "missing"
    nonfinite: Literal["refuse", "zero"] = "refuse"
    classes: Sequence[str] | None = None
    memory_gb: float | None = None

    def rename(self, file_id: str) -> str:
        """The manifest's form of an id of the file."""
        return file_id.replace(*self.id_replace) if self.id_replace else file_id


@dataclass(frozen=True, kw_only=True)
class ExchangeSummary:
    """What was imported or exported, and what a person should know of it."""

    out: Path
    n_utterances: int
    modalities: Mapping[str, Mapping[str, int]]
    notes: Sequence[str]

    def to_text(self) -> str:
        """A few lines for a terminal."""
        lines = [f"{self.out}: {self.n_utterances} utterances"]
        for name, counts in self.modalities.items():
            lines.append(f"  {name}: " + ", ".join(f"{v} {k}" for k, v in counts.items()))
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(
            {
                "out": str(self.out),
                "utterances": self.n_utterances,
                "modalities": {name: dict(counts) for name, counts in self.modalities.items()},
                "notes": list(self.notes),
            }
        )


def by_modality(flag: str, values: Sequence[str]) -> dict[str, str]:
    """{'acoustic': 'x', EVERY: 'y'} of 'acoustic=x' and 'y', as given to a repeated flag.

    Raises:
        InputError: a modality, or the value for every modality, is given twice.
    """
    found: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals:
            name, rest = EVERY, value
        else:
            check_modality(name, flag)
        if name in found:
            raise InputError(f"{flag} '{value}': given twice for {name or 'every modality'}")
        found[name] = rest
    return found


def import_options(
    *,
    layers: Sequence[str] = (),
    rate_hz: Sequence[str] = (),
    id_replace: str = "",
    classes: str = "",
    padding: str = "end",
    zero_frames: str = "missing",
    nonfinite: str = "refuse",
    allow_missing: bool = False,
    allow_extra: bool = False,
    memory_gb: float | None = None,
    **named: Sequence[str],
) -> ImportOptions:
    """`ImportOptions` of the command line's texts. Raises `InputError` on what they cannot be."""
    for flag, value, known in (
        ("--padding", padding, ("end", "start")),
        ("--zero-frames", zero_frames, ("missing", "keep")),
        ("--nonfinite", nonfinite, ("refuse", "zero")),
    ):
        if value not in known:
            raise InputError(f"{flag} '{value}': use {' or '.join(known)}")
    old, equals, new = id_replace.partition("=")
    if id_replace and not (old and equals):
        raise InputError(f"--id-replace '{id_replace}': write OLD=NEW, as '$_$=_'")
    choices: dict[str, Any] = {
        "padding": padding,
        "zero_frames": zero_frames,
        "nonfinite": nonfinite,
        **{k: by_modality(f"--{k}", v) for k, v in named.items()},
    }
    if classes:
        choices["classes"] = tuple(name.strip() for name in classes.split(","))
    return ImportOptions(
        layers={k: _layers(v) for k, v in by_modality("--layers", layers).items()},
        rate_hz={k: _rate_hz(v) for k, v in by_modality("--rate-hz", rate_hz).items()},
        id_replace=(old, new) if id_replace else None,
        allow_missing=allow_missing,
        allow_extra=allow_extra,
        memory_gb=memory_gb,
        **choices,
    )


def _layers(text: str) -> tuple[str | int, ...]:
    """(1, 7, 12) of '1,7,12'; names stay texts."""
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"--layers '{text}': write different names with commas, as 1,7,12")
    return tuple(int(n) for n in names) if all(n.isdecimal() for n in names) else tuple(names)


def _rate_hz(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 1e6:
        raise InputError(f"--rate-hz '{text}': frames a second are a number from 0 up")
    return rate
