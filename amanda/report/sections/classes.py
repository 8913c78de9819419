"""F1 by class, and weighted F1 by branch."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from amanda.records import LAST
from amanda.report.markup import Cell, Row, Text, note, paragraphs, table
from amanda.report.registry import Pair, by_standing, section
from amanda.result_schema import BranchResult, MethodResult, Score
from amanda.result_text import percent
from amanda.store.names import JOINT


@section("classes", "F1 by class", scope="pair", order=70)
def classes(pair: Pair) -> Markup | str:
    """Per-class F1 of the joint branch at the last epoch."""
    if not pair.labelled:
        return ""
    names = pair.file.label_names
    shares = pair.file.methods[0].runs[0].selections[LAST].label_marginals.true
    head: Row = [
        "Method",
        *(
            Markup("{} <small>{}%</small>").format(n, f"{100 * (shares[n] or 0):.0f}")
            for n in names
        ),
    ]

    def row(method: MethodResult) -> Row:
        runs = [run.selections[LAST].per_class_f1 for run in method.runs]
        return [method.label, *(_over_runs([f1.get(name) for f1 in runs]) for name in names)]

    rows, groups = by_standing(pair, row)
    caption = Markup(
        "<b>{}: F1 of each class</b>, last epoch, percent, mean ± sample standard deviation over "
        "{} runs. Beside a class, its share of the test labels."
    ).format(pair.title, pair.n_runs)
    return table(caption, [head], rows, groups=groups)


@section("branches", "Scores by modality", scope="pair", order=75)
def branches(pair: Pair) -> Markup | str:
    """Weighted F1 of each modality's own classifier beside the joint one."""
    if not pair.labelled:
        return ""
    names = list({b: None for m in pair.file.methods for b in m.runs[0].selections[LAST].branches})
    head: Row = ["Method", *names, Cell(JOINT, css="ruled")]
    fewest: dict[str, int] = {}

    def row(method: MethodResult) -> Row:
        cells: list[Text | Cell] = [method.label]
        for name in names:
            found = [run.selections[LAST].branches.get(name) for run in method.runs]
            known: list[BranchResult] = [branch for branch in found if branch is not None]
            cells.append(_over_runs([branch.weighted_f1 for branch in known]))
            for branch in known:
                fewest[name] = min(fewest.get(name, branch.n), branch.n)
        return [*cells, Cell(percent(method.aggregate[LAST]["weighted_f1"]), css="ruled")]

    rows, groups = by_standing(pair, row)
    caption = Markup(
        "<b>{}: weighted F1 of each branch</b>, last epoch, percent, mean ± sample standard "
        "deviation over {} runs."
    ).format(pair.title, pair.n_runs)
    n_test = pair.file.features.target.splits["test"].n
    missing = [f"{name} {n_test - n}" for name, n in fewest.items() if n < n_test]
    return Markup("{}{}{}").format(
        paragraphs(
            "Every modality has a classifier of its own, trained beside the joint one; its score "
            "says what that modality alone carries over to the target."
        ),
        table(caption, [head], rows, groups=groups),
        note(
            f"A branch is scored on the test utterances that have its modality; missing: "
            f"{', '.join(missing)} of {n_test}."
        )
        if missing
        else "",
    )


def _over_runs(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return percent(
        Score(
            mean=float(np.mean(known)) if known else None,
            std=float(np.std(known, ddof=1)) if len(known) > 1 else None,
            values=list(values),
        )
    )
