"""The paper's experiments as a plan: which trainings each table and figure needs.

A training that two tables share is one training, kept in one file; where they ask for different
numbers of seeds, the larger number is trained and the other table reads the first of them. Reading
a plan imports no torch: the workflow does it at every start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from amanda.config import TOP_LEVEL, Config
from amanda.experiments_budget import ABLATIONS, BUDGETS, Budget
from amanda.paper_tables import CONSTANT_IN_SWEEP, NOT_IN_TABLE_1, PAIRS, ROWS
from amanda.settings import RunSettings, parse_settings
from amanda.store.errors import InputError
from amanda.store.names import split_pair

SWEEP = "sweep_"
FIGURES = ("alpha2", "alignment_norm", "alignment_logexp", "psi", "representations", "confusion")
"""Kinds of figure; each is drawn of one pair."""
SHOWN = ("direct_transfer", "amanda_norm_p2")
"""Rows whose representations are drawn: before and after adaptation."""


@dataclass(frozen=True)
class Training:
    """One method on one pair, all its seeds: one file under results/runs/."""

    pair: str
    settings: RunSettings

    @property
    def result(self) -> str:
        return f"results/runs/{self.pair}/{self.settings.run_id}.json"

    @property
    def representations(self) -> str:
        return f"results/runs/{self.pair}/{self.settings.run_id}.representations.npz"


@dataclass(frozen=True)
class Cell:
    """A cell of a table and the training that fills it.

    Attributes:
        row: key of `ROWS` or `ABLATIONS`.
        column: a pair, a corpus (Table 2), or α2 (sweeps; "" for a row that does not depend on it).
    """

    row: str
    column: str
    training: Training

    def __str__(self) -> str:
        return self.filled_by(self.training.result)

    def filled_by(self, result: str) -> str:
        """As `amanda experiments table` reads it, where the result file is `result`."""
        return f"{self.row}@{self.column}={result}"


@dataclass(frozen=True)
class _Wish:
    """A cell before seeds are shared."""

    row: str
    column: str
    pair: str
    changes: Mapping[str, Any]
    seeds: int


class Experiments:
    """The plan that a config stands for.

    Attributes:
        budget: of the config, its `experiments.epochs` and `seeds` taken in.
        pairs: of Tables 1 and 3.
        sweeps, ablated: pairs of the sweeps and of the ablations.
        corpora: rows of Tables 2 and 7.
    """

    def __init__(self, config: Config):
        self.config = config
        asked = config.experiments
        budget = BUDGETS[config.budget]
        self.budget: Budget = replace(
            budget,
            epochs=asked.epochs or budget.epochs,
            seeds=asked.seeds or budget.seeds,
            sweep_seeds=min(asked.seeds or budget.sweep_seeds, budget.sweep_seeds),
        )
        self.pairs = asked.pairs or self._configured(budget.pairs)[: budget.n_pairs]
        sweepable = self._configured(budget.sweeps)
        self.sweeps = asked.sweeps or sweepable[: budget.n_sweeps]
        self.ablated = asked.ablation or sweepable[: budget.n_ablated]
        self.corpora = [
            name
            for name in config.corpora
            if budget.name != "smoke" or any(name in split_pair(pair) for pair in self.pairs)
        ]

    @property
    def tables(self) -> list[str]:
        """What the page shows, in its order."""
        sweeps = [SWEEP + pair for pair in self.sweeps]
        return ["table1", "table3", "table2", *sweeps, "ablation"]

    @property
    def figures(self) -> list[str]:
        """Stems of the figures, as alpha2_ie2msp; those of training on swept pairs."""
        return [f"{kind}_{pair}" for kind, pair in self._figures()]

    def _figures(self) -> list[tuple[str, str]]:
        norms, logexps = (
            any(ROWS[key].settings["surrogate"].startswith(kind) for key in self._surrogates())
            for kind in ("norm", "logexp")
        )
        kinds = [
            kind
            for kind in FIGURES
            if (kind != "alignment_norm" or norms) and (kind != "alignment_logexp" or logexps)
        ]
        return [(kind, pair) for kind in kinds for pair in self._drawn(kind)]

    def cells(self, table: str) -> list[Cell]:
        """The cells of "table1", "table2", "table3", "ablation" or "sweep_<pair>".

        Raises:
            InputError: no configured pair fits the table.
        """
        wishes = self._wishes(table)
        if not wishes:
            raise InputError(
                f"{table}: no pair of the paper is configured ({', '.join(self.budget.pairs)}); "
                "name pairs of your own under experiments"
            )
        return [Cell(wish.row, wish.column, self._training(wish)) for wish in wishes]

    def figure_trainings(self, kind: str, pair: str) -> list[Training]:
        """What a figure of trainings is drawn from, in the order of its panels."""
        if kind == "representations":
            rows = [row for row in SHOWN if row in self.budget.methods]
        elif kind == "confusion":
            rows = [row for row in self.budget.methods if row in (*SHOWN, "amanda_norm_p1")]
        else:
            wanted = {"alignment_norm": ("norm",), "alignment_logexp": ("logexp",)}
            begins = wanted.get(kind, ("norm", "logexp"))
            rows = [
                row
                for row in self._surrogates()
                if ROWS[row].settings["surrogate"].startswith(begins)
            ]
        return [self._training(wish) for wish in self._comparison(rows, [pair])]

    @cached_property
    def trainings(self) -> list[Training]:
        """Every training of the page, once."""
        found: dict[str, Training] = {}
        for table in self.tables:
            for wish in self._wishes(table):
                training = self._training(wish)
                found[training.result] = training
        for kind, pair in self._figures():
            if kind != "alpha2":
                for training in self.figure_trainings(kind, pair):
                    found[training.result] = training
        return list(found.values())

    @property
    def n_trainings(self) -> int:
        """Trainings counted by seed and fold."""
        return sum(t.settings.seeds * t.settings.n_folds for t in self.trainings)

    @cached_property
    def runs(self) -> dict[str, RunSettings]:
        """Settings by run id of everything that may be asked for, a sweep of any pair included."""
        found = {training.settings.run_id: training.settings for training in self.trainings}
        anywhere = self._sweep("a2b") + self._comparison(self.budget.methods, ["a2b"])
        for wish in anywhere:
            settings = self._settings(wish.changes, wish.seeds)
            found[settings.run_id] = settings
        return found

    # Wishes: the cells of each table

    def _wishes(self, table: str) -> list[_Wish]:
        if table == "table1":
            rows = [row for row in self.budget.methods if row not in NOT_IN_TABLE_1]
            return self._comparison(rows, self.pairs)
        if table == "table3":
            return self._comparison(self.budget.methods, self.pairs)
        if table == "table2":
            return self._supervised()
        if table == "ablation":
            return [
                _Wish(row, pair, pair, ABLATIONS[row].settings, self.budget.seeds)
                for row in self.budget.ablations
                for pair in self.ablated
            ]
        return self._sweep(table.removeprefix(SWEEP))

    def _comparison(self, rows: Iterable[str], pairs: Iterable[str]) -> list[_Wish]:
        variants = ["", "release"] if self.config.experiments.release else [""]
        return [
            _Wish(
                row,
                pair,
                pair,
                {**ROWS[row].settings, **({"variant": variant} if variant else {})},
                self.budget.seeds,
            )
            for variant in variants
            for row in rows
            for pair in pairs
        ]

    def _supervised(self) -> list[_Wish]:
        wishes = []
        for corpus in self.corpora:
            pair = self._pair_with_target(corpus)
            if pair:
                wishes.append(
                    _Wish(
                        "supervised", corpus, pair, ROWS["supervised"].settings, self.budget.seeds
                    )
                )
        return wishes

    def _sweep(self, pair: str) -> list[_Wish]:
        budget = self.budget
        wishes = [
            _Wish(row, "", pair, ROWS[row].settings, budget.sweep_seeds)
            for row in CONSTANT_IN_SWEEP
        ]
        return wishes + [
            _Wish(
                row,
                f"{alpha2:g}",
                pair,
                {**ROWS[row].settings, "alpha2": alpha2},
                budget.sweep_seeds,
            )
            for row in budget.surrogates
            for alpha2 in budget.alpha2
        ]

    # From wishes to trainings

    def _training(self, wish: _Wish) -> Training:
        base = self._settings(wish.changes, 1).run_id
        seeds = max(wish.seeds, self._seeds.get((wish.pair, base), 0))
        return Training(wish.pair, self._settings(wish.changes, seeds))

    @cached_property
    def _seeds(self) -> dict[tuple[str, str], int]:
        """How many seeds some table of the page wants of a pair's training."""
        most: dict[tuple[str, str], int] = {}
        for table in self.tables:
            for wish in self._wishes(table):
                key = wish.pair, self._settings(wish.changes, 1).run_id
                most[key] = max(wish.seeds, most.get(key, 0))
        return most

    def _settings(self, changes: Mapping[str, Any], seeds: int) -> RunSettings:
        key = tuple(sorted((name, str(value)) for name, value in changes.items())), seeds
        if key not in self._known:
            common = {name: getattr(self.config, name) for name in TOP_LEVEL} | self.config.train
            values = common | {"epochs": self.budget.epochs, "seeds": seeds} | dict(changes)
            self._known[key] = parse_settings(values, "experiments")
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[object, int], RunSettings]:
        return {}

    # Pairs

    def _configured(self, pairs: Iterable[str]) -> list[str]:
        return [p for p in pairs if all(name in self.config.corpora for name in split_pair(p))]

    def _pair_with_target(self, corpus: str) -> str:
        """The pair whose `supervised` run is the corpus's own; if it can, one trained anyway."""
        others = [f"{name}2{corpus}" for name in self.config.corpora if name != corpus]
        known = [*self.pairs, *self._configured(PAIRS), *others]
        return next((pair for pair in known if split_pair(pair)[1] == corpus), "")

    def _surrogates(self) -> list[str]:
        return [row for row in self.budget.methods if row.startswith("amanda_")]

    def _drawn(self, kind: str) -> list[str]:
        """Pairs that a kind of figure is drawn of."""
        if kind == "alpha2":
            return self.sweeps
        swept = [pair for pair in self.sweeps if pair in self.pairs]
        return swept or self.pairs[:1]
