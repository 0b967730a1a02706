"""Power: how often a true effect is decided, against its size, one curve per number of seeds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energylens.report.content.entries import JSON
from energylens.report.figures.panels import heading
from energylens.report.figures.style import DASHES, LIGHT, SERIES, WIDTH, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 2.55
_GOOD = 0.8
_LEVELS = [level / 100 for level in range(30, 93, 4)]
_APART, _OFF_DOTS = 0.12, 0.06
"""Heights at which curves may be named; how much they differ from name to name, and from the curve's own dots."""


def power_curves(panels: Sequence[JSON]) -> "Figure":
    """The panels of `energylens.trust.calibration.wrong_words.power` side by side: lines by formula, dots by the judge.

    Every curve carries its number of seeds where it is farthest from the others; bars are two Monte Carlo errors.
    """
    figure = new_figure(HEIGHT)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        _draw(axes, panel)
    grid[0].set_ylim(0, 1.02)
    grid[0].set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "20 %", "40 %", "60 %", "80 %", "100 %"])
    grid[0].set_ylabel("decided rightly")
    seeds = ", ".join(str(curve["seeds"]) for curve in panels[0]["curves"])
    title = f"How often {seeds} seeds decide a true effect (lines: formula; dots: through the judge)"
    heading(figure, {"title": title})
    figure.subplots_adjust(
        left=0.62 / WIDTH, right=1 - 0.1 / WIDTH, bottom=0.44 / HEIGHT, top=1 - 0.46 / HEIGHT, wspace=0.1
    )
    return figure


def _draw(axes: "Axes", panel: JSON) -> None:
    axes.set_title(panel["title"])
    axes.set_xlabel(panel["x_label"])
    axes.axhline(_GOOD, color=LIGHT, lw=0.8, zorder=1)
    dots = [
        [dot for dot in panel["simulated"] if dot["seeds"] == curve["seeds"]] for curve in panel["curves"]
    ]
    names = _names_at(panel, [[dot["rate"] for dot in one] for one in dots])
    for i, (curve, of_curve, at) in enumerate(zip(panel["curves"], dots, names, strict=True)):
        colour = SERIES[i % len(SERIES)]
        axes.plot(panel["x"], curve["decided"], color=colour, ls=DASHES[i % len(DASHES)], lw=1.2)
        axes.errorbar(
            [dot["x"] for dot in of_curve], [dot["rate"] for dot in of_curve],
            [2 * dot["monte_carlo_error"] for dot in of_curve],
            fmt="o", ms=2.4, mew=0, color=colour, elinewidth=0.6, clip_on=False,
        )  # fmt: skip
        axes.text(
            *at, str(curve["seeds"]), color=colour, ha="center", va="center",
            bbox={"fc": "white", "lw": 0, "pad": 0.8}, zorder=5,
        )  # fmt: skip


def _names_at(panel: JSON, dots: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """A place on each curve, off its dots, where the nearest other curve is farthest; the most crowded choose first."""
    import numpy as np

    decided, levels = [curve["decided"] for curve in panel["curves"]], np.array(_LEVELS)
    x = np.array([np.interp(levels, one, panel["x"]) for one in decided])
    gaps = np.abs(x[:, None] - x) + np.where(np.eye(len(x))[:, :, None], np.inf, 0)
    nearest = gaps.min(axis=1)
    free = np.ones(len(levels), bool)
    places = {}
    for i in np.argsort(nearest.max(axis=1)):
        if decided[i][-1] < levels[-1]:
            places[i] = float(np.mean(panel["x"])), float(np.mean(decided[i])) + 0.05
            continue
        off_dots = np.abs(levels[:, None] - np.array(dots[i])).min(axis=1, initial=1.0) > _OFF_DOTS
        best = int(np.argmax(np.where(free & off_dots, nearest[i], -1)))
        free &= np.abs(levels - levels[best]) >= _APART
        places[i] = float(x[i, best]), _LEVELS[best]
    return [places[i] for i in range(len(decided))]
