"""The surrogate's weights ψ by modality over training."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from amanda.figures.style import (
    MODALITY_COLOURS,
    MODALITY_MARKERS,
    MUTED,
    Drawing,
    legend_above,
    modality_handles,
    new_figure,
    note_standin,
    pair_title,
    panel_labels,
    print_style,
    read_runs,
)
from amanda.report.plots import draw_curves
from amanda.report.sections.alignment import by_epoch
from amanda.store.errors import InputError


def draw(inputs: Sequence[Path]) -> Drawing:
    """A panel a method, three in a row.

    Raises:
        InputError: files of several pairs, or a method without a surrogate.
    """
    file, methods = read_runs(inputs)
    weights = [by_epoch(method, "psi") for method in methods]
    for path, series in zip(inputs, weights, strict=True):
        if not series:
            raise InputError(f"{path}: this method has no surrogate, so no weights; leave it out")
    labels = panel_labels(methods)
    columns = min(3, len(methods))
    rows = math.ceil(len(methods) / columns)
    with print_style():
        figure = new_figure(0.8 + 1.5 * rows)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        said = []
        for number, axes in enumerate(panels.flat):
            if number >= len(methods):
                axes.set_visible(False)
                continue
            series = weights[number]
            draw_curves(
                axes, series, colours=MODALITY_COLOURS, other=MUTED, markers=MODALITY_MARKERS
            )
            axes.set(title=labels[number], ylim=(-0.03, 1.05))
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
            if number + columns >= len(methods):
                axes.set_xlabel("Epoch")
                axes.tick_params(labelbottom=True)
            if number % columns == 0:
                axes.set_ylabel("Weight ψ")
            at_end = {name: float(np.nanmean(v[:, -1])) for name, v in series.items()}
            said.append(
                f"{labels[number]} ends with "
                + ", ".join(f"{name} {value:.2f}" for name, value in at_end.items())
            )
        legend_above(figure, modality_handles(list(weights[0])), len(weights[0]))
        note_standin(figure, file.corpora == "stand-in")
        title = f"Weights ψ of the surrogate by modality, {pair_title(file)}"
        return Drawing(figure, title, f"{title}, by epoch, mean over the runs: {'; '.join(said)}.")
