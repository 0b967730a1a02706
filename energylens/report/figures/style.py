"""One look for every figure: one font, one size, colours that survive print and colour blindness.

Colours are those of Okabe and Ito (2008); every verdict has its own marker, so grey print still tells.
Importing this module does not import matplotlib.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from energylens.report.figures.svg import compact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 7.2
"""Inches: the text width of a page."""

FONT_SIZE = 7.5
INK, GREY, LIGHT, SHADE = "#222222", "#767676", "#c8c8c8", "#e3edf4"

AS_IT_MUST = "as it must"
"""A gate that rejects a model which it has to reject: no news, so not the colour of a refutation."""

COLOURS = {
    "HOLDS": "#0072B2", "REFUTED": "#D55E00", "INCONCLUSIVE": "#B8860B", "INVALID": "#AA4499",
    "NOT RUN": GREY, "ERROR": "#000000", AS_IT_MUST: "#0072B2",
}  # fmt: skip
MARKERS = {
    "HOLDS": "o", "REFUTED": "s", "INCONCLUSIVE": "D", "INVALID": "X", "NOT RUN": ".", "ERROR": "X",
    AS_IT_MUST: "s",
}  # fmt: skip

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)), "dashdot", (0, (6, 1, 1, 1)), (0, (2, 2)))

_RC: Any = {
    "font.family": "DejaVu Sans", "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE, "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE, "ytick.labelsize": FONT_SIZE, "legend.fontsize": FONT_SIZE,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GREY, "xtick.color": INK, "ytick.color": INK,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5,
    "ytick.major.size": 2.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlelocation": "left", "axes.titlepad": 4.0, "legend.frameon": False, "text.parse_math": False,
    "svg.hashsalt": "energylens", "svg.fonttype": "none", "savefig.facecolor": "white", "figure.dpi": 100,
}  # fmt: skip


@contextmanager
def styled() -> Iterator[None]:
    """Draw inside this context; whatever the user's own matplotlib settings are."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """A figure of this many inches that no window and no pyplot state knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def encode(figure: "Figure") -> dict[str, bytes]:
    """PNG and SVG by suffix: the same bytes for the same figure, no dates, no versions; the SVG is compact."""
    return {
        "png": _encode(figure, "png", dpi=200, metadata={"Software": None}),
        "svg": compact(_encode(figure, "svg", metadata={"Date": None, "Creator": None})),
    }


def _encode(figure: "Figure", kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def shorten(text: str, length: int) -> str:
    """At most `length` characters, the cut marked."""
    return text if len(text) <= length else text[: length - 1] + "…"
