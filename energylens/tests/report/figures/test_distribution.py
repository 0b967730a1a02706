"""Samples against each other: pooled over seeds, with what is missing and what lies far out."""

from collections.abc import Sequence
from typing import Any

import pytest

from energylens.report.figures.claim_figure import series_figure
from energylens.report.figures.distribution import limits
from energylens.report.figures.style import styled
from energylens.tests.report.figures.test_claim_figure import SAMPLES, drawn, entry, panels


def test_the_first_sample_is_told_from_the_others_and_the_mark_is_drawn() -> None:
    (axes,) = panels(drawn(SAMPLES, seeds=2))
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert [label for label in labels if label] == ["real", "null"]
    assert any(set(line.get_xdata()) == {0.5} for line in axes.lines)


def samples(**by_name: Sequence[float]) -> Any:
    """The panel of samples that two seeds recorded alike."""
    one = entry(SAMPLES, ("m",), ("",), 2, lambda *_: {"real": [], "null": []} | by_name)
    with styled():
        found = series_figure(one)
    assert found is not None
    found.canvas.draw()
    (axes,) = panels(found)
    return axes


def test_seeds_are_pooled_and_nan_is_counted_not_drawn() -> None:
    axes = samples(real=[1.0, 2.0, 3.0, float("nan")], null=[0.0, 0.5])
    assert [text.get_text() for text in axes.texts] == ["n 6\n2 NaN", "n 4"]
    medians = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert medians == [2.0, 0.25]


def test_samples_without_numbers_keep_their_row() -> None:
    axes = samples(real=[float("nan")], null=[1.0, 1.0])
    assert [text.get_text() for text in axes.texts] == ["n 0\n2 NaN", "n 4"]
    assert len([line for line in axes.lines if line.get_marker() == "o"]) == 1
    assert [text.get_text() for text in samples().texts] == ["n 0", "n 0"]


def test_outliers_do_not_widen_the_axis_but_are_told() -> None:
    values = [i / 1000 for i in range(1001)]
    assert limits([values, []])[1] == pytest.approx(1.0, abs=0.05)
    assert limits([[*values, 50.0], []])[1] < 1.1
    arrows = {line.get_marker(): line for line in samples(real=[*values, 50.0], null=values).lines}
    assert ">" in arrows
    assert "<" not in arrows
