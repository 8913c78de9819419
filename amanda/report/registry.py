"""What a section of the report is, and how the page finds it.

A section is one function in a file of `amanda/report/sections/`, registered by name:

    @section("psi", "Weights ψ", scope="pair", order=40)
    def psi(pair: Pair) -> Markup: ...

It returns its HTML without a heading, or an empty string to be left out. Adding a section is adding
a file.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from amanda.predictions import Predictions, read_predictions
from amanda.records import LAST
from amanda.report.corpora import CorpusStatistics
from amanda.report.markup import Row
from amanda.result_schema import MethodResult, ResultFile
from amanda.results import Result

Scope = Literal["opening", "pair", "closing", "paper"]


@dataclass(frozen=True)
class Pair:
    """One result file, as a section of scope "pair" sees it."""

    result: Result

    @property
    def file(self) -> ResultFile:
        return self.result.file

    @property
    def name(self) -> str:
        return self.file.pair

    @property
    def title(self) -> str:
        return f"{self.file.source} → {self.file.target}"

    @property
    def standin(self) -> bool:
        return self.file.corpora == "stand-in"

    @property
    def labelled(self) -> bool:
        """Whether any test row of the target has a label."""
        test = self.file.features.target.splits["test"]
        return test.n > test.unlabelled

    @property
    def n_runs(self) -> str:
        """'3', or '1 to 3' when methods differ."""
        counts = sorted({len(method.runs) for method in self.file.methods})
        return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"

    @cached_property
    def last_predictions(self) -> dict[str, list[Predictions]]:
        """Predictions at the last epoch by run_id; empty when their file is not there."""
        blocks: dict[str, list[Predictions]] = {}
        if self.result.predictions_path.exists():
            for block in read_predictions(
                self.result.predictions_path, self.file.label_names, [LAST]
            ):
                blocks.setdefault(block.run_id, []).append(block)
        return blocks


@dataclass(frozen=True)
class Page:
    """Everything, as sections of scope "opening" and "closing" see it.

    Attributes:
        out: the page's own path, as the user gave it.
        feature_files: those that corpus statistics were read from.
        contact_sheets: folders whose pictures of people the user wants on the page.
    """

    pairs: tuple[Pair, ...]
    corpora: tuple[CorpusStatistics, ...]
    feature_files: tuple[Path, ...]
    out: Path
    contact_sheets: tuple[Path, ...] = ()

    @property
    def standin(self) -> bool:
        return any(pair.standin for pair in self.pairs)


@dataclass(frozen=True)
class Section:
    """A registered section."""

    name: str
    title: str
    scope: Scope
    order: int
    render: Callable[[Any], Markup | str]


SECTIONS: dict[str, Section] = {}
UPPER_BOUND = "Upper bound: trained with target labels"


def section(
    name: str, title: str, *, scope: Scope, order: int
) -> Callable[[Callable[[Any], Markup | str]], Callable[[Any], Markup | str]]:
    """Register a function that renders a `Pair` (scope "pair"), the `PaperPage` of the experiments
    (scope "paper") or the `Page`."""

    def register(render: Callable[[Any], Markup | str]) -> Callable[[Any], Markup | str]:
        if name in SECTIONS and SECTIONS[name].render.__module__ != render.__module__:
            raise ValueError(f"two sections are named '{name}'")
        SECTIONS[name] = Section(name, title, scope, order, render)
        return render

    return register


def load_sections(scope: Scope) -> list[Section]:
    """The sections of a scope, in order, found by importing every file of `sections/`."""
    from amanda.report import sections

    for module in pkgutil.iter_modules(sections.__path__):
        importlib.import_module(f"{sections.__name__}.{module.name}")
    found = [s for s in SECTIONS.values() if s.scope == scope]
    return sorted(found, key=lambda s: (s.order, s.name))


def by_standing(
    pair: Pair, row: Callable[[MethodResult], Row]
) -> tuple[list[Row], list[tuple[str, list[Row]]]]:
    """Rows of the methods that are compared, and apart from them a group of the upper bounds."""
    compared = [row(method) for method in pair.file.methods if not is_upper_bound(method)]
    bounds = [row(method) for method in pair.file.methods if is_upper_bound(method)]
    return compared, [(UPPER_BOUND, bounds)] if bounds else []


def bounds_last(pair: Pair) -> list[MethodResult]:
    """The methods of a pair, those that were trained with target labels after the others."""
    return sorted(pair.file.methods, key=is_upper_bound)


def is_upper_bound(method: MethodResult) -> bool:
    """Whether a method was trained with target labels, so that it bounds and does not compete."""
    return any(use.startswith(f"{method.method}:") for use in method.target_labels_used)
