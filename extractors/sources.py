"""From the rows of a manifest to recordings: which rows share one, what of it each row covers.

A source is everything that is decoded together: the rows of one video (or of one sound file, where
a row has no video), in the order of the manifest. Sources come in the order of their first row,
and a shard is a run of consecutive sources, so that the joined shards hold the same rows in the
same order however many shards there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance, resolve_path
from extractors.audio import read_audio_clips
from extractors.base import FaceFix, VideoClip
from extractors.media import ClipRequest, DecodedClip, MediaError, open_media
from extractors.video import pictures_of, read_video_clips

UNKNOWN_LENGTH_S = 5.0
"""What a row without an end counts when shards are balanced."""
ROW_COST_S = 2.0
"""What a row costs besides its length: frames a clip are a fixed number, and so is the text."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows of the manifest that are decoded together.

    Attributes:
        rows: their positions in the manifest, ascending.
        cost_s: seconds of recording, weighed; see `partition`.
    """

    rows: tuple[int, ...]
    cost_s: float


def group_sources(utterances: Sequence[Utterance]) -> list[Source]:
    """The sources of a manifest. A row with text alone is a source of its own."""
    rows: dict[str, list[int]] = {}
    for row, utterance in enumerate(utterances):
        key = utterance.path or utterance.audio_path or f"\0{row}"
        rows.setdefault(key, []).append(row)
    return [
        Source(rows=tuple(members), cost_s=sum(cost_s(utterances[row]) for row in members))
        for members in rows.values()
    ]


def cost_s(utterance: Utterance) -> float:
    """The weight of a row in balancing shards."""
    if utterance.end_s is None:
        return UNKNOWN_LENGTH_S + ROW_COST_S
    return utterance.end_s - (utterance.start_s or 0.0) + ROW_COST_S


def partition(sources: Sequence[Source], n_shards: int) -> list[list[Source]]:
    """Cut the sources into `n_shards` runs of about equal cost; some are empty when there are few.

    A source goes where the middle of its stretch of the total cost lies.

    Raises:
        InputError: fewer than one shard.
    """
    if n_shards < 1:
        raise InputError(f"shards {n_shards}: give at least 1")
    parts: list[list[Source]] = [[] for _ in range(n_shards)]
    total_s = sum(source.cost_s for source in sources)
    before_s = 0.0
    for source in sources:
        middle = (before_s + source.cost_s / 2) / total_s
        parts[min(n_shards - 1, int(middle * n_shards))].append(source)
        before_s += source.cost_s
    return parts


def split_long(sources: Sequence[Source], max_rows: int) -> list[Source]:
    """The sources, those of more than `max_rows` rows cut in several, which are decoded apart."""
    pieces: list[Source] = []
    for source in sources:
        n = -(-len(source.rows) // max_rows)
        for start in range(0, len(source.rows), max_rows):
            rows = source.rows[start : start + max_rows]
            pieces.append(Source(rows=rows, cost_s=source.cost_s / n))
    return pieces


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads the clips of a manifest's rows, modality by modality.

    Attributes:
        utterances: by row.
        n_frames: frames of a video clip.
        downmix: average the channels of sound whose row names none.
        glimpse_hz: glimpses a second that come with the frames; see `extractors.video`.
        with_sound: whether the sound of an utterance comes with its frames, its channels averaged
            where need be: it only says when somebody speaks.
        faces: by id, the user's own choice of the face.
    """

    manifest: Path
    utterances: Sequence[Utterance] | Mapping[int, Utterance]
    n_frames: int
    downmix: bool
    glimpse_hz: float = 0.0
    with_sound: bool = False
    faces: Mapping[str, FaceFix] = field(default_factory=dict)

    def of(self, source: Source) -> "Reader":
        """A reader that knows the rows of this source alone, to be sent elsewhere."""
        mine = {row: self.utterances[row] for row in source.rows}
        faces = {u.id: self.faces[u.id] for u in mine.values() if u.id in self.faces}
        return replace(self, utterances=mine, faces=faces)

    def read(self, source: Source, modalities: Sequence[str]) -> Iterator[tuple[str, DecodedClip]]:
        """Every row of the source once a modality, in any order, as a clip or with a reason.

        Pictures and sound are each decoded in one pass, also where frames come with sound.
        """
        sounds: dict[int, np.ndarray] = {}
        if "acoustic" in modalities or (self.with_sound and "visual" in modalities):
            for decoded in self._sound(source):
                if self.with_sound and isinstance(decoded.clip, np.ndarray):
                    sounds[decoded.row] = decoded.clip
                if "acoustic" in modalities:
                    yield "acoustic", decoded
            if self.with_sound and not self.downmix and not sounds:
                for decoded in replace(self, downmix=True)._sound(source):
                    if isinstance(decoded.clip, np.ndarray):
                        sounds[decoded.row] = decoded.clip
        if "visual" in modalities:
            for decoded in self._pictures(source):
                if isinstance(decoded.clip, VideoClip):
                    clip = replace(
                        decoded.clip,
                        sound=sounds.get(decoded.row),
                        face=self.faces.get(self.utterances[decoded.row].id),
                    )
                    decoded = replace(decoded, clip=clip)
                yield "visual", decoded
        if "lexical" in modalities:
            for decoded in self._texts(source):
                yield "lexical", decoded

    def _texts(self, source: Source) -> Iterator[DecodedClip]:
        for row in source.rows:
            text = self.utterances[row].text
            if text.strip():
                yield DecodedClip(row=row, clip=text)
            else:
                yield _nothing(row, "empty_text", "the row has no text")

    def _pictures(self, source: Source) -> Iterator[DecodedClip]:
        requests = []
        for row in source.rows:
            utterance = self.utterances[row]
            if utterance.path:
                requests.append(
                    ClipRequest(
                        row=row,
                        start_s=utterance.start_s or 0.0,
                        end_s=utterance.end_s,
                        region=utterance.region,
                    )
                )
            else:
                yield _nothing(row, "no_video", "the row has no path")
        if requests:
            path = resolve_path(self.manifest, self.utterances[source.rows[0]].path)
            yield from read_video_clips(path, requests, self.n_frames, glimpse_hz=self.glimpse_hz)

    def _sound(self, source: Source) -> Iterator[DecodedClip]:
        by_file: dict[str, list[ClipRequest]] = {}
        for row in source.rows:
            utterance = self.utterances[row]
            if not (utterance.audio_path or utterance.path):
                yield _nothing(row, "no_audio", "the row has no path or audio_path")
                continue
            start_s = utterance.start_s or 0.0
            end_s = utterance.end_s
            if utterance.audio_path and utterance.audio_start_s is not None:
                # The sound file has a clock of its own.
                end_s = None if end_s is None else utterance.audio_start_s + end_s - start_s
                start_s = utterance.audio_start_s
            by_file.setdefault(utterance.audio_path or utterance.path, []).append(
                ClipRequest(row=row, start_s=start_s, end_s=end_s, channel=utterance.channel)
            )
        for name, requests in by_file.items():
            path = resolve_path(self.manifest, name)
            yield from read_audio_clips(path, requests, downmix=self.downmix)


