"""Estimates over time: small multiples, one panel per claim and part, the full runs from left to right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from energylens.report.content.entries import JSON, Entry
from energylens.report.content.readable import clean, count, number
from energylens.report.content.timeline import RUNS_DRAWN, Track, is_flip, tracks_of
from energylens.report.figures.panels import annotate
from energylens.report.figures.style import (
    COLOURS,
    GREY,
    INK,
    LIGHT,
    MARKERS,
    SHADE,
    WIDTH,
    new_figure,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 4
"""Panels side by side."""

COLUMNS = 10
"""Number of runs that panels have room for; for longer histories twice, three times as many."""

FEW = 3
"""Largest number of verdicts in a panel whose intervals are drawn, beside each other."""

TOP, HEAD, PANEL, GAP, FOOT = 0.24, 0.36, 0.72, 0.14, 0.10
"""Inches: the figure's title, a panel's two lines, the panel, below it, and below the last for its dates."""

LEFT, RIGHT = 0.42, 0.08
"""Inches beside a panel, for its tick labels."""

_DODGE = 0.22
_LINE = 30
"""Characters that a panel's heading has room for."""


@dataclass(frozen=True)
class _Panel:
    entry: Entry
    part: str
    tracks: Sequence[Track]

    @property
    def ends(self) -> tuple[float, float]:
        region = self.entry.claim["regions"][self.part]
        return float(region["low"]), float(region["high"])


def history_figure(title: str, found: Sequence[Entry], history: Sequence[JSON]) -> "Figure | None":
    """The claims of one family over the last RUNS_DRAWN runs. None without estimates, or with fewer than two runs."""
    runs = history[-RUNS_DRAWN:]
    panels = [
        _Panel(e, part, tracks) for e in found for part in e.parts if (tracks := tracks_of(e, part, runs))
    ]
    if len(runs) < 2 or not panels:
        return None
    rows = math.ceil(len(panels) / ACROSS)
    total = TOP + rows * (HEAD + PANEL + GAP) + FOOT
    figure = new_figure(total)
    told = f"{len(runs)}" if len(runs) == len(history) else f"the last {len(runs)} of {len(history)}"
    figure.text(0.05 / WIDTH, 1 - TOP / 2 / total, f"{clean(title)}: {told} full runs", va="center")
    width = WIDTH / ACROSS
    for i, panel in enumerate(panels):
        row, column = divmod(i, ACROSS)
        bottom = total - TOP - (row + 1) * (HEAD + PANEL + GAP) + GAP
        at = (column * width + LEFT) / WIDTH, bottom / total, (width - LEFT - RIGHT) / WIDTH, PANEL / total
        axes = figure.add_axes(at)
        _draw(axes, panel, columns_of(len(runs)))
        _dates(axes, runs if i + ACROSS >= len(panels) else ())
    return figure


def columns_of(n_runs: int) -> int:
    """Number of columns of a panel with so many runs; one more run moves no earlier run, as long as there is room."""
    return min(RUNS_DRAWN, COLUMNS * math.ceil(n_runs / COLUMNS))


def _draw(axes: "Axes", panel: _Panel, columns: int) -> None:
    axes.set_ylim(*_limits(panel))
    axes.set_xlim(-0.6, columns - 0.4)
    _write_heading(axes, panel)
    _draw_region(axes, panel)
    for run in sorted({run for track in panel.tracks for run in track.amended}):
        axes.axvline(run - 0.5, color=GREY, lw=0.6, ls=(0, (1, 1.5)), zorder=1)
    drawn = [track for track in panel.tracks if track.defined]
    for i, track in enumerate(drawn):
        shift = _DODGE * (i - (len(drawn) - 1) / 2) if len(drawn) <= FEW else 0.0
        _draw_track(axes, track, shift, with_intervals=len(drawn) <= FEW)
    if not drawn:
        words = ", ".join(sorted({mark.kind for track in panel.tracks for mark in track.marks.values()}))
        axes.text(
            0.5, 0.5, f"{words}:\nno estimate", transform=axes.transAxes, ha="center", va="center", color=GREY
        )


