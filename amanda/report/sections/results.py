"""The results table of a pair, every run's value, and the differences from the baselines."""

import math

from markupsafe import Markup

from amanda.intervals import Interval
from amanda.records import LAST
from amanda.report.differences import (
    FEW_SPEAKERS,
    difference,
    find_baseline,
    is_direct_transfer,
    is_plain_sum,
)
from amanda.report.markup import Cell, Row, Text, figure, note, paragraphs, percent, small, table
from amanda.report.plots import Dots, dots
from amanda.report.registry import Pair, bounds_last, by_standing, is_upper_bound, section
from amanda.result_schema import MethodResult
from amanda.result_text import percent as score_text
from amanda.result_text import shared_settings

METRICS = {"weighted_f1": "Weighted F1", "uar": "UAR", "macro_f1": "Macro F1"}
Differences = dict[str, Interval | None]


@section("results", "Results", scope="pair", order=20)
def results(pair: Pair) -> Markup:
    """Scores at the last epoch; a sentence where the target has no labels."""
    if not pair.labelled:
        return paragraphs(
            f"{pair.file.target} has no labels in its test split, so there is nothing to score. "
            f"Each method’s class probabilities are in {pair.result.predictions_path.name}; how "
            "often each class is predicted stands below."
        )
    transfer = {
        m.run_id: difference(pair, m, find_baseline(pair, m, is_direct_transfer))
        for m in pair.file.methods
    }
    balance = {
        m.run_id: difference(pair, m, find_baseline(pair, m, is_plain_sum))
        for m in pair.file.methods
        if m.method == "amanda"
    }
    columns: list[tuple[str, Differences]] = [("Δ to D.T.", transfer)]
    balancing = ""
    if any(balance.values()):
        columns.append(("Δ to A-N (p=1)", balance))
        balancing = "; to A-N (p=1), which adds up the alignment losses, what balancing gains"
    rows, groups = by_standing(pair, lambda method: _row(method, [d for _, d in columns]))
    caption = Markup(
        "<b>{}, last epoch</b>, percent: mean ± sample standard deviation over {} runs, each run’s "
        "value below in the order of the seeds. UAR: mean of the classes’ recalls. Δ: difference "
        "of weighted F1, in points, with its 95% interval: to direct transfer, what adapting "
        "gains{}."
    ).format(pair.title, pair.n_runs, balancing)
    head: Row = ["Method", *METRICS.values(), *(title for title, _ in columns)]
    return Markup("").join(
        [
            figure(
                "Weighted F1 of each run (rings) and their mean (bar). Grey: trained with target "
                "labels, an upper bound.",
                [_dots(pair)],
                css="single",
            ),
            table(caption, [head], rows, groups=groups),
            _notes(pair, [d for _, d in columns]),
        ]
    )


def _row(method: MethodResult, differences: list[Differences]) -> Row:
    cells: list[Text | Cell] = [method.label]
    for metric in METRICS:
        score = method.aggregate[LAST][metric]
        runs = " · ".join(percent(value) for value in score.values)
        several = Markup("{}{}").format(score_text(score), small(runs))
        cells.append(several if len(score.values) > 1 else score_text(score))
    adapts = not is_upper_bound(method)
    return [*cells, *(_difference_cell(d.get(method.run_id), adapts) for d in differences)]


def _difference_cell(interval: Interval | None, adapts: bool) -> Text | Cell:
    """A difference; marked where a method that adapts is worse for it."""
    if interval is None:
        return Cell("–", css="muted")
    limits = f"{_signed(interval.low)} to {_signed(interval.high)}"
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    shown = Markup("{}{}").format(_signed(interval.estimate), small(limits) if known else "")
    return Cell(shown, css="negative" if adapts and _is_negative(interval) else "")


def _is_negative(interval: Interval) -> bool:
    return round(100 * interval.estimate, 1) < 0


def _signed(value: float) -> str:
    """'+1.2', '−3.4', and '0.0' for what rounds to it."""
    points = round(100 * value, 1)
    return f"{points:+.1f}".replace("-", "−") if points else "0.0"


def _dots(pair: Pair) -> Markup:
    compared = [m for m in pair.file.methods if not is_upper_bound(m)]
    rows = [
        Dots(
            label=method.label,
            values=[100 * v for v in method.aggregate[LAST]["weighted_f1"].values if v is not None],
            apart=is_upper_bound(method),
        )
        for method in bounds_last(pair)
    ]
    means = [
        m.aggregate[LAST]["weighted_f1"].mean
        for m in compared
        if is_direct_transfer(m) and m.standardise == "none"
    ]
    reference = ("D.T.", 100 * means[0]) if means and means[0] is not None else None
    return dots(rows, x_label="Weighted F1 (%)", reference=reference)


def _notes(pair: Pair, differences: list[Differences]) -> Markup:
    known = [interval for each in differences for interval in each.values() if interval is not None]
    texts: list[Text] = []
    if known:
        texts.append(_how_intervals_are_made(known[0]))
        bounds = {m.run_id for m in pair.file.methods if is_upper_bound(m)}
        adapted = [d for run_id, d in differences[0].items() if d and run_id not in bounds]
        if any(_is_negative(interval) for interval in adapted):
            texts.append(
                "A difference to direct transfer below 0 (red) is negative transfer: adapting did "
                "worse than not adapting, with the same inputs. Where its interval reaches above "
                "0, chance may have made it."
            )
    elif not pair.last_predictions:
        texts.append(
            f"No differences: {pair.result.predictions_path.name} is not beside the result file."
        )
    if shared := shared_settings(pair.file.methods):
        texts.append(f"All methods: {shared}.")
    for method in pair.file.methods:
        texts += [f"{method.label}: {warning}" for warning in method.warnings]
    unpredicted = max(
        run.selections[LAST].n_unpredicted for m in pair.file.methods for run in m.runs
    )
    if unpredicted:
        texts.append(
            f"{unpredicted} test utterances had no usable modality and are left out of the scores."
        )
    return Markup("").join(note(text) for text in texts)


def _how_intervals_are_made(interval: Interval) -> str:
    n = interval.n_speakers
    if n < 2:
        return (
            "All test utterances are of one speaker, which says nothing about others: no intervals."
        )
    few = f" With {n} speakers they are a rough guide." if n < FEW_SPEAKERS else ""
    return (
        f"Intervals: percentile bootstrap, 2,000 resamples of the {n} test speakers (utterances "
        "whose speaker is unknown stand alone) and of the runs, the same draw for both methods; "
        f"not corrected for comparing several methods.{few}"
    )
