"""Series over an axis as lines or bars, seed by seed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from energylens.report.content.entries import JSON
from energylens.report.content.readable import clean
from energylens.report.figures.panels import (
    ACROSS,
    SEEDS,
    Panel,
    annotate_seed,
    axis_labels,
    heading,
    legend_below,
    seeds_note,
)
from energylens.report.figures.style import DASHES, SERIES, WIDTH, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawn = Mapping[str, Sequence[float]]


def lines(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """One panel per model and variant, seeds over each other, several y told apart by colour and dashes."""
    across = min(len(panels), ACROSS)
    down = math.ceil(len(panels) / across)
    figure = new_figure(0.75 + 1.65 * down)
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, panel in zip(grid.flat, panels, strict=False):
        for drawn in panel.series:
            for i, name in enumerate(wanted["y"]):
                axes.plot(drawn[wanted["x"]], drawn[name], alpha=0.8, **_look(i))
        axes.set_title(shorten(panel.title, 100 // across))
    _finish(figure, grid, wanted, top=0.42, hspace=0.40)
    return figure


def split_lines(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """A row of panels per y, each with its own scale and its name as label; models side by side share x."""
    across, names = min(len(panels), ACROSS), wanted["y"]
    blocks = [panels[i : i + across] for i in range(0, len(panels), across)]
    # One more row, removed again, keeps blocks of models apart.
    per_block = len(names) + 1
    heights = (([1.0] * len(names) + [0.25]) * len(blocks))[:-1]
    figure = new_figure(0.62 + 1.15 * sum(heights))
    grid = figure.subplots(
        len(heights), across, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for row, axes_of_row in enumerate(grid):
        block, i = blocks[row // per_block], row % per_block
        shown = axes_of_row[: len(block)] if i < len(names) else []
        for axes in axes_of_row[len(shown) :]:
            axes.remove()
        for axes, panel in zip(shown, block, strict=False):
            for drawn in panel.series:
                axes.plot(drawn[wanted["x"]], drawn[names[i]], alpha=0.8, **_look(i))
            axes.tick_params(labelbottom=i == len(names) - 1)
            if i == 0:
                axes.set_title(shorten(panel.title, 100 // across))
        if len(shown):
            _same_scale(shown)
            shown[0].set_ylabel(shorten(clean(names[i]), 24))
    heading(figure, wanted)
    axis_labels(figure, {**wanted, "y_label": ""})
    _margins(figure, left=0.72, top=0.46, hspace=0.2)
    figure.align_ylabels()
    return figure


def bars(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """One row per model and variant, one cell per seed."""
    across = min(max(len(panel.seeds) for panel in panels), SEEDS)
    figure = new_figure(0.70 + 1.02 * len(panels))
    grid = figure.subplots(len(panels), across, sharex=True, sharey=True, squeeze=False)
    for row, panel in zip(grid, panels, strict=True):
        for axes in row[len(panel.seeds) :]:
            axes.set_visible(False)
        for axes, seed, drawn in zip(row, panel.seeds, panel.series, strict=False):
            _stems(axes, drawn, wanted)
            annotate_seed(axes, seed)
        row[0].set_title(shorten(panel.title, 60) + seeds_note(panel, across), pad=13)
    for column in grid.T:
        [axes for axes in column if axes.get_visible()][-1].tick_params(labelbottom=True)
    _finish(figure, grid, wanted, top=0.56, hspace=0.85)
    return figure


def _stems(axes: "Axes", drawn: Drawn, wanted: JSON) -> None:
    """Bars without gaps in between, several series side by side."""
    from matplotlib.collections import PolyCollection

    x, n = drawn[wanted["x"]], len(wanted["y"])
    steps = [b - a for a, b in pairwise(x) if b > a]
    width = 0.9 * min(steps, default=1.0) / n
    for i, name in enumerate(wanted["y"]):
        edges = [
            (at + (i - n / 2) * width, at + (i - n / 2 + 1) * width, y)
            for at, y in zip(x, drawn[name], strict=True)
        ]
        boxes = [[(left, 0), (left, y), (right, y), (right, 0)] for left, right, y in edges]
        stems = PolyCollection(boxes, facecolors=SERIES[i % len(SERIES)], linewidths=0)
        stems.sticky_edges.y.append(0)
        axes.add_collection(stems)
    axes.autoscale_view()


def _finish(figure: "Figure", grid: Any, wanted: JSON, top: float, hspace: float) -> None:
    """Titles, axis labels once, a legend only where several series share the panels."""
    from matplotlib.lines import Line2D

    if wanted["log_y"]:
        grid.flat[0].set_yscale("log")
        grid.flat[0].yaxis.set_major_formatter(lambda x, _: f"{x:g}")
    legend = {}
    if len(wanted["y"]) > 1:
        solid = {"ls": "solid", "lw": 4} if wanted["kind"] == "bars" else {}
        legend = {name: Line2D([], [], **(_look(i) | solid)) for i, name in enumerate(wanted["y"])}
    heading(figure, wanted, legend)
    axis_labels(figure, wanted)
    _margins(figure, left=0.66, top=top + 0.16 * legend_below(wanted["title"], legend), hspace=hspace)


def _margins(figure: "Figure", left: float, top: float, hspace: float) -> None:
    """left, top: inches."""
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=left / WIDTH, right=1 - 0.08 / WIDTH, bottom=0.42 / height, top=1 - top / height,
        wspace=0.12, hspace=hspace,
    )  # fmt: skip


def _same_scale(row: Iterable["Axes"]) -> None:
    """One y range for a row of panels, its ticks printed at the first."""
    from matplotlib.ticker import MaxNLocator

    first, *others = row
    for axes in others:
        axes.sharey(first)
        axes.tick_params(labelleft=False)
    first.autoscale_view()
    first.yaxis.set_major_locator(MaxNLocator(4))


def _look(i: int) -> dict[str, Any]:
    """Colour and dashes of the i-th series: told apart in grey print as well."""
    return {"color": SERIES[i % len(SERIES)], "ls": DASHES[i % len(DASHES)], "lw": 0.8}