def _limits(panel: _Panel) -> tuple[float, float]:
    """Estimates and the region's ends; intervals as far as they are not much wider than the others."""
    marks = [mark for track in panel.tracks for mark in track.defined.values()]
    points = [end for end in panel.ends if math.isfinite(end)] + [mark.estimate for mark in marks]
    widths = sorted(mark.high - mark.low for mark in marks)
    usual = widths[len(widths) // 2] if widths and math.isfinite(widths[len(widths) // 2]) else 0.0
    span = max(max(points) - min(points), usual) or abs(points[0]) or 1.0
    ends = [end for mark in marks for end in (mark.low, mark.high)] if len(panel.tracks) <= FEW else []
    near = [end for end in ends if min(points) - span <= end <= max(points) + span]
    low, high = min(points + near), max(points + near)
    margin = 0.08 * ((high - low) or span)
    return low - margin, high + margin


def _write_heading(axes: "Axes", panel: _Panel) -> None:
    region = clean(panel.entry.claim["regions"][panel.part]["text"])
    drawn = sum(bool(track.defined) for track in panel.tracks)
    verdicts = f" · {count(drawn, 'verdict')}" if drawn > 1 else ""
    room = _LINE - len(region) - len(verdicts) - 1
    part = f"{shorten(clean(panel.part), room)} " if len(panel.entry.parts) > 1 else ""
    name = shorten(panel.entry.id.partition(".")[2] or panel.entry.id, 28)
    lines: list[tuple[str, float, dict[str, Any]]] = [
        (name, 13.0, {"weight": "bold"}),
        (f"{part}{region}{verdicts}", 4.0, {"color": GREY}),
    ]
    for text, y, style in lines:
        annotate(axes, text, (0, 1), (4 - 72 * LEFT, y), **style)


def _draw_region(axes: "Axes", panel: _Panel) -> None:
    """Shaded, with ticks at its ends; one more tick tells the scale where it has one end only."""
    bottom, top = axes.get_ylim()
    low, high = panel.ends
    axes.axhspan(max(low, bottom), min(high, top), color=SHADE, lw=0, zorder=0)
    ends = [end for end in (low, high) if math.isfinite(end)]
    for end in ends:
        axes.axhline(end, color=GREY, lw=0.5, zorder=1)
    ticks = {end: number(end) for end in ends}
    latest = [track.defined[max(track.defined)].estimate for track in panel.tracks if track.defined]
    farthest = max(latest, key=lambda estimate: abs(estimate - ends[0]), default=ends[0])
    if len(ends) == 1 and abs(farthest - ends[0]) > 0.25 * (top - bottom):
        ticks[farthest] = _scaled(farthest, top - bottom)
    axes.set_yticks(list(ticks), list(ticks.values()))


def _scaled(value: float, span: float) -> str:
    """With the decimals that an axis of this length needs; no minus before a zero."""
    decimals = max(0, 2 - math.ceil(math.log10(span)))
    return (
        f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−") if span < 1e4 else number(value, 2)
    )


def _draw_track(axes: "Axes", track: Track, shift: float, with_intervals: bool) -> None:
    bottom, top = axes.get_ylim()
    xs = [run + shift for run in track.defined]
    axes.plot(xs, [mark.estimate for mark in track.defined.values()], "-", color=LIGHT, lw=0.8, zorder=2)
    for run, mark in track.defined.items():
        x, colour = run + shift, COLOURS.get(mark.kind, GREY)
        if with_intervals and mark.low <= top and mark.high >= bottom:
            ends = [max(mark.low, bottom), min(mark.high, top)]
            axes.plot([x, x], ends, "-", color=colour, lw=0.9, zorder=3)
        size = 3.0 if with_intervals else 2.2
        axes.plot([x], [mark.estimate], MARKERS[mark.kind], ms=size, mfc=colour, mec="none", zorder=4)
        if turn := track.turns.get(run):
            edge = INK if is_flip(*turn) else GREY
            axes.plot([x], [mark.estimate], "o", ms=7, mfc="none", mec=edge, mew=0.9, zorder=5)


def _dates(axes: "Axes", runs: Sequence[JSON]) -> None:
    """Days of the first and the last run below the lowest panel of a column."""
    ticks = (0, len(runs) - 1) if runs else ()
    days = [datetime.fromisoformat(str(runs[i]["at"])) for i in ticks]
    axes.set_xticks(ticks, [f"{day.day} {day:%b}" for day in days])
    if labels := axes.get_xticklabels():
        labels[0].set_horizontalalignment("left")
        labels[-1].set_horizontalalignment("right")
    axes.spines["bottom"].set_visible(bool(runs))
