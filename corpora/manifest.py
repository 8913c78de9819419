"""From a raw corpus to its manifest: read, drop, cap, split, and account for every row.

Beside `<name>.csv` stand `<name>.dropped.csv`, which lists every row that was left out, and
`<name>.meta.json`, which says how the manifest was made.
"""

import csv
import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError, nearest
from amanda.store.manifest import Utterance, check_manifest, rebase_from, write_manifest
from amanda.store.names import SPLITS, check_corpus_name
from amanda.store.splits import SPLIT_RULES, over_cap, paper_split, speaker_split
from corpora.account import Account, folder_of, read_corpus
from corpora.labels import LabelRule, rule_of
from corpora.readers import find_subset
from corpora.rows import Dropped, Note
from corpora.summary import ManifestSummary


def build_manifest(
    corpus: str,
    root: Path,
    out: Path,
    *,
    split: str = "paper",
    split_seed: int = 0,
    cap: Mapping[str, int] | None = None,
    label_map: Path | None = None,
    subset: str = "",
) -> ManifestSummary:
    """Read the corpus under `root` and write its manifest to `out`.

    Args:
        corpus: name of the reader (`corpora/readers/`); the file name of `out` names the corpus.
        root: the corpus's folder, or the CSV file for the reader `csv`.
        out: CSV file to write.
        split: paper, speaker, official (the corpus's own) or column (a CSV's own).
        split_seed: seed of the split and of what the cap leaves out.
        cap: at most so many of a class.
        label_map: YAML of the corpus's label: class, in place of the built-in rule; it may name
            classes of its own (`corpora.labels`).
        subset: only this part of the corpus, as "improvised", or several, as "read,improvised".

    Raises:
        InputError: an argument, the layout, or a file of the corpus is wrong.
    """
    root, out, cap = Path(root), Path(out), dict(cap or {})
    _check_arguments(root, out, split)
    rule = rule_of(corpus, label_map)
    account = read_corpus(corpus, root, rule, find_subset(corpus, subset))
    if label_map is not None:
        _note_idle_labels(account, rule, label_map)
    if split == "official":
        _drop_outside_folds(account)
    before_cap = Counter(row.label for row in account.kept)
    labels = {row.id: row.label for row in account.kept}
    left_out = over_cap(labels, cap, split_seed, rule.classes)
    for row in account.kept:
        if row.id in left_out:
            reason = f"over the cap of {cap[row.label]} {row.label}"
            account.dropped.append(Dropped(id=row.id, reason=reason, file=row.path))
    rows = [row for row in account.kept if row.id not in left_out]
    if not rows:
        reasons = Counter(d.reason for d in account.dropped)
        listed = "; ".join(f"{n} {reason}" for reason, n in reasons.most_common(3))
        raise InputError(f"{root}: no utterance is left{': ' + listed if listed else ''}")
    split_of = _split(rows, split, split_seed, root)
    rebase = rebase_from(folder_of(root), out.parent)
    rows = [
        dataclasses.replace(
            row,
            split=split_of[row.id],
            path=rebase(row.path),
            audio_path=rebase(row.audio_path),
        )
        for row in rows
    ]
    describe = partial(
        ManifestSummary,
        manifest=str(out),
        reader=corpus,
        root=str(root),
        origin=", ".join(sorted({row.origin for row in rows})),
        split=split,
        split_seed=split_seed,
        cap=cap,
        subset=subset,
        classes=list(rule.classes),
        label_source=rule.source,
        label_map=None if label_map is None else rule.labels,
        labels_read=dict(account.labels_read.most_common()),
        before_cap={name: before_cap[name] for name in (*rule.classes, "") if before_cap[name]},
        counts=_counts(rows, rule.classes),
        n_speakers=len({row.speaker for row in rows if row.speaker}),
        n_groups=len({row.group for row in rows if row.group}),
        dropped=dict(Counter(d.reason for d in account.dropped).most_common()),
        notes=dict(Counter(n.what for n in account.notes).most_common()),
    )
    return _write(out, rows, rule.classes, account.dropped, folder_of(root), describe)


def _check_arguments(root: Path, out: Path, split: str) -> None:
    if os.path.realpath(out) == os.path.realpath(root):
        raise InputError(f"{out}: --out is the input itself; give the manifest another name")
    if out.suffix != ".csv":
        raise InputError(f"{out}: a manifest's name ends in .csv")
    check_corpus_name(out.stem)
    if split not in SPLIT_RULES:
        raise InputError(f"--split {split}: no such rule; {nearest(split, [*SPLIT_RULES])}")


def _note_idle_labels(account: Account, rule: LabelRule, label_map: Path) -> None:
    for label in rule.labels or ():
        if label not in account.labels_read:
            what = f"label {label} of {label_map} is in no row"
            account.notes.append(Note(what=what, file=str(label_map)))


def _drop_outside_folds(account: Account) -> None:
    """Official folds may name a part of the corpus; where they name none, the split says so."""
    inside = [row for row in account.kept if row.split]
    if inside:
        reason = "in none of the official folds"
        account.dropped += [
            Dropped(id=row.id, reason=reason, file=row.path)
            for row in account.kept
            if not row.split
        ]
        account.kept = inside


def _split(rows: Sequence[Utterance], rule: str, seed: int, root: Path) -> dict[str, str]:
    """The split of each id."""
    if rule == "paper":
        return paper_split([row.id for row in rows], seed)
    if rule == "speaker":
        return speaker_split({row.id: row.group for row in rows}, seed)
    without = [row.id for row in rows if not row.split]
    if without:
        whose = "the CSV has no column split" if rule == "column" else "none is prescribed"
        raise InputError(
            f"{root}: --split {rule}, but {whose} for {len(without)} rows "
            f"(first '{without[0]}'); use --split paper or speaker"
        )
    return {row.id: row.split for row in rows}


def _counts(rows: Sequence[Utterance], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Class ("" for none) → split → number of rows."""
    counted = Counter((row.label, row.split) for row in rows)
    labels = [*classes, *([""] if any(not row.label for row in rows) else [])]
    return {label: {split: counted[label, split] for split in SPLITS} for label in labels}


def _write(
    out: Path,
    rows: Sequence[Utterance],
    classes: Sequence[str],
    dropped: Sequence[Dropped],
    folder: Path,
    describe: Callable[..., ManifestSummary],
) -> ManifestSummary:
    """Write the three files; the manifest is renamed into place last."""
    with (
        atomic_path(out) as manifest,
        atomic_path(out.with_suffix(".dropped.csv")) as dropped_csv,
        atomic_path(out.with_suffix(".meta.json")) as meta,
    ):
        write_manifest(manifest, rows)
        problems = check_manifest(manifest, classes=classes)
        if problems:
            raise InputError(problems[0].replace(str(manifest), str(out)))
        summary = describe(manifest_sha256=hashlib.sha256(manifest.read_bytes()).hexdigest())
        meta.write_text(summary.to_json() + "\n", encoding="utf-8")
        with open(dropped_csv, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "reason", "file", "line"])
            for row in dropped:
                where = str(folder / row.file) if row.file else ""
                writer.writerow([row.id, row.reason, where, "" if row.line is None else row.line])
    return summary
