"""How much of the extraction jobs' time was extraction, from logs as the jobs write them."""

import os
from pathlib import Path

import pytest

from extractors.shard_times import (
    describe_shard_times,
    least_clips,
    read_shard_times,
    share_of_extraction,
)
from extractors.stages import LOADING, Stages

LOG = """\
ie 0/2: clips: 180/180, took 40 s
features/shards/ie/0-of-2.h5: 180 utterances of ie
  time      {time_s:.1f} s, {n} clips, 0.222 s a clip: the visual model 60%, {shares}
  decoding  1 process, in turn with the models, 12% busy (visual 4.1 s)
"""


def write_job(work: Path, name: str, job_s: float, time_s: float, n: int, shares: str = "rest 40%"):
    log, benchmark = work / f"logs/extract/{name}.log", work / f"bench_logs/extract/{name}.tsv"
    for path in (log, benchmark):
        path.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(LOG.format(time_s=time_s, n=n, shares=shares))
    benchmark.write_text(f"s\th:m:s\tcpu_time\n{job_s}\t0:00:50\t{job_s - 1}\n")
    return log


def test_by_hand(tmp_path):
    """10 s to start and 40 s for 180 clips: 80%; 85% are 10 * 85 / 15 s of clips at 40/180 s."""
    write_job(tmp_path, "ie/0-of-2", 50.0, 40.0, 180)
    write_job(tmp_path, "ie/1-of-2", 50.0, 50.0, 180, shares=f"{LOADING} 20%, rest 20%")
    write_job(tmp_path, "msp/0-of-1", 100.0, 95.0, 100)
    times = read_shard_times(tmp_path)
    assert [(t.corpus, t.shard, t.cpu_s) for t in times] == [
        ("ie", "0-of-2", 49.0),
        ("ie", "1-of-2", 49.0),
        ("msp", "0-of-1", 99.0),
    ]
    assert share_of_extraction(times[:2]) == pytest.approx(0.8)
    assert least_clips(times[:2]) == 255
    assert share_of_extraction(times) == pytest.approx(175 / 200)
    assert describe_shard_times(times) == [
        "ie: extraction was 80% of the time of its jobs (2), 10.0 s a job to start, 0.222 s a clip;"
        " 85% takes 255 clips a shard, these have 180",
        "msp: extraction was 95% of the time of its jobs (1), 5.0 s a job to start, 0.950 s a clip;"
        " 85% takes 30 clips a shard, these have 100",
    ]


def test_a_shard_of_the_least_size_has_the_share_and_one_clip_less_has_not(tmp_path):
    write_job(tmp_path, "ie/0-of-1", 31.0, 20.0, 77)
    times = read_shard_times(tmp_path)
    n = least_clips(times, share=0.9)
    shares = [clips * 20 / 77 / (clips * 20 / 77 + 11) for clips in (n - 1, n)]
    assert shares[0] < 0.9 <= shares[1]


def test_what_is_left_out(tmp_path):
    old = write_job(tmp_path, "ie/0-of-3", 50.0, 40.0, 180)
    os.utime(old, (1000.0, 1000.0))
    write_job(tmp_path, "ie/1-of-3", 50.0, 40.0, 180).write_text("is finished; delete it\n")
    write_job(tmp_path, "ie/2-of-3", 50.0, 40.0, 180)
    (tmp_path / "bench_logs/extract/ie/2-of-3.tsv").unlink()
    assert [t.shard for t in read_shard_times(tmp_path)] == ["0-of-3"]
    assert read_shard_times(tmp_path, since_s=2000.0) == []
    assert describe_shard_times([]) == []


def test_it_reads_what_an_extraction_prints(tmp_path):
    """The line of the log is that of `Stages`; a change of it must not go by unseen."""
    log = write_job(tmp_path, "ie/0-of-1", 50.0, 40.0, 180)
    stages = Stages()
    stages.n_clips = 7
    log.write_text(f"something\n{stages.text()}\n")
    [time] = read_shard_times(tmp_path)
    assert time.n_clips == 7
    assert time.extraction_s < 1
