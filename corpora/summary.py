"""What a manifest holds and how it was made, for people and for programs."""

import dataclasses
import json
from dataclasses import dataclass

from amanda.store.names import SPLITS

FORMAT, VERSION = "amanda-manifest-meta", 1


@dataclass(frozen=True, kw_only=True)
class ManifestSummary:
    """The content of `<name>.meta.json`.

    Attributes:
        manifest, manifest_sha256: the CSV.
        reader, root: where it came from.
        origin: "recorded" or "stand-in".
        split, split_seed, cap, label_map: how it was made; `label_map` None for the built-in rule.
        labels_read: rows by the corpus's own label, before anything but the reader's own drops.
        before_cap: rows by class ("" for unlabelled) that were usable.
        counts: rows by class and split, as written.
        n_speakers, n_groups: how many are named.
        dropped: rows left out, by reason.
        notes: what dropped no row but is worth knowing, by kind.
    """

    manifest: str
    manifest_sha256: str
    reader: str
    root: str
    origin: str
    split: str
    split_seed: int
    cap: dict[str, int]
    label_map: dict[str, str] | None
    labels_read: dict[str, int]
    before_cap: dict[str, int]
    counts: dict[str, dict[str, int]]
    n_speakers: int
    n_groups: int
    dropped: dict[str, int]
    notes: dict[str, int]

    @property
    def n_kept(self) -> int:
        """Rows of the manifest."""
        return sum(n for by_split in self.counts.values() for n in by_split.values())

    @property
    def n_total(self) -> int:
        """Utterances of the corpus: those kept and those dropped."""
        return self.n_kept + sum(self.dropped.values())

    @property
    def labels_used(self) -> list[str]:
        """What the labels decided, as `what:split`: which rows are there at all.

        `classes`: rows were left out because their label is none of the classes; `cap`: because
        their class had too many.
        """
        by_label = any(reason.startswith("label ") for reason in self.dropped)
        used = [*(["classes"] if by_label else []), *(["cap"] if self.cap else [])]
        return [f"{what}:{split}" for what in used for split in SPLITS]

    def to_json(self) -> str:
        """One JSON object."""
        meta = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        meta |= {"n_total": self.n_total, "n_kept": self.n_kept, "labels_used": self.labels_used}
        return json.dumps(meta, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """A table of classes by splits, and what was left out, line by line."""
        how = f"split {self.split}"
        if self.split in ("paper", "speaker") or self.cap:
            how += f", seed {self.split_seed}"
        lines = [
            f"{self.manifest}: {self.n_kept} of {self.n_total} utterances "
            f"(reader {self.reader}, {self.origin}; {how}; "
            f"{self.n_speakers} speakers, {self.n_groups} groups)",
            "",
            *self._table(),
        ]
        empty = [s for s in SPLITS if not any(row[s] for row in self.counts.values())]
        if empty:
            lines += ["", f"No row is in {' or '.join(empty)}."]
        if self.dropped:
            lines += ["", f"{sum(self.dropped.values())} dropped:"]
            lines += [f"  {n:6} {reason}" for reason, n in self.dropped.items()]
        if self.notes:
            lines += ["", "Also seen:"]
            lines += [f"  {n:6} {what}" for what, n in self.notes.items()]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        columns = {label: [by[split] for split in SPLITS] for label, by in self.counts.items()}
        rows = {label or "unlabelled": [*row, sum(row)] for label, row in columns.items()}
        header = [*SPLITS, "sum"]
        if self.cap:
            header.append("before cap")
            for label in columns:
                rows[label or "unlabelled"].append(self.before_cap.get(label, 0))
        rows["sum"] = [sum(column) for column in zip(*rows.values(), strict=True)]
        first = max(len(name) for name in rows)
        widths = [max(5, len(name)) for name in header]
        lines = [[name.rjust(w) for name, w in zip(header, widths, strict=True)]]
        lines += [
            [str(n).rjust(w) for n, w in zip(row, widths, strict=True)] for row in rows.values()
        ]
        return [
            "  ".join([name.ljust(first), *line])
            for name, line in zip(["", *rows], lines, strict=True)
        ]
