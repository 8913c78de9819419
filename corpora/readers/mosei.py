"""CMU-MOSEI: monologues from YouTube, cut in segments, with scores instead of one label.

    Raw/Videos/Full/Combined/<video>.mp4             whole videos; also without Raw/
    Raw/Audio/Full/WAV_16000/<video>.wav
    Raw/Transcript/Segmented/Combined/<video>.txt    <video>___<segment>___<start>___<end>___<text>
    CMU_MOSEI_Labels.csd, or a CSV                   in the root, Labels/ or Raw/Labels/
    folds/train.txt, folds/valid.txt, folds/test.txt, or cmu_mosei_std_folds.py

A segment is known by its number in the transcript (`<video>_3`), a row of the CSD by its place
(`<video>[3]`), and the two do not agree: a CSD's rows are neither in the transcript's order nor in
that of time. They are brought together by their times. Many lines of the transcripts have no label.

Bagher Zadeh et al. (2018), Multimodal language analysis in the wild. `valence` is the sentiment,
-3 to 3; label shares are the six emotion scores, divided by their sum.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amanda.store.manifest import Utterance
from corpora.folds import read_folds
from corpora.labels import MOSEI_EMOTIONS, mosei_label
from corpora.mosei_labels import Segment, label_files, read_segments
from corpora.rows import Dropped, Note
from corpora.tree import Tree, open_tree

VIDEOS = ("Raw/Videos/Full/Combined/{}.mp4", "Videos/Full/Combined/{}.mp4")
AUDIOS = ("Raw/Audio/Full/WAV_16000/{}.wav", "Audio/Full/WAV_16000/{}.wav")
TEXTS = ("Raw/Transcript/Segmented/Combined/{}.txt", "Transcript/Segmented/Combined/{}.txt")

SAME_TIME_S = 0.05
"""Times of the labels and of the transcript that differ by no more are the same."""
_DECIMALS = 4  # scores are thirds; as texts or 4-byte floats equal ones differ behind these

_NUMBER = re.compile(r"[+-]?([0-9]{1,9}\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class _Sentence:
    """A line of a transcript."""

    number: int
    start_s: float
    end_s: float
    text: str


def fits(folder: Path) -> bool:
    """Whether a file of labels is where it may be."""
    return bool(label_files(Tree(folder, os.path.realpath(folder))))


def read(root: Path) -> Iterator[Utterance | Dropped | Note]:
    """Yield every labelled segment, video by video; `group` and `speaker` are the video.

    Labels are those of `mosei_label`, and where it gives none `tie` (several highest scores) or
    `none` (all are 0, but the sentiment is not).
    """
    tree = open_tree(root, "CMU_MOSEI_Labels.csd, or a CSV of sentiment and emotion scores", fits)
    files = label_files(tree)
    used = files[:1] if files[0].endswith(".csd") else files
    for file in files[len(used) :]:
        yield Note(what=f"a file of labels beside {used[0]}, not read", file=file)
    by_video: dict[str, list[Segment]] = {}
    for file in used:
        for item in read_segments(tree, file, lambda video: any(_media(tree, video))):
            if isinstance(item, Dropped):
                yield item
            else:
                by_video.setdefault(item.video, []).append(item)
    folds = read_folds(tree)
    if not folds:
        yield Note(what="no folds, so --split official cannot be used")
    for video, segments in by_video.items():
        yield from _read_video(tree, video, segments, folds.get(video, ""))


def _media(tree: Tree, video: str) -> tuple[str, str]:
    """The files of the picture and of the sound, "" for none."""
    video_file, audio_file = (
        tree.first_file(*(place.format(video) for place in places)) for places in (VIDEOS, AUDIOS)
    )
    return video_file, audio_file


def _read_video(
    tree: Tree, video: str, segments: Sequence[Segment], split: str
) -> Iterator[Utterance | Dropped | Note]:
    path, audio = _media(tree, video)
    sentences: list[_Sentence] = []
    for item in _sentences(tree, video):
        if isinstance(item, Note):
            yield item
        else:
            sentences.append(item)
    for segment in segments:
        sentence = _sentence_of(segment, sentences)
        number = sentence.number if sentence else segment.number
        times = segment if segment.start_s is not None else sentence
        if not path and not audio:
            yield segment.dropped("neither video nor audio file", number)
            continue
        if times is None or times.start_s is None or times.end_s is None:
            yield segment.dropped("no times in the labels, nor in the transcript", number)
            continue
        yield Utterance(
            id=segment.id(number),
            path=path,
            start_s=max(0.0, times.start_s),
            end_s=times.end_s,
            text=segment.text or (sentence.text if sentence else ""),
            label=_label(segment.scores),
            speaker=video,
            group=video,
            split=split,
            audio_path=audio,
            language="en",
            valence=segment.scores["sentiment"],
            shares=_shares(segment.scores),
        )
        whats = list(_oddities(segment, sentence))
        whats += ["a segment that starts before 0, clamped"] if times.start_s < 0 else []
        whats += [] if path else ["a segment without a video"]
        whats += [] if audio else ["a segment without a sound file; the video's sound is taken"]
        for what in whats:
            yield Note(what=what, file=segment.file, line=segment.line)


def _oddities(segment: Segment, sentence: _Sentence | None) -> Iterator[str]:
    if sentence is None and not segment.text:
        yield "a segment without a transcript line"
    if sentence and segment.start_s is not None and _gap_s(segment, sentence) > SAME_TIME_S:
        yield "a segment with other times than its transcript line; those of the label are taken"


def _sentences(tree: Tree, video: str) -> Iterator[_Sentence | Note]:
    """The lines of a transcript. A text may hold the separator, an id may end in a part of it."""
    file = tree.first_file(*(place.format(video) for place in TEXTS))
    start = f"{video}___"
    for line_number, line in tree.lines(file) if file else ():
        cells = line.removeprefix(start).split("___", 3)
        patterns = (re.compile("[0-9]{1,9}"), _NUMBER, _NUMBER)
        if (
            line.startswith(start)
            and len(cells) == 4
            and all(p.fullmatch(cell) for p, cell in zip(patterns, cells, strict=False))
        ):
            number, start_s, end_s, text = cells
            yield _Sentence(int(number), float(start_s), float(end_s), text.strip())
        elif line.strip():
            yield Note(what="a transcript line that does not parse", file=file, line=line_number)


def _sentence_of(segment: Segment, sentences: Sequence[_Sentence]) -> _Sentence | None:
    """The transcript line of a segment: by its number where it has one, else by its times."""
    if segment.number is not None:
        return next((s for s in sentences if s.number == segment.number), None)
    if segment.start_s is None:
        return None
    nearest = min(sentences, key=lambda s: _gap_s(segment, s), default=None)
    return nearest if nearest and _gap_s(segment, nearest) <= SAME_TIME_S else None


def _gap_s(segment: Segment, sentence: _Sentence) -> float:
    """How far the times of the two differ, negative ones taken as 0."""
    pairs = ((segment.start_s, sentence.start_s), (segment.end_s, sentence.end_s))
    return max(abs(max(0.0, a or 0.0) - max(0.0, b)) for a, b in pairs)


def _label(scores: Mapping[str, float]) -> str:
    rounded = {name: round(score, _DECIMALS) for name, score in scores.items()}
    emotions = {name: rounded[name] for name in MOSEI_EMOTIONS}
    return mosei_label(rounded["sentiment"], emotions) or (
        "tie" if any(emotions.values()) else "none"
    )


def _shares(scores: Mapping[str, float]) -> dict[str, float]:
    total = sum(scores[name] for name in MOSEI_EMOTIONS)
    if total:
        return {name: scores[name] / total for name in MOSEI_EMOTIONS}
    return {} if scores["sentiment"] else {"neutral": 1.0}