def present_modalities(
    manifest: Path, utterances: Sequence[Utterance], wanted: Sequence[str]
) -> list[str]:
    """Those of `wanted` that the corpus has at all, in that order: by text and by stream headers.

    Files are opened until each kind of stream has been seen, so only a corpus without pictures (or
    without sound) has all of its headers read.

    Raises:
        InputError: no file exists, none can be opened, or there is nothing of what is wanted.
    """
    found = {"lexical"} if any(u.text.strip() for u in utterances) else set()
    files = [u.path for u in utterances] + [u.audio_path for u in utterances]
    names = list(dict.fromkeys(name for name in files if name))
    streams = [m for m in wanted if m != "lexical"]
    if names and streams:
        found |= _streams(manifest, names, streams)
    present = [m for m in wanted if m in found]
    if not present:
        raise InputError(f"{manifest}: no row has text, sound or pictures for {', '.join(wanted)}")
    return present


def _streams(manifest: Path, names: Sequence[str], wanted: Sequence[str]) -> set[str]:
    found: set[str] = set()
    trouble = ""
    n_missing = n_opened = 0
    for name in names:
        path = resolve_path(manifest, name)
        if not path.is_file():
            n_missing += 1
            continue
        try:
            with open_media(path) as container:
                n_opened += 1
                if pictures_of(container) is not None:
                    found.add("visual")
                if container.streams.audio:
                    found.add("acoustic")
        except MediaError as error:
            trouble = trouble or f"{path}: {error.detail}"
        if found.issuperset(wanted):
            return found
    if n_missing == len(names):
        raise InputError(
            f"{manifest}: none of its {len(names)} files exists, the first is "
            f"{resolve_path(manifest, names[0])}; paths are relative to the manifest's folder "
            f"{Path(manifest).resolve().parent}, or absolute"
        )
    if not n_opened:
        raise InputError(f"{manifest}: none of its files can be opened ({trouble})")
    return found


def _nothing(row: int, status: str, detail: str) -> DecodedClip:
    return DecodedClip(row=row, clip=None, status=status, detail=detail)
