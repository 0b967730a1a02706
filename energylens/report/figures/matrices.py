"""Numbers of layers and heads as maps: a row of maps per model, one per seed, on the model's own colour scale."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from energylens.report.content.entries import JSON
from energylens.report.content.readable import number
from energylens.report.figures.panels import (
    SEEDS,
    Panel,
    annotate,
    annotate_seed,
    axis_labels,
    heading,
    seeds_note,
)
from energylens.report.figures.style import GREY, LIGHT, WIDTH, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Matrix = Sequence[Sequence[float]]

_LEFT, _RIGHT, _APART = 0.66, 0.55, 0.14
"""Inches: left of the first map, right of the last (the colour bar), between two."""

_PRINTED, _WIDE = 8, 5
"""Largest rows and columns of maps with printed numbers; columns above which these have one decimal."""


def matrices(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """Colours diverge from 0; the scale is one model's, because models count different things."""
    across = min(max(len(panel.seeds) for panel in panels), SEEDS)
    side = (WIDTH - _LEFT - _RIGHT - _APART * (across - 1)) / max(across, 3)
    heights = [_height(panel, side) for panel in panels]
    total = 0.36 + sum(heights) + 0.62 * len(panels) + 0.10
    figure = new_figure(total)
    top = total - 0.36
    for panel, height in zip(panels, heights, strict=True):
        top -= 0.32 + height
        _draw_row(figure, panel, (side, height), top, across)
        top -= 0.30
    heading(figure, wanted)
    labels = {"x_label": wanted["x_label"] or "head", "y_label": wanted["y_label"] or "layer"}
    axis_labels(figure, {**wanted, **labels})
    return figure


def _height(panel: Panel, side: float) -> float:
    """Square cells where that is neither a thin line nor a tower."""
    rows, columns = _shape(panel.series[0]["values"])
    return min(max(side * rows / columns, 0.19 * min(rows, _PRINTED), 0.3), 1.6)


def _draw_row(figure: "Figure", panel: Panel, size: tuple[float, float], bottom: float, across: int) -> None:
    total, (side, height) = figure.get_figheight(), size
    shown = [drawn["values"] for drawn in panel.series[:across]]
    finite = [abs(x) for matrix in shown for row in matrix for x in row if math.isfinite(x)]
    limit = max(finite, default=0.0) or 1.0
    power = _power(limit)
    for i, (seed, matrix) in enumerate(zip(panel.seeds, shown, strict=False)):
        left = _LEFT + i * (side + _APART)
        axes = figure.add_axes((left / WIDTH, bottom / total, side / WIDTH, height / total))
        image = _draw(axes, matrix, limit, power, cell=72 * side / len(matrix[0]))
        annotate_seed(axes, seed)
        axes.tick_params(labelleft=i == 0)
        if i == 0:
            axes.set_title(shorten(panel.title, 60) + seeds_note(panel, across), pad=13, weight="bold")
    right = (left + side + 0.08) / WIDTH
    bar = figure.add_axes((right, bottom / total, 0.07 / WIDTH, height / total))
    ticks = [-limit, 0, limit] if height > 0.45 else [-limit, limit]
    figure.colorbar(image, cax=bar, ticks=ticks, format="%.2g").outline.set_visible(False)
    bar.tick_params(length=0, pad=2)
    if power and _prints(shown[0]):
        annotate(bar, f"printed in units of {number(10.0**power)}", (1, 1), (26, 13), ha="right", color=GREY)


def _draw(axes: "Axes", matrix: Matrix, limit: float, power: int, cell: float) -> "AxesImage":
    """cell: width of a cell in points."""
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    colours = colormaps["PuOr_r"].with_extremes(bad=LIGHT)
    image = axes.imshow(matrix, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto")
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for axis, n in zip((axes.yaxis, axes.xaxis), _shape(matrix), strict=True):
        axis.set_major_locator(MaxNLocator(min(n, 8), integer=True))
    size = min(6.5, cell / 2.2)
    for i, row in enumerate(matrix):
        for j, x in enumerate(row):
            text = _text(x, power, len(row)) if _prints(matrix) else _sign(x, limit)
            tone = "white" if abs(x) > 0.6 * limit else "black"
            axes.text(j, i, text, ha="center", va="center_baseline", color=tone, fontsize=size)
    return image


def _prints(matrix: Matrix) -> bool:
    return max(_shape(matrix)) <= _PRINTED


def _text(x: float, power: int, columns: int) -> str:
    """Two digits where there is room for them, without the zero before the point: ".43", "−1.2", "0"."""
    if not math.isfinite(x):
        return "–"
    scaled = x / 10.0**power
    decimals = 2 if columns <= _WIDE and abs(scaled) < 0.95 else 0 if abs(scaled) >= 9.95 else 1
    text = f"{scaled:.{decimals}f}".removeprefix("-")
    shown = text.removeprefix("0") if "." in text else text
    return "0" if not shown.strip(".0") else ("−" if scaled < 0 else "") + shown


def _sign(x: float, limit: float) -> str:
    """In grey print, both ends of the scale are dark: what is clearly negative carries its sign."""
    return "−" if x < -0.15 * limit else ""


def _power(limit: float) -> int:
    """The power of ten that is left out of printed numbers: 0 where the largest is between 1 and 100."""
    power = math.floor(math.log10(limit))
    return 0 if 0 <= power <= 1 else power


def _shape(matrix: Matrix) -> tuple[int, int]:
    return len(matrix), len(matrix[0])
