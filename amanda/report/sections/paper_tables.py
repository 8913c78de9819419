"""The paper's tables with ours beside them: a section a table."""

from collections.abc import Sequence

from markupsafe import Markup

from amanda.experiments_files import Named, TableCell, TableFile, by_place
from amanda.paper_tables import CONSTANT_IN_SWEEP, SWEEP_PAIRS
from amanda.records import LAST, ORACLE
from amanda.report.choices import quality_table
from amanda.report.markup import Cell, Row, Text, code, details, note, small, table
from amanda.report.paper import UNLIKE_SHORT, PaperPage
from amanda.report.registry import section
from amanda.result_schema import Score
from amanda.scoring import selection_order
from amanda.store.names import split_pair
from amanda.validators import VALIDATORS

WORSE, CLEARLY_WORSE = "▽", "▼"


@section("paper-table1", "Table 1: methods", scope="paper", order=10)
def table1(page: PaperPage) -> Markup | str:
    """F1 of the compared approaches."""
    return _comparison(page, "table1")


@section("paper-table3", "Table 3: methods, all surrogates", scope="paper", order=20)
def table3(page: PaperPage) -> Markup | str:
    """Table 1 with A-N (p=3) and A-L (t=0.5); and what each choice of an epoch gives."""
    return _comparison(page, "table3", selections=True)


@section("paper-table2", "Table 2: trained on the corpus itself", scope="paper", order=30)
def table2(page: PaperPage) -> Markup | str:
    """F1 and accuracy of supervised training, a row a corpus."""
    found = page.table("table2")
    if found is None:
        return ""
    cells = {cell.column: cell for cell in found.cells}
    theirs = _theirs(found)
    rows: list[Row] = []
    for column in found.columns:
        cell = cells.get(column.key)
        paper = found.paper.get("supervised", {}).get(column.key)
        rows.append(
            [
                column.label,
                Cell(_percent(paper), css=theirs),
                _ours(cell),
                Cell(_percent(found.paper_accuracy.get(column.key)), css=theirs),
                _score(cell.scores[LAST].get("accuracy")) if cell else Cell("–", css="muted"),
                Cell(" → ".join(split_pair(cell.pair)) if cell else "", css="text muted"),
            ]
        )
    head: list[Row] = [
        [
            "",
            Cell("Weighted F1", css="theirs", span=2),
            Cell("Accuracy", css="theirs", span=2),
            "",
        ],
        [
            "Corpus",
            Cell("paper", css="theirs"),
            "ours",
            Cell("paper", css="theirs"),
            "ours",
            Cell("trained as", css="text"),
        ],
    ]
    caption = _caption("Table 2", found, "An upper bound: trained on target labels.")
    return Markup("").join([table(caption, head, rows), _under(page, found)])


def _sweep_section(number: int, pair: str) -> None:
    source, target = split_pair(pair)

    @section(
        f"paper-table{number}",
        f"Table {number}: weights α2, {source} → {target}",
        scope="paper",
        order=40 + number,
    )
    def sweep(page: PaperPage) -> Markup | str:
        found = page.table(f"sweep_{pair}")
        return "" if found is None else _sweep(page, found, f"Table {number}")


for _name, _pair in SWEEP_PAIRS.items():
    _sweep_section(int(_name.removeprefix("table")), _pair)


@section("paper-sweeps", "Weights α2 on other pairs", scope="paper", order=48)
def other_sweeps(page: PaperPage) -> Markup | str:
    """Sweeps that the paper has not."""
    names = [f"sweep_{pair}" for pair in SWEEP_PAIRS.values()]
    others = [
        found
        for name in page.tables
        if name.startswith("sweep_") and name not in names and (found := page.table(name))
    ]
    return Markup("").join(_sweep(page, found, f"α2, {found.pair}") for found in others)


@section("paper-ablation", "Ablations", scope="paper", order=50)
def ablation(page: PaperPage) -> Markup | str:
    """What each part of the method gives; the paper has some of its rows."""
    return _comparison(page, "ablation", title="Ablations")


