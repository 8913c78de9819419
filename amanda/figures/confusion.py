"""Confusion matrices at the last epoch, summed over the runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FixedLocator

from amanda.figures.style import (
    Drawing,
    new_figure,
    note_standin,
    pair_title,
    panel_labels,
    print_style,
    read_runs,
)
from amanda.records import LAST
from amanda.store.errors import InputError


def draw(inputs: Sequence[Path]) -> Drawing:
    """A matrix a method, up to three in a row; a cell's percentage and shade are of its row.

    Raises:
        InputError: files of several pairs, or a target without labels.
    """
    file, methods = read_runs(inputs)
    names, labels = file.label_names, panel_labels(methods)
    columns = min(3, len(methods))
    rows = -(-len(methods) // columns)
    with print_style():
        figure = new_figure(0.35 + 2.0 * rows)
        panels = figure.subplots(rows, columns, squeeze=False)
        said = []
        for number, axes in enumerate(panels.flat):
            if number >= len(methods):
                axes.set_visible(False)
                continue
            method = methods[number]
            stored = [run.selections[LAST].confusion for run in method.runs]
            if any(matrix is None for matrix in stored):
                raise InputError(
                    f"{inputs[number]}: the target's test split has no labels, so there is no "
                    "confusion to draw"
                )
            counts = np.sum([np.array(matrix) for matrix in stored], axis=0)
            total = counts.sum(axis=1, keepdims=True)
            share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
            # Cells as shapes, not as a picture, so that they stay sharp at any size.
            axes.pcolormesh(share, cmap="Greys", vmin=0, vmax=1, edgecolors="white", linewidth=0.8)
            axes.set_aspect("equal")
            axes.invert_yaxis()
            axes.spines[["left", "bottom"]].set_visible(False)
            for (true, predicted), value in np.ndenumerate(share):
                axes.text(
                    predicted + 0.5,
                    true + 0.5,
                    f"{100 * value:.0f}" if total[true] else "–",
                    ha="center",
                    va="center",
                    color="white" if value > 0.55 else "black",
                )
            middles = [place + 0.5 for place in range(len(names))]
            axes.xaxis.set_major_locator(FixedLocator(middles))
            axes.yaxis.set_major_locator(FixedLocator(middles))
            axes.set_xticklabels(names)
            axes.set_yticklabels(names if number % columns == 0 else [""] * len(names))
            axes.tick_params(length=0)
            axes.set_title(labels[number])
            axes.set_xlabel("Predicted class")
            if number % columns == 0:
                axes.set_ylabel("True class (% of its row)")
            right = 100 * np.trace(counts) / max(int(counts.sum()), 1)
            said.append(f"{labels[number]} {right:.0f}% right")
        note_standin(figure, file.corpora == "stand-in")
        title = f"Confusion matrices, {pair_title(file)}"
        return Drawing(figure, title, f"{title}, last epoch, all runs: {'; '.join(said)}.")
