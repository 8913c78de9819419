"""Names inside a feature file, and how its texts are read whoever wrote them."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

FORMAT, VERSION = "amanda-features", 1

UTTERANCES, TARGETS = "utterances", "targets"
REQUIRED_COLUMNS = ("id", "label", "split", "start_s", "end_s")
TEXT_COLUMNS = ("id", "split", "speaker", "group", "text", "source")
"""Of /utterances; `speaker`, `group`, `text` and `source` may be absent."""
SOURCE_HASH = "source_sha256"
"""A further text of /utterances, of files that `amanda extract` writes."""
REQUIRED_DATASETS = ("values", "offsets", "time_s", "valid", "status")
"""Of a modality; `detail` may be absent."""

IDENTITY_ATTRS = ("extractor", "model", "revision", "layers", "preprocessing")
"""What must agree between two files that are paired (`sha256` too, where both have one)."""

TEXT = h5py.string_dtype("utf-8")

MAX_INFLATION = 1100
"""How many bytes one byte of a file can hold at most: HDF5's compression reaches 1,032."""


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


def foreign_parts(file: h5py.File) -> Iterator[str]:
    """A sentence for each group or dataset whose data is not in this file.

    It may lead to another file (that could change or be lost apart from this one, or be one that
    nobody meant to read), or to nowhere, or claim more than a file of this size can hold, which
    would fill the memory of whoever reads it.
    """
    most = MAX_INFLATION * file.id.get_filesize() + (1 << 20)
    places = list(file)
    for name in places[:]:
        own = isinstance(file.get(name, getlink=True), h5py.HardLink)
        if own and isinstance(file[name], h5py.Group):
            places += [f"{name}/{inner}" for inner in file[name]]
    for place in places:
        if isinstance(file.get(place, getlink=True), h5py.ExternalLink):
            yield f"/{place} is a link to another file; a feature file holds all its data"
            continue
        item = file.get(place)
        if item is None:
            yield f"/{place} is a link that leads nowhere"
        elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            yield f"/{place} keeps its data in other files; a feature file holds all of it"
        elif isinstance(item, h5py.Dataset) and (item.size or 0) * item.dtype.itemsize > most:
            yield (
                f"/{place} claims {item.size * item.dtype.itemsize:.1e} bytes, more than a file of "
                f"{file.id.get_filesize():.1e} can hold; it is damaged, or made to fill memory"
            )
