"""A text whose tokens are coloured by a number: one block per model and variant, of its first seed."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from energylens.report.content.entries import JSON
from energylens.report.content.readable import clean, count, number
from energylens.report.content.visible_characters import OTHER, TAB, visible
from energylens.report.figures.panels import Panel, annotate, annotate_seed, heading, seeds_note
from energylens.report.figures.style import GREY, INK, WIDTH, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.path import Path

_FONT, _SIZE = "DejaVu Sans Mono", 7.0
_CELL = _SIZE * 1233 / 2048
"""Points: the width of every glyph of the font."""

_LEFT, _RIGHT, _TOP = 0.08, 0.08, 0.24
"""Inches: margins, and the title of the figure."""

_HEAD, _LINE, _BAR = 0.26, 0.155, 0.38
"""Inches: a block's heading, one line of its text, its colour bar."""

_COLUMNS = int((WIDTH - _LEFT - _RIGHT) * 72 / _CELL)
_MOST_LINES = 60
_NOTHING = "∅"
"""An empty token."""

_CLEARLY_NEGATIVE = -0.15
"""Of the largest |value|."""


@dataclass(frozen=True)
class Piece:
    """A token, or the part of it that fits its line. column: of its first character."""

    token: int
    text: str
    column: int


Placed = tuple[int, Piece]
"""A piece and its line."""


def texts(panels: Sequence[Panel], wanted: JSON) -> "Figure":
    """Colours diverge from 0 and are a block's own: models and variants may count different things."""
    blocks = [wrap(panel.series[0]["tokens"]) for panel in panels]
    heights = [_HEAD + _LINE * len(lines[:_MOST_LINES]) + _BAR for lines in blocks]
    total = _TOP + sum(heights)
    figure = new_figure(total)
    top = total - _TOP
    for panel, lines, height in zip(panels, blocks, heights, strict=True):
        _draw_block(figure, panel, lines, top, wanted)
        top -= height
    heading(figure, wanted)
    return figure


def wrap(tokens: Iterable[str], width: int = _COLUMNS) -> list[list[Piece]]:
    """Lines of at most `width` characters; a token that does not fit the rest of a line begins the next one."""
    lines: list[list[Piece]] = [[]]
    used = 0
    for i, token in enumerate(tokens):
        for part in re.findall(r"[^\n]*\n|[^\n]+", token) or [_NOTHING]:
            text = _printable(part)
            for chunk in (text[start : start + width] for start in range(0, len(text), width)):
                if used + len(chunk) > width:
                    lines.append([])
                    used = 0
                lines[-1].append(Piece(i, chunk, used))
                used += len(chunk)
            if part.endswith("\n"):
                lines.append([])
                used = 0
    return lines if lines[-1] else lines[:-1]


def _printable(text: str) -> str:
    """The text in characters of one cell each, which the font has: no marks above others, no right-to-left."""
    shown = visible(unicodedata.normalize("NFC", text)).replace(TAB, TAB.ljust(4))
    return "".join(char if _is_plain(char) else OTHER for char in shown)


def _is_plain(char: str) -> bool:
    return (
        ord(char) in _glyphs()
        and not unicodedata.category(char).startswith("M")
        and unicodedata.bidirectional(char) not in ("R", "AL", "AN")
    )


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(findfont(_FONT)).get_charmap())


