"""Decoding in processes: the same clips as in this process, whatever happens to the processes."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_models import write_recording

from amanda.store.errors import AmandaError
from amanda.store.manifest import Utterance
from extractors import decode
from extractors.ahead import DecodePool
from extractors.decode import Arrival, Decoder
from extractors.sources import Reader, Source, group_sources, split_long

MODALITIES = ("acoustic", "visual", "lexical")
N_FRAMES = 3


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Reader:
    """Two dialogues and a file that is none; rows alternate between them."""
    folder = tmp_path_factory.mktemp("media")
    write_recording(folder / "a.mp4", 3.0, seed=1)
    write_recording(folder / "b.mkv", 3.0, seed=2)
    (folder / "c.mp4").write_text("not a film")
    utterances = [
        Utterance(
            id=f"u{k}",
            path=["a.mp4", "b.mkv", "c.mp4"][k % 3],
            start_s=0.3 * (k // 3),
            end_s=0.3 * (k // 3) + 1.0,
            text="" if k == 4 else f"sentence {k}",
        )
        for k in range(12)
    ]
    return Reader(
        manifest=folder / "m.csv", utterances=utterances, n_frames=N_FRAMES, downmix=False
    )


def plain(arrivals: Iterator[Arrival]) -> dict[tuple[str, int], tuple]:
    """What arrived by modality and row; everything at most once."""
    found: dict[tuple[str, int], tuple] = {}
    for arrival in arrivals:
        clip = arrival.decoded.clip
        data = (
            clip
            if clip is None or isinstance(clip, str)
            else np.asarray(clip.frames if hasattr(clip, "frames") else clip)
        )
        key = (arrival.modality, arrival.decoded.row)
        assert key not in found
        found[key] = (arrival.decoded.status, arrival.decoded.detail, data)
    return found


def expected(reader: Reader, source: Source) -> dict[tuple[str, int], tuple]:
    """The same, decoded in this process."""
    return plain(
        Arrival(modality=modality, decoded=decoded, seconds=0.0)
        for modality, decoded in reader.read(source, MODALITIES)
    )


def assert_equal(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for key, (status, detail, data) in wanted.items():
        assert found[key][:2] == (status, detail), key
        if isinstance(data, np.ndarray):
            np.testing.assert_array_equal(found[key][2], data)
        else:
            assert found[key][2] == data


@pytest.mark.parametrize(("n_workers", "ahead_bytes"), [(1, 0), (2, 1), (3, 1 << 30)])
def test_clips_are_those_of_this_process_source_by_source(reader, n_workers, ahead_bytes):
    sources = group_sources(reader.utterances)
    assert len(sources) == 3
    with DecodePool(n_workers=n_workers, ahead_bytes=ahead_bytes) as pool:
        arrived = [plain(clips) for clips in pool.read(reader, sources, MODALITIES)]
    for found, source in zip(arrived, sources, strict=True):
        assert_equal(found, expected(reader, source))


def test_a_long_source_in_pieces_gives_the_same_clips(reader):
    [whole, *_] = group_sources(reader.utterances)
    pieces = split_long([whole], 3)
    assert [piece.rows for piece in pieces] == [(0, 3, 6), (9,)]
    assert sum(piece.cost_s for piece in pieces) == pytest.approx(whole.cost_s)
    found = {}
    for piece in pieces:
        found |= expected(reader, piece)
    assert_equal(found, expected(reader, whole))


def test_a_killed_decoder_is_started_again_and_nothing_is_lost(reader):
    source = group_sources(reader.utterances)[0]
    decoder = Decoder(in_turn=True)
    try:
        arrivals = decoder.read(reader, source, MODALITIES)
        first = next(arrivals)
        killed = decoder.pid
        os.kill(killed, signal.SIGKILL)
        found = plain(iter([first, *arrivals]))
        assert decoder.pid not in (None, killed)
    finally:
        decoder.close()
    assert_equal(found, expected(reader, source))


def test_a_source_that_kills_its_decoder_costs_its_own_clips(reader):
    one, other, _ = group_sources(reader.utterances)
    decoder = Decoder(in_turn=True)
    try:
        arrivals = decoder.read(reader, one, MODALITIES)
        found = {}
        for _ in range(2):
            found |= plain(iter([next(arrivals)]))
            os.kill(decoder.pid, signal.SIGKILL)
        rest = plain(arrivals)
        assert len(found) + len(rest) == len(MODALITIES) * len(one.rows)
        for status, detail, data in rest.values():
            assert (status, data) == ("unreadable", None)
            assert detail == "decoding broke off 2 times (killed by SIGKILL)"
        assert_equal(plain(decoder.read(reader, other, MODALITIES)), expected(reader, other))
    finally:
        decoder.close()


def test_a_decoder_that_hangs_is_ended_in_time(reader):
    source, other, _ = group_sources(reader.utterances)
    decoder = Decoder(in_turn=True, limit_s=90.0)
    try:
        arrivals = decoder.read(reader, source, ["visual"])
        first = next(arrivals)
        os.kill(decoder.pid, signal.SIGSTOP)
        decoder._socket.settimeout(0.5)  # instead of the 90 s
        start_s = time.monotonic()
        lost = plain(arrivals)
        assert time.monotonic() - start_s < 30
        assert len(lost) == len(source.rows) - 1
        assert first.decoded.status == "ok"
        for status, detail, _data in lost.values():
            assert status == "unreadable"
            assert detail == "decoding gave nothing for 90 s and was ended"
        assert_equal(plain(decoder.read(reader, other, MODALITIES)), expected(reader, other))
    finally:
        decoder.close()


class Breaking(Reader):
    """A reader with a mistake: it raises in the midst of a source."""

    def read(self, source, modalities):
        for i, item in enumerate(super().read(source, modalities)):
            if i == 2:
                raise RuntimeError("a mistake\nin two lines")
            yield item


def test_an_exception_becomes_the_status_of_what_it_costs(reader):
    source = group_sources(reader.utterances)[0]
    breaking = Breaking(
        manifest=reader.manifest,
        utterances=reader.utterances,
        n_frames=N_FRAMES,
        downmix=False,
    )
    found = plain(decode._decode(breaking, source, ["acoustic", "lexical"]))
    failed = [key for key, (status, *_) in found.items() if status == "failed"]
    assert len(found) == 2 * len(source.rows)
    assert len(failed) == len(found) - 2
    assert found[failed[0]][1] == "RuntimeError: a mistake in two lines"


def test_a_decoder_that_cannot_start_stops_the_run(reader, monkeypatch):
    monkeypatch.setattr(decode.sys, "executable", "/bin/false")
    decoder = Decoder(in_turn=True)
    with pytest.raises(AmandaError, match=r"does not start \(exit code 1\)"):
        next(decoder.read(reader, group_sources(reader.utterances)[0], ["lexical"]))
    decoder.close()


def test_leaving_early_ends_the_processes(reader):
    sources = group_sources(reader.utterances)
    with DecodePool(n_workers=2, ahead_bytes=1) as pool:
        reading = pool.read(reader, sources, MODALITIES)
        next(next(reading))
        pids = [decoder.pid for decoder in pool.decoders if decoder.pid]
        reading.close()
    assert pids
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
