"""Where the time of an extraction goes, so that its user sees what to give more of."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

LOADING, WRITING, WAITING = "loading models", "writing", "waiting for decoding"


class Stages:
    """Seconds of this process by stage, and those of decoding by modality.

    Args:
        n_decoders: decoding processes.
        in_turn: decoding and models take turns on one CPU, so that waiting is decoding.
    """

    def __init__(self, *, n_decoders: int = 1, in_turn: bool = True):
        self.n_decoders, self.in_turn = n_decoders, in_turn
        self.seconds: dict[str, float] = defaultdict(float)
        self.decoding: dict[str, float] = defaultdict(float)
        self.n_clips = 0
        self._start_s = time.perf_counter()

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Count the time of a block as that of `stage`; what is timed within it counts there."""
        inner_s = sum(self.seconds.values())
        start_s = time.perf_counter()
        try:
            yield
        finally:
            inner_s = sum(self.seconds.values()) - inner_s
            self.seconds[stage] += time.perf_counter() - start_s - inner_s

    def text(self) -> str:
        """Two or three lines, shares of the wall time since the start."""
        wall_s = max(time.perf_counter() - self._start_s, 1e-9)
        each_s = wall_s / max(1, self.n_clips)
        rest_s = wall_s - sum(self.seconds.values())
        shares = [*_largest_first(self.seconds), ("rest", rest_s)]
        shown = ", ".join(
            f"{'decoding' if self.in_turn and name == WAITING else name} {s / wall_s:.0%}"
            for name, s in shares
            if s >= 0.005 * wall_s
        )
        decoding_s = sum(self.decoding.values())
        by_modality = ", ".join(f"{m} {s:.1f} s" for m, s in _largest_first(self.decoding))
        processes = "1 process" if self.n_decoders == 1 else f"{self.n_decoders} processes"
        turns = ", in turn with the models" if self.in_turn else ""
        return (
            f"  time      {wall_s:.1f} s, {self.n_clips} clips, {each_s:.3f} s a clip: {shown}\n"
            f"  decoding  {processes}{turns}, {decoding_s / self.n_decoders / wall_s:.0%} busy "
            f"({by_modality or 'nothing'})\n"
            f"  {self._bottleneck(wall_s)}"
        )

    def _bottleneck(self, wall_s: float) -> str:
        if not self.seconds:
            return "bottleneck: none"
        stage, seconds = _largest_first(self.seconds)[0]
        advice = {
            WAITING: "decoding; more CPUs decode more files at once",
            WRITING: "the disk",
            LOADING: "loading the models; fewer, larger shards load them less often",
        }.get(stage, f"the {stage}")
        return f"bottleneck: {advice} ({seconds / wall_s:.0%} of the time)"


def _largest_first(seconds: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda item: -item[1])
