"""Everything that is wrong with a feature file, whoever wrote it; `docs/formats.md` is the law.

Nothing of `FeatureFile` is used, which stops at the first problem. A problem that many rows have
is one sentence, with the first row and how many there are. Sequences are read in blocks, so files
larger than the memory can be checked.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from amanda.store.check_modality import check_modality
from amanda.store.feature_schema import (
    FORMAT,
    REQUIRED_COLUMNS,
    SOURCE_HASH,
    TARGETS,
    TEXT_COLUMNS,
    UTTERANCES,
    VERSION,
    foreign_parts,
    plain,
    read_text,
)
from amanda.store.findings import Findings
from amanda.store.names import JOINT, ORIGINS, SPLITS

_SHARE_SLACK = 1e-3


def check_features(path: Path) -> list[str]:
    """Every problem of a feature file, one sentence each; empty when it is sound."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        return [f"{path}: not an HDF5 file, or cut short ({_one_line(error)})"]
    findings = Findings()
    with file:
        try:
            _check_file(file, findings)
        except (OSError, RuntimeError, KeyError) as error:
            findings.say(f"damaged, it cannot be read through ({_one_line(error)})")
    return [f"{path}: {problem}" for problem in findings.problems]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _check_file(file: h5py.File, findings: Findings) -> None:
    if not (_check_root(file, findings) and _check_self_contained(file, findings)):
        return
    group = file.get(UTTERANCES)
    if not isinstance(group, h5py.Group):
        findings.say("no group /utterances")
        return
    if not _check_ids(group, findings):
        return
    label_names = _check_columns(group, findings)
    if TARGETS in file:
        _check_targets(file[TARGETS], len(label_names), findings)
    modalities = [name for name in file if name not in (UTTERANCES, TARGETS)]
    if not modalities:
        findings.say("no modality; a feature file holds at least one, such as /acoustic")
    for name in modalities:
        if name == JOINT:
            findings.say(f"a modality named {JOINT}: the branch that joins modalities is named so")
        if isinstance(file[name], h5py.Group):
            check_modality(file[name], findings)
        else:
            findings.say(f"/{name} is a dataset, where the group of a modality is due")


def _check_root(file: h5py.File, findings: Findings) -> bool:
    """Whether this is a feature file of our version."""
    kind, version = plain(file.attrs.get("format")), plain(file.attrs.get("version"))
    if kind != FORMAT:
        findings.say(f"attribute format is {kind!r}, not '{FORMAT}'")
        return False
    if version != VERSION:
        findings.say(f"attribute version is {version!r}; this program reads {VERSION}")
        return False
    origin = plain(file.attrs.get("origin", ORIGINS[0]))
    if origin not in ORIGINS:
        findings.say(f"attribute origin is {origin!r}; use {', '.join(ORIGINS)}")
    return True


def _check_self_contained(file: h5py.File, findings: Findings) -> bool:
    """Nothing leads to another file, where it could be changed or lost, or to nowhere."""
    problems = list(foreign_parts(file))
    for problem in problems:
        findings.say(problem)
    return not problems


def _check_ids(group: h5py.Group, findings: Findings) -> bool:
    """Whether the rows are known, so that the rest can be checked against them."""
    column = findings.dataset(group, "id", "texts", (None,))
    if column is None:
        return False
    findings.ids = read_text(column)
    if not findings.ids:
        findings.say("no utterances: /utterances/id is empty")
        return False
    blank = [i for i, name in enumerate(findings.ids) if not name.strip()]
    if blank:
        findings.say(f"{len(blank)} empty ids, the first in row {blank[0]}; every row needs one")
    for name, count in Counter(findings.ids).items():
        if count > 1 and name.strip():
            findings.say(f"id '{name}' stands {count} times; ids must be unique")
    return True


def _check_columns(group: h5py.Group, findings: Findings) -> list[str]:
    """The names of the classes, [] when they are not known."""
    n = len(findings.ids)
    for name in (*TEXT_COLUMNS[1:], SOURCE_HASH):
        if name in group or name in REQUIRED_COLUMNS:
            texts = findings.dataset(group, name, "texts", (n,))
            if texts is not None and name == "split":
                findings.one_of("split", read_text(texts), SPLITS)
    label_names = _label_names(group, findings)
    column = findings.dataset(group, "label", "whole numbers", (n,))
    if column is not None and label_names:
        label = column[:]
        rows = np.flatnonzero((label < -1) | (label >= len(label_names)))
        wrong = label[rows[0]] if len(rows) else 0
        findings.say_rows(rows, f"label {wrong} is none of -1 (no label) to {len(label_names) - 1}")
    _check_times(group, findings)
    return label_names


def _label_names(group: h5py.Group, findings: Findings) -> list[str]:
    names = plain(group.attrs.get("label_names"))
    if not isinstance(names, list) or not names or not all(isinstance(x, str) for x in names):
        findings.say("/utterances has no attribute label_names, a list of the classes' names")
        return []
    for name, count in Counter(names).items():
        if count > 1:
            findings.say(f"attribute label_names has '{name}' {count} times; keep one")
    return names


def _check_times(group: h5py.Group, findings: Findings) -> None:
    n = len(findings.ids)
    starts, ends = (findings.dataset(group, c, "numbers", (n,)) for c in ("start_s", "end_s"))
    if starts is None or ends is None:
        return
    # NaN says that a time is not known.
    start_s, end_s = starts[:].astype(np.float64), ends[:].astype(np.float64)
    findings.say_rows(np.flatnonzero(np.isinf(start_s)), "start_s is infinite")
    findings.say_rows(np.flatnonzero(np.isinf(end_s)), "end_s is infinite")
    findings.say_rows(np.flatnonzero(start_s < 0), "start_s is below 0")
    rows = np.flatnonzero(end_s <= np.nan_to_num(start_s))
    shown = f"end_s {end_s[rows[0]]:g} ≤ start_s {start_s[rows[0]]:g}" if len(rows) else ""
    findings.say_rows(rows, shown)


def _check_targets(group: Any, n_classes: int, findings: Findings) -> None:
    n = len(findings.ids)
    if not isinstance(group, h5py.Group):
        findings.say("/targets is a dataset, where a group is due")
        return
    if "vad" in group:
        findings.dataset(group, "vad", "numbers", (n, 3))
    if "n_raters" in group:
        findings.dataset(group, "n_raters", "whole numbers", (n,))
    if "label_dist" in group and n_classes:
        column = findings.dataset(group, "label_dist", "numbers", (n, n_classes))
        if column is not None:
            shares = np.nan_to_num(column[:].astype(np.float64), nan=0.0)
            wrong = (shares < 0).any(axis=1) | (shares.sum(axis=1) > 1 + _SHARE_SLACK)
            rows = np.flatnonzero(wrong)
            findings.say_rows(rows, "label_dist is below 0 or sums to more than 1")
