"""What becomes of the rows of a corpus before they are capped and split."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from amanda.store.errors import InputError, nearest
from amanda.store.manifest import Utterance
from amanda.store.names import STANDIN
from corpora.labels import LabelRule
from corpora.readers import find_reader
from corpora.rows import Dropped, Note, no_class

STANDIN_MARK = "standin.json"
"""A file of this name in a corpus's root says that the corpus was generated."""


@dataclass
class Account:
    """The rows of a corpus: those that can be used, those that cannot, and what else was seen.

    Attributes:
        kept: with classes for labels.
        other_label: those of the dropped whose label is no class, as they were read.
        labels_read: rows by the corpus's own label, before anything but the reader's own drops.
    """

    kept: list[Utterance] = field(default_factory=list)
    other_label: list[Utterance] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    labels_read: Counter[str] = field(default_factory=Counter)


def folder_of(root: Path) -> Path:
    """What the paths that a reader yields are relative to."""
    return root if root.is_dir() else root.parent


def is_standin(root: Path) -> bool:
    """Whether a corpus was generated."""
    return (folder_of(root) / STANDIN_MARK).is_file()


def read_corpus(
    corpus: str,
    root: Path,
    rule: LabelRule,
    in_subset: Callable[[str], bool] = lambda utterance_id: True,
) -> Account:
    """Run a reader, turn labels into classes, and set aside what cannot be used.

    Raises:
        InputError: the layout or a file of the corpus is wrong.
    """
    account = Account()
    generated = is_standin(root)
    seen: set[str] = set()
    try:
        for item in find_reader(corpus)(root):
            if isinstance(item, Note):
                account.notes.append(item)
                continue
            if isinstance(item, Dropped):
                account.dropped.append(item)
                continue
            label = rule.label_of(item)
            account.labels_read[label] += 1
            reason = _reason_to_drop(item, label, seen, rule, root)
            if not reason and not in_subset(item.id):
                reason = "outside the subset"
            seen.add(item.id)
            if reason == no_class(label):
                account.other_label.append(item)
            if reason:
                account.dropped.append(Dropped(id=item.id, reason=reason, file=item.path))
                continue
            account.kept.append(
                dataclasses.replace(
                    item,
                    text=" ".join(item.text.split()),
                    label=rule.class_of(label),
                    shares=rule.class_shares(item.shares),
                    origin=STANDIN if generated else item.origin,
                )
            )
    except OSError as error:
        raise InputError(f"{error.filename or root}: cannot be read ({error.strerror})") from error
    return account


def _reason_to_drop(row: Utterance, label: str, seen: set[str], rule: LabelRule, root: Path) -> str:
    if row.id in seen:
        return "id stands twice"
    start_s, end_s = row.start_s or 0.0, row.end_s
    # Times are written with 6 decimals.
    if start_s < 0 or (end_s is not None and round(end_s, 6) <= round(start_s, 6)):
        return "ends before it starts"
    if not label:
        return ""
    if rule.labels is None and label not in rule.classes:
        raise InputError(
            f"{root}: {row.id}: label '{label}' is not a class; "
            f"{nearest(label, [*rule.classes])}, or say with --label-map what class it is"
        )
    if rule.labels is not None and label not in rule.labels:
        return no_class(label)
    return ""
