"""Figures as SVG that lives in the page: its fonts and colours, in light and in dark.

matplotlib draws with stand-in colours; each becomes a CSS variable of `style.css`, so that a figure
follows the theme. Lines differ in dashes as well as colour, and are named at their right end.
"""

import io
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

# Colours that stand in for variables; matplotlib writes them in lower case.
INK, MUTED, RULE = "#010101", "#020202", "#030303"
COLOURS = {
    "acoustic": "#040404",
    "visual": "#050505",
    "lexical": "#060606",
    "joint": "#070707",
}
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule"} | {v: k for k, v in COLOURS.items()}
DASHES: dict[str, str | tuple[float, tuple[float, ...]]] = {
    "acoustic": "-",
    "visual": (0, (5, 2)),
    "lexical": (0, (1.2, 1.4)),
    "joint": (0, (7, 1.8, 1.2, 1.8)),
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "amanda",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
}
PANEL = (345.0, 225.0)
"""Width and height of a panel, in the page's pixels before it is scaled to its column."""
_LABEL_GAP = 13.0
_MAX_LABEL = 36
_ID = "figure-id-"


@dataclass(frozen=True)
class Dots:
    """One row of a dot plot.

    Attributes:
        values: one a run, in percent.
        apart: set among the rows that do not compete (upper bounds).
    """

    label: str
    values: Sequence[float]
    apart: bool = False


def curves(
    series: Mapping[str, Float[np.ndarray, "runs epochs"]],
    *,
    title: str,
    y_label: str,
    limits: tuple[float, float] | None = None,
    log: bool = False,
    reference: float | None = None,
) -> Markup:
    """Mean over runs by epoch of each named series, the range over runs as a band.

    Args:
        series: by modality or "joint"; NaN where there is no value.
        limits: of the y axis, shared by panels that are compared.
        reference: a horizontal line, such as perfect balance.
    """
    with rc_context(_STYLE):
        fig, axes = _panel(*PANEL, left=50.0, right=74.0, bottom=38.0, top=24.0)
        n_epochs = max(values.shape[1] for values in series.values())
        if reference is not None:
            axes.axhline(reference, color=MUTED, linewidth=0.8)
        ends = draw_curves(axes, series, colours=COLOURS, other=MUTED)
        axes.set(title=title, xlabel="Epoch", ylabel=y_label, xlim=(1, max(n_epochs, 2)))
        if log:
            set_log_axis(axes, limits)
        elif limits:
            axes.set_ylim(*limits)
        axes.set_xticks(_epoch_ticks(n_epochs))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        _name_ends(fig, axes, ends)
        said = ", ".join(f"{name} {value:.3g}" for name, value in ends.items())
        drawn = _to_markup(fig, f"{title}: {y_label} over {n_epochs} epochs; at the end {said}")
        return _with_readout(drawn, axes, series)


def _with_readout(
    drawn: Markup, axes: Axes, series: Mapping[str, Float[np.ndarray, "runs epochs"]]
) -> Markup:
    """The figure with its means for `page.js` to show: where the epochs lie, and their values."""
    n_epochs = max(values.shape[1] for values in series.values())
    low, high = axes.transAxes.transform([(0, 0), (1, 1)])
    x = axes.transData.transform([(1, 1), (n_epochs, 1)])[:, 0]
    assert axes.figure is not None
    height = axes.figure.bbox.height  # SVG counts from the top
    scale = 72 / axes.figure.dpi
    known = {
        name: [float(f"{mean:.3g}") if np.isfinite(mean) else None for mean in means]
        + [None] * (n_epochs - len(means))
        for name, values in series.items()
        for means in [_over_runs(np.nanmean, values)]
    }
    data = {
        "x": [round(float(at) * scale, 1) for at in x],
        "y": [round(float(height - at) * scale, 1) for at in (high[1], low[1])],
        "series": known,
    }
    attribute = Markup(' data-readout="{}"').format(json.dumps(data, separators=(",", ":")))
    return Markup(drawn.replace(Markup("<svg"), Markup("<svg") + attribute, 1))


