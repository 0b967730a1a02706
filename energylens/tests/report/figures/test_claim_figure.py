"""The figures that claims declare: every kind is drawn, told apart in grey, and names what it can't draw."""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from energylens import Figure
from energylens.errors import InputError
from energylens.harness.json_values import plain
from energylens.report.content.entries import Entry
from energylens.report.figures.claim_figure import series_figure
from energylens.report.figures.matrices import _text
from energylens.report.figures.panels import panels_of
from energylens.report.figures.style import SERIES, encode, styled

Make = Callable[[str, str, int], dict[str, Any]]
LINES = Figure("lines", "step", ("loss", "gap"), "Training", log_y=True)
SPLIT = Figure("lines", "step", ("loss", "gap"), "Training", split=True)
BARS = Figure("bars", "step", ("gap",), "Spectrum")
SCATTER = Figure("scatter", "gap", ("loss",), "Gaps", colour="layer", mark=0.7, mark_label="threshold")
HEATMAP = Figure("heatmap", title="Heads")
GRAPH = Figure("graph", title="Circuit")
SAMPLES = Figure("distribution", "", ("real", "null"), "Samples", mark=0.5, x_label="size")
TEXT = Figure("text", title="Landscape", x_label="energy, nats")
CODE = ["def ", "f", "(", "$x_1$", ")", ":\n", "\treturn ", "<b>", "\ufffd", "\u0627", "", "\\%", "ü" * 200]


def entry(figure: Figure, models: Sequence[str], variants: Sequence[str], seeds: int, make: Make) -> Entry:
    """A claim with series, as the report reads it."""
    part = {"part": "value", "estimate": -0.31, "low": -0.5, "high": -0.1, "word": "REFUTED"}
    places = [(model, variant) for model in models for variant in variants]
    verdicts = [
        {"model": m, "variant": v, "seeds": list(range(seeds)), "excluded": [], "parts": [part]}
        for m, v in places
    ]
    cases = [
        {"model": m, "variant": v, "null": "", "seed": s, "series": make(m, v, s)}
        for m, v in places for s in range(seeds)
    ]  # fmt: skip
    claim = {"id": "toy.claim", "figure": figure, "seeds": list(range(seeds))}
    return Entry(plain(claim), plain(verdicts), plain(cases), "REFUTED")


def series(model: str, variant: str, seed: int) -> dict[str, Any]:
    """Something for every kind; the same for both variants of `same`."""
    rng = np.random.default_rng([len(model), len(variant) if model != "same" else 0, seed])
    values = rng.normal(size=(2, 4))
    values[0, 0] = np.nan
    step = np.arange(8)
    edges = [["a", "b", rng.uniform(0.5, 1.0)], ["b", "c", -0.7], ["a", "c", float("nan")]]
    return {
        "step": step, "loss": np.exp(-step) + 0.1, "gap": rng.uniform(size=8), "layer": step // 4, "values": values,
        "nodes": ["a", "b", "c"], "x": [0, 1, 2], "y": [0, 1, 0], "edges": edges, "weights": rng.uniform(size=3),
        "real": [*rng.uniform(0.3, 1, size=50), np.nan], "null": rng.uniform(0, 0.5, size=20),
        "tokens": CODE, "title": "a $file$",
    }  # fmt: skip


def drawn(
    figure: Figure, models: Sequence[str] = ("m",), variants: Sequence[str] = ("",), seeds: int = 2
) -> Any:
    with styled():
        found = series_figure(entry(figure, models, variants, seeds, series))
    assert found is not None
    return found


def panels(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if axes.axison and not hasattr(axes, "_colorbar")]


