"""Which cell of which of the paper's tables a training answers, and what the paper has there.

`amanda/paper/tables.json` holds the paper's figures under its own names of corpora and methods;
`ROWS`, `CORPORA` and `PAIRS` here are the one place where they meet ours. Table 1 is Table 3 less
two rows; Figure 2 draws Tables 4 to 6, whose first two rows do not depend on α2.

A training belongs to a row by what it *is*: method, surrogate, α2, and no other change of the
equations or inputs. How long and on what batches it was trained does not move it to another row;
`departures` lists that, for whoever sets figures side by side. Fractions, not percent.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from amanda.settings import RunSettings
from amanda.store.names import MODALITIES, split_pair

CORPORA: Mapping[str, str] = MappingProxyType(
    {"ie": "iemocap", "msp": "msp", "meld": "meld", "mosei": "mosei"}
)
"""Our names of the paper's corpora, and the names in its tables."""

PAIRS = ("ie2msp", "ie2mosei", "meld2ie", "meld2msp", "mosei2ie", "mosei2msp", "msp2ie")
"""The columns of Tables 1 and 3, in their order."""

SWEEP_PAIRS: Mapping[str, str] = MappingProxyType(
    {"table4": "ie2msp", "table5": "mosei2ie", "table6": "meld2ie"}
)
"""The pair of each table of the sweep over α2."""

PAPER_ALPHA2 = 0.1
"""The α2 of Tables 1 and 3."""


@dataclass(frozen=True)
class Row:
    """A row of the paper's tables.

    Attributes:
        label: as the paper prints it.
        settings: what makes a training one of this row; in a sweep `alpha2` comes from the column.
    """

    label: str
    settings: Mapping[str, Any]


def _amanda(label: str, surrogate: str) -> Row:
    return Row(label, MappingProxyType({"method": "amanda", "surrogate": surrogate}))


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "supervised": Row("Supervised", MappingProxyType({"method": "supervised"})),
        "direct_transfer": Row("D.T.", MappingProxyType({"method": "direct_transfer"})),
        "dann": Row("DANN", MappingProxyType({"method": "dann"})),
        "cdan": Row("CDAN", MappingProxyType({"method": "cdan"})),
        "cdan_e": Row("CDAN+E", MappingProxyType({"method": "cdan_e"})),
        "mada": Row("MADA", MappingProxyType({"method": "mada"})),
        "amanda_without_ca": Row(
            "A. w/o CA", MappingProxyType({"method": "amanda", "alpha2": 0.0})
        ),
        "amanda_norm_p1": _amanda("A-N (p=1)", "norm:1"),
        "amanda_norm_p2": _amanda("A-N (p=2)", "norm:2"),
        "amanda_norm_p3": _amanda("A-N (p=3)", "norm:3"),
        "amanda_norm_inf": _amanda("A-N (p=∞)", "norm:inf"),
        "amanda_logexp_t0.5": _amanda("A-L (t=0.5)", "logexp:0.5"),
        "amanda_logexp_t1": _amanda("A-L (t=1)", "logexp:1"),
    }
)
"""Every row of the paper's tables by its key in `tables.json`, in the order of the tables."""

NOT_IN_TABLE_1 = ("amanda_norm_p3", "amanda_logexp_t0.5")
CONSTANT_IN_SWEEP = ("direct_transfer", "amanda_without_ca")

BUDGET = frozenset(
    {
        *("seeds", "epochs", "eval_every", "constant_share", "batch_size", "precision"),
        *("lr", "betas", "weight_decay", "clip", "split", "split_seed", "folds"),
        *("dim", "dropout", "head_dropout", "kernels", "channels"),
        *("adversary_hidden", "adversary_dropout", "adversary_lr_factor"),
    }
)
"""Settings that change how a row is trained and not which row it is."""

OF_AMANDA = frozenset({"surrogate", "surrogate_over", "alpha2"})
"""Settings that other methods do not read."""


@dataclass(frozen=True)
class PaperFigure:
    """One cell.

    Attributes:
        table: "table1" to "table6".
        row: key of `ROWS`.
        column: the pair ("ie2msp"), the corpus ("ie", Table 2) or α2 ("0.1", Tables 4 to 6).
        f1: weighted F1, a fraction; mean of 3 runs.
        accuracy: a fraction; None but in Table 2.
    """

    table: str
    row: str
    column: str
    f1: float
    accuracy: float | None = None


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables.

    Attributes:
        name: "table1" to "table6".
        title: in our words.
        rows: keys of `ROWS`, in order.
        columns: as `PaperFigure.column`, in order.
        pair: of a sweep; None where the columns are pairs or corpora.
        figures: (row, column) to the figure; every cell is there.
    """

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    pair: str | None
    figures: Mapping[tuple[str, str], PaperFigure]

    def settings_of(self, row: str, column: str) -> dict[str, Any]:
        """The settings that a training of this cell changes from the defaults."""
        settings = dict(ROWS[row].settings)
        if self.pair is not None and row not in CONSTANT_IN_SWEEP:
            settings["alpha2"] = float(column)
        return settings


def paper_tables() -> dict[str, PaperTable]:
    """Tables 1 to 6 by name ("table1", …)."""
    return dict(_tables())


def paper_figures(
    source: str, target: str, settings: RunSettings | Mapping[str, Any]
) -> list[PaperFigure]:
    """What the paper's tables have for a training, in the order of the tables.

    Args:
        source, target: our names of the corpora, as "ie".
        settings: of the training, or `config` of a method in a result file. Both variants of the
            equations answer to the same cells.

    Returns:
        One figure a cell: A-N (p=2) on ie2msp stands in Tables 1, 3 and 4. Rows that do not depend
        on α2 are given once a sweep, at its first column. Empty for anything the paper has not.
    """
    settings = _settings(settings)
    row = paper_row(settings)
    if row is None:
        return []
    pair, found = f"{source}2{target}", []
    for table in _tables().values():
        if row not in table.rows:
            continue
        if table.name == "table2":
            columns: tuple[str, ...] = (target,)
        elif table.pair is None:
            columns = (pair,) if _is_paper_weight(settings, row) else ()
        elif table.pair != pair:
            continue
        elif row in CONSTANT_IN_SWEEP:
            columns = table.columns[:1]
        else:
            columns = tuple(c for c in table.columns if math.isclose(float(c), settings.alpha2))
        found += [table.figures[row, c] for c in columns if (row, c) in table.figures]
    return found


def paper_row(settings: RunSettings | Mapping[str, Any]) -> str | None:
    """The row of the paper's tables that a training belongs to; None for a method of ours."""
    settings = _settings(settings)
    changed = set(settings.changed()) - BUDGET - {"method", "variant"}
    if set(settings.modalities.split(",")) == set(MODALITIES):
        changed -= {"modalities"}
    without_ca = settings.method == "amanda" and settings.alpha2 == 0
    if settings.method != "amanda" or without_ca:
        changed -= OF_AMANDA
    else:
        changed -= {"surrogate", "alpha2"}
    if changed:
        return None
    if without_ca:
        return "amanda_without_ca"
    for key, row in ROWS.items():
        if row.settings["method"] == settings.method and row.settings.get("alpha2") is None:
            surrogate = row.settings.get("surrogate")
            if surrogate is None or surrogate == settings.surrogate:
                return key
    return None


