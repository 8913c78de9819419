"""Which rows go into which shard, and which shards on disk are used again."""

import itertools
import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance
from extractors.shards import is_finished, remove_leftovers, shard_folder, shard_path
from extractors.sources import ROW_COST_S, UNKNOWN_LENGTH_S, group_sources, partition


def row(number: int, path: str = "", audio_path: str = "", end_s: float | None = None) -> Utterance:
    return Utterance(id=f"u{number}", path=path, audio_path=audio_path, end_s=end_s, text="x")


def test_rows_of_one_video_are_one_source_in_order_of_first_appearance():
    utterances = [
        row(0, "b.mp4", end_s=4.0),
        row(1, "a.mp4"),
        row(2, "b.mp4", audio_path="other.wav", end_s=6.0),
        row(3, audio_path="only.wav"),
        row(4),
        row(5),
    ]
    sources = group_sources(utterances)
    assert [s.rows for s in sources] == [(0, 2), (1,), (3,), (4,), (5,)]
    assert sources[0].cost_s == 4.0 + 6.0 + 2 * ROW_COST_S
    assert sources[1].cost_s == UNKNOWN_LENGTH_S + ROW_COST_S


lengths = st.lists(st.floats(0.1, 500.0), min_size=1, max_size=60)


@given(lengths=lengths, n_shards=st.integers(1, 12))
def test_shards_are_runs_of_the_sources(lengths, n_shards):
    sources = group_sources([row(i, f"{i}.mp4", end_s=s) for i, s in enumerate(lengths)])
    parts = partition(sources, n_shards)
    assert len(parts) == n_shards
    # End to end they are the sources, in order: so the joined file does not depend on n_shards.
    assert list(itertools.chain(*parts)) == sources
    assert parts == partition(sources, n_shards)
    # No shard is further from its share than the largest source.
    share = sum(s.cost_s for s in sources) / n_shards
    largest = max(s.cost_s for s in sources)
    for part in parts:
        assert abs(sum(s.cost_s for s in part) - share) <= largest + 1e-6


def test_partition_by_hand():
    sources = group_sources(
        [row(i, f"{i}.mp4", end_s=s) for i, s in enumerate([8.0, 8.0, 8.0, 28.0])]
    )
    # Costs 10, 10, 10, 30 of 60; halves at 30.
    assert [[s.rows for s in part] for part in partition(sources, 2)] == [
        [(0,), (1,), (2,)],
        [(3,)],
    ]
    assert [len(part) for part in partition(sources[:2], 4)] == [0, 1, 0, 1]
    with pytest.raises(InputError, match="shards 0: give at least 1"):
        partition(sources, 0)


def test_leftovers_of_killed_processes_go_and_nothing_else(tmp_path):
    out = tmp_path / "ie.h5"
    mine = [tmp_path / ".ie.ab_d3fgh.tmp.h5", tmp_path / ".ie.12345678.tmp.h5"]
    others = [
        tmp_path / ".ie.ab.abcdefgh.tmp.h5",  # of ie.ab.h5
        tmp_path / ".msp.abcdefgh.tmp.h5",
        tmp_path / "ie.h5",
        tmp_path / ".ie.abcdefgh.tmp.csv",
    ]
    for path in (*mine, *others):
        path.touch()
    remove_leftovers(out.parent, out.stem)
    assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in others)
    remove_leftovers(tmp_path / "absent")


def test_a_file_that_is_no_shard_of_this_run_is_not_finished(tmp_path):
    path = shard_path(tmp_path, 3, 8)
    assert path.name == "003-of-008.h5"
    assert not is_finished(path, "key", [])
    path.write_text("cut short")
    assert not is_finished(path, "key", [])


def _hold(out, ready, go) -> None:
    with shard_folder(out):
        ready.set()
        go.wait(60)


def test_two_processes_do_not_write_one_file(tmp_path):
    out = tmp_path / "ie.h5"
    spawn = multiprocessing.get_context("spawn")
    ready, go = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(out, ready, go))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(InputError, match="another process is extracting it"), shard_folder(out):
            pass
        assert (tmp_path / "ie.h5.shards").is_dir()
    finally:
        go.set()
        other.join()
    with shard_folder(out) as folder:
        (folder / "000-of-001.h5").touch()
    assert not folder.exists()


def test_shards_stay_when_the_run_breaks_off(tmp_path):
    def interrupted() -> None:
        with shard_folder(tmp_path / "ie.h5") as folder:
            (folder / "000-of-001.h5").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "ie.h5.shards" / "000-of-001.h5").exists()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="cannot be written to"),
        shard_folder(tmp_path / "file" / "ie.h5"),
    ):
        pass
