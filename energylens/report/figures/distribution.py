"""Samples against each other: the distribution of each as a row, a panel per model and variant."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energylens.report.content.entries import JSON
from energylens.report.content.readable import clean
from energylens.report.figures.panels import (
    Panel,
    axis_labels,
    draw_mark,
    heading,
    legend_below,
    mark_legend,
)
from energylens.report.figures.style import GREY, INK, LIGHT, SERIES, WIDTH, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = 3
_ROW, _FEET, _BETWEEN = 0.34, 0.44, 0.56
"""Inches: one sample, below the lowest panels, between two rows of panels."""

_SIZES = 0.62
"""Inches right of a panel, for the size of every sample."""

_BINS, _BODY, _FLOOR = 48, 0.62, 0.26
"""Steps of a histogram, its height in rows, and where it stands in its row: the interval lies below."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": SERIES[0], "fill": "#b9d5e8"},
    {"color": GREY, "fill": LIGHT},
)
"""Looks of the first sample, and of all others, with which it is compared."""


def distributions(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """The seeds of a sample are pooled; a line runs from the first sample's median through all others."""
    names = [shorten(clean(name), 26) for name in wanted["y"]]
    down = math.ceil(len(panels) / _ACROSS)
    across = math.ceil(len(panels) / down)
    legend = _legend(names[0]) | mark_legend(wanted)
    top = 0.50 + 0.20 * legend_below(wanted["title"], legend)
    rows = _ROW * len(names)
    height = top + rows * down + _BETWEEN * (down - 1) + _FEET
    figure = new_figure(height)
    grid = figure.subplots(down, across, squeeze=False)
    for i, axes in enumerate(grid.flat):
        if i < len(panels):
            _draw(axes, panels[i], wanted)
            axes.set_title(shorten(panels[i].title, 110 // across), weight="bold")
            _label_rows(axes, names if i % across == 0 else [""] * len(names))
        else:
            axes.remove()
    heading(figure, wanted, legend)
    axis_labels(figure, {**wanted, "y_label": ""})
    left = 0.2 + 0.062 * max(map(len, names))
    width = (WIDTH - left - _SIZES * across) / across
    figure.subplots_adjust(
        left=left / WIDTH, right=1 - _SIZES / WIDTH, bottom=_FEET / height, top=1 - top / height,
        wspace=_SIZES / width, hspace=_BETWEEN / rows,
    )  # fmt: skip
    return figure


def pooled(panel: Panel, name: str) -> tuple[list[float], int]:
    """The numbers of all seeds, and how many more were NaN."""
    values = [x for drawn in panel.series for x in drawn[name]]
    defined = [x for x in values if not math.isnan(x)]
    return defined, len(values) - len(defined)


def _draw(axes: "Axes", panel: Panel, wanted: JSON) -> None:
    samples = [pooled(panel, name) for name in wanted["y"]]
    low, high = limits([values for values, _ in samples])
    for i, (values, left_out) in enumerate(samples):
        at, look = len(samples) - 1 - i, _LOOKS[min(i, 1)]
        if values:
            _draw_sample(axes, values, at, (low, high), look)
        size = f"n {len(values)}" + (f"\n{left_out} NaN" if left_out else "")
        axes.annotate(
            size, (1, at + 0.4), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            color=GREY, fontsize=6,
        )  # fmt: skip
    first, _ = samples[0]
    if first:
        axes.axvline(_quantiles(first)[2], color=SERIES[0], lw=0.8, zorder=1)
    draw_mark(axes, panel, wanted)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.1, len(samples))


def _draw_sample(
    axes: "Axes", values: Sequence[float], at: int, ends: tuple[float, float], look: Mapping[str, Any]
) -> None:
    """Histogram above interval; heights are the sample's own, because only places are compared."""
    import numpy as np

    counts, edges = np.histogram(values, bins=_BINS, range=ends)
    heights = at + _FLOOR + _BODY * counts / max(counts.max(), 1)
    axes.stairs(heights, edges, baseline=at + _FLOOR, fill=True, color=look["fill"], lw=0, zorder=2)
    y, (q05, q25, q50, q75, q95) = at + 0.11, _quantiles(values)
    axes.plot([q05, q95], [y, y], color=look["color"], lw=0.9, solid_capstyle="butt", zorder=3)
    axes.plot([q25, q75], [y, y], color=look["color"], lw=3.2, solid_capstyle="butt", zorder=3)
    axes.plot([q50], [y], "o", ms=3.8, mfc="white", mec=look["color"], mew=0.9, zorder=4)
    for shape, edge, beyond in (("<", ends[0], min(values) < ends[0]), (">", ends[1], max(values) > ends[1])):
        if beyond:
            axes.plot([edge], [at + 0.4], shape, ms=3, color=look["color"], mew=0, clip_on=False, zorder=4)


def limits(samples: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Limits of the axis: 1 to 99 % of every sample, and its ends where they lie close to that.

    So a few outliers do not hide where the samples lie; arrowheads stand for values further out.
    """
    import numpy as np

    drawn = [values for values in samples if values]
    if not drawn:
        return 0.0, 1.0
    inner = [float(x) for values in drawn for x in np.quantile(values, (0.01, 0.99))]
    span = (max(inner) - min(inner)) or abs(inner[0]) or 1.0
    ends = [end for values in drawn for end in (min(values), max(values))]
    near = [end for end in ends if min(inner) - span / 4 <= end <= max(inner) + span / 4]
    low, high = min(inner + near), max(inner + near)
    margin = 0.03 * ((high - low) or span)
    return low - margin, high + margin


def _quantiles(values: Sequence[float]) -> list[float]:
    import numpy as np

    return [float(x) for x in np.quantile(values, _QUANTILES)]


def _label_rows(axes: "Axes", names: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_yticks([len(names) - 1 - i + 0.4 for i in range(len(names))], names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    first, *others = axes.get_yticklabels()
    first.set(weight="bold", color=SERIES[0])
    for label in others:
        label.set_color(INK)


def _legend(first: str) -> dict[str, "Artist"]:
    from matplotlib.lines import Line2D

    return {
        "median": Line2D([], [], ls="none", marker="o", ms=3.8, mfc="white", mec=GREY, mew=0.9),
        "25–75 %": Line2D([], [], color=GREY, lw=3.2),
        "5–95 %": Line2D([], [], color=GREY, lw=0.9),
        f"median of {first}": Line2D([], [], color=SERIES[0], lw=0.8),
    }
