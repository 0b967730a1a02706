"""Texts coloured by a number: lines, letters in their cells, any character, what the colours tell."""

from collections.abc import Sequence
from typing import Any

import pytest

from energylens.report.content.entries import Entry
from energylens.report.figures.claim_figure import series_figure
from energylens.report.figures.style import styled
from energylens.report.figures.tokens import wrap
from energylens.tests.report.figures.test_claim_figure import CODE, TEXT, entry


def text_entry(values: Sequence[float], tokens: Sequence[str] = CODE) -> Entry:
    return entry(TEXT, ("m",), ("",), 2, lambda *_: {"tokens": list(tokens), "values": list(values)})


def drawn_text(values: Sequence[float], tokens: Sequence[str] = CODE) -> Any:
    with styled():
        found = series_figure(text_entry(values, tokens))
    assert found is not None
    found.canvas.draw()
    return found


def test_every_letter_stands_in_its_own_cell() -> None:
    from matplotlib.patches import PathPatch

    found = drawn_text([1.0, 2.0, 3.0], ["ab", " c", "d"])
    (letters,) = [patch for patch in found.axes[0].patches if isinstance(patch, PathPatch)]
    extents = letters.get_path().get_extents()
    assert 0 <= extents.x0 < 1 < 4 < extents.x1 <= 5
    assert 0 <= extents.y0 < extents.y1 <= 1


def test_a_line_of_text_ends_where_it_breaks_or_at_the_width() -> None:
    lines = wrap(["a\nb", "c", "x" * 10, ""], width=8)
    assert [[piece.text for piece in line] for line in lines] == [["a↵"], ["b", "c"], ["x" * 8], ["xx", "∅"]]
    assert [piece.token for line in lines for piece in line] == [0, 0, 1, 2, 2, 3]


def test_text_with_any_characters_and_without_numbers_is_drawn() -> None:
    drawn_text(range(len(CODE)))
    drawn_text([float("nan")] * len(CODE))
    drawn_text([-1.0, 1.0], ["left", "right"])


def test_values_decide_the_colour_of_a_token() -> None:
    (boxes,) = [
        c for c in drawn_text([0.0, 9.0], ["a", "b"]).axes[0].collections if len(c.get_facecolors()) == 2
    ]
    light, dark = (colour[:3].sum() for colour in boxes.get_facecolors())
    assert light > dark + 0.3


def test_a_long_text_is_cut_and_says_so() -> None:
    found = drawn_text([1.0] * 100, ["line\n"] * 100)
    assert found.get_figheight() < 12
    assert "40 more tokens not shown" in [text.get_text() for text in found.axes[0].texts]


def test_clearly_negative_tokens_are_underlined_and_tokens_without_a_number_grey() -> None:
    axes = drawn_text([-1.0, -0.01, 2.0, float("nan")], ["a", "b", "c", "d"]).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.1, 0.9]]
    assert len({patch.get_facecolor() for patch in axes.patches}) == 2
    told = [text.get_text() for text in axes.texts]
    assert "underlined: negative, grey letters: no value" in told


@pytest.mark.parametrize("text", ["$", "_", "\\", "%", "<", "\ufffd", "日", "\u202e", "א", "\x00", "👍"])
def test_every_character_takes_one_cell(text: str) -> None:
    ((piece,),) = wrap([text])
    assert len(piece.text) == 1
    drawn_text([1.0], [text])
