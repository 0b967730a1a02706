"""Nodes and weighted directed edges: a row of graphs per model, one for each of the first seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energylens.report.panels import Panel, annotate_seed, heading, seeds_note
from energylens.report.style import COLOURS, INK, WIDTH, new_figure, shorten
from energylens.report.text import clean, number
from energylens.report.view import JSON

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

_SEEDS = 3
_LOOKS: dict[int, dict[str, Any]] = {
    1: {"color": COLOURS["HOLDS"], "ls": "solid"},
    -1: {"color": COLOURS["REFUTED"], "ls": (0, (3, 1.5))},
}
"""Edges by sign: colour, and dashes for grey print."""

_WIDEST, _THINNEST = 3.2, 0.4
"""Points: the edge of the largest |weight|, and the smallest width that still shows."""

_BEND, _GROWTH = 0.14, 0.4
"""Of an edge, relative to its length; of a node by its weight, relative to its label."""

_FEW_EDGES = 8
"""Up to so many edges carry their weight in print."""


def graphs(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """Widths are relative to the largest |weight| of the model's seeds that are shown."""
    across = min(max(len(panel.seeds) for panel in panels), _SEEDS)
    row = 2.3 if across > 1 else 3.2
    figure = new_figure(0.52 + row * len(panels))
    grid = figure.subplots(len(panels), across, squeeze=False)
    for axes_of_row, panel in zip(grid, panels, strict=True):
        shown = panel.series[:across]
        largest = max(
            (abs(w) for drawn in shown for *_, w in drawn["edges"] if math.isfinite(w)), default=0.0
        )
        for axes in axes_of_row:
            axes.axis("off")
        for axes, seed, drawn in zip(axes_of_row, panel.seeds, shown, strict=False):
            _draw(axes, drawn, largest or 1.0, across)
            annotate_seed(axes, seed)
        title = shorten(panel.title, 40) + seeds_note(panel, across)
        axes_of_row[0].set_title(f"{title}, largest |weight| {number(largest, 2)}", weight="bold", pad=13)
    heading(figure, wanted, _legend(panels))
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.05 / WIDTH, right=1 - 0.05 / WIDTH, bottom=0.05 / height, top=1 - 0.62 / height,
        wspace=0.06, hspace=0.26,
    )  # fmt: skip
    return figure


def _draw(axes: "Axes", drawn: JSON, largest: float, across: int) -> None:
    at = dict(zip(drawn["nodes"], zip(drawn["x"], drawn["y"], strict=True), strict=True))
    sizes = _sizes(drawn, across)
    for source, target, weight in drawn["edges"]:
        if weight and math.isfinite(weight):
            _arrow(axes, at[source], at[target], weight, largest, (sizes[source], sizes[target]))
    if len(drawn["edges"]) <= _FEW_EDGES:
        for source, target, weight in drawn["edges"]:
            _print_weight(axes, at[source], at[target], weight)
    font = 6.5 if across > 1 else 7.5
    for name, (x, y) in at.items():
        axes.plot([x], [y], "o", ms=sizes[name], mfc="white", mec=INK, mew=0.8, zorder=3, clip_on=False)
        axes.text(x, y, shorten(clean(name), 12), ha="center", va="center", fontsize=font, zorder=4)
    _room(axes, at)


def _sizes(drawn: JSON, across: int) -> dict[str, float]:
    """Diameter of every node in points: room for the longest label, and up to _GROWTH of it more by sqrt |weight|."""
    longest = max(len(shorten(clean(name), 12)) for name in drawn["nodes"])
    label = max(12.0, (3.7 if across > 1 else 4.3) * longest + 2)
    weights = [abs(w) for w in drawn.get("weights", [0.0] * len(drawn["nodes"]))]
    largest = max(weights) or 1.0
    return {
        name: label * (1 + _GROWTH * math.sqrt(w / largest))
        for name, w in zip(drawn["nodes"], weights, strict=True)
    }


def _arrow(
    axes: "Axes", start: Point, end: Point, weight: float, largest: float,
    sizes: tuple[float, float],
) -> None:  # fmt: skip
    """Bent a little, so that it passes beside nodes on its way and beside its reverse."""
    from matplotlib.patches import FancyArrowPatch

    width = max(_THINNEST, _WIDEST * abs(weight) / largest)
    arrow = FancyArrowPatch(
        start, end, connectionstyle=f"arc3,rad={_BEND}", arrowstyle="-|>", mutation_scale=5 + 1.6 * width,
        lw=width, shrinkA=sizes[0] / 2, shrinkB=sizes[1] / 2 + 1, alpha=0.85, zorder=2, capstyle="butt",
        joinstyle="miter", **_LOOKS[1 if weight > 0 else -1],
    )  # fmt: skip
    arrow.set_clip_on(False)
    axes.add_patch(arrow)


def _print_weight(axes: "Axes", start: Point, end: Point, weight: float) -> None:
    """At the middle of the bent arrow."""
    text = number(weight, 2)
    middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
    x = middle[0] + _BEND / 2 * (end[1] - start[1])
    y = middle[1] - _BEND / 2 * (end[0] - start[0])
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    axes.text(x, y, text, ha="center", va="center", fontsize=6, color=INK, bbox=box, zorder=5)


def _room(axes: "Axes", at: Mapping[str, Point]) -> None:
    """Margins for nodes at the rim."""
    (left, right), (bottom, top) = ((min(values), max(values)) for values in zip(*at.values(), strict=True))
    axes.set_xlim(left - 0.12 * ((right - left) or 1), right + 0.12 * ((right - left) or 1))
    axes.set_ylim(bottom - 0.16 * ((top - bottom) or 1), top + 0.12 * ((top - bottom) or 1))


def _legend(panels: Sequence[Panel]) -> dict[str, "Artist"]:
    from matplotlib.lines import Line2D

    weights = [w for panel in panels for drawn in panel.series for *_, w in drawn["edges"]]
    found: dict[str, Any] = {}
    for sign, text in ((1, "positive"), (-1, "negative")):
        if any(w * sign > 0 for w in weights):
            found[text] = Line2D([], [], lw=1.6, **_LOOKS[sign])
    return found
