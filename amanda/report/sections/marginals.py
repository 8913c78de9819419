"""How often each class is predicted, beside how often it is true."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from amanda.records import LAST
from amanda.report.markup import Cell, Row, Text, note, paragraphs, table
from amanda.report.registry import Pair, bounds_last, section
from amanda.result_schema import MethodResult, SplitInfo

N_SHADES = 4
"""Shades of a bar in `style.css`."""


@section("marginals", "Label marginals", scope="pair", order=78)
def marginals(pair: Pair) -> Markup:
    """Class shares among source labels, target labels and each method's predictions."""
    names = pair.file.label_names
    known: list[Row] = [
        _row("Source train, true", _shares(pair.file.features.source.splits["train"]), names)
    ]
    test = pair.file.features.target.splits["test"]
    if pair.labelled:
        known.append(_row("Target test, true", _shares(test), names))
    predicted = [
        _row(method.label, _predicted(method, names), names) for method in bounds_last(pair)
    ]
    caption = Markup(
        "<b>{}: share of each class</b>, percent; predictions at the last epoch, mean over {} runs."
    ).format(pair.title, pair.n_runs)
    key = Markup("").join(
        Markup('<span><i class="s{}"></i>{}</span>').format(number % N_SHADES, name)
        for number, name in enumerate(names)
    )
    head: Row = [
        "",
        *names,
        Cell(Markup('<span class="barhead">{}</span>').format(key), css="barcell"),
    ]
    return Markup("{}{}{}").format(
        paragraphs(
            "Label alignment draws the predictions on the target towards the source’s class "
            "shares. That helps where the two corpora have the same shares, and hurts where they "
            "do not."
        ),
        table(caption, [head], known, groups=[("Predicted on the target’s test split", predicted)]),
        "" if pair.labelled else note("The target’s own shares are not known: it has no labels."),
    )


def _shares(split: SplitInfo) -> dict[str, float | None]:
    labelled = split.n - split.unlabelled
    return {name: count / labelled if labelled else None for name, count in split.classes.items()}


def _predicted(method: MethodResult, names: Sequence[str]) -> dict[str, float | None]:
    out: dict[str, float | None] = {}
    for name in names:
        found = [run.selections[LAST].label_marginals.predicted.get(name) for run in method.runs]
        known = [value for value in found if value is not None]
        out[name] = float(np.mean(known)) if known else None
    return out


def _row(title: str, shares: Mapping[str, float | None], names: Sequence[str]) -> Row:
    cells: list[Text | Cell] = [title]
    cells += [f"{100 * share:.0f}" if (share := shares.get(n)) is not None else "–" for n in names]
    segments = Markup("").join(
        Markup('<i class="s{}" style="flex:{}"></i>').format(
            number % N_SHADES, f"{shares.get(n) or 0:.4f}"
        )
        for number, n in enumerate(names)
    )
    bar = Markup('<span class="bar" role="presentation">{}</span>').format(segments)
    return [*cells, Cell(bar, css="barcell")]
