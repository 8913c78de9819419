"""The CSV that `amanda predict` writes, and what it says of it.

    id, predicted, confidence, modalities, p_<class>…, acoustic_<class>…, visual_<class>…, …

`predicted` and `p_…` are the joint branch's, calibrated; `modalities` are those that the clip has.
A clip without any usable one has empty cells.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from amanda.models import ModelCard
from amanda.predictor import PredictionBlock
from amanda.store.atomic import atomic_path
from amanda.store.names import JOINT, STANDIN

STANDIN_WARNING = "the model was trained on stand-in corpora; what it says is no evidence"


@dataclass(frozen=True, kw_only=True)
class PredictionSummary:
    """What was predicted.

    Attributes:
        predicted: class to number of clips.
        without: modality to number of clips that lack it.
        unpredicted: clips without any usable modality.
        warnings: what to know before using the predictions.
    """

    out: str
    model: str
    n: int
    predicted: dict[str, int]
    without: dict[str, int]
    unpredicted: int
    warnings: list[str]

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def to_text(self) -> str:
        """A few lines for a terminal."""
        classes = ", ".join(f"{n} {name}" for name, n in self.predicted.items())
        lines = [f"{self.out}: {self.n - self.unpredicted} of {self.n} clips predicted: {classes}"]
        lines += [f"  {n} without {name}" for name, n in self.without.items() if n]
        if self.unpredicted:
            lines.append(f"  {self.unpredicted} without any usable modality: empty cells")
        lines.append(f"  by {self.model}")
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings)])


def write_prediction_table(
    out: Path, blocks: Iterable[PredictionBlock], card: ModelCard
) -> PredictionSummary:
    """Write blocks one after another; memory does not grow with them."""
    names, modalities = card.label_names, list(card.architecture["encoders"])
    predicted: Counter[str] = Counter()
    without: Counter[str] = Counter()
    n = unpredicted = 0
    head = ["id", "predicted", "confidence", "modalities", *(f"p_{name}" for name in names)]
    head += [f"{modality}_{name}" for modality in modalities for name in names]
    with (
        atomic_path(Path(out)) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for block in blocks:
            for i, clip in enumerate(block.ids):
                joint = block.probabilities[JOINT][i]
                had = [name for name in modalities if block.present[name][i]]
                without.update(name for name in modalities if name not in had)
                chosen = names[int(joint.argmax())] if had else ""
                predicted.update([chosen] if chosen else [])
                unpredicted += not had
                rows = [joint, *(block.probabilities[name][i] for name in modalities)]
                confidence = str(joint.max()) if had else ""
                cells = ["" if np.isnan(p) else str(p) for row in rows for p in row]
                writer.writerow([clip, chosen, confidence, "+".join(had), *cells])
            n += len(block.ids)
    return PredictionSummary(
        out=str(out),
        model=_model_text(card),
        n=n,
        predicted={name: predicted[name] for name in names},
        without={name: without[name] for name in modalities},
        unpredicted=unpredicted,
        warnings=_warnings(card, without, n),
    )


def read_predicted(table: Path) -> dict[str, str]:
    """Class and probability of each clip of a table, as "happy 0.83"; "" for one without any."""
    with open(table, encoding="utf-8", newline="") as file:
        return {
            row["id"]: row["predicted"] and f"{row['predicted']} {float(row['confidence']):.2f}"
            for row in csv.DictReader(file)
        }


def _model_text(card: ModelCard) -> str:
    text = f"{card.source}2{card.target} {card.settings.label}, seed {card.seed}, {card.selection}"
    text += f" epoch ({card.epoch})"
    if card.calibration is None:
        return f"{text}, not calibrated"
    c = card.calibration
    return (
        f"{text}; confidence calibrated on {c.n} labelled val utterances (temperature "
        f"{c.temperature:.2f}, ECE {100 * c.ece_before:.1f} → {100 * c.ece_after:.1f} percent)"
    )


def _warnings(card: ModelCard, without: Counter[str], n: int) -> list[str]:
    warnings = []
    flags = card.architecture["flags"]
    for name in card.architecture["encoders"]:
        if without[name] and name not in flags:
            warnings.append(
                f"{without[name]} of {n} clips have no {name}, and in training every utterance had "
                "it: the joint answer for them is a guess; see the columns of the modalities "
                "they have"
            )
    return [*warnings, STANDIN_WARNING] if card.corpora == STANDIN else warnings