def departures(settings: RunSettings | Mapping[str, Any]) -> dict[str, Any]:
    """How a training differs from the paper's though it belongs to the same row: {setting: value}.

    For example {"epochs": 40, "batch_size": 32}. Splits of feature files are not seen here.
    """
    settings = _settings(settings)
    return {name: value for name, value in settings.changed().items() if name in BUDGET}


def paper_counts(corpus: str) -> dict[str, dict[str, int]]:
    """Table 7: class to split to utterances; {} for a corpus that is not the paper's."""
    counts: dict[str, dict[str, int]] = _stored()["table7_samples"].get(CORPORA.get(corpus), {})
    return {name: dict(by_split) for name, by_split in counts.items()}


def _settings(settings: RunSettings | Mapping[str, Any]) -> RunSettings:
    return settings if isinstance(settings, RunSettings) else RunSettings(**settings)


def _is_paper_weight(settings: RunSettings, row: str) -> bool:
    ours = ROWS[row].settings["method"] == "amanda" and row != "amanda_without_ca"
    return not ours or math.isclose(settings.alpha2, PAPER_ALPHA2)


@cache
def _stored() -> dict[str, Any]:
    text = (resources.files("amanda.paper") / "tables.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _tables() -> Mapping[str, PaperTable]:
    tables = [_comparison("table1", "Methods on seven pairs"), _supervised()]
    tables.append(_comparison("table3", "Methods on seven pairs, all surrogates"))
    tables += [_sweep(name, pair) for name, pair in SWEEP_PAIRS.items()]
    return MappingProxyType({table.name: table for table in tables})


def _comparison(name: str, title: str) -> PaperTable:
    stored = _stored()["table3_comparison"]
    of_pair = {_pair(pair): place for place, pair in enumerate(stored["pairs"])}
    left_out = NOT_IN_TABLE_1 if name == "table1" else ()
    rows = [key for key in ROWS if key in stored["f1"] and key not in left_out]
    values = {(r, pair): stored["f1"][r][of_pair[pair]] for r in rows for pair in PAIRS}
    return _table(name, title, rows, PAIRS, None, values)


def _supervised() -> PaperTable:
    stored = _stored()["table2_supervised"]
    columns = tuple(CORPORA)
    values = {("supervised", c): stored[CORPORA[c]]["f1"] for c in columns}
    accuracy = {("supervised", c): stored[CORPORA[c]]["accuracy"] for c in columns}
    title = "Trained on the corpus's own labels"
    return _table("table2", title, ["supervised"], columns, None, values, accuracy)


def _sweep(name: str, pair: str) -> PaperTable:
    source, target = (CORPORA[corpus] for corpus in split_pair(pair))
    sweep = _stored()["alpha2_sweep"]
    stored = sweep[f"{name}_{source}2{target}"]
    columns = tuple(f"{alpha2:g}" for alpha2 in sweep["alpha2"])
    rows = [key for key in ROWS if key in stored]
    values: dict[tuple[str, str], float] = {}
    for row in rows:
        each = stored[row] if isinstance(stored[row], list) else [stored[row]] * len(columns)
        values |= {(row, c): value for c, value in zip(columns, each, strict=True)}
    return _table(name, f"Weights α2 of the surrogate, {pair}", rows, columns, pair, values)


def _table(
    name: str,
    title: str,
    rows: list[str],
    columns: tuple[str, ...],
    pair: str | None,
    percent: Mapping[tuple[str, str], float],
    accuracy: Mapping[tuple[str, str], float] | None = None,
) -> PaperTable:
    figures = {}
    for (row, column), value in percent.items():
        right = (accuracy or {}).get((row, column))
        figures[row, column] = PaperFigure(
            table=name,
            row=row,
            column=column,
            f1=value / 100,
            accuracy=None if right is None else right / 100,
        )
    return PaperTable(name, title, tuple(rows), columns, pair, MappingProxyType(figures))


def _pair(name: str) -> str:
    """Our name of a pair of the tables: iemocap2msp is ie2msp."""
    ours = {theirs: corpus for corpus, theirs in CORPORA.items()}
    source, target = split_pair(name)
    return f"{ours[source]}2{ours[target]}"
