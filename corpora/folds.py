"""Official folds that come apart from a corpus: lists of what is in train, val and test.

    folds/train.txt  folds/valid.txt  folds/test.txt    one id a line
    cmu_mosei_std_folds.py                              the file of CMU's SDK, in the root or folds/

The second is a program text with three lists of ids. It is parsed, never run.
"""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from amanda.store.errors import InputError
from corpora.tree import Tree

SDK_FILES = ("folds/cmu_mosei_std_folds.py", "cmu_mosei_std_folds.py")
LISTS = {
    "train": ("folds/train.txt",),
    "val": ("folds/valid.txt", "folds/val.txt", "folds/dev.txt"),
    "test": ("folds/test.txt",),
}
_SDK_LISTS = {
    "standard_train_fold": "train",
    "standard_valid_fold": "val",
    "standard_test_fold": "test",
}


def read_folds(tree: Tree) -> dict[str, str]:
    """The split of each id; {} where there are no folds.

    Raises:
        InputError: a list is missing or cannot be read, or an id is in two; the line is named.
    """
    sdk = tree.first_file(*SDK_FILES)
    lists = {split: tree.first_file(*names) for split, names in LISTS.items()}
    if not sdk and not any(lists.values()):
        return {}
    if not sdk and not all(lists.values()):
        split = next(split for split, file in lists.items() if not file)
        there = next(filter(None, lists.values()))
        raise InputError(f"{tree.root / there} is there, but not {LISTS[split][0]}; give all three")
    found: dict[str, tuple[str, str]] = {}
    for where, name, split in _sdk_ids(tree, sdk) if sdk else _listed_ids(tree, lists):
        if name in found and found[name][0] != split:
            raise InputError(
                f"{where}: '{name}' is in {split}, and in {found[name][0]} too ({found[name][1]}); "
                "an id belongs to one fold"
            )
        found.setdefault(name, (split, where))
    return {name: split for name, (split, _) in found.items()}


def _listed_ids(tree: Tree, lists: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """(where, id, split) of each line."""
    for split, file in lists.items():
        for number, line in tree.lines(file):
            if line.strip():
                yield f"{tree.root / file}, line {number}", line.strip(), split


def _sdk_ids(tree: Tree, file: str) -> Iterator[tuple[str, str, str]]:
    path = tree.root / file
    program = _parse(path, "\n".join(line for _, line in tree.lines(file)))
    missing = set(_SDK_LISTS)
    for statement in program.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name = statement.targets[0].id
        if name not in _SDK_LISTS:
            continue
        missing.discard(name)
        items = statement.value.elts if isinstance(statement.value, ast.List) else [statement.value]
        for item in items:
            where = f"{path}, line {item.lineno}"
            if not isinstance(item, ast.Constant) or not isinstance(item.value, str):
                raise InputError(f"{where}: {name} is not a list of ids in quotes")
            yield where, item.value, _SDK_LISTS[name]
    if missing:
        raise InputError(f"{path}: no list {min(missing)}; take the SDK's file as it is")


def _parse(path: Path, text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():  # of the parser, on what is odd in it
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else str(path)
        raise InputError(f"{where}: not Python, as the SDK's file of folds is") from error
