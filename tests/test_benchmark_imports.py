"""What benchmarks import exists: they run for minutes before some of it is used."""

import ast
import importlib
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))
OURS = {"amanda", "benchmarks", "corpora", "extractors"}


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_imported_names_exist(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        if node.module.partition(".")[0] in OURS:
            module = importlib.import_module(node.module)
            for each in node.names:
                found = hasattr(module, each.name)
                if not found:  # a module of the package
                    importlib.import_module(f"{node.module}.{each.name}")