def _comparison(
    page: PaperPage, name: str, *, selections: bool = False, title: str = ""
) -> Markup | str:
    """Rows are methods, columns pairs, each of paper and ours."""
    found = page.table(name)
    if found is None:
        return ""
    cells = by_place(found)
    variants = list(dict.fromkeys(cell.variant for cell in found.cells))
    theirs = _theirs(found)
    span = 1 + len(variants)
    ours = ["ours" if variant == variants[0] else variant for variant in variants]
    of_pair: list[Text | Cell] = [Cell("paper", css="theirs"), *ours]
    head: list[Row] = [
        ["", *(Cell(_arrow(column), css="theirs", span=span) for column in found.columns)],
        ["Method", *(of_pair * len(found.columns))],
    ]
    rows: list[Row] = []
    for row in found.rows:
        line: list[Text | Cell] = [row.label]
        for column in found.columns:
            line.append(Cell(_percent(found.paper.get(row.key, {}).get(column.key)), css=theirs))
            line += [_ours(cells.get((row.key, column.key, variant))) for variant in variants]
        rows.append(line)
    more = ""
    if len(variants) > 1:
        more = f" {variants[1]}: the released code’s equations where they differ from the paper’s."
    caption = _caption(title or name.replace("table", "Table "), found, more.strip())
    parts: list[Text] = [table(caption, head, rows, css="dense"), _under(page, found)]
    if selections:
        parts.append(_selections(found, variants[0]))
    return Markup("").join(parts)


def _sweep(page: PaperPage, found: TableFile, title: str) -> Markup:
    """Rows are weights, columns methods: turned round from the paper's, to fit a page."""
    cells, theirs = by_place(found), _theirs(found)
    variant = found.cells[0].variant
    head: list[Row] = [
        ["", *(Cell(row.label, css="theirs", span=2) for row in found.rows)],
        [
            "α2",
            *(each for _ in found.rows for each in (Cell("paper", css="theirs"), "ours")),
        ],
    ]
    rows: list[Row] = []
    for column in found.columns:
        line: list[Text | Cell] = [column.label]
        for row in found.rows:
            line.append(Cell(_percent(found.paper.get(row.key, {}).get(column.key)), css=theirs))
            constant = row.key in CONSTANT_IN_SWEEP
            line.append(_ours(cells.get((row.key, "" if constant else column.key, variant))))
        rows.append(line)
    caption = _caption(
        title, found, "D.T. and A. w/o CA do not depend on α2: one training each, repeated."
    )
    return Markup("").join([table(caption, head, rows, css="dense tight"), _under(page, found)])


def _caption(title: str, found: TableFile, more: str = "") -> Markup:
    several = any(len(cell.seeds) > 1 for cell in found.cells)
    spread = ", mean and below it the sample standard deviation" if several else ""
    return Markup("<b>{}. {}.</b> Weighted F1, percent, last epoch{}. {} {}").format(
        title, found.title, spread, found.budget.sentence, more
    )


def _under(page: PaperPage, found: TableFile) -> Markup:
    """Why figures differ, what marks mean, what was not trained, and the command."""
    parts: list[Text] = []
    if found.corpora == "stand-in":
        parts.append(Markup('<p class="unlike">{}</p>').format(UNLIKE_SHORT))
    else:
        parts.append(note(_departures(found)))
    below = [cell for cell in found.cells if _is_negative(cell)]
    if below:
        parts.append(
            note(
                f"{WORSE} negative transfer: below direct transfer with the same inputs and seeds; "
                f"{CLEARLY_WORSE} by more than the 95% interval of the difference (speakers and "
                "runs resampled; not corrected for several methods)."
            )
        )
    missing = _missing(found)
    if missing:
        parts.append(note(f"–: not trained in this budget ({missing})."))
    warnings = {warning for cell in found.cells for warning in cell.warnings}
    if warnings:
        parts.append(
            details(
                f"{len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'} of trainings",
                Markup("").join(note(text) for text in sorted(warnings)),
            )
        )
    if page.command:
        parts.append(code(page.command_for(found.name)))
    return Markup("").join(parts)


