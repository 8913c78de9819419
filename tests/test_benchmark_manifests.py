"""The benchmark of manifests prints what its last line says, on a small manifest."""

import json
import subprocess
import sys


def test_the_last_line_is_one_json_object() -> None:
    command = [sys.executable, "-m", "benchmarks.manifests", "--rows", "400"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    found = json.loads(last)
    assert found["rows"] == 400
    steps = ("read", "check", "split_paper", "split_speaker")
    assert sum(found[f"{step}_s"] for step in steps) == found["total_s"]
    assert found["imports_mb"] <= found["peak_mb"] < 1000
    assert lines[0].startswith("400 rows, ")
    assert [line.split()[0] for line in lines[1:6]] == [*steps, "baseline"]
