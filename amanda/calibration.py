"""Temperature scaling of a saved model, and what it changed.

Logits are divided by the temperature with the least cross entropy on labelled utterances that were
not trained on (Guo et al., On Calibration of Modern Neural Networks, 2017). No choice of class
changes. It is fitted on the labelled val split, so on the source: it says nothing of how sure the
model should be in the target domain, where no label was seen.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Float, Float32, Int64
from pydantic import BaseModel, ConfigDict, Field

from amanda.label_shift import fit_temperature, tempered
from amanda.metrics import expected_calibration_error


class Calibration(BaseModel):
    """A fitted temperature.

    Attributes:
        n: labelled val utterances that it was fitted on.
        ece_before, ece_after: expected calibration error on those same utterances.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    n: Annotated[int, Field(gt=0)]
    ece_before: float
    ece_after: float


def fit_calibration(
    probabilities: Float[np.ndarray, "n classes"], label: Int64[np.ndarray, "n"]
) -> Calibration | None:
    """Fit a temperature; rows of NaN are left out. None without any row."""
    known = ~np.isnan(probabilities).any(axis=1)
    probabilities, label = probabilities[known], label[known]
    if not len(label):
        return None
    temperature = fit_temperature(probabilities, label)
    return Calibration(
        temperature=temperature,
        n=len(label),
        ece_before=_error(probabilities, label),
        ece_after=_error(tempered(probabilities, temperature), label),
    )


def calibrated(
    probabilities: Float[np.ndarray, "n classes"], calibration: Calibration | None
) -> Float32[np.ndarray, "n classes"]:
    """softmax(logits / temperature); unchanged without a calibration. NaN rows stay NaN."""
    if calibration is None:
        return probabilities.astype(np.float32)
    return tempered(probabilities, calibration.temperature).astype(np.float32)


def _error(probabilities: Float[np.ndarray, "n classes"], label: Int64[np.ndarray, "n"]) -> float:
    correct = probabilities.argmax(axis=1) == label
    return expected_calibration_error(correct, probabilities.max(axis=1).astype(np.float64))
