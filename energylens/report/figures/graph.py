"""Nodes and weighted directed edges: a row of graphs per model, one for each of the first seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energylens.report.content.entries import JSON
from energylens.report.content.readable import clean, number
from energylens.report.figures.panels import Panel, annotate_seed, heading, seeds_note
from energylens.report.figures.style import COLOURS, INK, WIDTH, new_figure, shorten

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

_WIDEST, _THINNEST = 3.2, 0.3
"""Points: the edge of the largest |weight|, and the smallest width that still shows."""

_BENDS = (0.14, -0.14, 0.28, -0.28, 0.42, -0.42)
"""Bends of an edge, relative to its length; the first that passes beside all nodes is taken."""

_GROWTH = 0.4
"""Largest growth of a node by its weight, relative to its label."""

_FEW_EDGES = 8
"""Largest number of edges whose weights are printed."""


def graphs(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """Widths are relative to the largest |weight| of the model's seeds that are shown; its nodes keep their places."""
    across = min(max(len(panel.seeds) for panel in panels), _SEEDS)
    height = 0.52 + (2.3 if across > 1 else 3.2) * len(panels)
    figure = new_figure(height)
    grid = figure.subplots(len(panels), across, squeeze=False)
    figure.subplots_adjust(
        left=0.05 / WIDTH, right=1 - 0.05 / WIDTH, bottom=0.05 / height, top=1 - 0.62 / height,
        wspace=0.06, hspace=0.26,
    )  # fmt: skip
    for axes_of_row, panel in zip(grid, panels, strict=True):
        shown = panel.series[:across]
        weights = [abs(w) for drawn in shown for *_, w in drawn["edges"] if math.isfinite(w)]
        largest = max(weights, default=0.0)
        for axes in axes_of_row:
            axes.axis("off")
            _room(axes, shown)
        for axes, seed, drawn in zip(axes_of_row, panel.seeds, shown, strict=False):
            _draw(axes, drawn, largest or 1.0, across)
            annotate_seed(axes, seed)
        title = shorten(panel.title, 40) + seeds_note(panel, across)
        axes_of_row[0].set_title(f"{title}, largest |weight| {number(largest, 2)}", weight="bold", pad=13)
    heading(figure, wanted, _legend(panels))
    return figure


def _draw(axes: "Axes", drawn: JSON, largest: float, across: int) -> None:
    at = dict(zip(drawn["nodes"], zip(drawn["x"], drawn["y"], strict=True), strict=True))
    sizes = _sizes(drawn, across)
    few = len(drawn["edges"]) <= _FEW_EDGES
    for source, target, weight in drawn["edges"]:
        if weight and math.isfinite(weight):
            bend = _bend(axes, at, sizes, (source, target), room=10.0 if few else 1.5)
            _arrow(axes, (at[source], at[target]), bend, weight, largest, (sizes[source], sizes[target]))
            if few:
                _print_weight(axes, (at[source], at[target]), bend, weight)
    font = 6.5 if across > 1 else 7.5
    for name, (x, y) in at.items():
        axes.plot([x], [y], "o", ms=sizes[name], mfc="white", mec=INK, mew=0.8, zorder=3, clip_on=False)
        axes.text(x, y, shorten(clean(name), 12), ha="center", va="center", fontsize=font, zorder=4)


def _sizes(drawn: JSON, across: int) -> dict[str, float]:
    """Diameter of every node in points: room for the longest label, and up to _GROWTH of it more by sqrt |weight|."""
    longest = max(len(shorten(clean(name), 12)) for name in drawn["nodes"])
    label = max(12.0, (3.7 if across > 1 else 4.3) * longest + 2)
    weights = [abs(w) if math.isfinite(w) else 0.0 for w in drawn.get("weights", [0.0] * len(drawn["nodes"]))]
    largest = max(weights) or 1.0
    return {
        name: label * (1 + _GROWTH * math.sqrt(w / largest))
        for name, w in zip(drawn["nodes"], weights, strict=True)
    }


def _bend(
    axes: "Axes", at: Mapping[str, Point], sizes: Mapping[str, float], edge: tuple[str, str], room: float
) -> float:
    """The bend with which an edge passes the other nodes by `room` points; the best there is where none does."""
    import numpy as np

    others = [name for name in at if name not in edge]
    if not others:
        return _BENDS[0]
    places = np.array([_points(axes, at[name]) for name in others])
    radii = np.array([sizes[name] / 2 for name in others])
    start, end = (_points(axes, at[name]) for name in edge)

    def clearance(bend: float) -> float:
        curve = np.array([_on_curve(start, end, bend, t) for t in np.linspace(0.05, 0.95, 19)])
        apart = np.linalg.norm(curve[:, None] - places[None], axis=-1) - radii
        return float(apart.min())

    clear = (bend for bend in _BENDS if clearance(bend) > room)
    return next(clear, max(_BENDS, key=clearance))


def _arrow(
    axes: "Axes", ends: tuple[Point, Point], bend: float, weight: float, largest: float,
    sizes: tuple[float, float],
) -> None:  # fmt: skip
    from matplotlib.patches import FancyArrowPatch

    width = max(_THINNEST, _WIDEST * abs(weight) / largest)
    arrow = FancyArrowPatch(
        *ends, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=5 + 1.6 * width, lw=width,
        shrinkA=sizes[0] / 2, shrinkB=sizes[1] / 2 + 1, alpha=0.85, zorder=2, capstyle="butt", joinstyle="miter",
        **_LOOKS[1 if weight > 0 else -1],
    )  # fmt: skip
    arrow.set_clip_on(False)
    axes.add_patch(arrow)


def _print_weight(axes: "Axes", ends: tuple[Point, Point], bend: float, weight: float) -> None:
    """At the middle of the bent arrow."""
    start, end = (_points(axes, one) for one in ends)
    x, y = _on_curve(start, end, bend, 0.5)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    scale = axes.figure.dpi / 72
    place_x, place_y = axes.transData.inverted().transform((x * scale, y * scale))
    axes.text(
        place_x, place_y, number(weight, 2), ha="center", va="center", fontsize=6, color=INK, bbox=box, zorder=5,
    )  # fmt: skip


def _points(axes: "Axes", at: Point) -> Point:
    """Where the figure shows a place, in points."""
    x, y = axes.transData.transform(at) * 72 / axes.figure.dpi
    return float(x), float(y)


def _on_curve(start: Point, end: Point, bend: float, t: float) -> Point:
    """The arc of matplotlib's "arc3": a parabola through a control point beside the middle."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    aside = 2 * t * (1 - t) * bend
    return start[0] + t * dx + aside * dy, start[1] + t * dy - aside * dx


def _room(axes: "Axes", shown: Sequence[JSON]) -> None:
    """Margins for nodes at the rim."""
    for name, limit, below in (("x", axes.set_xlim, 0.12), ("y", axes.set_ylim, 0.16)):
        values = [value for drawn in shown for value in drawn[name]]
        low, high = min(values), max(values)
        span = (high - low) or 1.0
        limit(low - below * span, high + 0.12 * span)


def _legend(panels: Sequence[Panel]) -> dict[str, "Artist"]:
    from matplotlib.lines import Line2D

    weights = [w for panel in panels for drawn in panel.series for *_, w in drawn["edges"]]
    found: dict[str, Any] = {}
    for sign, text in ((1, "positive"), (-1, "negative")):
        if any(w * sign > 0 for w in weights):
            found[text] = Line2D([], [], lw=1.6, **_LOOKS[sign])
    return found
