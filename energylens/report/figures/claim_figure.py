"""A claim's own figure: the `series` of its measurements, in the kind of drawing that it declares."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from energylens.report.content.entries import JSON, Entry
from energylens.report.figures.curves import bars, lines, split_lines
from energylens.report.figures.distribution import distributions
from energylens.report.figures.graph import graphs
from energylens.report.figures.matrices import matrices
from energylens.report.figures.panels import Panel, panels_of
from energylens.report.figures.scatter import scatter
from energylens.report.figures.tokens import texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS: dict[str, Callable[[Sequence[Panel], JSON], "Figure"]] = {
    "lines": lines,
    "bars": bars,
    "scatter": scatter,
    "heatmap": matrices,
    "graph": graphs,
    "distribution": distributions,
    "text": texts,
}


def series_figure(entry: Entry) -> "Figure | None":
    """None when the claim declares no figure, or a table (which is text), or no seed recorded a series.

    Raises InputError, naming claim and series, for a series that is missing or can't be drawn.
    """
    wanted = entry.claim["figure"]
    panels = panels_of(entry, wanted) if wanted and wanted["kind"] != "table" else []
    if not panels:
        return None
    draw = split_lines if wanted.get("split") else _KINDS[wanted["kind"]]
    return draw(panels, wanted)
