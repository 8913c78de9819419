"""Decoding in processes of its own, so that no recording can stop a run.

A decoder that crashes, is killed or hangs costs the clips it was at and nothing else: its process
is started anew, the source is tried once more, and what is then still missing gets a status.
Processes rather than threads, although PyAV and soxr release the interpreter's lock, because only a
process can be ended and can die alone.

A process decodes one source at a time and sends clip by clip over a socket; arrays travel as they
lie in memory. Where one CPU is all there is, it waits to be asked for each clip, so that decoding
and models take turns (`DecodePool` with `ahead_bytes` 0). Else threads of this process, one a
decoder, receive clips ahead of the models, up to a number of bytes (`extractors.ahead`).
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amanda.store.errors import AmandaError
from extractors.media import DecodedClip
from extractors.sources import Reader, Source

LIMIT_S, LIMIT_SHARE = 300.0, 0.05
"""A decoder that gives no clip for so long, and so much of the recording up to the last clip's end,
is taken to hang. Sound is decoded from the recording's start, at some hundred times its speed."""
WHOLE_S = 3 * 3600.0
"""What a clip without an end counts there."""
START_S = 600.0
"""A process that is not there after so long, on a busy machine, does not come."""
N_TRIES = 2
"""How often a source is begun whose decoder dies."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A clip of one modality, and the seconds that decoding it took."""

    modality: str
    decoded: DecodedClip
    seconds: float


class Decoder:
    """One decoding process, started when first used, and anew when it died.

    Args:
        in_turn: it decodes only while a clip is waited for.
        limit_s: the longest wait for a clip; see `LIMIT_S`.
    """

    def __init__(self, *, in_turn: bool, limit_s: float = LIMIT_S):
        self.in_turn, self.limit_s = in_turn, limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process else None

    def read(self, reader: Reader, source: Source, modalities: Sequence[str]) -> Iterator[Arrival]:
        """Every row of the source in every modality once, as a clip or with a reason.

        Raises:
            AmandaError: no decoding process can be started.
        """
        missing = {(modality, row) for modality in modalities for row in source.rows}
        limit_s = self.limit_s + LIMIT_SHARE * _last_end_s(reader, source)
        trouble = ""
        for _ in range(N_TRIES):
            try:
                for arrival in self._answers((reader, source, modalities, self.in_turn), limit_s):
                    key = (arrival.modality, arrival.decoded.row)
                    if key in missing:
                        missing.remove(key)
                        yield arrival
                return
            except TimeoutError:
                self._end()
                trouble = f"decoding gave nothing for {limit_s:.0f} s and was ended"
                break
            except (EOFError, OSError):
                if self._stopped:
                    return
                trouble = f"decoding broke off {N_TRIES} times ({self._cause_of_death()})"
                self._end()
        for modality, row in sorted(missing):
            lost = DecodedClip(row=row, clip=None, status="unreadable", detail=trouble)
            yield Arrival(modality=modality, decoded=lost, seconds=0.0)

    def stop(self) -> None:
        """End the process for good; also from another thread than the one that reads."""
        self._stopped = True
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process and wait for it."""
        self.stop()
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._socket is not None:
            self._socket.close()
        self._process = self._socket = None

    def _answers(self, task: tuple[Any, ...], limit_s: float) -> Iterator[Arrival]:
        """What the process sends about one source.

        Raises:
            TimeoutError: nothing came for `limit_s`.
            EOFError, OSError: the process died.
        """
        connection = self._socket or self._start()
        connection.settimeout(limit_s)
        _send(connection, task)
        while True:
            if self.in_turn:
                connection.sendall(b".")
            arrival = _receive(connection)
            if arrival is None:
                return
            yield arrival

    def _start(self) -> socket.socket:
        mine, its = socket.socketpair()
        # A fresh interpreter rather than a fork, which torch's threads would not survive.
        paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        program = f"from extractors.decode import serve; serve({its.fileno()})"
        with its, self._lock:
            if self._stopped:
                raise EOFError
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )
        mine.settimeout(START_S)
        try:
            _exactly(mine, 1)
        except (EOFError, OSError) as error:
            mine.close()
            if self._stopped:
                raise EOFError from None
            raise AmandaError(
                f"the process that decodes recordings does not start ({self._cause_of_death()}); "
                "see what it printed above"
            ) from error
        self._socket = mine
        return mine

    def _cause_of_death(self) -> str:
        if self._process is None:
            return "not started"
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "the connection broke"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last_end_s(reader: Reader, source: Source) -> float:
    ends_s = [0.0]
    for row in source.rows:
        utterance = reader.utterances[row]
        end_s = WHOLE_S if utterance.end_s is None else utterance.end_s
        ends_s.append(end_s + (utterance.audio_start_s or 0.0))
    return max(ends_s)


def _send(connection: socket.socket, message: object) -> None:
    """A pickle, and after it its arrays as they are."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    sizes = pickle.dumps([len(head), *(raw.nbytes for raw in raws)], protocol=5)
    connection.sendall(len(sizes).to_bytes(4, "little") + sizes + head)
    for raw in raws:
        connection.sendall(raw)


def _receive(connection: socket.socket) -> Any:
    size = int.from_bytes(_exactly(connection, 4), "little")
    lengths = pickle.loads(_exactly(connection, size))
    head, *buffers = [_exactly(connection, length) for length in lengths]
    return pickle.loads(head, buffers=buffers)


def _exactly(connection: socket.socket, n_bytes: int) -> memoryview:
    view = np.empty(n_bytes, np.uint8).data
    filled = 0
    while filled < n_bytes:
        n = connection.recv_into(view[filled:])
        if not n:
            raise EOFError
        filled += n
    return view


def serve(descriptor: int) -> None:
    """The process's side: answer tasks over this socket until the other side is gone."""
    # Ctrl-C is for the process that asked; this one ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        try:
            connection.sendall(b".")
            while True:
                reader, source, modalities, in_turn = _receive(connection)
                arrivals = _decode(reader, source, modalities)
                arrival: Arrival | None
                while True:
                    if in_turn:
                        _exactly(connection, 1)
                    arrival = next(arrivals, None)
                    _send(connection, arrival)
                    if arrival is None:
                        break
        except (EOFError, OSError):
            return


def _decode(reader: Reader, source: Source, modalities: Sequence[str]) -> Iterator[Arrival]:
    """Every row in every modality; an exception becomes the status of the rows that it costs."""
    left = {(modality, row) for modality in modalities for row in source.rows}
    trouble = "decoding ended before this clip"
    start_s = time.perf_counter()
    try:
        for modality, decoded in reader.read(source, modalities):
            left.discard((modality, decoded.row))
            seconds = time.perf_counter() - start_s
            yield Arrival(modality=modality, decoded=decoded, seconds=seconds)
            start_s = time.perf_counter()
    except Exception as error:
        trouble = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    for modality, row in sorted(left):
        lost = DecodedClip(row=row, clip=None, status="failed", detail=trouble)
        yield Arrival(modality=modality, decoded=lost, seconds=0.0)
