"""MSP-IMPROV: six sessions of two people, the same target sentences in several emotions.

    Evalution.txt (so misspelt; Evaluation.txt is taken too)       labels, and what raters said
    session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi and .wav        or Video/… and Audio/… apart
    All_human_transcriptions/MSP-IMPROV-S01A-F01-P-FM01.txt        texts, some empty

Busso et al. (2017), MSP-IMPROV: an acted corpus of dyadic interactions to study emotion
perception. Activation, valence and dominance are kept as the file has them, 1 to 5.
"""

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path

from amanda.store.manifest import Utterance
from corpora.rows import Dropped, Note
from corpora.tree import Tree, open_tree

LABEL_FILES = ("Evalution.txt", "Evaluation.txt")
TEXT_FOLDERS = ("All_human_transcriptions", "Text")
SUBSETS = {
    "natural": r"-P-[FM]{2}\d+$",
    "read": r"-R-[FM]{2}\d+$",
    "improvised": r"-S-[FM]{2}\d+$",
    "target": r"-T-[FM]{2}\d+$",
}
"""The scenarios, by the letter in the name."""

# MSP-IMPROV-S01A-F01-P-FM01: sentence and intended emotion, target speaker and session, scenario
# (P natural, R read, S improvised, T target sentence), listener, speaker and turn.
_ID = re.compile(r"MSP-IMPROV-(S\d+[AHSN])-[FM](\d+)-([PRST])-[FM]([FM])\d+")
_HEADER_START = re.compile(r"(?:UTD|MSP)-IMPROV-")
_RATER = re.compile(r"([^;]+);\s*([A-Za-z]+)\s*;")
_CATEGORIES = {"neutral": "N", "happy": "H", "sad": "S", "angry": "A"}


def fits(folder: Path) -> bool:
    """Whether a file of labels is in it."""
    return any((folder / name).is_file() for name in LABEL_FILES)


def read(root: Path) -> Iterator[Utterance | Dropped | Note]:
    """Yield every utterance of the label file; `group` is the session, of two people.

    The label is the raters' consensus, not the intended emotion in the name.
    """
    tree = open_tree(root, f"{LABEL_FILES[0]} (or {LABEL_FILES[1]})", fits)
    label_file = tree.first_file(*LABEL_FILES)
    text_folder = next((f for f in TEXT_FOLDERS if (root / f).is_dir()), "")
    if not text_folder:
        yield Note(what=f"no folder {TEXT_FOLDERS[0]}: every text is empty")
    for number, header, raters in _blocks(tree, label_file):
        row = _read_utterance(tree, label_file, number, header, raters)
        if isinstance(row, Dropped):
            yield row
            continue
        transcript = tree.first_file(f"{text_folder}/{row.id}.txt") if text_folder else ""
        texts = [line for _, line in tree.lines(transcript)] if transcript else []
        yield dataclasses.replace(row, text=" ".join(texts))
        if text_folder and not transcript:
            yield Note(what="an utterance without a transcript", file=label_file, line=number)
        if not row.path:
            yield Note(what="an utterance without a video", file=label_file, line=number)


def _blocks(tree: Tree, label_file: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line number, header line and the rater lines under it, for each utterance."""
    header, at, raters = "", 0, list[str]()
    for number, line in tree.lines(label_file):
        if _HEADER_START.match(line):
            if header:
                yield at, header, raters
            header, at, raters = line, number, []
        elif header and line.strip():
            raters.append(line)
    if header:
        yield at, header, raters


def _read_utterance(
    tree: Tree, label_file: str, number: int, header: str, raters: list[str]
) -> Utterance | Dropped:
    name, *fields = [field.strip() for field in header.split(";")]
    # On disk the names begin with MSP.
    utterance_id = name.replace("UTD-", "MSP-", 1).removesuffix(".avi")
    match = _ID.fullmatch(utterance_id)
    ratings = _ratings(fields[1:])
    if not match or not fields or ratings is None or not re.fullmatch(r"[A-Z]", fields[0]):
        reason = "label line does not parse"
        return Dropped(id=utterance_id, reason=reason, file=label_file, line=number)
    sentence, session_number, scenario, speaker = match.groups()
    session = f"session{int(session_number)}"
    where = f"{session}/{sentence}/{scenario}/{utterance_id}"
    video = tree.first_file(f"{where}.avi", f"Video/{where}.avi")
    audio = tree.first_file(f"{where}.wav", f"Audio/{where}.wav")
    if not video and not audio:
        reason = "neither video nor audio file"
        return Dropped(id=utterance_id, reason=reason, file=label_file, line=number)
    shares, n_raters = _shares(raters)
    return Utterance(
        id=utterance_id,
        path=video,
        label=fields[0],
        speaker=f"{speaker}{session_number}",
        group=session,
        split="",
        audio_path=audio,
        audio_start_s=0.0 if audio else None,
        language="en",
        valence=ratings.get("V"),
        arousal=ratings.get("A"),
        dominance=ratings.get("D"),
        n_raters=n_raters,
        shares=shares,
    )


def _ratings(fields: list[str]) -> dict[str, float | None] | None:
    """{"A": 2.4, …} of "A:2.4", …; None for NaN; None for all when a field does not parse."""
    ratings: dict[str, float | None] = {}
    for field in filter(None, fields):
        key, _, value = field.partition(":")
        try:
            number = float(value)
        except ValueError:
            return None
        ratings[key] = number if math.isfinite(number) else None
    return ratings


def _shares(raters: list[str]) -> tuple[dict[str, float], int | None]:
    """Share of the raters for each label, and how many there are.

    A rater's second field is the main emotion. Some raters stand twice in a block, with the same
    line: they count once.
    """
    votes = {m[1].strip(): m[2].lower() for line in raters if (m := _RATER.match(line.strip()))}
    shares: dict[str, float] = {}
    for category in votes.values():
        label = _CATEGORIES.get(category, "O")
        shares[label] = shares.get(label, 0.0) + 1 / len(votes)
    return shares, len(votes) or None
