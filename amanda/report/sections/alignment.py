"""Alignment losses by modality over training, as the paper's Figure 3 and unnormalised."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from amanda.report.markup import Cell, Row, Text, figure, note, paragraphs, table
from amanda.report.plots import curves
from amanda.report.registry import Pair, section
from amanda.result_schema import MethodResult
from amanda.store.names import JOINT

SPAN = 1e12
"""Largest over smallest loss on the axis: what is smaller still is 0 but for rounding."""


@section("alignment", "Alignment losses over training", scope="pair", order=40)
def alignment(pair: Pair) -> Markup | str:
    """Two panels a method that aligns covariances: shares of the modalities, and the losses."""
    methods = [m for m in pair.file.methods if any(e.alignment for e in m.runs[0].epochs)]
    if not methods:
        return ""
    losses = {m.run_id: by_epoch(m, "alignment") for m in methods}
    finite = [values[values > 0] for s in losses.values() for values in s.values()]
    positive = np.concatenate(finite) if finite else np.ones(1)
    limits = None
    if len(positive):
        highest = float(positive.max())
        limits = (max(float(positive.min()), highest / SPAN) / 1.3, highest * 1.3)
    panels = []
    for method in methods:
        series = losses[method.run_id]
        panels.append(
            curves(
                shares(series),
                title=f"{method.label}: share of the sum",
                y_label="Normalised loss",
                limits=(0.0, 1.0),
                reference=1 / len(shares(series)),
            )
        )
        panels.append(
            curves(
                series,
                title=f"{method.label}: loss",
                y_label="Alignment loss (log scale)",
                limits=limits,
                log=True,
            )
        )
    return Markup("").join(
        [
            paragraphs(
                Markup(
                    "The loss of a modality is ‖C<sub>s</sub> − C<sub>t</sub>‖² between the "
                    "covariances of its representation in the two domains (Eq. 9), averaged over "
                    "the steps of an epoch. Two panels a method: each modality’s share of the sum "
                    "over the modalities, as in the paper’s Figure 3, where perfect balance is the "
                    "grey line; and the losses themselves, the joint representation included, on "
                    "one scale for all methods (a loss of nearly 0 is below it)."
                )
            ),
            figure(
                "Mean over the runs; the band is their range. Dashes tell the modalities apart "
                "without colour.",
                panels,
            ),
            _last_epoch(pair, methods),
            _flat_note(methods),
            note(
                "Two batches of one and the same distribution do not give 0 either, since a "
                "covariance of a batch is noisy; and a loss that is not divided by its scale "
                "falls when representations shrink, whether or not domains meet. Shares and "
                "falling curves alone are therefore no evidence of better alignment."
            ),
        ]
    )


def by_epoch(method: MethodResult, quantity: str) -> dict[str, Float[np.ndarray, "runs epochs"]]:
    """A per-epoch quantity of `Epoch` by branch, modalities first; NaN for null."""
    names = list({name: None for e in method.runs[0].epochs for name in getattr(e, quantity)})
    n_epochs = min(len(run.epochs) for run in method.runs)
    order = [n for n in method.modalities if n in names]
    order += [n for n in names if n not in order and n != JOINT] + [JOINT] * (JOINT in names)
    return {
        name: np.array(
            [
                [_number(getattr(epoch, quantity).get(name)) for epoch in run.epochs[:n_epochs]]
                for run in method.runs
            ]
        )
        for name in order
    }


def shares(
    series: dict[str, Float[np.ndarray, "runs epochs"]],
) -> dict[str, Float[np.ndarray, "runs epochs"]]:
    """L_m / Σ L_m over the modalities, the joint representation left out; NaN where all are 0."""
    single = {name: values for name, values in series.items() if name != JOINT}
    total = sum(single.values(), start=np.zeros(1))
    return {
        name: np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)
        for name, values in single.items()
    }


def flat_modalities(method: MethodResult) -> dict[str, int]:
    """Of how many runs a modality's representation no longer varies at the last epoch.

    Its covariance is 0 in one domain or in both, and was not in an earlier epoch; so its loss is
    small or 0 although nothing is aligned.
    """
    found = {}
    for name, values in by_epoch(method, "alignment_relative").items():
        varied = (values > 0).any(axis=1)  # NaN where one domain varies and the other does not
        n_flat = int((varied & ~(values[:, -1] > 0)).sum())
        if n_flat and name != JOINT:
            found[name] = n_flat
    return found


def _flat_note(methods: list[MethodResult]) -> Markup | str:
    said = [
        f"{method.label}: {name} in {n_flat} of {len(method.runs)} runs"
        for method in methods
        for name, n_flat in flat_modalities(method).items()
    ]
    if not said:
        return ""
    return note(
        Markup(
            "<b>Representations that no longer vary</b> at the last epoch, all utterances of a "
            "domain being mapped to one point: {}. Their covariances are 0, so their losses and "
            "shares are near 0 without any alignment, and their own classifiers answer one class."
        ).format("; ".join(said))
    )


def _last_epoch(pair: Pair, methods: list[MethodResult]) -> Markup:
    """The loss relative to the covariances' size; shares too, unless "Balance, measured" has them
    of the whole splits."""
    names = [name for name in by_epoch(methods[0], "alignment") if name != JOINT]
    with_shares = not any(run.balance for method in methods for run in method.runs)
    head: list[Row] = [["Method", *names]]
    if with_shares:
        head = [
            [
                "",
                Cell("Share of the sum", span=len(names)),
                Cell("Relative loss", css="ruled", span=len(names)),
            ],
            ["Method", *names, *_apart(names)],
        ]
    rows: list[Row] = []
    for method in methods:
        share = shares(by_epoch(method, "alignment"))
        relative = {
            name: np.where(values > 0, values, np.nan)
            for name, values in by_epoch(method, "alignment_relative").items()
        }
        scaled = [_mean(relative.get(name), ".3f") for name in names]
        if with_shares:
            shown = [_mean(share.get(name), ".2f") for name in names]
            rows.append([method.label, *shown, *_apart(scaled)])
        else:
            rows.append([method.label, *scaled])
    what = "share of each modality in the sum, and its loss" if with_shares else "loss"
    caption = Markup(
        "<b>{}, last epoch</b>, mean over the runs: {} over ‖C<sub>s</sub>‖·‖C<sub>t</sub>‖, which "
        "does not change when representations shrink; – where they no longer vary."
    ).format(pair.title, what)
    return table(caption, head, rows)


def _apart(texts: Sequence[str]) -> list[Text | Cell]:
    """Cells of which the first has a rule at its left."""
    return [Cell(text, css="ruled" if number == 0 else "") for number, text in enumerate(texts)]


def _mean(values: Float[np.ndarray, "runs epochs"] | None, form: str) -> str:
    if values is None or not np.isfinite(values[:, -1]).any():
        return "–"
    mean = float(np.nanmean(values[:, -1]))
    return format(mean, form) if mean < 1e4 else format(mean, ".1e")


def _number(value: float | None) -> float:
    return np.nan if value is None else value