@pytest.mark.parametrize("figure", [LINES, SPLIT, BARS, SCATTER, HEATMAP, GRAPH, SAMPLES])
@pytest.mark.parametrize(("models", "variants"), [(("m",), ("",)), (("a", "bb"), ("one", "other"))])
def test_every_kind_is_drawn_the_same_twice_and_is_not_blank(
    figure: Figure, models: tuple[str, ...], variants: tuple[str, ...]
) -> None:
    first, again = drawn(figure, models, variants), drawn(figure, models, variants)
    with styled():
        content = encode(first)
        assert content == encode(again)
    first.canvas.draw()
    ink = (np.asarray(first.canvas.buffer_rgba())[..., :3] < 230).any(axis=-1).mean()
    assert 0.005 < ink < 0.6


@pytest.mark.parametrize(
    ("figure", "across", "down"),
    [(LINES, 4, 2), (SPLIT, 4, 4), (BARS, 2, 6), (SCATTER, 2, 3), (HEATMAP, 2, 6)],
)
def test_panels_per_model_variant_and_seed(figure: Figure, across: int, down: int) -> None:
    found = panels(drawn(figure, ("a", "bb", "ccc"), ("one", "other"), seeds=2))
    places = {(round(axes.get_position().x0, 3), round(axes.get_position().y0, 3)) for axes in found}
    assert len({x for x, _ in places}) == across
    assert len({y for _, y in places}) == down


def test_variants_with_the_same_series_are_drawn_once() -> None:
    one = entry(HEATMAP, ("same", "other"), ("x", "yy"), 2, series)
    assert [panel.title for panel in panels_of(one, one.claim["figure"])] == ["same", "other, x", "other, yy"]


def test_a_scatter_of_six_by_six_fits_the_page() -> None:
    found = drawn(SCATTER, [f"model-{i}" for i in range(6)], [f"{'x' * i}v" for i in range(6)])
    assert len(panels(found)) == 36
    assert found.get_figwidth() <= 7.2
    assert found.get_figheight() <= 9
    found.canvas.draw()
    ticks = [text.get_window_extent() for text in panels(found)[-1].get_xticklabels() if text.get_text()]
    assert all(left.x1 < right.x0 for left, right in pairwise(ticks))


def test_points_of_every_layer_have_their_own_colour_and_marker() -> None:
    (axes,) = panels(drawn(SCATTER, seeds=1))
    layers = [line for line in axes.lines if line.get_marker() not in ("None", None)]
    assert len({line.get_color() for line in layers}) == len({line.get_marker() for line in layers}) == 2
    (mark,) = [line for line in axes.lines if line.get_marker() in ("None", None)]
    assert set(mark.get_xdata()) == {0.7}


def test_a_mark_may_belong_to_one_variant() -> None:
    figure = Figure("scatter", "gap", ("loss",), "Gaps", mark={"one": 0.7})
    marked = [
        sum(set(line.get_xdata()) == {0.7} for line in axes.lines)
        for axes in panels(drawn(figure, ("m",), ("one", "b")))
    ]
    assert marked == [1, 0]


def test_maps_of_a_model_share_a_scale_that_is_centred_at_zero() -> None:
    found = panels(drawn(HEATMAP, ("m",), seeds=3))
    limits = {axes.images[0].get_clim() for axes in found}
    assert len(limits) == 1
    low, high = limits.pop()
    values = [abs(x) for seed in range(3) for x in series("m", "", seed)["values"].flatten()]
    assert -low == high == pytest.approx(np.nanmax(values))


@pytest.mark.parametrize(
    ("x", "power", "columns", "text"),
    [
        (0.432, 0, 4, ".43"), (0.432, 0, 8, ".4"), (-1.23, 0, 4, "−1.2"), (0.004, 0, 4, "0"), (-0.04, 0, 8, "0"),
        (0.0123, -2, 4, "1.2"), (12.34, 0, 4, "12"), (float("nan"), 0, 4, "–"), (1.0, 0, 8, "1.0"),
    ],
)  # fmt: skip
def test_numbers_in_a_map_have_two_digits(x: float, power: int, columns: int, text: str) -> None:
    assert _text(x, power, columns) == text


