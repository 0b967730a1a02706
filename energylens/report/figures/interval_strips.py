"""Estimates against regions: a table whose middle column is drawn.

A `Strip` is one axis: the region is shaded, each `Mark` is one row with a label, an interval, an estimate and
its numbers in print. Every strip has its own scale, since claims count different things; its only ticks are
the region's ends, because the numbers stand beside.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energylens.report.figures.style import COLOURS, GREY, INK, MARKERS, SHADE, WIDTH, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, HEAD, FOOT, TOP = 0.18, 0.23, 0.27, 0.04
"""Inches: one row, a strip's heading, its tick labels, the margin."""

LEFT, RIGHT = 2.0, 4.0
"""Inches from the left edge: where the drawn column begins and ends."""

NUMBERS, VERDICT = 4.13, 5.95
"""Inches from the left edge: the printed estimate and the verdict."""

NULL, PUBLISHED, CEILING = "null", "published", "ceiling"
_MINOR = {NULL: "o", PUBLISHED: "d", CEILING: "^"}
"""Markers of nulls, original estimators and ceilings beside a claim."""

_INNER_ROW = 0.38
"""Rows that each of several marks in one row takes."""

_HOLLOW = {"mfc": "white", "mec": GREY, "mew": 0.8, "ms": 4.2}


@dataclass(frozen=True)
class Mark:
    """One row. kind: a verdict's word, NULL, PUBLISHED or CEILING. dots: values per seed; hollow: nulls' estimates.

    inner: marks that share the row, under each other, each with its own interval; the row's own is not drawn then.
    """

    label: str
    kind: str
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    numbers: str = ""
    verdict: str = ""
    dots: Sequence[float] = ()
    hollow: Sequence[float] = ()
    inner: Sequence["Mark"] = ()

    @property
    def rows(self) -> float:
        """Height in rows."""
        lines = 1 + self.verdict.count("\n")
        return max(1.0, 0.3 + _INNER_ROW * len(self.inner), 0.7 * lines)


@dataclass(frozen=True)
class Strip:
    """One axis with its rows. region_low, region_high: the region's ends, infinite ones included."""

    title: str
    subtitle: str
    region_low: float
    region_high: float
    marks: Sequence[Mark] = field(default_factory=tuple)

    @property
    def height(self) -> float:
        """Inches."""
        return HEAD + ROW * self.rows + FOOT

    @property
    def rows(self) -> float:
        """Height of all marks in rows."""
        return sum(mark.rows for mark in self.marks)


def draw_strips(strips: Sequence[Strip], extra: float = 0.0) -> "Figure":
    """All strips under each other, leaving `extra` inches free at the bottom."""
    total = TOP + sum(strip.height for strip in strips) + extra
    figure = new_figure(total)
    top = total - TOP
    for strip in strips:
        _draw_strip(figure, strip, top, total)
        top -= strip.height
    return figure


def _draw_strip(figure: "Figure", strip: Strip, top: float, total: float) -> None:
    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / WIDTH, y / total, text, va="center", **style)

    rows = ROW * strip.rows
    write(0.05, top - HEAD / 2, shorten(strip.title, 62), weight="bold")
    write(NUMBERS, top - HEAD / 2, shorten(strip.subtitle, 46), color=GREY)
    bottom = top - HEAD - rows
    axes = figure.add_axes((LEFT / WIDTH, bottom / total, (RIGHT - LEFT) / WIDTH, rows / total))
    _frame(axes, strip)
    above = 0.0
    for mark in strip.marks:
        at = above + mark.rows / 2
        above += mark.rows
        y = top - HEAD - ROW * at
        minor = mark.kind in _MINOR
        tone = GREY if minor else INK
        write(0.30 if minor else 0.15, y, shorten(mark.label, 30 if minor else 32), color=tone)
        write(NUMBERS, y, mark.numbers, color=tone)
        told = "\n".join(shorten(line, 26) for line in mark.verdict.splitlines())
        write(VERDICT, y, told, color=COLOURS.get(mark.kind, GREY))
        for i, one in enumerate(mark.inner or [mark]):
            shift = _INNER_ROW * ((len(mark.inner) - 1) / 2 - i) if mark.inner else 0.0
            _draw_mark(axes, strip.rows - at + shift, one, small=bool(mark.inner))


