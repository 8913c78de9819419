"""How many shards a corpus should be extracted in: `amanda plan`.

A job of the workflow loads the models before its first clip, and a scheduler takes seconds to start
and to notice it; so shards should be minutes long. A graph of jobs costs memory and time for
planning, so there should not be too many. The count is written into the config once and stays:
another count extracts the corpus again.
"""

import math
from dataclasses import dataclass

from amanda.store.errors import InputError

STARTUP_S = 30.0
"""Loading models and a scheduler's delays, a job."""
MAX_SHARDS = 1500
"""Of one corpus, so that a graph with two stays planned in seconds."""


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """A proposal.

    Attributes:
        n_shards: for `shards` in the config.
        shard_minutes: what one takes, its start included.
        efficiency: share of a job's time that is extraction.
        wall_hours: with `n_jobs` at once.
    """

    n_clips: int
    seconds_a_clip: float
    n_jobs: int
    n_shards: int
    shard_minutes: float
    efficiency: float
    wall_hours: float

    def to_text(self) -> str:
        """For a terminal; the second line goes into the config."""
        return "\n".join(
            [
                f"{self.n_clips} clips at {self.seconds_a_clip:.3g} s: "
                f"{self.n_clips * self.seconds_a_clip / 3600:.1f} hours of work",
                f"shards: {self.n_shards}",
                f"each about {self.shard_minutes:.0f} minutes, {100 * self.efficiency:.0f}% of "
                f"them extraction; {self.n_jobs} at once end after {self.wall_hours:.1f} hours",
            ]
        )


def plan_shards(
    n_clips: int, seconds_a_clip: float, *, minutes: float = 20.0, n_jobs: int = 16
) -> ShardPlan:
    """As many shards as make jobs of `minutes`, at least one for each job that may run at once.

    Args:
        seconds_a_clip: of one job, as `amanda extract --estimate` measures.
        n_jobs: the quota: how many jobs may run at once.

    Raises:
        InputError: a number that is not above 0.
    """
    given = {"clips": n_clips, "--seconds-a-clip": seconds_a_clip, "--minutes": minutes}
    for name, value in {**given, "--jobs": n_jobs}.items():
        if not value > 0:
            raise InputError(f"{name} {value}: must be above 0")
    work_s = n_clips * seconds_a_clip
    by_length = math.ceil(work_s / (60 * minutes))
    # Short work is spread over the quota only as far as starting does not cost more than it gains.
    worthwhile = max(1, math.floor(work_s / (6 * STARTUP_S)))
    n_shards = min(max(by_length, min(n_jobs, worthwhile)), MAX_SHARDS, n_clips)
    shard_s = work_s / n_shards + STARTUP_S
    return ShardPlan(
        n_clips=n_clips,
        seconds_a_clip=seconds_a_clip,
        n_jobs=n_jobs,
        n_shards=n_shards,
        shard_minutes=shard_s / 60,
        efficiency=1 - STARTUP_S / shard_s,
        wall_hours=math.ceil(n_shards / n_jobs) * shard_s / 3600,
    )
