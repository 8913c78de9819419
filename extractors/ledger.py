"""The ledger: a CSV beside a feature file with one row a clip: fine, or what is the matter with it.

It says nothing that the feature file does not say (`status` and `detail` of each modality); it can
be read in a spreadsheet. `failed` is what `--max-failed` counts and `--retry-failed` does again.
"""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from amanda.store.atomic import atomic_path
from amanda.store.features import FeatureFile
from amanda.store.names import USABLE_STATUSES

FAILED_STATUSES = ("failed", "unreadable")
"""A clip has failed where a modality has one of these, or where no modality is usable."""


def ledger_path(features: Path) -> Path:
    """`ie.ledger.csv` beside `ie.h5`."""
    return features.with_name(f"{features.stem}.ledger.csv")


def failures(features: FeatureFile) -> dict[str, str]:
    """Of each clip that has failed, by id, the first reason."""
    failed: dict[str, str] = {}
    usable = [False] * len(features)
    for name in features.modalities:
        modality = features.modality(name)
        for i, (status, detail) in enumerate(zip(modality.status, modality.detail, strict=True)):
            usable[i] |= status in USABLE_STATUSES
            if status in FAILED_STATUSES:
                failed.setdefault(features.ids[i], f"{name}: {detail}")
    for i in range(len(features)):
        if not usable[i]:
            failed.setdefault(features.ids[i], "no modality is usable")
    return failed


def write_ledger(path: Path) -> Path:
    """Write the ledger of the feature file at `path`; returns its name."""
    out = ledger_path(path)
    with (
        FeatureFile(path) as features,
        atomic_path(out) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        failed = failures(features)
        columns = {name: features.modality(name) for name in features.modalities}
        header = [column for name in columns for column in (name, f"{name}_detail")]
        writer = csv.writer(file)
        writer.writerow(["id", "source", "start_s", "end_s", "failed", *header])
        for i, utterance_id in enumerate(features.ids):
            cells = [
                text for table in columns.values() for text in (table.status[i], table.detail[i])
            ]
            place = (features.source[i], _seconds(features.start_s[i]), _seconds(features.end_s[i]))
            state = "yes" if utterance_id in failed else "no"
            writer.writerow([utterance_id, *place, state, *cells])
    return out


def summary(path: Path, *, examples: bool = True) -> tuple[str, Mapping[str, str]]:
    """How many clips have which status, by modality, with an example of each; and `failures`.

    Args:
        examples: whether to name one clip of each status that is not usable.
    """
    with FeatureFile(path) as features:
        lines = [f"{path}: {len(features)} utterances of {features.corpus}"]
        for name in features.modalities:
            modality = features.modality(name)
            counts = Counter(modality.status)
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            shown = ", ".join(f"{count} {status}" for status, count in ordered)
            lines.append(f"  {name:<9} {shown or 'none'}")
            seen = set(USABLE_STATUSES)
            for i, status in enumerate(modality.status if examples else ()):
                if status not in seen:
                    seen.add(status)
                    example = f"{features.ids[i]}: {modality.detail[i]}"
                    lines.append(f"            {status}, for example {example}")
        return "\n".join(lines), failures(features)


def _seconds(value: float) -> str:
    return "" if value != value else f"{value:g}"
