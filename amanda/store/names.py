"""The names that every room uses: classes, modalities, splits, statuses, corpora and pairs."""

import re
from pathlib import Path

from amanda.store.errors import InputError

CLASSES = ("neutral", "happy", "sad", "angry")
MODALITIES = ("acoustic", "visual", "lexical")
JOINT = "joint"
SPLITS = ("train", "val", "test")

# Whether an utterance's features of one modality can be used, and if not, why.
USABLE_STATUSES = ("ok", "truncated")
STATUSES = (
    *USABLE_STATUSES,
    "no_face",
    "unreadable",
    "no_audio",
    "no_video",
    "empty_text",
    "too_short",
    "failed",
)

STANDIN, RECORDED = "stand-in", "recorded"
ORIGINS = (RECORDED, STANDIN)

PREDICTIONS = ".predictions.csv"
"""How a file of predictions ends; the result file that it belongs to, .json, lies beside it."""

_CORPUS = re.compile(r"[a-z](?:[a-z0-9_]*[a-z0-9_])?")


def check_corpus_name(name: str) -> str:
    """Return `name` if it can name a corpus, else raise `InputError`.

    A pair is written `ie2msp`, so a name holds no 2 between two letters.
    """
    if not _CORPUS.fullmatch(name) or re.search(r"[a-z]2[a-z]", name):
        raise InputError(
            f"corpus name '{name}': use lower-case letters, digits and underscores, "
            "start with a letter, and put no 2 between two letters (a pair is written 'ie2msp')"
        )
    return name


def may_be_manifest(path: Path) -> bool:
    """Whether a file's name is one that a manifest may have."""
    return path.suffix.lower() == ".csv" and not path.name.endswith(PREDICTIONS)


def unfit_name(manifest: Path) -> str:
    """A sentence on a manifest whose name cannot name its corpus, "" for any other file."""
    if not may_be_manifest(manifest):
        return ""
    try:
        check_corpus_name(manifest.stem)
    except InputError as error:
        return (
            f"{manifest}: {error}. A corpus is named after its file: rename it, or give amanda "
            "extract --corpus NAME; in a config the corpus has a name of its own"
        )
    return ""


def corpus_of_file(path: Path) -> str:
    """The corpus that a file is named after.

    Raises:
        InputError: it cannot be; the option that names the corpus is told.
    """
    try:
        return check_corpus_name(path.stem)
    except InputError as error:
        raise InputError(
            f"{path}: without --corpus the corpus is named after the file, and {error}; rename "
            "the file or give --corpus NAME"
        ) from error


def split_pair(pair: str) -> tuple[str, str]:
    """('ie', 'msp') for 'ie2msp'. Raises `InputError` when `pair` is not two corpus names."""
    match = re.fullmatch(r"([a-z][a-z0-9_]*?)2([a-z][a-z0-9_]*)", pair)
    if not match:
        raise InputError(f"pair '{pair}': write source2target, for example 'ie2msp'")
    return check_corpus_name(match[1]), check_corpus_name(match[2])
