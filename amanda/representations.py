"""What a trained model makes of both domains: a sample of joint representations, for pictures.

A file of bounded size beside the result file: at most `MAX_ROWS` utterances a domain, from the
model of the last epoch of the first seed (and fold). Labels are there to colour points by; nothing
chooses a model by them.
"""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float32, Int

from amanda.batches import Packer
from amanda.evaluation import predict
from amanda.networks import Model
from amanda.records import TestRows
from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError
from amanda.training_data import TrainingData

MAX_ROWS = 300


@dataclass(frozen=True, kw_only=True)
class Representations:
    """Joint representations of labelled train rows and of the target's test rows.

    Attributes:
        source, target: (rows, M·d); of `supervised`, both are of the target.
        source_label, target_label: class of each row, -1 for none.
    """

    source: Float32[np.ndarray, "rows dim"]
    target: Float32[np.ndarray, "other_rows dim"]
    source_label: Int[np.ndarray, "rows"]
    target_label: Int[np.ndarray, "other_rows"]


def sample_representations(
    model: Model, data: TrainingData, test: TestRows, device: torch.device
) -> Representations:
    """A fixed sample, the same for every method on the same data; `model` is in evaluation mode."""
    generator = np.random.default_rng(0)
    packer = Packer(device)
    source = _sample(generator, len(data.labelled_train))
    target = _sample(generator, len(data.target_test))
    return Representations(
        source=predict(model, data.labelled_train, packer, source).features,
        target=predict(model, data.target_test, packer, target).features,
        source_label=np.asarray(data.labelled_train.label[source], np.int64),
        target_label=np.asarray(test.label[target], np.int64),
    )


def representations_path(result: Path) -> Path:
    """`r.representations.npz` beside the result file `r.json`."""
    result = Path(result)
    return result.with_name(result.stem + ".representations.npz")


def write_representations(path: Path, found: Representations) -> None:
    """Write as float16, whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            source=found.source.astype(np.float16),
            target=found.target.astype(np.float16),
            source_label=found.source_label,
            target_label=found.target_label,
        )


def read_representations(path: Path) -> Representations:
    """A file of `write_representations`.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return Representations(
                source=stored["source"].astype(np.float32),
                target=stored["target"].astype(np.float32),
                source_label=stored["source_label"].astype(np.int64),
                target_label=stored["target_label"].astype(np.int64),
            )
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); train the run again"
        ) from error
    except (KeyError, ValueError, BadZipFile) as error:
        raise InputError(f"{path}: not a file of representations; train the run again") from error


def _sample(generator: np.random.Generator, n: int) -> Int[np.ndarray, "rows"]:
    return np.sort(generator.permutation(n)[:MAX_ROWS])
