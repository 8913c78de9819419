"""What a manifest holds and how it was made, for people and for programs."""

import dataclasses
import json
from dataclasses import dataclass

from amanda.store.names import RECORDED, SPLITS
from corpora.labels import EMOTION
from corpora.published import table7
from corpora.rows import is_no_class

FORMAT, VERSION = "amanda-manifest-meta", 1


@dataclass(frozen=True, kw_only=True)
class ManifestSummary:
    """The content of `<name>.meta.json`.

    Attributes:
        manifest, manifest_sha256: the CSV.
        reader, root: where it came from.
        origin: "recorded" or "stand-in".
        split, split_seed, cap, subset: how it was made.
        classes: of the labels, in order; `label_source` says what they are made from ("emotion" or
            "valence"), `label_map` how, None for the built-in rule.
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
    subset: str
    classes: list[str]
    label_source: str
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
        by_label = any(is_no_class(reason) for reason in self.dropped)
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
        if self.subset:
            how += f"; only {self.subset}"
        lines = [
            f"{self.manifest}: {self.n_kept} of {self.n_total} utterances "
            f"(reader {self.reader}, {self.origin}; {how}; "
            f"{self.n_speakers} speakers, {self.n_groups} groups)",
            "",
            *_aligned(self._table()),
        ]
        if self._table7():
            lines += ["", "Table 7 is the paper's; by what rule it chose utterances is not said."]
        empty = [s for s in SPLITS if not any(row[s] for row in self.counts.values())]
        if empty:
            lines += ["", f"No row is in {' or '.join(empty)}."]
        lines += [line for split in SPLITS if split not in empty for line in self._lacking(split)]
        if self.dropped:
            lines += ["", f"{sum(self.dropped.values())} dropped:"]
            lines += [f"  {n:6} {reason}" for reason, n in self.dropped.items()]
        if self.notes:
            lines += ["", "Also seen:"]
            lines += [f"  {n:6} {what}" for what, n in self.notes.items()]
        return "\n".join(lines)

    def _table7(self) -> dict[str, dict[str, int]]:
        """The paper's counts, where its corpus and classes are these."""
        its = table7(self.reader) if self.origin == RECORDED else {}
        return its if set(its) == set(self.classes) and self.label_source == EMOTION else {}

    def _lacking(self, split: str) -> list[str]:
        """A warning where a part has none of some classes that the corpus has."""
        has = [name for name in self.classes if any(self.counts.get(name, {}).values())]
        missing = [name for name in has if not self.counts[name].get(split)]
        if not missing:
            return []
        return [
            "",
            f"Warning: {split} has no utterance labelled {' or '.join(missing)}, so nothing "
            "chosen, calibrated or measured there sees them; try another split seed, split: paper, "
            "or more speakers.",
        ]

    def _table(self) -> list[list[str]]:
        """Classes by splits, with their sums; before the cap; and in the paper."""
        names = list(self.counts)
        columns = {split: [self.counts[name][split] for name in names] for split in SPLITS}
        columns["sum"] = [sum(self.counts[name].values()) for name in names]
        if self.cap:
            columns["before cap"] = [self.before_cap.get(name, 0) for name in names]
        if paper := self._table7():
            none = dict.fromkeys(SPLITS, 0)
            for split in SPLITS:
                columns[f"Table 7 {split}"] = [paper.get(name, none)[split] for name in names]
            columns["Table 7 sum"] = [sum(paper.get(name, none).values()) for name in names]
        rows = zip(*columns.values(), strict=True)
        sums = [str(sum(column)) for column in columns.values()]
        return [
            ["", *columns],
            *(
                [name or "unlabelled", *map(str, row)]
                for name, row in zip(names, rows, strict=True)
            ),
            ["sum", *sums],
        ]


def _aligned(table: list[list[str]]) -> list[str]:
    """The lines of a table, its first column to the left and the others to the right."""
    first, *others = (
        max(least, max(map(len, column)))
        for least, column in zip(
            [0, *[5] * (len(table[0]) - 1)], zip(*table, strict=True), strict=True
        )
    )
    return [
        "  ".join(
            [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], others, strict=True))]
        )
        for row in table
    ]
