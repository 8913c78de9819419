"""The code blocks of the documentation, and what a command line in them must fit."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from amanda.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])
PROGRAMS = ("amanda", "snakemake", "make", "python", "pip", "sbatch", "docker", "git", "export")
REASONS = (
    "needs licensed data",
    "needs a model hub",
    "needs a cluster",
    "needs a GPU",
    "is the set-up",
    "takes minutes to days",
)
"""Why a block is shown and not run: `<!-- not run: REASON -->` in the line above it."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        page: relative to the repository.
        line: of its fence, from 1.
        mark: the reason why it is not run; None where none is given.
    """

    page: str
    line: int
    language: str
    code: str
    mark: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    """All of every page, but for Sphinx's own directives."""
    fenced = re.compile(
        r"^(?:[ ]*<!-- not run: (?P<mark>[^\n]*?) -->\n)?"
        r"(?P<indent>[ ]*)```(?P<language>[^\n`]*)\n(?P<code>.*?)^[ ]*```[ ]*$",
        re.M | re.S,
    )
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in fenced.finditer(text):
            if not found["language"].startswith("{"):
                yield Block(
                    page=page.relative_to(ROOT).as_posix(),
                    line=text.count("\n", 0, found.start("indent")) + 1,
                    language=found["language"].strip(),
                    code=re.sub(rf"^{found['indent']}", "", found["code"], flags=re.M),
                    mark=found["mark"],
                )


def command_lines(code: str) -> list[str]:
    """The lines of a shell script, continued ones joined; what is fed to a command is left out."""
    fed = re.sub(r"<<'?(\w+)'?.*?^\1$", "", code, flags=re.M | re.S)
    joined = fed.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


def program(line: str) -> str:
    """What a line calls, without the folder of the environment."""
    return line.split()[0].rpartition("/")[2]


def inline_commands() -> Iterator[tuple[str, str]]:
    """(page, command) of `amanda ...` in sentences."""
    for page in PAGES:
        text = re.sub(
            r"^[ ]*```.*?^[ ]*```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S
        )
        for found in re.findall(r"(?<!`)`(?:\.venv/bin/)?amanda (-?[a-z][^`]*)`(?!`)", text):
            yield page.relative_to(ROOT).as_posix(), " ".join(found.split())


def words(line: str) -> list[str]:
    """As the shell splits them; without comments, and without what only the shell knows."""
    try:
        split = shlex.split(line, comments=True)
    except ValueError:  # the end of a script within quotes
        split = shlex.split(line.rstrip("'\""), comments=True)
    return [word for word in split if not re.fullmatch(r"\$\w+", word)]


def check_amanda(arguments: list[str], *, whole: bool) -> None:
    """Raise `AssertionError` where the command line would refuse these arguments.

    Args:
        whole: nothing is left out: options that are needed are there, and values are of their type.
    """
    command: Any = typer.main.get_command(app)
    said, rest = "amanda", list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in command.commands, f"`{said}` has no command '{name}'"
        command, said = command.commands[name], f"{said} {name}"
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    known |= {"-h", "--help"}
    for word in rest:
        flag = word.partition("=")[0]
        if flag.startswith("--"):
            assert flag in known, (
                f"`{said}` has no option {flag}; it has {', '.join(sorted(known))}"
            )
    if whole and "--help" not in rest and not hasattr(command, "commands"):
        try:
            command.make_context(said, list(rest))
        except Exception as error:
            told = getattr(error, "format_message", lambda: repr(error))()
            raise AssertionError(f"`{said} {' '.join(rest)}`: {told}") from error


def check_benchmark(arguments: list[str]) -> None:
    """Raise `AssertionError` where there is no such benchmark, or not these options of it."""
    assert arguments[0] == "-m", "only benchmarks are called through python"
    found = importlib.util.find_spec(arguments[1])
    assert found is not None, f"no module {arguments[1]}"
    source = Path(found.origin or "").read_text(encoding="utf-8")
    for word in arguments[2:]:
        assert not word.startswith("--") or f'"{word}"' in source, f"{arguments[1]} has no {word}"


def check_commands(code: str) -> None:
    """Raise `AssertionError` where a command of ours in a script does not exist."""
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for line in command_lines(code):
        called = program(line)
        arguments = words(line)[1:] if called in ("amanda", "python", "make") else []
        if called == "amanda":
            check_amanda(arguments, whole=True)
        elif called == "python" and arguments[:1] == ["-m"]:
            check_benchmark(arguments)
        elif called == "make":
            assert arguments[0] in targets, f"the Makefile has no {arguments[0]}"


def run(command: list[str], folder: Path) -> str:
    """What a command prints, which must end well."""
    here = Path(sys.executable).parent
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return done.stdout
