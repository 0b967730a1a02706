"""One series against another: points coloured by a third, models in rows and variants in columns."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energylens.report.content.entries import JSON
from energylens.report.content.readable import clean, interval, number, rounded
from energylens.report.figures.panels import (
    ACROSS,
    Panel,
    annotate,
    axis_labels,
    draw_mark,
    heading,
    legend_below,
    mark_legend,
)
from energylens.report.figures.style import GREY, SERIES, WIDTH, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "os^Dv*Xp<>"
_MOST_COLUMNS = 6
_FEW_LABELS, _MOST_LABELS = 3, 12
"""Numbers that are told with the name of the colour, and labels that the legend has room for (of more, some)."""

Look = Mapping[str, Any]


def scatter(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """A panel per model and variant with the points of all its seeds, headed by the verdict's estimate.

    Variants share the scale of their model; a model's own scale is its own, because models count different things.
    """
    cells, models, columns = _layout(panels)
    down, across = 1 + max(row for row, _ in cells), 1 + max(column for _, column in cells)
    looks = _looks(panels, wanted)
    legend = _legend(looks, wanted)
    top = 0.58 + 0.20 * legend_below(wanted["title"], legend)
    figure = new_figure(top + 0.45 + down * (1.2 if columns else 1.5))
    grid = figure.subplots(
        down, across, squeeze=False, sharex="col" if columns else "none", sharey="row" if columns else "none"
    )
    for at, panel in cells.items():
        _points(grid[at], panel, wanted, looks)
        grid[at].set_title(_estimate(panel, across), color=GREY, loc="left", pad=2)
        if not columns:
            _strip(grid[at], panel.title, (0, 1), (0, 13), va="bottom")
    _tidy(grid, set(cells))
    for row, text in enumerate(models):
        _strip(grid[row, -1], text, (1, 0.5), (4, 0), rotation=270, va="center")
    for column, text in enumerate(columns):
        _strip(grid[0, column], text, (0, 1), (0, 13), va="bottom")
    heading(figure, wanted, legend)
    axis_labels(figure, wanted)
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.66 / WIDTH, right=1 - 0.22 / WIDTH, bottom=0.44 / height, top=1 - top / height,
        wspace=0.12 if columns else 0.24, hspace=0.24 if columns else 0.48,
    )  # fmt: skip
    return figure


def _layout(panels: Sequence[Panel]) -> tuple[dict[tuple[int, int], Panel], list[str], list[str]]:
    """Panels by (row, column), labels of the rows, labels of the columns.

    Models are rows and variants columns where there are variants and they fit; otherwise every panel is named by
    itself, in rows of at most ACROSS.
    """
    models = list(dict.fromkeys(panel.model for panel in panels))
    variants = list(dict.fromkeys(panel.variant for panel in panels))
    if len(variants) == 1 or len(variants) > _MOST_COLUMNS:
        return {divmod(i, min(len(panels), ACROSS)): panel for i, panel in enumerate(panels)}, [], []
    cells = {(models.index(panel.model), variants.index(panel.variant)): panel for panel in panels}
    return cells, models, [variant or "every variant" for variant in variants]


def _points(axes: "Axes", panel: Panel, wanted: JSON, looks: Mapping[str, Look]) -> None:
    for drawn in panel.series:
        labels = _labels(drawn, wanted)
        for label, look in looks.items():
            at = [i for i, one in enumerate(labels) if one == label]
            x, y = ([drawn[name][i] for i in at] for name in (wanted["x"], wanted["y"][0]))
            axes.plot(x, y, ls="none", alpha=0.6, **look)
    draw_mark(axes, panel, wanted)


def _labels(drawn: JSON, wanted: JSON) -> list[str]:
    """The colour's label of every point."""
    colour = wanted.get("colour")
    if not colour:
        return [""] * len(drawn[wanted["x"]])
    return [clean(x) if isinstance(x, str) else number(x) for x in drawn[colour]]


def _looks(panels: Sequence[Panel], wanted: JSON) -> dict[str, Look]:
    """Colour and marker of every label, in the order of numbers or of appearance; grey print has the markers."""
    labels = list(
        dict.fromkeys(x for panel in panels for drawn in panel.series for x in _labels(drawn, wanted))
    )
    labels.sort(key=_as_number)
    colours = list(SERIES) if len(labels) <= len(SERIES) else _ramp(len(labels))
    return {
        label: {"marker": _MARKERS[i % len(_MARKERS)], "color": colours[i], "ms": 3.4, "mew": 0}
        for i, label in enumerate(labels)
    }


def _as_number(label: str) -> float:
    """Sorts numbers by size; words and NaN stay as they come, after them."""
    try:
        found = float(label.replace("−", "-"))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(found) else found


def _ramp(n: int) -> list[Any]:
    """Colours from dark to light, ordered for the eye and in grey."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.95 * i / (n - 1)) for i in range(n)]


def _legend(looks: Mapping[str, Look], wanted: JSON) -> dict[str, "Artist"]:
    from matplotlib.lines import Line2D

    legend: dict[str, Artist] = {}
    if wanted.get("colour"):
        shown = list(looks.items())[:: math.ceil(len(looks) / _MOST_LABELS)]
        for i, (label, look) in enumerate(shown):
            named = math.isfinite(_as_number(label)) and (i == 0 or len(shown) <= _FEW_LABELS)
            text = f"{clean(wanted['colour'])} {label}" if named else label
            legend[text] = Line2D([], [], ls="none", **look)
    return legend | mark_legend(wanted)


def _estimate(panel: Panel, across: int) -> str:
    """The verdict's number, where the claim has one."""
    parts = panel.verdict["parts"]
    if len(parts) != 1:
        return ""
    return interval(parts[0]) if across <= ACROSS else rounded(parts[0])


def _tidy(grid: Any, used: set[tuple[int, int]]) -> None:
    """Few ticks; panels that have nothing to show keep their place and stay empty."""
    from matplotlib.ticker import MaxNLocator

    for (row, column), axes in _places(grid):
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        if (row, column) not in used:
            axes.axis("off")
        elif (row + 1, column) not in used:
            axes.tick_params(labelbottom=True)


def _places(grid: Any) -> list[tuple[tuple[int, int], "Axes"]]:
    return [((i, j), axes) for i, row in enumerate(grid) for j, axes in enumerate(row)]


def _strip(
    axes: "Axes", text: str, at: tuple[float, float], shift: tuple[float, float], **style: Any
) -> None:
    """A row's or a column's label at the edge of one of its panels."""
    annotate(axes, shorten(text, 20), at, shift, weight="bold", **style)