def draw_curves(
    axes: Axes,
    series: Mapping[str, Float[np.ndarray, "runs epochs"]],
    *,
    colours: Mapping[str, str],
    other: str,
    markers: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Draw each series: its mean over runs, and their range as a band. Returns where each ends.

    Args:
        colours: by name; `other` for a name that is not there.
        markers: by name, set at a few epochs; without them a single epoch is a dot.
    """
    ends: dict[str, float] = {}
    for name, values in series.items():
        epochs = np.arange(1, values.shape[1] + 1)
        mean = _over_runs(np.nanmean, values)
        colour = colours.get(name, other)
        axes.fill_between(
            epochs,
            _over_runs(np.nanmin, values),
            _over_runs(np.nanmax, values),
            color=colour,
            alpha=0.13,
            linewidth=0,
        )
        axes.plot(
            epochs,
            mean,
            color=colour,
            linestyle=DASHES.get(name, "-"),
            linewidth=1.7 if markers is None else None,
            marker=(markers or {}).get(name, "o" if len(epochs) == 1 else ""),
            markerfacecolor="white" if markers else None,
            markevery=max(1, len(epochs) // 6),
        )
        finite = mean[np.isfinite(mean)]
        ends[name] = float(finite[-1]) if len(finite) else float("nan")
    return ends


def dots(rows: Sequence[Dots], *, x_label: str, reference: tuple[str, float] | None) -> Markup:
    """Every run as a ring and their mean as a bar, one line a method."""
    with rc_context(_STYLE):
        labels = [_shortened(row.label) for row in rows]
        label_px = 6.2 * max(map(len, labels)) + 12
        width = min(max(420.0, label_px + 300), 560.0)
        height = 24.0 * len(rows) + 62
        fig, axes = _panel(width, height, left=label_px, right=14.0, bottom=40.0, top=22.0)
        y = np.arange(len(rows))[::-1]
        if reference:
            name, at = reference
            axes.axvline(at, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.text(
                at, 1.01, name, transform=axes.get_xaxis_transform(), ha="center", color=MUTED
            )
        for place, row in zip(y, rows, strict=True):
            colour = MUTED if row.apart else COLOURS["acoustic"]
            axes.plot(
                row.values,
                [place] * len(row.values),
                linestyle="",
                marker="o",
                markersize=5.5,
                markerfacecolor="none",
                markeredgecolor=colour,
                markeredgewidth=1.1,
            )
            axes.plot(
                [np.mean(row.values)] * 2, [place - 0.28, place + 0.28], color=colour, linewidth=2.4
            )
        axes.set_yticks(y, labels)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(x_label)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        said = "; ".join(f"{row.label} {np.mean(row.values):.1f}" for row in rows)
        return _to_markup(fig, f"{x_label} by method, means: {said}")


def _shortened(label: str) -> str:
    """A label that leaves room for the plot; the table beside it has it whole."""
    return label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 1] + "…"


def _panel(
    width: float, height: float, *, left: float, right: float, bottom: float, top: float
) -> tuple[Figure, Axes]:
    """A figure of that many pixels with one pair of axes inside those margins."""
    fig = Figure(figsize=(width / 72, height / 72))
    FigureCanvasSVG(fig)
    box = (
        left / width,
        bottom / height,
        1 - (left + right) / width,
        1 - (bottom + top) / height,
    )
    return fig, fig.add_axes(box)


def _over_runs(
    statistic: object, values: Float[np.ndarray, "runs epochs"]
) -> Float[np.ndarray, "epochs"]:
    """A statistic over runs; NaN for an epoch that no run has a value of."""
    out = np.full(values.shape[1], np.nan)
    known = np.isfinite(values).any(axis=0)
    if known.any():
        out[known] = statistic(np.where(np.isfinite(values), values, np.nan)[:, known], axis=0)  # type: ignore[operator]
    return out


def set_log_axis(axes: Axes, limits: tuple[float, float] | None) -> None:
    """A logarithmic y axis whose ticks are plain numbers, or powers of ten over many decades."""
    axes.set_yscale("log")
    if limits:
        axes.set_ylim(*limits)
    low, high = axes.get_ylim()
    subs = (
        (1.0,)
        if high / low > 1e3
        else (1.0, 2.0, 5.0)
        if high / low > 12
        else (1.0, 1.5, 2, 3, 5, 7)
    )
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs))
    if high / low > 1e5:
        axes.yaxis.set_major_formatter(LogFormatterMathtext(base=10))
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)


def _name_ends(fig: Figure, axes: Axes, ends: Mapping[str, float]) -> None:
    """Name each line where it ends, with a sample of its dashes, names kept apart."""
    height = axes.get_position().height * fig.get_figheight() * 72
    placed: list[tuple[str, float]] = []
    for name, value in ends.items():
        if np.isfinite(value):
            at = axes.transAxes.inverted().transform(axes.transData.transform((1, value)))[1]
            placed.append((name, float(np.clip(at, 0, 1)) * height))
    placed.sort(key=lambda item: item[1])
    y = [at for _, at in placed]
    for i in range(1, len(y)):  # upwards until none is too near the one below
        y[i] = max(y[i], y[i - 1] + _LABEL_GAP)
    for i in reversed(range(len(y))):  # and back down where that left the panel
        y[i] = min(y[i], height if i == len(y) - 1 else y[i + 1] - _LABEL_GAP)
    for (name, _), at in zip(placed, y, strict=True):
        colour = COLOURS.get(name, MUTED)
        axes.plot(
            [1.03, 1.105],
            [at / height] * 2,
            transform=axes.transAxes,
            clip_on=False,
            color=colour,
            linestyle=DASHES.get(name, "-"),
            linewidth=1.7,
        )
        axes.text(
            1.13, at / height, name, transform=axes.transAxes, va="center", color=colour, size=9.5
        )


def number_figures(html: str) -> str:
    """Give the figures of a page ids of their own, by their order on it."""
    count = itertools.count(1)
    return re.sub(
        r"<svg .*?</svg>",
        lambda found: found[0].replace(_ID, f"f{next(count)}-"),
        html,
        flags=re.DOTALL,
    )


def _to_markup(fig: Figure, alternative: str) -> Markup:
    """The figure as inline SVG, its colours and fonts those of the page."""
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{_ID}{m[1]}"' if m[1] in used else "", svg)
    svg = svg.replace('href="#', f'href="#{_ID}').replace("url(#", f"url(#{_ID}")
    svg = re.sub(r"\n\s*", " ", svg)
    width = float(fig.get_figwidth() * 72)
    opening = Markup(
        '<svg role="img" aria-label="{}" style="max-width:{}px;--least:{}px" viewBox'
    ).format(alternative, f"{1.2 * width:.0f}", f"{0.8 * width:.0f}")
    # Safe: matplotlib wrote it, and it escapes the texts it draws.
    return Markup(re.sub(r"<svg.*?viewBox", lambda _: str(opening), svg, count=1, flags=re.S))


def _epoch_ticks(n_epochs: int) -> list[int]:
    """Epochs to name on an axis: the first, and from there equal steps of a round number.

    >>> _epoch_ticks(8), _epoch_ticks(40)
    ([1, 3, 5, 7], [1, 10, 20, 30, 40])
    """
    last = max(n_epochs, 2)
    if last < 10:
        return list(range(1, last + 1, 1 if last < 6 else 2))
    rough = last / 4
    scale = 10 ** int(np.log10(rough))
    steps = (factor * scale for factor in (1, 2, 2.5, 5, 10))
    step = next(int(each) for each in steps if each >= rough and each == int(each))
    return [1, *range(step, last + 1, step)]