def test_edges_are_as_wide_as_their_weight_and_coloured_by_sign() -> None:
    figure = drawn(GRAPH, seeds=1)
    plus, minus = figure.axes[0].patches  # the edge without a weight is not drawn
    assert plus.get_edgecolor() != minus.get_edgecolor()
    assert plus.get_linestyle() != minus.get_linestyle()
    weights = [abs(w) for *_, w in series("m", "", 0)["edges"][:2]]
    assert plus.get_linewidth() / minus.get_linewidth() == pytest.approx(weights[0] / weights[1])


def test_an_edge_bends_around_the_nodes_on_its_way() -> None:
    def tower(model: str, variant: str, seed: int) -> dict[str, Any]:
        return {
            "nodes": ["a", "b", "c"],
            "x": [0, 0, 0],
            "y": [0, 1, 2],
            "edges": [["a", "b", 1.0], ["a", "c", 1.0]],
        }

    with styled():
        found = series_figure(entry(GRAPH, ("m",), ("",), 1, tower))
    assert found is not None
    short, long = (abs(patch.get_connectionstyle().rad) for patch in found.axes[0].patches)
    assert long > short


def test_split_lines_have_a_scale_of_their_own() -> None:
    loss, gap = panels(drawn(SPLIT))
    assert loss.get_ylim() != gap.get_ylim()
    assert loss.get_xlim() == gap.get_xlim()
    assert [axes.get_ylabel() for axes in (loss, gap)] == ["loss", "gap"]


def test_more_labels_than_colours_are_a_ramp_from_dark_to_light() -> None:
    def deep(model: str, variant: str, seed: int) -> dict[str, Any]:
        return {"gap": list(range(24)), "loss": [0.0] * 24, "layer": list(range(24))}

    with styled():
        found = series_figure(entry(SCATTER, ("m",), ("",), 1, deep))
    assert found is not None
    told = [text.get_text() for text in found.legends[0].get_texts()]
    assert told[:2] == ["layer 0", "2"]
    assert len(told) == 13
    assert len({line.get_color() for line in found.axes[0].lines[:24]}) == 24 > len(SERIES)


def test_a_seed_without_series_is_left_out_and_a_claim_without_any_has_no_figure() -> None:
    one = copy.deepcopy(entry(LINES, ("m",), ("",), 3, series))
    one.cases[1]["series"] = {}  # type: ignore[index]
    (panel,) = panels_of(one, one.claim["figure"])
    assert panel.seeds == [0, 2]
    assert series_figure(entry(LINES, ("m",), ("",), 2, lambda *_: {})) is None
    assert series_figure(Entry({"id": "a", "figure": None}, [], [], "HOLDS")) is None


@pytest.mark.parametrize(
    ("broken", "message"),
    [({"step": [0, 1]}, "'loss' is missing"), ({"step": [0, 1], "loss": [1], "gap": [1, 2]}, "'loss' has 1")],
)
def test_what_can_not_be_drawn_names_claim_seed_and_series(broken: dict[str, Any], message: str) -> None:
    def make(model: str, variant: str, seed: int) -> dict[str, Any]:
        return broken if seed == 1 else series(model, variant, seed)

    with pytest.raises(InputError, match=rf"'toy\.claim', m-v-1: series {message}"):
        series_figure(entry(LINES, ("m",), ("v",), 2, make))


def test_figures_of_older_results_are_drawn_too() -> None:
    one = entry(LINES, ("m",), ("",), 2, series)
    old = {
        name: one.claim["figure"][name] for name in ("kind", "x", "y", "title", "x_label", "y_label", "log_y")
    }
    before = Entry({**one.claim, "figure": old}, one.verdicts, one.cases, one.word)
    with styled():
        first, second = series_figure(one), series_figure(before)
        assert first is not None
        assert second is not None
        assert encode(first) == encode(second)
