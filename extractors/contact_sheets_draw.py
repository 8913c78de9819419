"""Drawing a contact sheet: one row an utterance, on paper-white."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from extractors.base import VideoClip

ROWS = 16
N_FACES, N_OTHERS = 6, 2
TILE, GAP, EDGE = 104, 6, 28
TEXT_WIDTH, FRAME_WIDTH = 232, 184
HEAD = 58
ROW = TILE + 22
CONTEXT = 0.4
"""Of a face box's side that is shown around it."""

PAPER, INK, MUTED, RULE = (253, 253, 251), (28, 30, 33), (98, 105, 112), (220, 221, 216)
CHOSEN, OTHER, EMPTY, WARN = (24, 99, 168), (189, 79, 12), (238, 238, 234), (163, 52, 27)

Colour = tuple[int, int, int]
Canvas = ImageDraw.ImageDraw


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The choice made for one utterance, as the feature file has it.

    Attributes:
        row: in the feature file.
        person, runner_up: their numbers, -1 for none.
        coverage: share of the frames that show the chosen face.
        boxes, runner_up_boxes: (n, 4) fractions of the frame, zeros where not seen.
        clip: the frames, once they are decoded.
        predicted: what a model says of the utterance, to be shown; "" for nothing.
    """

    row: int
    name: str
    status: str
    detail: str
    rule: str
    n_persons: int
    person: int
    runner_up: int
    score: float
    runner_up_score: float
    coverage: float
    boxes: np.ndarray
    runner_up_boxes: np.ndarray
    clip: VideoClip | None = None
    predicted: str = ""

    @property
    def margin(self) -> float:
        return self.score - self.runner_up_score

    @property
    def clarity(self) -> float:
        """Margin × coverage, -1 for pictures without a face: the sheets begin with the smallest.

        Infinite without pictures (no video, or it does not open): there is nothing to look at.
        """
        if self.person >= 0:
            return self.margin * self.coverage
        return -1.0 if self.status == "no_face" else math.inf


def draw_sheet(
    rows: Sequence[Chosen], title: str, first: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A sheet of at most `ROWS` utterances; `first` is the rank of the first row, from 0."""
    n_tiles = N_FACES + N_OTHERS
    width = 2 * EDGE + TEXT_WIDTH + FRAME_WIDTH + n_tiles * (TILE + GAP) + 5 * GAP
    image = Image.new("RGB", (width, HEAD + len(rows) * ROW + EDGE), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((EDGE, 20), title, fill=INK, font=_font(17, bold=True))
    left = EDGE + TEXT_WIDTH
    faces, others = _columns(left)
    y = HEAD - 14
    draw.text((left, y), "frame", fill=MUTED, font=_font(11), anchor="ls")
    draw.text((faces, y), "person chosen", fill=CHOSEN, font=_font(11), anchor="ls")
    draw.text((others, y), "runner-up", fill=OTHER, font=_font(11), anchor="ls")
    for i, row in enumerate(rows):
        top = HEAD + i * ROW
        draw.line([(EDGE, top - 7), (width - EDGE, top - 7)], fill=RULE)
        _words(draw, row, first + i + 1, top)
        _pictures(image, draw, row, left, top)
    return np.asarray(image)


def _columns(left: int) -> tuple[int, int]:
    """Where the chosen faces begin, and the runner-up's."""
    faces = left + FRAME_WIDTH + 2 * GAP
    return faces, faces + N_FACES * (TILE + GAP) + 2 * GAP


def _words(draw: Canvas, row: Chosen, rank: int, top: int) -> None:
    draw.text((EDGE, top), f"{rank}", fill=MUTED, font=_font(11))
    name = _fit(draw, row.name, _font(14, bold=True), TEXT_WIDTH - 16)
    draw.text((EDGE, top + 15), name, fill=INK, font=_font(14, bold=True))
    if row.predicted:
        at = EDGE + draw.textlength("predicted ", font=_font(12))
        draw.text((EDGE, top + 92), "predicted", fill=MUTED, font=_font(12))
        draw.text((at, top + 91), row.predicted, fill=CHOSEN, font=_font(13, bold=True))
    if row.person < 0:
        said = row.detail or row.status.replace("_", " ")
        for k, line in enumerate(_wrap(draw, said, _font(12), TEXT_WIDTH - 16)[:3]):
            draw.text((EDGE, top + 37 + 16 * k), line, fill=WARN, font=_font(12))
        return
    several = f"person {row.person} · {row.n_persons} in the clip"
    who = several if row.n_persons > 1 else "the only person"
    why = "" if row.rule in ("evidence", "only") else f", by your {row.rule}"
    draw.text((EDGE, top + 36), who + why, fill=INK, font=_font(12))
    against = f" against {row.runner_up_score:.2f}" if row.runner_up >= 0 else ""
    draw.text((EDGE, top + 53), f"score {row.score:.2f}{against}", fill=INK, font=_font(12))
    bar, y = TEXT_WIDTH - 96, top + 80
    draw.rectangle([EDGE, y, EDGE + bar, y + 5], fill=EMPTY)
    if row.coverage > 0:
        draw.rectangle([EDGE, y, EDGE + round(bar * row.coverage), y + 5], fill=CHOSEN)
    draw.text(
        (EDGE + bar + 8, y + 3),
        f"{100 * row.coverage:.0f}% seen",
        fill=MUTED,
        font=_font(11),
        anchor="lm",
    )


def _pictures(image: Image.Image, draw: Canvas, row: Chosen, left: int, top: int) -> None:
    faces, others = _columns(left)
    if row.clip is None:
        _hatched(draw, left, top, FRAME_WIDTH, TILE)
        draw.text(
            (left + FRAME_WIDTH / 2, top + TILE / 2),
            "no picture",
            fill=MUTED,
            font=_font(11),
            anchor="mm",
        )
        return
    frame, at = _whole_frame(row, row.clip)
    x0, y0 = left + (FRAME_WIDTH - frame.width) // 2, top + (TILE - frame.height) // 2
    image.paste(frame, (x0, y0))
    for boxes, colour in ((row.runner_up_boxes, OTHER), (row.boxes, CHOSEN)):
        if boxes[at].any():
            size = np.array([frame.width, frame.height] * 2)
            corners = boxes[at] * size + np.array([x0, y0, x0, y0])
            draw.rectangle([round(float(v)) for v in corners], outline=colour, width=2)
    for places, boxes, x, n in (
        (_spread(len(row.boxes), N_FACES), row.boxes, faces, N_FACES),
        (_seen(row.runner_up_boxes, N_OTHERS), row.runner_up_boxes, others, N_OTHERS),
    ):
        for k in range(n):
            tile = x + k * (TILE + GAP)
            if k < len(places) and boxes[places[k]].any():
                crop = _head(row.clip.frames[places[k]], boxes[places[k]])
                image.paste(Image.fromarray(crop), (tile, top))
            elif n == N_FACES:
                _hatched(draw, tile, top, TILE, TILE)


def _whole_frame(row: Chosen, clip: VideoClip) -> tuple[Image.Image, int]:
    """A frame that shows both persons if there is one, else the chosen, else the middle one."""
    chosen = row.boxes.any(axis=1).astype(bool)
    other = row.runner_up_boxes.any(axis=1).astype(bool)
    every = np.ones(len(chosen), bool)
    candidates = next(np.flatnonzero(w) for w in (chosen & other, chosen, other, every) if w.any())
    at = int(candidates[len(candidates) // 2])
    height, width = clip.frames.shape[1:3]
    scale = min(FRAME_WIDTH / width, TILE / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(clip.frames[at], size, interpolation=cv2.INTER_AREA)
    return Image.fromarray(small), at


def _spread(n: int, wanted: int) -> Int[np.ndarray, "k"]:
    """Middles of `wanted` equal parts of `n` frames; fewer where there are fewer."""
    k = min(n, wanted)
    return ((np.arange(k) + 0.5) * n / max(k, 1)).astype(int)


def _seen(boxes: np.ndarray, wanted: int) -> Int[np.ndarray, "k"]:
    seen = np.flatnonzero(boxes.any(axis=1))
    return seen[_spread(len(seen), wanted)]


def _head(frame: np.ndarray, box: np.ndarray) -> UInt8[np.ndarray, "side side 3"]:
    """The face with its surroundings, as a square."""
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = box * np.array([width, height, width, height])
    side = max(8.0, max(x1 - x0, y1 - y0) * (1 + 2 * CONTEXT))
    grid = np.array(
        [
            [side / TILE, 0, (x0 + x1 - side + side / TILE) / 2 - 0.5],
            [0, side / TILE, (y0 + y1 - side + side / TILE) / 2 - 0.5],
        ],
        np.float32,
    )
    if side > 1.5 * TILE:  # average first: sampling a large face looks rough
        shrink = TILE / side
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        ratio = np.array([[size[0] / width], [size[1] / height]])
        grid = (grid * ratio).astype(np.float32)
    return cv2.warpAffine(
        frame,
        grid,
        (TILE, TILE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=EMPTY,
    )


def _hatched(draw: Canvas, x: int, y: int, width: int, height: int) -> None:
    draw.rectangle([x, y, x + width - 1, y + height - 1], fill=EMPTY)
    for start in range(-height, width, 14):
        a, b = max(0, start), min(width, start + height)
        draw.line([(x + a, y + a - start), (x + b - 1, y + b - 1 - start)], fill=RULE)


def _fit(draw: Canvas, text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, its middle left out where it is too wide: the ends of ids tell them apart."""
    if draw.textlength(text, font=font) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        head = kept // 3
        short = f"{text[:head]}…{text[head - kept :]}"
        if draw.textlength(short, font=font) <= width:
            return short
    return text[:1]


def _wrap(draw: Canvas, text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / name), size)
