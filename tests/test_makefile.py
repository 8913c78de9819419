"""`make setup` on a machine with Python and a package index, and what the other targets call."""

import os
import shutil
import subprocess
import time

import pytest
from workflow_runs import ROOT

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "small"
version = "1"
requires-python = ">=3.11"

[tool.setuptools]
py-modules = []
"""


def make(folder, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path):
    """This Makefile over a project of one small package."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "requirements.txt").write_text("einops==0.8.2\n")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("with_uv", [True, False])
def test_setup_builds_once_and_again_when_something_changed(project, with_uv):
    if with_uv and not shutil.which("uv"):
        pytest.skip("no uv on this machine")
    variables = {} if with_uv else {"PATH": f"{only(project, 'python3.11', 'make')}:/usr/bin:/bin"}
    first = make(project, "setup", **variables)
    if "error sending request" in first.stdout or "Connection" in first.stdout:
        pytest.skip("no package index can be reached")
    assert first.returncode == 0, first.stdout
    code = "import einops; print(einops.__version__)"
    python = project / ".venv/bin/python"
    assert subprocess.check_output([python, "-c", code], text=True) == "0.8.2\n"

    started_s = time.monotonic()
    again = make(project, "setup", **variables)
    assert again.returncode == 0
    assert time.monotonic() - started_s < 2
    assert "Installing" not in again.stdout

    (project / "requirements.txt").write_text("einops==0.8.1\n")
    assert make(project, "setup", **variables).returncode == 0
    assert subprocess.check_output([python, "-c", code], text=True) == "0.8.1\n"

    python.unlink()  # as when the Python that .venv was made with is removed
    assert make(project, "setup", **variables).returncode == 0
    assert subprocess.check_output([python, "-c", code], text=True) == "0.8.1\n"


def only(folder, *programs: str) -> str:
    """A folder that holds links to these programs alone."""
    links = folder / "programs"
    links.mkdir()
    for name in programs:
        if found := shutil.which(name):
            (links / name).symlink_to(found)
    return str(links)


def test_a_python_that_cannot_be_used_is_named(project):
    done = make(project, "setup", "PYTHON=/nonexistent/python")
    assert done.returncode != 0
    assert (
        "Error: '/nonexistent/python' is not Python 3.11 to 3.13; say where one is" in done.stdout
    )
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("target", "called"),
    [
        ("test", [".venv/bin/python -m pytest"]),
        ("check", ["ruff check", "ruff format --check", "mypy", "snakefmt --check", "--lint"]),
        ("demo", ["snakemake --cores 8", "results/ie2msp.json results/report.html"]),
        ("bench", ["features/ie.h5 features/msp.h5", "benchmarks.learnable_gap"]),
    ],
)
def test_each_target_sets_up_first(project, target, called):
    planned = make(project, "--dry-run", target).stdout
    assert "pip install" in planned
    for words in called:
        assert words in planned.split("pip install", 1)[1]


def test_requirements_name_no_host_and_pin_everything():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert len(lines) > 50
    for line in lines:
        assert "==" in line, line
        assert "://" not in line, line
