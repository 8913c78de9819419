"""How a face expresses an emotion, by a few numbers with a meaning, over time."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Expression:
    """One moment of a face; 0 is at rest except `lid`, which rests at 1.

    Attributes:
        smile: mouth corners up (1) or down (-1).
        open: mouth, 0 closed to 1 wide.
        press: lips pressed together.
        teeth: teeth shown.
        brow_low: brows drawn down and together; below 0, apart.
        brow_inner: inner ends of the brows up, as in grief.
        brow_raise: both brows up.
        lid: upper lids, 0 shut, 1 at rest, 1.4 wide.
        squint: lower lids and cheeks raised.
        gaze_x, gaze_y: where the eyes look, -1 to 1, right and down.
        yaw, pitch, roll: turn, nod (down) and tilt of the head, radians.
    """

    smile: float = 0.0
    open: float = 0.0
    press: float = 0.0
    teeth: float = 0.0
    brow_low: float = 0.0
    brow_inner: float = 0.0
    brow_raise: float = 0.0
    lid: float = 1.0
    squint: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


AXES = tuple(f.name for f in fields(Expression))
