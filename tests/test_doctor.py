"""What a bug report needs, and nothing that identifies a person or a corpus."""

import json
import os
import subprocess
import sys
from pathlib import Path

from amanda.doctor import as_text, examine


def doctor(*arguments: str, **environment: str) -> str:
    """What `amanda doctor` prints."""
    command = [sys.executable, "-m", "amanda.cli", "doctor", *arguments]
    env = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    return done.stdout


def test_what_is_missing_comes_with_the_command_that_gets_it(tmp_path):
    said = doctor(XDG_CACHE_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "amanda weights fetch --profile embedded" in said
    assert "HF_HUB_OFFLINE=1" in said
    assert "torch 2." in said


def test_json_has_the_same(tmp_path):
    found = json.loads(doctor("--json", XDG_CACHE_HOME=str(tmp_path)))
    assert found["packages"]["amanda"]["numpy"]
    assert found["machine"]["cpus"] >= 1
    assert set(found["weights"]) >= {"embedded", "paper"}
    assert found["environment"]["XDG_CACHE_HOME"]


def test_the_home_folder_is_not_told(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.home() / "cache"))
    found = examine({"mine": {"w": f"in {Path.home()}/weights"}}, tmp_path / "not/made/yet")
    assert str(Path.home()) not in as_text(found)
    assert found["weights"] == {"mine": {"w": "in ~/weights"}}
    assert found["environment"]["XDG_CACHE_HOME"] == "~/cache"


def test_a_missing_package_is_named_with_its_extra():
    found = examine({}, None)
    found["packages"]["extract"] = {"av": "14.0", "timm": None}
    assert "missing: timm; get them: pip install 'amanda[extract]'" in as_text(found)


def test_a_gpu_that_was_given_and_does_not_work_is_told():
    found = examine({}, None)
    found["machine"] |= {"gpus": [], "allocated": "SLURM_JOB_GPUS=0"}
    assert "SLURM_JOB_GPUS=0 is set: a GPU was given, but CUDA does not work" in as_text(found)
