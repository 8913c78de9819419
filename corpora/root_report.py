"""What `amanda check` found in a corpus's folder, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from amanda.store.wording import counted

_MOST_LISTED = 20


@dataclass(frozen=True)
class Group:
    """Things of one kind: how many there are, and where the first of them are."""

    what: str
    n: int
    first: Sequence[str]

    def __str__(self) -> str:
        more = ", …" if self.n > len(self.first) else ""
        return f"{self.n:6} {self.what}" + (
            f" ({', '.join(self.first)}{more})" if self.first else ""
        )


@dataclass(frozen=True, kw_only=True)
class RootReport:
    """What a corpus's folder holds.

    Attributes:
        labels_read: utterances by the corpus's own label.
        classes: utterances by class, of those that can be used.
        totals: a sentence on the published counts, "" where none are known.
        other_label: how many are left out because their label is none of the classes.
        left_out: the others that are left out, by reason.
        seen: what leaves no utterance out but is worth knowing.
        known: what is wrong here and in the corpus as distributed; no problem.
        n_files, length_s: media files that were opened, and how long those are that did open.
        failed: those that did not, and why; known ones too.
        problems: a sentence for everything that should not be so, with what to do.
    """

    root: str
    reader: str
    origin: str
    labels_read: Mapping[str, int]
    classes: Mapping[str, int]
    totals: str
    n_speakers: int
    n_groups: int
    other_label: int
    left_out: Sequence[Group]
    seen: Sequence[Group]
    known: Sequence[str]
    n_files: int
    length_s: float
    failed: Sequence[str]
    problems: Sequence[str]

    @property
    def n_usable(self) -> int:
        """Utterances that a manifest of this folder has."""
        return sum(self.classes.values())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "n_usable": self.n_usable}

    def to_text(self) -> str:
        """Found, left out, seen, opened, wrong; a line each."""
        lines = [
            f"{self.root}: {counted(self.n_usable, 'utterance')} (reader {self.reader}, "
            f"{self.origin}; {counted(self.n_speakers, 'speaker')}, "
            f"{counted(self.n_groups, 'group')})",
            f"  classes     {_counts(self.classes)}",
            *([f"              {self.totals}"] if self.totals else []),
            f"  its labels  {_counts(self.labels_read)}",
        ]
        if self.other_label:
            others = counted(self.other_label, "utterance")
            lines.append(f"  {others} with a label that is none of the classes")
        if self.n_files:
            n_open = self.n_files - len(self.failed)
            hours = f"{self.length_s / 3600:.2f} hours"
            lines.append(f"  {n_open} of {self.n_files} media files open ({hours})")
        for title, items in (
            ("Left out:", self.left_out),
            ("Also seen:", self.seen),
            ("Wrong in the corpus as distributed:", [f"  {each}" for each in self.known]),
            ("Do not open:", [f"  {each}" for each in _shortened(self.failed)]),
        ):
            lines += [title, *map(str, items)] if items else []
        return "\n".join(lines)


def _shortened(items: Sequence[str]) -> list[str]:
    more = len(items) - _MOST_LISTED
    return [*items[:_MOST_LISTED], *([f"and {more} more (--json lists all)"] if more > 0 else [])]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'unlabelled'} {n}" for name, n in counts.items()) or "none"
