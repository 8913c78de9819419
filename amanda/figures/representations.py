"""Representations of both domains by t-SNE: before adaptation, and after."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE

from amanda.figures.style import (
    INK,
    MUTED,
    Drawing,
    new_figure,
    note_standin,
    pair_title,
    panel_labels,
    print_style,
    read_runs,
)
from amanda.representations import Representations, read_representations
from amanda.store.errors import InputError

_CLASSES = (("#1a1a1a", "o"), ("#f0a050", "^"), ("#2f78b7", "s"), ("#b3321c", "D"))
_SUFFIX = ".representations.npz"
MIN_ROWS = 8


def draw(inputs: Sequence[Path]) -> Drawing:
    """A column a run: coloured by domain above, by class below. Each map is of both domains.

    Raises:
        InputError: a file without its result file beside it, of another pair, or too few rows.
    """
    results = []
    for path in inputs:
        if not path.name.endswith(_SUFFIX):
            raise InputError(f"{path}: representations lie in files named *{_SUFFIX}")
        results.append(path.with_name(path.name.removesuffix(_SUFFIX) + ".json"))
    file, methods = read_runs(results)
    samples = [read_representations(path) for path in inputs]
    labels = panel_labels(methods)
    with print_style():
        figure = new_figure(1.0 + 2 * min(2.2, 5.6 / len(samples)))
        panels = figure.subplots(2, len(samples), squeeze=False)
        for column, (sample, label) in enumerate(zip(samples, labels, strict=True)):
            source, target = embed(sample, inputs[column])
            _by_domain(panels[0, column], source, target)
            _by_class(panels[1, column], source, sample.source_label, len(file.label_names), False)
            _by_class(panels[1, column], target, sample.target_label, len(file.label_names), True)
            panels[0, column].set_title(label)
        for axes in panels.flat:
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel("t-SNE 1 (no unit)")
            axes.spines[["top", "right"]].set_visible(True)
        panels[0, 0].set_ylabel("By domain\nt-SNE 2 (no unit)")
        panels[1, 0].set_ylabel("By true class\nt-SNE 2 (no unit)")
        domains = [
            _sample(f"{file.source} (source, train)", MUTED, "o", filled=False),
            _sample(f"{file.target} (target, test)", INK, "^", filled=True),
        ]
        looks = zip(file.label_names, itertools.cycle(_CLASSES), strict=False)
        classes = [_sample(name, *look, filled=True) for name, look in looks]
        classes.append(_sample("hollow: source", MUTED, "o", filled=False))
        for axes, handles in zip(panels[:, -1], (domains, classes), strict=True):
            axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5))
        note_standin(figure, file.corpora == "stand-in")
        n = [f"{len(s.source)} {file.source} and {len(s.target)} {file.target}" for s in samples]
        title = f"Joint representations, {pair_title(file)}"
        said = "; ".join(f"{label}: {k}" for label, k in zip(labels, n, strict=True))
        return Drawing(
            figure,
            title,
            f"{title}, last epoch of seed 0, t-SNE of both domains together. Utterances: {said}.",
        )


def embed(
    sample: Representations, path: Path
) -> tuple[Float[np.ndarray, "rows 2"], Float[np.ndarray, "other_rows 2"]]:
    """Both domains in one plane; the same file always gives the same map.

    Raises:
        InputError: too few rows for a map.
    """
    both = np.concatenate([sample.source, sample.target])
    if len(both) < MIN_ROWS or not len(sample.target):
        raise InputError(f"{path}: {len(both)} utterances are too few for a map; needs {MIN_ROWS}")
    map_of = TSNE(
        n_components=2,
        perplexity=min(30.0, (len(both) - 1) / 3),
        init="pca",
        learning_rate="auto",
        random_state=0,
    )
    plane = np.asarray(map_of.fit_transform(both), np.float64)
    return plane[: len(sample.source)], plane[len(sample.source) :]


def _by_domain(axes: Axes, source: np.ndarray, target: np.ndarray) -> None:
    axes.scatter(
        source[:, 0],
        source[:, 1],
        s=7,
        marker="o",
        facecolors="none",
        edgecolors=MUTED,
        linewidths=0.5,
    )
    axes.scatter(target[:, 0], target[:, 1], s=9, marker="^", color=INK, linewidths=0)


def _by_class(
    axes: Axes, points: np.ndarray, label: np.ndarray, n_classes: int, filled: bool
) -> None:
    for number in range(-1, n_classes):
        here = points[label == number]
        if not len(here):
            continue
        colour, marker = (MUTED, ".") if number < 0 else _CLASSES[number % len(_CLASSES)]
        axes.scatter(
            here[:, 0],
            here[:, 1],
            s=9,
            marker=marker,
            facecolors=colour if filled else "none",
            edgecolors=colour,
            linewidths=0.5,
        )


def _sample(label: str, colour: str, marker: str, *, filled: bool) -> Line2D:
    """A point for a legend."""
    return Line2D(
        [],
        [],
        linestyle="",
        marker=marker,
        color=colour,
        markerfacecolor=colour if filled else "none",
        markersize=4,
        label=label,
    )
