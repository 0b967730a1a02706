"""Panels of a claim's own figure, and functions that its kinds of drawing share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from energylens.errors import InputError
from energylens.harness.declare.figure import read_series
from energylens.report.content.entries import JSON, Entry, cases_at
from energylens.report.content.readable import clean
from energylens.report.figures.style import GREY, INK, WIDTH, shorten

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEEDS = 5
"""Largest number of seeds side by side."""

ACROSS = 4
"""Largest number of models side by side."""


_MARK: dict[str, Any] = {"color": INK, "lw": 0.8, "ls": (0, (3, 2)), "zorder": 1}


@dataclass(frozen=True)
class Panel:
    """The series of every seed of one model and variant."""

    model: str
    variant: str
    seeds: Sequence[int]
    series: Sequence[Mapping[str, Any]]
    verdict: JSON

    @property
    def title(self) -> str:
        """Model and variant as one label."""
        return ", ".join(filter(None, (self.model, self.variant)))


def panels_of(entry: Entry, wanted: JSON) -> list[Panel]:
    """One panel per verdict with series; one per model where all its variants recorded the same.

    Raises InputError that names the claim, the seed and the series for one that can't be drawn.
    """
    found = []
    for verdict in entry.verdicts:
        cases = [case for case in cases_at(entry, verdict) if case.get("series")]
        series = [_read(entry, wanted, case) for case in cases]
        if series:
            seeds = [case["seed"] for case in cases]
            found.append(Panel(clean(verdict["model"]), clean(verdict["variant"]), seeds, series, verdict))
    return list(_merged(found))


def _read(entry: Entry, wanted: JSON, case: JSON) -> dict[str, Any]:
    try:
        return read_series(wanted, case["series"])
    except InputError as error:
        place = "-".join(str(case[name]) for name in ("model", "variant", "seed") if case[name] != "")
        raise InputError(f"figure of claim {entry.id!r}, {place}: {error}") from None


def _merged(panels: Sequence[Panel]) -> Iterator[Panel]:
    """Panels without repetition of variants that recorded the same series; NaN equals NaN here."""
    by_model: dict[str, list[Panel]] = {}
    for panel in panels:
        by_model.setdefault(panel.model, []).append(panel)
    for group in by_model.values():
        alike = len({repr((panel.seeds, panel.series)) for panel in group}) == 1
        yield from [replace(group[0], variant="")] if alike else group


def seeds_note(panel: Panel, shown: int) -> str:
    """Note on the number of seeds drawn, where not all of them are."""
    return f" (first {shown} of {len(panel.seeds)} seeds)" if len(panel.seeds) > shown else ""


def annotate(
    axes: "Axes", text: str, at: tuple[float, float], shift: tuple[float, float], **style: Any
) -> None:
    """Text at a place of the panel (0 to 1 across and up), moved by so many points."""
    axes.annotate(text, at, shift, xycoords="axes fraction", textcoords="offset points", **style)


def annotate_seed(axes: "Axes", seed: int) -> None:
    """`seed 3` above the right corner of a panel."""
    annotate(axes, f"seed {seed}", (1, 1), (0, 3), ha="right", color=GREY)


def draw_mark(axes: "Axes", panel: Panel, wanted: JSON) -> None:
    """The declared vertical line, where it belongs to this variant."""
    mark = wanted.get("mark")
    if isinstance(mark, Mapping):
        mark = mark.get(panel.variant)
    if mark is not None:
        axes.axvline(float(mark), **_MARK)


def mark_legend(wanted: JSON) -> dict[str, "Artist"]:
    """What the line of `draw_mark` means."""
    from matplotlib.lines import Line2D

    if wanted.get("mark") is None:
        return {}
    return {shorten(clean(wanted.get("mark_label") or "mark"), 40): Line2D([], [], **_MARK)}


def heading(figure: "Figure", wanted: JSON, legend: Mapping[str, "Artist"] | None = None) -> None:
    """Title at the top left; the legend beside it, or below where both would not fit."""
    height = figure.get_figheight()
    title = shorten(clean(wanted["title"]), 110 if not legend else 70)
    figure.text(0.05 / WIDTH, 1 - 0.12 / height, title, weight="bold", va="center")
    if legend:
        below = legend_below(title, legend)
        figure.legend(
            list(legend.values()), [clean(name) for name in legend], ncols=len(legend),
            loc="upper left" if below else "upper right", borderpad=0, columnspacing=1.0,
            handletextpad=0.4, handlelength=1.6,
            bbox_to_anchor=(0.02 / WIDTH, 1 - 0.24 / height) if below else (1, 1 - 0.04 / height),
        )  # fmt: skip


def legend_below(title: str, legend: Iterable[str]) -> bool:
    """Whether title and legend are too long for one line of the page."""
    names = list(legend)
    return len(title) * 1.1 + sum(map(len, names)) + 5 * len(names) > 105


def axis_labels(figure: "Figure", wanted: JSON) -> None:
    """Both labels once, for all panels."""
    height = figure.get_figheight()
    figure.supxlabel(clean(wanted["x_label"]), fontsize="medium", y=0.08 / height, va="bottom")
    figure.supylabel(clean(wanted["y_label"]), fontsize="medium", x=0.05 / WIDTH, ha="left")