def _draw_block(
    figure: "Figure", panel: Panel, lines: Sequence[Sequence[Piece]], top: float, wanted: JSON
) -> None:
    """top: inches from the bottom of the figure, of the block's upper edge."""
    drawn, shown = panel.series[0], lines[:_MOST_LINES]
    total, height, width = figure.get_figheight(), _LINE * len(shown), WIDTH - _LEFT - _RIGHT
    bottom = top - _HEAD - height
    axes = figure.add_axes((_LEFT / WIDTH, bottom / total, width / WIDTH, height / total))
    axes.set_xlim(0, 72 * width / _CELL)
    axes.set_ylim(len(shown), 0)
    axes.axis("off")
    title = ": ".join(filter(None, (panel.title, clean(drawn["title"]))))
    axes.set_title(shorten(title, 90) + seeds_note(panel, 1), weight="bold")
    annotate_seed(axes, panel.seeds[0])
    values = drawn["values"]
    pieces = [(row, piece) for row, line in enumerate(shown) for piece in line]
    limit = max((abs(x) for x in values if math.isfinite(x)), default=0.0) or 1.0
    _draw_boxes(axes, pieces, values, limit)
    for ink, is_nan in ((INK, False), (GREY, True)):
        _write(axes, [at for at in pieces if math.isnan(values[at[1].token]) == is_nan], ink)
    has_negative = any(x < 0 for x in values)
    if not all(map(math.isnan, values)):
        place = (_LEFT + 0.15, bottom - 0.15, 1.2, 0.08)
        _draw_bar(figure, place, (-limit if has_negative else 0.0, limit), wanted["x_label"])
    left = len(values) - 1 - shown[-1][-1].token
    notes = {
        "underlined: negative": has_negative,
        "grey letters: no value": any(map(math.isnan, values)),
        f"{count(left, 'more token')} not shown": left,
    }
    told = ", ".join(note for note, is_true in notes.items() if is_true)
    annotate(axes, told, (1, 0), (0, -8), ha="right", va="center_baseline", color=GREY)


def _draw_boxes(axes: "Axes", pieces: Iterable[Placed], values: Sequence[float], limit: float) -> None:
    """What is clearly negative is underlined, for grey print."""
    from matplotlib.collections import PolyCollection

    boxes, faces = [], []
    for row, piece in pieces:
        share, left, right = values[piece.token] / limit, piece.column, piece.column + len(piece.text)
        if math.isnan(share):
            continue
        boxes.append([(left, row), (right, row), (right, row + 0.97), (left, row + 0.97)])
        faces.append(_colours()(0.5 + 0.5 * share))
        if share < _CLEARLY_NEGATIVE:
            axes.plot([left + 0.1, right - 0.1], [row + 0.92] * 2, color=INK, lw=0.6, zorder=2)
    axes.add_collection(PolyCollection(boxes, facecolors=faces, edgecolors="white", linewidths=0.5, zorder=1))


def _write(axes: "Axes", pieces: Iterable[Placed], ink: str) -> None:
    """Each letter in its cell. Drawn as words, letters are rounded to pixels and leave their cells in long tokens."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    letters = [
        _in_cell(_outline(char), piece.column + i, row)
        for row, piece in pieces
        for i, char in enumerate(piece.text)
        if char != " "
    ]
    if letters:
        axes.add_patch(PathPatch(Path.make_compound_path(*letters), facecolor=ink, linewidth=0, zorder=3))


def _in_cell(outline: "Path", column: int, row: int) -> "Path":
    """An outline in points, upwards, at a column and a line, downwards."""
    from matplotlib.transforms import Affine2D

    return outline.transformed(Affine2D().scale(1 / _CELL, -1 / (72 * _LINE)).translate(column, row + 0.72))


@cache
def _outline(char: str) -> "Path":
    """In points, from the left end of the baseline."""
    import numpy as np
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import text_to_path

    vertices, codes = text_to_path.get_text_path(FontProperties(family=_FONT), char, ismath=False)
    return Path(np.reshape(vertices, (-1, 2)) * (_SIZE / text_to_path.FONT_SCALE), codes)


def _draw_bar(
    figure: "Figure", place: tuple[float, float, float, float], ends: tuple[float, float], label: str
) -> None:
    """place: left, bottom, width, height in inches. ends: the smallest and the largest value that it tells."""
    import numpy as np

    (left, bottom, width, height), (low, high), total = place, ends, figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, bottom / total, width / WIDTH, height / total))
    shades = _colours()(0.5 + 0.5 * np.linspace(low, high, 128) / high)
    axes.imshow(shades[None], aspect="auto", extent=(low, high, 0, 1))
    axes.set_yticks([])
    ticks = [low, 0.0, high] if low else [0.0, high]
    axes.set_xticks(ticks, [number(x, 2) for x in ticks])
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    annotate(axes, shorten(clean(label), 60), (1, 0.5), (16, 0), va="center_baseline")


@cache
def _colours() -> "Colormap":
    """The map of the report's heatmaps without its dark ends, on which letters could not be read."""
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("light", colormaps["PuOr_r"](np.linspace(0.2, 0.8, 65)))
