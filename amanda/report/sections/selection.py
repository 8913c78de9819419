"""What each way of choosing an epoch would have given."""

from collections.abc import Sequence

from markupsafe import Markup

from amanda.records import LAST, ORACLE
from amanda.report.choices import quality_table
from amanda.report.glossary import explain_validators
from amanda.report.markup import Cell, Row, Text, note, paragraphs, small, table
from amanda.report.registry import Pair, by_standing, section
from amanda.result_schema import MethodResult
from amanda.result_text import percent
from amanda.scoring import selection_order
from amanda.validators import VALIDATORS


@section("selection", "Choosing the epoch", scope="pair", order=30)
def selection(pair: Pair) -> Markup:
    """Weighted F1 of each rule's choice, and the epochs chosen."""
    names = selection_order(list({s: None for m in pair.file.methods for s in m.aggregate}))
    rules = [name for name in names if name not in (LAST, ORACLE)]
    with_oracle = ORACLE in names and pair.labelled
    caption = (
        Markup(
            "<b>{}: weighted F1 on the target’s test split</b>, percent, by the rule that chose "
            "the epoch; below it the epochs, in the order of the seeds."
        )
        if pair.labelled
        else Markup("<b>{}: the epochs that each rule chose</b>, in the order of the seeds.")
    ).format(pair.title)
    head: list[Row] = [
        ["", "Headline", Cell("Validators, no target label", span=len(rules))],
        ["Method", "Last epoch", *(_title(name) for name in rules)],
    ]
    if with_oracle:
        head = [
            [*head[0], Cell("Upper bound", css="apart")],
            [*head[1], Cell("Oracle", css="apart")],
        ]
    columns = [LAST, *rules, *([ORACLE] if with_oracle else [])]
    rows, groups = by_standing(
        pair, lambda m: [m.label, *(_cell(m, name, pair.labelled) for name in columns)]
    )
    explain = note(
        "The oracle takes, for each run, the epoch with the best weighted F1 on the test labels "
        "themselves: no one who adapts to an unlabelled corpus could choose it."
    )
    quality = {
        name: [
            run.selection_quality[name]
            for method in pair.file.methods
            for run in method.runs
            if name in run.selection_quality
        ]
        for name in names
    }
    worth = Markup("<b>{}: what each rule’s choice was worth</b>, mean over methods and runs.")
    return Markup("{}{}{}{}").format(
        paragraphs(
            "Without target labels there is no obvious epoch to stop at, so the rule is part of "
            "the result. Validators read the source’s labelled val split or the target’s "
            "unlabelled val split, never its test split; the earliest best epoch is taken."
        ),
        table(caption, head, rows, css="dense", groups=groups),
        Markup("{}{}").format(
            explain if with_oracle else "", note(meanings) if (meanings := _meanings(rules)) else ""
        ),
        quality_table(worth.format(pair.title), quality),
    )


def _meanings(rules: Sequence[str]) -> str:
    said = explain_validators(rules)
    return f"Validators (↑ the highest is chosen, ↓ the lowest): {said}" if said else ""


def _title(name: str) -> Text:
    if name not in VALIDATORS:
        return name
    validator = VALIDATORS[name]
    arrow = "↑" if validator.direction == "max" else "↓"
    meaning = "higher" if validator.direction == "max" else "lower"
    return Markup('{} <abbr title="{} is better">{}</abbr>').format(validator.title, meaning, arrow)


def _cell(method: MethodResult, name: str, labelled: bool) -> Text | Cell:
    chosen = [run.selections[name] for run in method.runs if name in run.selections]
    css = "apart" if name == ORACLE else ""
    if not chosen:
        return Cell("–", css=f"muted {css}")
    epochs = " · ".join(str(each.epoch) for each in chosen)
    if not labelled:
        return Cell(epochs, css=css)
    score = percent(method.aggregate[name]["weighted_f1"])
    return Cell(Markup("{}{}").format(score, small(epochs)), css=css)
