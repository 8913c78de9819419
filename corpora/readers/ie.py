"""IEMOCAP: five sessions of two people, acted and improvised dialogues.

    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt      labels, and what each rater said
    Session1/dialog/transcriptions/Ses01F_impro01.txt     texts
    Session1/dialog/avi/DivX/Ses01F_impro01.avi           one video a dialogue, side by side
    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav

Busso et al. (2008), IEMOCAP: interactive emotional dyadic motion capture database.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from amanda.store.manifest import Utterance
from corpora.rows import Dropped, Note
from corpora.tree import Tree, open_tree

LABEL_FILES = "dialog/EmoEvaluation/*.txt"
SUBSETS = {"improvised": r"_impro\d", "scripted": r"_script\d"}
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)

# Ses01F_impro01_F000: session, who wears the motion capture, dialogue, who speaks, turn.
_ID = re.compile(r"Ses(\d\d)([FM])_[A-Za-z0-9_]+_([FM])[A-Za-z0-9]{3}")
_HEADER = re.compile(r"\[([\d.]+) - ([\d.]+)\]\s+(\S+)\s+(\w+)\s+\[([^\]]*)\]")
_TRANSCRIPT = re.compile(r"(\S+) \[[\d.]+-[\d.]+\]: ?(.*)")
# Evaluators are E; F and M lines are the actors' own, which the corpus's labels leave out too.
_RATER = re.compile(r"C-E\d+:([^(]*)")
_CATEGORIES = {
    "neutral": "neu",
    "neutral state": "neu",
    "happiness": "hap",
    "excited": "exc",
    "excitement": "exc",
    "sadness": "sad",
    "anger": "ang",
    "frustration": "fru",
    "surprise": "sur",
    "fear": "fea",
    "disgust": "dis",
}


def fits(folder: Path) -> bool:
    """Whether a session with a file of labels is in it."""
    return any(folder.glob(f"Session[0-9]*/{LABEL_FILES}"))


def read(root: Path) -> Iterator[Utterance | Dropped | Note]:
    """Yield every labelled utterance; `group` is the session, for partners share a recording."""
    tree = open_tree(root, f"Session*/{LABEL_FILES}", fits)
    for session in tree.folders("Session[0-9]*"):
        label_files = tree.files(f"{session}/{LABEL_FILES}")
        if not label_files:
            yield Note(what=f"a session without {LABEL_FILES}", file=session)
        for label_file in label_files:
            yield from _read_dialogue(tree, session, label_file)


def _read_dialogue(
    tree: Tree, session: str, label_file: str
) -> Iterator[Utterance | Dropped | Note]:
    dialogue = PurePosixPath(label_file).stem
    text_of: dict[str, str] = {}
    transcript = tree.first_file(f"{session}/dialog/transcriptions/{dialogue}.txt")
    if not transcript:
        yield Note(what="a dialogue without a transcript", file=label_file)
    for number, line in tree.lines(transcript) if transcript else ():
        match = _TRANSCRIPT.fullmatch(line.strip())
        if match and _ID.fullmatch(match[1]):
            text_of[match[1]] = match[2]
        elif line.strip():
            yield Note(what="a transcript line that does not parse", file=transcript, line=number)
    for number, header, raters in _blocks(tree, label_file):
        row = _read_utterance(tree, session, label_file, number, header, raters, text_of)
        yield row
        if isinstance(row, Utterance):
            if not row.path:
                yield Note(what="an utterance without a dialogue video", file=label_file)
            if not row.audio_path:
                yield Note(what="an utterance without a sentence audio", file=label_file)
            if transcript and row.id not in text_of:
                yield Note(what="an utterance without a transcript line", file=transcript)


def _blocks(tree: Tree, label_file: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line number, header line and the rater lines under it, for each utterance."""
    header, at, raters = "", 0, list[str]()
    for number, line in tree.lines(label_file):
        if line.startswith("["):
            if header:
                yield at, header, raters
            header, at, raters = line, number, []
        elif header and line.strip():
            raters.append(line)
    if header:
        yield at, header, raters


def _read_utterance(
    tree: Tree,
    session: str,
    label_file: str,
    number: int,
    header: str,
    raters: list[str],
    text_of: dict[str, str],
) -> Utterance | Dropped:
    match = _HEADER.match(header)
    if not match:
        return Dropped(id="", reason="label line does not parse", file=label_file, line=number)
    start, end, utterance_id, label, dimensions = match.groups()
    name = _ID.fullmatch(utterance_id)
    try:
        start_s, end_s = float(start), float(end)
        valence, arousal, dominance = (_scale(value) for value in dimensions.split(","))
    except ValueError:
        name = None
    if not name:
        reason = "label line does not parse"
        return Dropped(id=utterance_id, reason=reason, file=label_file, line=number)
    dialogue = utterance_id.rpartition("_")[0]
    video = tree.first_file(f"{session}/dialog/avi/DivX/{dialogue}.avi")
    audio = tree.first_file(f"{session}/sentences/wav/{dialogue}/{utterance_id}.wav")
    if not video and not audio:
        reason = "neither video nor audio file"
        return Dropped(id=utterance_id, reason=reason, file=label_file, line=number)
    shares, n_raters = _shares(raters)
    return Utterance(
        id=utterance_id,
        path=video,
        start_s=start_s,
        end_s=end_s,
        text=text_of.get(utterance_id, ""),
        label=label,
        speaker=f"Ses{name[1]}{name[3]}",
        group=session,
        split="",
        audio_path=audio,
        audio_start_s=0.0 if audio else None,
        region=(LEFT if name[2] == name[3] else RIGHT) if video else None,
        language="en",
        valence=valence,
        arousal=arousal,
        dominance=dominance,
        n_raters=n_raters,
        shares=shares,
    )


def _scale(value: str) -> float | None:
    """A mean rating of 1 to 5, None where the file has NaN. Raises `ValueError`."""
    number = float(value)
    return number if math.isfinite(number) else None


def _shares(raters: list[str]) -> tuple[dict[str, float], int | None]:
    """Share of the evaluators for each label, and how many there are.

    A rater who names several emotions gives each an equal part of the vote; what is none of the
    corpus's labels counts as "oth".
    """
    votes = [match[1].split(";") for line in raters if (match := _RATER.match(line))]
    named = [[v.strip().lower() for v in vote if v.strip()] for vote in votes]
    named = [vote for vote in named if vote]
    shares: dict[str, float] = {}
    for vote in named:
        for category in vote:
            label = _CATEGORIES.get(category, "oth")
            shares[label] = shares.get(label, 0.0) + 1 / len(vote) / len(named)
    return shares, len(named) or None
