"""Names inside a feature file, and how its texts are read whoever wrote them."""

from typing import Any

import h5py
import numpy as np

FORMAT, VERSION = "amanda-features", 1

UTTERANCES, TARGETS = "utterances", "targets"
REQUIRED_COLUMNS = ("id", "label", "split", "start_s", "end_s")
TEXT_COLUMNS = ("id", "split", "speaker", "group", "text", "source")
"""Of /utterances; `speaker`, `group`, `text` and `source` may be absent."""
REQUIRED_DATASETS = ("values", "offsets", "time_s", "valid", "status")
"""Of a modality; `detail` may be absent."""

IDENTITY_ATTRS = ("extractor", "model", "revision", "layers", "preprocessing")
"""What must agree between two files that are paired (`sha256` too, where both have one)."""

TEXT = h5py.string_dtype("utf-8")


def plain(value: Any) -> Any:
    """An attribute's value as plain Python: str, int, float or a list of them.

    h5py gives texts as str or bytes, and lists as arrays, by how they were written.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()] if value.ndim else plain(value.item())
    if isinstance(value, np.generic):
        return plain(value.item())
    return value


def read_text(dataset: h5py.Dataset) -> list[str]:
    """A dataset of texts as a list. Raises `TypeError` when it holds none."""
    return [str(text) for text in dataset.asstr(errors="replace")[:]]
