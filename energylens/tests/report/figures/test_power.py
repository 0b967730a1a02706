"""The power curves: every curve is drawn and named, off its dots, the same bytes for the same numbers."""

import math
from itertools import pairwise
from typing import Any

import pytest

from energylens.report.figures.power import power_curves
from energylens.report.figures.style import encode, styled
from energylens.stats import mean_power, rate_power


def panel(title: str, x: list[float], curves: dict[int, list[float]]) -> dict[str, Any]:
    """As `energylens.trust.calibration.wrong_words.power` gives it, with a dot on every fifth point."""
    return {
        "title": title, "x_label": "distance", "x": x,
        "curves": [{"seeds": n, "decided": y, "x_at_80_percent": None} for n, y in curves.items()],
        "simulated": [
            {"seeds": n, "x": at, "rate": rate, "monte_carlo_error": 0.01}
            for n, y in curves.items() for at, rate in list(zip(x, y, strict=True))[::5]
        ],
    }  # fmt: skip


@pytest.fixture
def panels() -> list[dict[str, Any]]:
    far = [i / 8 for i in range(33)]
    rates = [0.5 + i / 80 for i in range(41)]
    return [
        panel("one boundary", far, {n: [mean_power(d, math.inf, n) for d in far] for n in (3, 5, 8, 10)}),
        panel("hits", rates, {n: [rate_power(p, 0.5, 1, n) for p in rates] for n in (3, 5, 8, 10)}),
    ]


def test_every_curve_is_drawn_and_named_once(panels: list[dict[str, Any]]) -> None:
    with styled():
        figure = power_curves(panels)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        assert sorted(text.get_text() for text in axes.texts) == ["10", "3", "5", "8"]
        assert [line.get_xdata()[-1] for line in axes.lines].count(axes.dataLim.x1) >= 4


def test_a_name_stands_on_its_own_curve_and_apart_from_the_others(panels: list[dict[str, Any]]) -> None:
    with styled():
        figure = power_curves(panels)
    for axes, of in zip(figure.axes, panels, strict=True):
        heights = []
        for text in axes.texts:
            (curve,) = (c for c in of["curves"] if str(c["seeds"]) == text.get_text())
            x, y = text.get_position()
            nearest = min(range(len(of["x"])), key=lambda i: abs(of["x"][i] - x))
            assert abs(curve["decided"][nearest] - y) < 0.12
            heights.append(y)
        heights.sort()
        assert all(b - a > 0.05 for a, b in pairwise(heights))


def test_no_dot_is_covered_by_the_name_of_its_curve(panels: list[dict[str, Any]]) -> None:
    bare = panels[0] | {"simulated": []}
    with styled():
        places = {text.get_text(): text.get_position() for text in power_curves([bare]).axes[0].texts}
        dots = [
            {"seeds": int(name), "x": x, "rate": y, "monte_carlo_error": 0.01}
            for name, (x, y) in places.items()
        ]
        axes = power_curves([bare | {"simulated": dots}]).axes[0]
    for text in axes.texts:
        assert abs(text.get_position()[1] - places[text.get_text()][1]) > 0.05


def test_the_same_numbers_give_the_same_bytes(panels: list[dict[str, Any]]) -> None:
    with styled():
        first, second = encode(power_curves(panels)), encode(power_curves(panels))
    assert first == second
    assert first["png"].startswith(b"\x89PNG")
    assert b"<svg" in first["svg"]
