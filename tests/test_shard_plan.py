"""How many shards `amanda plan` proposes."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanda.store.errors import InputError
from extractors.shard_plan import MAX_SHARDS, STARTUP_S, plan_shards


def test_by_hand():
    """15,000 clips at 4 s are 60,000 s: 50 jobs of 20 minutes, each 30 s longer for its start."""
    plan = plan_shards(15_000, 4.0, minutes=20.0, n_jobs=16)
    assert plan.n_shards == 50
    assert plan.shard_minutes == pytest.approx(20.5)
    assert plan.efficiency == pytest.approx(1200 / 1230)
    assert plan.wall_hours == pytest.approx(4 * 1230 / 3600)
    assert "shards: 50" in plan.to_text().splitlines()


def test_a_million_clips_stay_plannable():
    assert plan_shards(1_000_000, 4.0).n_shards == MAX_SHARDS


def test_a_small_corpus_is_not_spread_over_jobs_that_only_start():
    assert plan_shards(360, 0.3, n_jobs=64).n_shards == 1
    assert plan_shards(3600, 1.0, n_jobs=64, minutes=20.0).n_shards == 20  # 3 minutes each


@given(
    n_clips=st.integers(1, 2_000_000),
    seconds=st.floats(1e-3, 1e3),
    minutes=st.floats(1, 600),
    jobs=st.integers(1, 1000),
)
def test_what_always_holds(n_clips, seconds, minutes, jobs):
    plan = plan_shards(n_clips, seconds, minutes=minutes, n_jobs=jobs)
    assert 1 <= plan.n_shards <= min(MAX_SHARDS, n_clips)
    assert 0 < plan.efficiency < 1
    if plan.n_shards not in (MAX_SHARDS, n_clips):
        assert plan.shard_minutes <= minutes + STARTUP_S / 60 + 1e-6
    more = plan_shards(n_clips, 2 * seconds, minutes=minutes, n_jobs=jobs)
    assert more.n_shards >= plan.n_shards


@pytest.mark.parametrize("wrong", [{"minutes": 0.0}, {"n_jobs": 0}, {"seconds_a_clip": -1.0}])
def test_numbers_that_mean_nothing(wrong):
    arguments = {"n_clips": 10, "seconds_a_clip": 1.0} | wrong
    with pytest.raises(InputError, match="must be above 0"):
        plan_shards(**arguments)


def test_command(tmp_path):
    rows = "".join(f"u{i},{i}.wav\n" for i in range(5000))
    (tmp_path / "big.csv").write_text("id,path\n" + rows)
    command = [sys.executable, "-m", "amanda.cli", "plan", "--manifest", tmp_path / "big.csv"]
    flags = ["--seconds-a-clip", "2", "--minutes", "10", "--json"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["n_shards"] == 17
