"""What a trained model says of utterances it has never seen.

    model = amanda.load("models/ie2msp/seed-0")
    for block in model.predict("features/new.h5"): ...

A saved model and a feature file are paired as two feature files are: features of other models than
those it was trained on are refused. The answer is the joint branch's, as in evaluation; each
modality's own branch is given beside it, and which modalities an utterance had.

The joint branch's probabilities are calibrated (`amanda.calibration`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from amanda import networks
from amanda.architecture import check_architecture
from amanda.batches import Packer, Scaling, Sequences, UnlabelledSplit
from amanda.calibration import calibrated
from amanda.evaluation import predict
from amanda.models import ModelCard, SavedModel, load_model, restore
from amanda.networks import Model
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.names import JOINT
from amanda.store.wording import counted
from amanda.stored_sequences import StoredSequences

_ROWS_AT_ONCE = 128


@dataclass(frozen=True, kw_only=True)
class PredictionBlock:
    """Answers on n utterances.

    Attributes:
        ids: n texts.
        probabilities: branch (each modality and "joint") to (n, classes), the joint one calibrated;
            NaN rows of a modality's branch where that modality is missing, of all branches where
            all are.
        present: modality to (n,) whether the utterance has it.
    """

    ids: Sequence[str]
    probabilities: Mapping[str, Float32[np.ndarray, "n classes"]]
    present: Mapping[str, Bool[np.ndarray, "n"]]


class Predictor:
    """A trained model, ready to predict.

    Attributes:
        card: what `model.json` says: classes, modalities, where it comes from.
    """

    def __init__(self, saved: SavedModel, device: str = "cpu"):
        check_architecture(saved)
        network = restore(saved, networks.build)
        assert isinstance(network, Model)
        self.card: ModelCard = saved.card
        self.device = torch.device(device)
        self._network = network.to(self.device)
        self._scaling = {
            name: Scaling(each["mean"].to(self.device), each["scale"].to(self.device))
            for name, each in saved.standardisation.items()
        }

    @property
    def label_names(self) -> list[str]:
        """The classes, in the order of the probabilities."""
        return self.card.label_names

    def predict(
        self,
        features: FeatureFile | Path | str,
        rows: Int64[np.ndarray, "n"] | None = None,
        *,
        allow_mismatch: bool = False,
    ) -> Iterator[PredictionBlock]:
        """Answers block by block, in file order; memory does not grow with the file.

        Args:
            rows: row numbers; None is all.
            allow_mismatch: take features of other models, where their shapes fit.

        Raises:
            InputError: the features are of other models or shapes, or the file has no modality
                that the model knows.
        """
        if not isinstance(features, FeatureFile):
            with FeatureFile(features) as file:
                yield from self.predict(file, rows, allow_mismatch=allow_mismatch)
            return
        self.check(features, allow_mismatch=allow_mismatch)
        stored = {
            name: StoredSequences(features.modality(name))
            for name in self.card.modalities
            if name in features.modalities
        }
        rows = np.arange(len(features)) if rows is None else rows
        packer = Packer(self.device)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield self._block(features, stored, rows[start : start + _ROWS_AT_ONCE], packer)

    def check(self, features: FeatureFile, *, allow_mismatch: bool = False) -> None:
        """Raise `InputError` where this model cannot be applied to a feature file."""
        known = [name for name in self.card.modalities if name in features.modalities]
        if not known:
            raise InputError(
                f"{features.path} has {', '.join(features.modalities) or 'no modality'}; the model "
                f"needs one or more of {', '.join(self.card.modalities)}"
            )
        encoders = self.card.architecture["encoders"]
        for name in known:
            modality = features.modality(name)
            if not allow_mismatch:
                trained = self.card.extraction.get(name, {})
                for key, found in modality.identity().items():
                    if key in trained and trained[key] != found:
                        raise InputError(
                            f"{name}: {key} is {found!r} in {features.path}, but the model was "
                            f"trained on {trained[key]!r}; extract the clips with that profile, or "
                            "predict all the same with --allow-mismatch"
                        )
            shape = modality.n_layers, modality.width
            wanted = encoders[name]["layers"], encoders[name]["width"]
            if shape != wanted:
                raise InputError(
                    f"{name}: {counted(shape[0], 'layer')} of width {shape[1]} in "
                    f"{features.path}, the model takes {wanted[0]} of {wanted[1]} "
                    "(--allow-mismatch does not help here)"
                )

    def _block(
        self,
        features: FeatureFile,
        stored: Mapping[str, StoredSequences],
        rows: Int64[np.ndarray, "n"],
        packer: Packer,
    ) -> PredictionBlock:
        sequences = {name: self._sequences(stored.get(name), name, rows) for name in self._names}
        answers = predict(self._network, UnlabelledSplit(sequences), packer)
        present = {name: part.lengths > 0 for name, part in sequences.items()}
        any_present = np.any(list(present.values()), axis=0)
        probabilities = {}
        for branch, p in answers.probabilities.items():
            p = calibrated(p, self.card.calibration) if branch == JOINT else p
            probabilities[branch] = np.where(any_present[:, None], p, np.float32(np.nan))
        ids = [features.ids[row] for row in rows]
        return PredictionBlock(ids=ids, probabilities=probabilities, present=present)

    @property
    def _names(self) -> list[str]:
        return list(self.card.architecture["encoders"])

    def _sequences(
        self, stored: StoredSequences | None, name: str, rows: Int64[np.ndarray, "n"]
    ) -> Sequences:
        if stored is not None:
            part = stored.read(rows)
        else:
            encoder = self.card.architecture["encoders"][name]
            n_inputs = encoder["layers"] * encoder["width"]
            values = torch.empty((0, n_inputs), dtype=torch.float16)
            part = Sequences(values, np.zeros(len(rows) + 1, np.int64))
        return Sequences(
            part.values.to(self.device), part.offsets, self._scaling.get(name, part.scaling)
        )


def load(folder: Path | str, device: str = "cpu") -> Predictor:
    """A model that `amanda train --save-model` wrote.

    Raises:
        InputError: the folder holds no model, a damaged one, or one of another format.
    """
    return Predictor(load_model(Path(folder)), device)
