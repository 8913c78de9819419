"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

PLAIN_EVERY_S = 10.0
_ITEMS_TO_JUDGE_BY = 3
"""Before so many are done, the first one's start-up would pass for the pace of all."""


def track(items: Iterable[T], *, total: int, what: str, done: int = 0) -> Iterator[T]:
    """Yield `items`, showing on standard error how many of `total` are done and the time left.

    Args:
        items: what is worked on.
        total: how many there are in all, those of `done` included.
        what: a short name for the work, for example "ie: clips".
        done: how many were finished by an earlier run.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total, completed=done)
            for item in items:
                yield item
                bar.advance(task)
        return
    start_s = last_s = time.monotonic()
    first_done_s = 0.0
    for count, item in enumerate(items, start=1):
        yield item
        now_s = time.monotonic()
        if count == 1:
            first_done_s = now_s
        if now_s - last_s >= PLAIN_EVERY_S or done + count == total:
            left = ""
            if done + count == total:
                left = f", took {now_s - start_s:.0f} s"
            elif count >= _ITEMS_TO_JUDGE_BY:
                # The first item's time holds the loading of models; the others' tells the pace.
                left_s = (now_s - first_done_s) / (count - 1) * (total - done - count)
                left = f", {left_s:.0f} s left"
            print(f"{what}: {done + count}/{total}{left}", file=sys.stderr)
            last_s = now_s
