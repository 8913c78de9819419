"""The mouth: lips, what shows between them, moustache."""

from corpora.standin.picture.identity import mix, shade
from corpora.standin.picture.ink import Corners, Points
from corpora.standin.picture.surface import Pen

INSIDE, TEETH, TONGUE, TOP_EDGE = (70, 26, 30), (236, 230, 222), (176, 84, 88), (70, 30, 34)
_OUT = 0.04


def draw_mouth(pen: Pen) -> None:
    """The mouth as opened, smiling or pressed as the expression has it."""
    look, e = pen.look, pen.e
    gap = 0.27 * e.open + 0.035 * e.teeth  # between the lips' inner edges, in the middle
    half = look.mouth_width * (1 + 0.24 * max(e.smile, 0) - 0.06 * e.open - 0.08 * e.press)
    corner = look.mouth_y - 0.13 * e.smile + 0.05 * e.open
    middle = look.mouth_y + 0.035 * e.smile
    thick = look.lip_thick * (1 - 0.55 * e.press)
    bow, floor = middle - 0.25 * gap, middle + 0.75 * gap
    rise = 0.035 * max(-e.smile, 0)  # a frown's middle stands higher
    pull = corner - middle

    def lip(y: float, x: float, top: float, share: float, *more: tuple[float, float]) -> Corners:
        """Left corner, a point at `x`, the middle (or more points), mirrored, right corner."""
        side = [(-half, corner), (-x * half, top + share * pull)]
        inner = list(more) or [(0.0, y - rise)]
        return [*side, *inner, *((-a, b) for a, b in side[::-1])]

    top_in = pen.bend(lip(bow, 0.5, bow, 0.35), 17, out=_OUT)
    low_in = pen.bend(lip(floor, 0.5, floor, 0.3)[::-1], 17, out=_OUT)
    peak, dip = bow - 1.12 * thick - rise, bow - 0.9 * thick - rise
    cupid = ((-0.12 * half, peak), (0.0, dip), (0.12 * half, peak))
    upper = pen.bend(lip(bow, 0.42, bow - thick, 0.3, *cupid)[::-1], 22, out=_OUT)
    lower = pen.bend(lip(floor + 1.35 * thick, 0.45, floor + 1.15 * thick, 0.25), 17, out=_OUT)
    if look.moustache:
        _moustache(pen, bow - thick - rise, half)
    pen.shape(low_in[::-1], lower[::-1], colour=look.lip)
    pen.shape(top_in, upper, colour=shade(look.lip, 0.86))
    shine = 0.55 * low_in[5:12] + 0.45 * lower[5:12][::-1]
    pen.trace(shine, mix(look.lip, (255, 226, 220), 0.35), 0.02)
    if gap > 0.02:
        _between(pen, top_in, low_in, gap)
    else:
        pen.trace(top_in, shade(look.lip, 0.45), 0.022)
    _corners(pen, half, corner)


def _corners(pen: Pen, half: float, corner: float) -> None:
    look, e = pen.look, pen.e
    dimple = shade(look.skin, 0.4 if look.beard else 0.6)
    ends: Corners = [(half, corner), (half + 0.05, corner - 0.05 * e.smile + 0.015)]
    for side in (-1, 1):
        pen.line(ends, 2, dimple, 0.022, side=side, out=_OUT)
    if e.press > 0.4 and not look.beard:
        y = look.mouth_y
        chin = mix(look.skin, shade(look.skin, 0.6), 0.7 * e.press)
        pen.line([(-0.16, y + 0.24), (0, y + 0.2), (0.16, y + 0.24)], 8, chin, 0.02)


def _between(pen: Pen, top: Points, low: Points, gap: float) -> None:
    """Darkness, tongue and teeth between open lips."""
    teeth = pen.e.teeth
    pen.shape(top, low, colour=INSIDE)
    if gap > 0.12:
        x, y = 0.35 * top[8] + 0.65 * low[8]
        pen.dot(x, y + 0.1 * gap, 0.15, 0.24 * gap, TONGUE)
    if teeth > 0.05:
        share = min(0.9, 0.28 + 0.6 * teeth) if gap < 0.16 else 0.3 + 0.25 * teeth
        edge = top[2:-2] + (low[::-1][2:-2] - top[2:-2]) * share
        pen.shape(top[2:-2], edge[::-1], colour=TEETH)
    pen.trace(top, TOP_EDGE, 0.014)


def _moustache(pen: Pen, y: float, half: float) -> None:
    top = [(-1.05, 0.1), (-0.5, -0.1), (0, -0.11), (0.5, -0.1), (1.05, 0.1)]
    low = [(1.0, 0.13), (0.5, 0.03), (0, -0.005), (-0.5, 0.03), (-1.0, 0.13)]
    lines = [pen.bend([(half * a, y + b) for a, b in side], 14, out=0.05) for side in (top, low)]
    pen.shape(*lines, colour=mix(pen.look.skin, shade(pen.look.hair, 0.9), pen.look.moustache))
