"""z of runs on several machines as a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energylens.harness.compare.replication import FAR, NOTABLE
from energylens.harness.compare.replications import share_notable
from energylens.report.content.entries import JSON
from energylens.report.content.readable import clean
from energylens.report.figures.style import COLOURS, GREY, INK, SERIES, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LIMIT, _BINS = 5.0, 40
"""The figure ends at +-5; what lies beyond is drawn in the last bin."""


def replication_figure(lines: Sequence[JSON]) -> "Figure":
    """The distribution of z of every machine against the normal one."""
    figure = new_figure(0.75 + 1.3 * len(lines))
    grid = figure.subplots(len(lines), 1, sharex=True, squeeze=False)
    for axes, line, colour in zip(grid.flat, lines, SERIES * len(lines), strict=False):
        _draw(axes, line, colour)
    grid.flat[-1].set_xlabel("z: estimate there − estimate here, in standard errors of the difference")
    figure.tight_layout()
    return figure


def _draw(axes: "Axes", line: JSON, colour: str) -> None:
    import numpy as np

    z = np.clip(np.array([float(each) for each in line["z"]]), -_LIMIT, _LIMIT)
    edges = np.linspace(-_LIMIT, _LIMIT, _BINS + 1)
    axes.hist(z, bins=edges.tolist(), color=colour, alpha=0.55)
    x = np.linspace(-_LIMIT, _LIMIT, 201)
    axes.plot(x, len(z) * (edges[1] - edges[0]) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color=INK, lw=0.8)
    for limit, dashes in ((NOTABLE, ":"), (FAR, "--")):
        for side in (-limit, limit):
            axes.axvline(side, color=COLOURS["INVALID"] if limit == FAR else GREY, ls=dashes, lw=0.8)
    far = len(line["not_replicated"])
    told = f"{len(z)} estimates, {100 * share_notable(line):.1f} % beyond ±{NOTABLE:g}, {far} beyond ±{FAR:g}"
    axes.set_title(f"{shorten(clean(line['machine']), 110)}\n{told}", loc="left")
    axes.set_ylabel("estimates")
    axes.set_xlim(-_LIMIT, _LIMIT)
