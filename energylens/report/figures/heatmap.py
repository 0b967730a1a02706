"""Seed by seed: the pairs behind a statistic over several networks or dictionaries at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energylens.report.content.entries import JSON, Entry, chance, judged_seeds, place, rows_of
from energylens.report.content.readable import clean
from energylens.report.figures.style import WIDTH, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

HEATMAP_HEIGHT = 2.05
"""Inches that a row of heatmaps takes at the bottom of a claim's figure."""

_LEFT, _BOTTOM, _SIDE, _APART = 0.5, 0.42, 1.35, 1.72
"""Inches: where the first map begins, the side of each, and the step to the next."""

_MOST = 4
_PRINTED = 7


@dataclass(frozen=True)
class Heatmap:
    """One matrix with the seeds of its rows. scale: region ends and nulls that the colours have to cover."""

    title: str
    seeds: Sequence[str]
    values: Sequence[Sequence[float]]
    scale: Sequence[float] = ()


def heatmaps(entry: Entry) -> list[Heatmap]:
    """One per (model, variant, part) that was judged over pairs, at most as many as fit side by side."""
    found = []
    for verdict, name, part in rows_of(entry):
        if part and part["pairs"]:
            title = ", ".join([place(verdict)] + ([name] if len(entry.parts) > 1 else []))
            seeds = [str(seed) for seed in judged_seeds(verdict, part)]
            values = [[float(x) for x in row] for row in part["pairs"]]
            found.append(Heatmap(clean(title), seeds, values, _landmarks(verdict, name, part)))
    return found[:_MOST]


def draw_heatmaps(figure: "Figure", maps: Sequence[Heatmap]) -> None:
    """Side by side at the bottom of the figure, on one colour scale; the lower triangle says it all."""
    if not maps:
        return
    pairs = [x for one in maps for i, row in enumerate(one.values) for x in row[:i]]
    values = [x for x in (*pairs, *(y for one in maps for y in one.scale)) if math.isfinite(x)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    total = figure.get_figheight()
    for i, one in enumerate(maps):
        left = _LEFT + i * _APART
        axes = figure.add_axes((left / WIDTH, _BOTTOM / total, _SIDE / WIDTH, _SIDE / total))
        image = _draw_heatmap(axes, one, low, high if high > low else low + 1e-12)
    if any(len(one.values) > _PRINTED for one in maps):
        corner = (left + 0.7 * _SIDE) / WIDTH, (_BOTTOM + 0.55 * _SIDE) / total
        bar = figure.add_axes((*corner, 0.06 / WIDTH, 0.4 * _SIDE / total))
        figure.colorbar(image, cax=bar, ticks=[low, high], format="%.3g").outline.set_visible(False)


def _landmarks(verdict: JSON, name: str, part: JSON) -> list[float]:
    """The region's ends and the chance level: on their scale, noise among pairs is no structure."""
    null = chance(verdict, name)
    level = [float(null[1]["estimate"])] if null else []
    return [float(part["region_low"]), float(part["region_high"]), *level]


def _draw_heatmap(axes: "Axes", one: Heatmap, low: float, high: float) -> "AxesImage":
    n = len(one.values)
    shown = [[one.values[i][j] if j < i else math.nan for j in range(n - 1)] for i in range(1, n)]
    floor = low - 0.15 * (high - low)
    image = axes.imshow(shown, cmap="Blues", vmin=floor, vmax=high, interpolation="nearest", aspect="equal")
    axes.set_title(shorten(one.title, 30))
    axes.set_xticks(range(n - 1), one.seeds[:-1], rotation=45)
    axes.set_yticks(range(n - 1), one.seeds[1:])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if n <= _PRINTED:
        for i, row in enumerate(shown):
            for j, x in enumerate(row[: i + 1]):
                tone = "white" if x > low + 0.6 * (high - low) else "black"
                axes.text(j, i, f"{x:.3f}".replace("0.", ".", 1), ha="center", va="center", color=tone)
    return image