def _frame(axes: "Axes", strip: Strip) -> None:
    low, high = limits(strip)
    axes.set_xlim(low, high)
    axes.set_ylim(0, strip.rows)
    axes.axvspan(max(strip.region_low, low), min(strip.region_high, high), color=SHADE, lw=0, zorder=0)
    ends = [end for end in (strip.region_low, strip.region_high) if math.isfinite(end)]
    for end in ends:
        axes.axvline(end, color=GREY, lw=0.6, zorder=1)
    axes.set_xticks(ends, [f"{end:.4g}" for end in ends])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _draw_mark(axes: "Axes", y: float, mark: Mark, small: bool = False) -> None:
    colour = COLOURS.get(mark.kind, GREY)
    hollow = _HOLLOW | ({"ms": 2.8, "mew": 0.6} if small else {})
    for x in mark.hollow:
        _draw_point(axes, x, y, "o", hollow)
    if mark.dots:
        axes.plot(
            mark.dots, [y + 0.27] * len(mark.dots), "o", ms=2.2, mfc=colour, mec="none", alpha=0.6, zorder=2
        )
    if not math.isfinite(mark.estimate):
        return
    _draw_interval(axes, y, mark, colour, 0.9 if small else 1.4)
    if mark.kind in _MINOR:
        _draw_point(axes, mark.estimate, y, _MINOR[mark.kind], _HOLLOW)
    else:
        _draw_point(
            axes, mark.estimate, y, MARKERS[mark.kind],
            {"mfc": colour, "mec": "white", "mew": 0.4, "ms": 3.6 if small else 5},
        )  # fmt: skip


def _draw_point(axes: "Axes", x: float, y: float, marker: str, look: Mapping[str, Any]) -> None:
    """A marker, or an arrowhead at the edge that it lies beyond."""
    left, right = axes.get_xlim()
    shape = "<" if x < left else ">" if x > right else marker
    axes.plot([min(max(x, left), right)], [y], shape, clip_on=False, zorder=4, **look)


def _draw_interval(axes: "Axes", y: float, mark: Mark, colour: str, width: float) -> None:
    left, right = axes.get_xlim()
    low, high = (end if not math.isnan(end) else mark.estimate for end in (mark.low, mark.high))
    if high > left and low < right:
        shown = [max(low, left), min(high, right)]
        axes.plot(shown, [y, y], "-", color=colour, lw=width, solid_capstyle="butt", zorder=3)
        for x in (low, high):
            if not left <= x <= right:
                _draw_point(axes, x, y, "", {"color": colour, "ms": 3.5, "mew": 0})


def limits(strip: Strip) -> tuple[float, float]:
    """Limits of the axis: the estimates, their seeds and the region's ends.

    Intervals and nulls widen the axis only where they lie within its own span on either side, so that a distant null
    does not hide the decisive thing, the place of the interval against the region. Arrowheads stand for values further
    out.
    """
    ends = [end for end in (strip.region_low, strip.region_high) if math.isfinite(end)]
    marks = [one for mark in strip.marks for one in (mark.inner or [mark])]
    judged = [mark for mark in marks if mark.kind not in _MINOR]
    points = ends + [x for mark in judged for x in (mark.estimate, *mark.dots) if math.isfinite(x)]
    span = (max(points) - min(points)) or abs(points[0]) or 1.0
    others = [x for mark in marks for x in (mark.low, mark.high, mark.estimate, *mark.hollow)]
    near = [x for x in others if min(points) - span <= x <= max(points) + span]
    low, high = min(points + near), max(points + near)
    margin = 0.06 * ((high - low) or span)
    return low - margin, high + margin
