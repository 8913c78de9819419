"""Alignment losses by modality over training: the paper's Figures 3 to 6."""

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
from amanda.report.plots import draw_curves, set_log_axis
from amanda.report.sections.alignment import by_epoch, shares
from amanda.store.errors import InputError

MAX_COLUMNS = 6


def draw(inputs: Sequence[Path]) -> Drawing:
    """A column a method: normalised losses above (the joint one left out), the losses below.

    Raises:
        InputError: files of several pairs, or a method that aligns no covariances.
    """
    file, methods = read_runs(inputs)
    losses = [by_epoch(method, "alignment") for method in methods]
    for path, series in zip(inputs, losses, strict=True):
        if not series:
            raise InputError(f"{path}: this training logged no alignment losses; leave it out")
    if len(methods) > MAX_COLUMNS:
        raise InputError(f"{len(methods)} methods are too many for one figure; at most 6")
    finite = np.concatenate([values[values > 0] for series in losses for values in series.values()])
    limits = (0.1, 1.0)
    if len(finite):
        low, high = float(finite.min()), float(finite.max())
        room = max(1.3, (high / low) ** 0.06)
        limits = (low / room, high * room)
    with print_style():
        figure = new_figure(3.6)
        panels = figure.subplots(2, len(methods), sharex="col", sharey="row", squeeze=False)
        said = []
        for column, (label, series) in enumerate(zip(panel_labels(methods), losses, strict=True)):
            upper, lower = panels[0, column], panels[1, column]
            share = shares(series)
            upper.axhline(1 / len(share), color=MUTED, linewidth=0.7)
            for axes, drawn in ((upper, share), (lower, series)):
                draw_curves(
                    axes, drawn, colours=MODALITY_COLOURS, other=MUTED, markers=MODALITY_MARKERS
                )
                axes.grid(axis="y")
                axes.set_axisbelow(True)
            upper.set(title=label, ylim=(-0.04, 1.04))
            lower.set_xlabel("Epoch")
            lower.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
            at_end = {name: float(np.nanmean(v[:, -1])) for name, v in share.items()}
            said.append(
                f"{label} ends with "
                + ", ".join(f"{name} {value:.2f}" for name, value in at_end.items())
            )
        for axes in panels[1]:
            set_log_axis(axes, limits)
        panels[0, 0].set_ylabel("Normalised loss\n(share of the sum)")
        panels[1, 0].set_ylabel("Alignment loss ‖C$_s$−C$_t$‖²\n(log scale)")
        legend_above(figure, modality_handles(list(losses[0])), len(losses[0]))
        note_standin(figure, file.corpora == "stand-in")
        title = f"Alignment losses by modality, {pair_title(file)}"
        description = (
            f"{title}, by epoch, mean over the runs and their range. Shares: {'; '.join(said)}."
        )
        return Drawing(figure, title, description)