def _departures(found: TableFile) -> str:
    """How our trainings differ from the paper's, as far as settings say it."""
    listed = dict.fromkeys(
        f"{name} {value}" for cell in found.cells for name, value in cell.departures.items()
    )
    named = ", ".join(listed) if listed else "none among the settings"
    return (
        f"How ours differ from the paper’s: {named}. The corpora’s splits and the models that made "
        "the features stand in each result file; the paper does not give them all."
    )


def _missing(found: TableFile) -> str:
    have = {(cell.row, cell.column) for cell in found.cells}
    rows = {row for row, _ in have}
    columns = {column for _, column in have if column}
    of_rows = [row.label for row in found.rows if row.key not in rows]
    of_columns = [_arrow(column) for column in found.columns if column.key not in columns]
    listed = [*of_rows, *(f"α2 {c}" if found.pair else c for c in of_columns)]
    return ", ".join(listed)


def _selections(found: TableFile, variant: str) -> Markup:
    """What validators and the oracle would have chosen, a table a pair."""
    blocks: list[Markup | str] = []
    for column in found.columns:
        cells = [c for c in found.cells if c.column == column.key and c.variant == variant]
        if not cells:
            continue
        names = selection_order(list({s: None for c in cells for s in c.scores}))
        rules = [name for name in names if name not in (LAST, ORACLE)]
        head: list[Row] = [
            [
                "",
                "Headline",
                Cell("Validators, no target label", span=len(rules)),
                Cell("Upper bound", css="apart"),
            ],
            [
                "Method",
                "Last epoch",
                *(VALIDATORS[n].title if n in VALIDATORS else n for n in rules),
                Cell("Oracle", css="apart"),
            ],
        ]
        labels = {row.key: row.label for row in found.rows}
        rows: list[Row] = [
            [
                labels[cell.row],
                *(_score(cell.scores.get(name, {}).get("weighted_f1")) for name in (LAST, *rules)),
                Cell(_mean(cell.scores.get(ORACLE, {}).get("weighted_f1")), css="apart"),
            ]
            for cell in cells
        ]
        caption = Markup(
            "<b>{}: by the rule that chose the epoch.</b> {} The oracle looks at the test labels."
        ).format(_arrow(column), found.budget.sentence)
        blocks.append(table(caption, head, rows, css="dense"))
        quality = {name: [q for c in cells for q in c.quality.get(name, [])] for name in names}
        blocks.append(
            quality_table(
                Markup(
                    "<b>{}: what each rule’s choice was worth</b>, mean over methods and runs."
                ).format(_arrow(column)),
                quality,
            )
        )
    return details("What each choice of an epoch would have given", Markup("").join(blocks))


def _ours(cell: TableCell | None) -> Text | Cell:
    if cell is None:
        return Cell("–", css="muted")
    score = cell.scores[LAST]["weighted_f1"]
    mark = ""
    if _is_negative(cell):
        assert cell.difference is not None
        high = cell.difference.high
        mark = CLEARLY_WORSE if high is not None and high < 0 else WORSE
    shown = _score(score, mark)
    return shown


def _score(score: Score | None, mark: str = "") -> Text | Cell:
    if score is None or score.mean is None:
        return Cell("–", css="muted")
    spread = small(f"± {100 * score.std:.1f}") if score.std is not None else Markup("")
    text = Markup("{}{}{}").format(mark and f"{mark} ", _mean(score), spread)
    return Cell(text, css="negative" if mark else "")


def _mean(score: Score | None) -> str:
    return "–" if score is None else _percent(score.mean)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _is_negative(cell: TableCell) -> bool:
    estimate = cell.difference.estimate if cell.difference else None
    supervised = any(use.startswith("supervised") for use in cell.target_labels_used)
    return estimate is not None and round(100 * estimate, 1) < 0 and not supervised


def _theirs(found: TableFile) -> str:
    return "theirs greyed" if found.corpora == "stand-in" else "theirs"


def _arrow(column: Named) -> str:
    parts: Sequence[str] = column.key.split("2")
    return (
        " → ".join(parts)
        if len(parts) == 2 and all(p.isidentifier() for p in parts)
        else (column.label)
    )
