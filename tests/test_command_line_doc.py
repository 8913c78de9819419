"""docs/command-line.md: every command is on it, and completion works as it says, in bash."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from amanda.cli import INTERRUPTED, app
from amanda.store.errors import AmandaError, InputError, TooManyFailedError

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "command-line.md").read_text("utf-8")


def command_names() -> set[str]:
    """As they are typed, those of groups with the group's name."""
    names = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands}
    for group in app.registered_groups:
        found = group.typer_instance.registered_commands
        names |= {f"{group.name} {command.name}" for command in found}
    return names


def test_the_table_has_every_command_once():
    table = PAGE.split("| Exit code")[0]
    shown = [
        name
        for row in re.findall(r"^\| (`.*?`) \|", table, re.M)
        for name in re.findall(r"`([a-z -]+)`", row)
    ]
    assert sorted(shown) == sorted(command_names())


def test_exit_codes():
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)}
    errors = (AmandaError, InputError, TooManyFailedError)
    assert codes == {0, INTERRUPTED, *(error.exit_code for error in errors)}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home folder where the page's command was given in bash."""
    home = tmp_path_factory.mktemp("home")
    (home / ".bashrc").write_text("export OF_MINE=kept\n")
    (install,) = re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    said = bash(home, install)
    assert "bash completion installed" in said
    return home


def bash(home: Path, script: str) -> str:
    """What bash prints, `home` being the home folder."""
    here = Path(sys.executable).parent
    path = f"{here}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "HOME": str(home), "PATH": path, "SHELL": "/bin/bash"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("wei", {"weights"}),
        ("weights f", {"fetch"}),
        ("train --stand", {"--standardise"}),
        ("predict --c", {"--clips", "--config", "--contact-sheets"}),
    ],
)
def test_completion(home, typed, completed):
    """A new shell completes what is typed."""
    words = ["amanda", *typed.split()]
    said = bash(
        home,
        f"source ~/.bashrc; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        '$(complete -p amanda | sed "s/.*-F \\([^ ]*\\).*/\\1/") amanda; '
        'echo "$OF_MINE ${COMPREPLY[@]}"',
    )
    kept, *found = said.split()
    assert kept == "kept"
    assert set(found) == completed
