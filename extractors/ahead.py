"""Clips of sources in order, decoded ahead of the models by one process or several."""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from extractors.decode import LIMIT_S, Arrival, Decoder
from extractors.sources import Reader, Source

Task = tuple[Reader, Source]


class DecodePool:
    """Decoders that read sources ahead of whoever takes their clips.

    Args:
        n_workers: decoding processes.
        ahead_bytes: clips wait in memory up to this much; 0: one process, which decodes only while
            a clip is waited for.
    """

    def __init__(self, *, n_workers: int, ahead_bytes: int, limit_s: float = LIMIT_S):
        self.n_workers = n_workers if ahead_bytes else 1
        self.ahead_bytes = ahead_bytes
        self.decoders = [
            Decoder(in_turn=not ahead_bytes, limit_s=limit_s) for _ in range(self.n_workers)
        ]

    def __enter__(self) -> "DecodePool":
        return self

    def __exit__(self, *_: object) -> None:
        for decoder in self.decoders:
            decoder.close()

    def read(
        self, reader: Reader, sources: Sequence[Source], modalities: Sequence[str]
    ) -> Iterator[Iterator[Arrival]]:
        """For each source, in order, its clips; all of one are to be taken before the next."""
        tasks = [(reader.of(source), source) for source in sources]
        if not self.ahead_bytes:
            for own_rows, source in tasks:
                yield self.decoders[0].read(own_rows, source, modalities)
            return
        with closing(_Ahead(self.decoders, tasks, modalities, self.ahead_bytes)) as ahead:
            for number in range(len(tasks)):
                yield ahead.take(number)


class _Ahead:
    """A thread a decoder, which receives clips into one queue a source, within a budget."""

    def __init__(
        self,
        decoders: Sequence[Decoder],
        tasks: Sequence[Task],
        modalities: Sequence[str],
        budget_bytes: int,
    ):
        self._decoders, self._modalities, self._budget_bytes = decoders, modalities, budget_bytes
        self._tasks: queue.SimpleQueue[tuple[int, Task]] = queue.SimpleQueue()
        for number, task in enumerate(tasks):
            self._tasks.put((number, task))
        # Of each source its clips, then None, or what went wrong.
        self._arrived: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in tasks]
        self._room = threading.Condition()
        self._waiting_bytes, self._closed = 0, False
        self._threads = [
            threading.Thread(target=self._work, args=(decoder,), daemon=True)
            for decoder in decoders
        ]
        self._taken = 0
        for thread in self._threads:
            thread.start()

    def take(self, number: int) -> Iterator[Arrival]:
        """The clips of one source, as they come."""
        with self._room:
            self._taken = number
            self._room.notify_all()
        while (arrival := self._arrived[number].get()) is not None:
            if isinstance(arrival, BaseException):
                raise arrival
            with self._room:
                self._waiting_bytes -= arrival.decoded.n_bytes
                self._room.notify_all()
            yield arrival

    def close(self) -> None:
        """End the threads; a decoder in the midst of a source is ended with its thread."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        busy = [thread.is_alive() for thread in self._threads]
        for decoder, alive in zip(self._decoders, busy, strict=True):
            if alive:
                decoder.stop()
        for thread in self._threads:
            thread.join()

    def _work(self, decoder: Decoder) -> None:
        while not self._closed:
            try:
                number, (reader, source) = self._tasks.get_nowait()
            except queue.Empty:
                return
            try:
                for arrival in decoder.read(reader, source, self._modalities):
                    if not self._admit(number, arrival.decoded.n_bytes):
                        return
                    self._arrived[number].put(arrival)
                self._arrived[number].put(None)
            except BaseException as error:  # raised again where this source is waited for
                self._arrived[number].put(error)
                return

    def _admit(self, number: int, n_bytes: int) -> bool:
        """Wait for room; a clip that is waited for needs none. False when all is over."""
        with self._room:
            self._room.wait_for(
                lambda: (
                    self._closed
                    or (number <= self._taken and self._arrived[number].empty())
                    or self._waiting_bytes + n_bytes <= self._budget_bytes
                )
            )
            self._waiting_bytes += n_bytes
            return not self._closed
