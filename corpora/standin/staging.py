"""Television's ways to show a conversation: who is in the picture, how near, and when it cuts.

The largest face is often not the speaker's, nor is the first: a listener sits nearer to the
camera, or is shown alone while another goes on speaking.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from corpora.standin.picture.stage import Seat
from corpora.standin.scene import Shot

WIDTH, HEIGHT = 448, 256

KINDS: Mapping[str, float] = {
    "alone": 0.18,  # the speaker
    "two": 0.18,  # side by side with a listener
    "three": 0.12,  # side by side with two
    "near": 0.22,  # over the shoulder the wrong way: a listener is in front
    "reaction": 0.15,  # cuts to a listener before the end
    "lead_in": 0.09,  # begins on a listener
    "establishing": 0.03,  # begins on the empty room
    "unseen": 0.03,  # only listeners: the speaker is heard
}
# Face sizes relative to the corpus's `half_face`.
ALONE, BESIDE, IN_THREE, IN_FRONT, BEHIND = 1.06, 0.9, 0.78, 1.16, 0.82


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Where a dialogue takes place: the kind of backdrop, and a seed that makes it this one."""

    backdrop: str
    seed: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Makes views of one line's speaker and listeners.

    Attributes:
        half_face: `VisualTraits.half_face`, pixels.
    """

    speaker: str
    listeners: tuple[str, ...]
    half_face: float
    room: Room
    rng: np.random.Generator

    def alone(self, name: str) -> Shot:
        x = WIDTH / 2 + float(self.rng.uniform(-34, 34))
        view = 1 + [self.speaker, *self.listeners].index(name)
        return self._shot({name: self._seat(x, 120.0, ALONE)}, view)

    def row(self, names: Sequence[str]) -> Shot:
        """Side by side in any order."""
        size = BESIDE if len(names) == 2 else IN_THREE
        middle = (np.arange(len(names)) + 0.5) / len(names) * WIDTH
        order = self.rng.permutation(len(names))
        seats = {names[i]: self._seat(x, 120.0, size) for i, x in zip(order, middle, strict=True)}
        return self._shot(seats, 0)

    def near(self, far: str, near: str) -> Shot:
        left = self.rng.random() < 0.5
        seats = {
            far: self._seat(WIDTH * (0.76 if left else 0.24), 108.0, BEHIND),
            near: self._seat(WIDTH * (0.27 if left else 0.73), 130.0, IN_FRONT),
        }
        return self._shot(seats, 0)

    def _seat(self, x: float, y: float, size: float) -> Seat:
        dx, dy = self.rng.uniform(-5, 5, 2)
        scale = size * float(self.rng.uniform(0.96, 1.04))
        return Seat(x=x + float(dx), y=y + float(dy), half_face=scale * self.half_face)

    def _shot(self, seats: Mapping[str, Seat], view: int) -> Shot:
        seed = (self.room.seed + view) % 2**31
        return Shot(first_line=0, backdrop=self.room.backdrop, seats=seats, backdrop_seed=seed)


def stage_line(
    speaker: str,
    listeners: Sequence[str],
    half_face: float,
    room: Room,
    rng: np.random.Generator,
) -> tuple[Shot, ...]:
    """The shots of a scene that has one line; `listeners` are two or more people."""
    order = tuple(listeners[i] for i in rng.permutation(len(listeners)))
    stage = Stage(speaker, order, half_face, room, rng)
    first = order[0]
    kind = str(rng.choice(list(KINDS), p=np.array(list(KINDS.values())) / sum(KINDS.values())))
    if kind == "alone":
        return (stage.alone(speaker),)
    if kind == "two":
        return (stage.row((speaker, first)),)
    if kind == "three":
        return (stage.row((speaker, *order[:2])),)
    if kind == "near":
        return (stage.near(speaker, first),)
    if kind == "unseen":
        return (stage.alone(first) if rng.random() < 0.5 else stage.row(order[:2]),)
    main = stage.alone(speaker) if rng.random() < 0.6 else stage.row((speaker, first))
    if kind == "establishing":
        empty = stage._shot({}, 0)
        return (empty, replace(main, at=float(rng.uniform(0.12, 0.2))))
    listening = stage.alone(order[1])
    if kind == "lead_in":
        return (listening, replace(main, at=float(rng.uniform(0.2, 0.35))))
    away = float(rng.uniform(0.35, 0.6))
    cuts = (main, replace(listening, at=away))
    back = replace(main, at=away + float(rng.uniform(0.2, 0.3)))
    return (*cuts, back) if rng.random() < 0.5 else cuts
