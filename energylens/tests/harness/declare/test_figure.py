"""Figures: what can be declared, and what of a measurement's series can be drawn after results.json."""

import json
import math

import numpy as np
import pytest

from energylens import Figure, Measurement
from energylens.errors import DeclarationError, InputError
from energylens.harness.declare.cases import Case
from energylens.harness.declare.figure import read_series
from energylens.harness.json_values import plain
from energylens.harness.run_folder import RunFolder
from energylens.tests.harness.helpers import declare

NAN = math.nan
LINES = Figure("lines", "step", ("loss",), "Training")
SCATTER = Figure("scatter", "gap", ("importance",), "Gaps", colour="layer", mark=0.77)
HEATMAP = Figure("heatmap", title="Heads")
SAMPLES = Figure("distribution", "", ("real", "null"), "Samples")
TEXT = Figure("text", title="Landscape")
TABLE = Figure("table", title="Top features")
GRAPH = Figure("graph", title="Circuit")
NODES = {"nodes": ["a", "b"], "x": [0, 1], "y": [0, 0]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(kind="pie"), "'pie'"),
        (dict(kind="lines", x="step", y=("loss",)), "has a title"),
        (dict(kind="lines", x="step", title="t"), r"needs \['y'\]"),
        (dict(kind="lines", x="step", y="loss", title="t"), "a sequence of names, got 'loss'"),
        (dict(kind="bars", x="k", y=("p",), title="t", split=True), r"has no \['split'\]"),
        (dict(kind="scatter", x="a", y=("b", "c"), title="t"), "one y"),
        (dict(kind="lines", x="a", y=("b",), title="t", mark=0.0), r"has no \['mark'\]"),
        (dict(kind="heatmap", x="a", title="t"), r"has no \['x'\]"),
        (dict(kind="distribution", title="t"), r"needs \['y'\]"),
        (dict(kind="distribution", y=("a",), x="b", title="t"), r"has no \['x'\]"),
        (dict(kind="text", y=("a",), title="t"), r"has no \['y'\]"),
        (dict(kind="table", mark=1.0, title="t"), r"has no \['mark'\]"),
    ],
)
def test_a_figure_that_could_not_be_drawn_is_refused(fields, message):
    with pytest.raises(DeclarationError, match=message):
        Figure(**fields)


def test_a_claim_takes_a_figure_and_nothing_else():
    assert declare(figure=LINES).figure is LINES
    with pytest.raises(DeclarationError, match="must be a Figure, got 'lines'"):
        declare(figure="lines")


def test_y_becomes_a_tuple_and_a_mark_may_be_zero_or_by_variant():
    assert Figure("bars", "k", ["p"], "t").y == ("p",)
    assert Figure("scatter", "a", ("b",), "t", mark=0.0).mark == 0.0
    assert plain(Figure("scatter", "a", ("b",), "t", mark={"raw": 0.77}))["mark"] == {"raw": 0.77}


@pytest.mark.parametrize(
    ("figure", "series", "expected"),
    [
        (LINES, {"step": np.arange(2), "loss": np.float32([0.5, NAN])}, {"step": [0, 1], "loss": [0.5, NAN]}),
        (
            SCATTER,
            {"gap": [0.1, -math.inf], "importance": (1, 2), "layer": ["embed", 0], "more": "kept, not drawn"},
            {"gap": [0.1, -math.inf], "importance": [1.0, 2.0], "layer": ["embed", 0]},
        ),
        (HEATMAP, {"values": np.array([[0.5, NAN], [1, 2]])}, {"values": [[0.5, NAN], [1.0, 2.0]]}),
        (
            GRAPH,
            NODES | {"edges": [["a", "b", np.float64(0.5)]], "weights": np.ones(2)},
            {"nodes": ["a", "b"], "x": [0, 1], "y": [0, 0], "weights": [1, 1], "edges": [("a", "b", 0.5)]},
        ),
        (SAMPLES, {"real": [1, NAN], "null": np.zeros(3)}, {"real": [1.0, NAN], "null": [0.0, 0.0, 0.0]}),
        (
            TEXT,
            {"tokens": ["a", "\n"], "values": [1, NAN]},
            {"tokens": ["a", "\n"], "values": [1, NAN], "title": ""},
        ),
    ],
)
def test_series_survive_the_run_folder_and_json(tmp_path, figure, series, expected):
    run = RunFolder(tmp_path)
    run.measured(Case(declare(), "dice", "", 0), lambda: Measurement(1.0, series=series))
    (case,) = json.loads(json.dumps(plain(run.cases()), allow_nan=False))
    found = read_series(plain(figure), case["series"])
    assert repr(sorted(found.items())) == repr(sorted(_floats(expected, figure).items()))


def _floats(expected, figure):
    """The expected numbers as floats, which is what is read; labels of the colour stay as they are."""

    def convert(value):
        if isinstance(value, list):
            return [convert(one) for one in value]
        return float(value) if isinstance(value, int | float) else value

    return {name: value if name == figure.colour else convert(value) for name, value in expected.items()}


@pytest.mark.parametrize(
    ("figure", "series", "message"),
    [
        (LINES, {"step": [1]}, r"'loss' is missing; recorded: \['step'\]"),
        (LINES, {"step": [1, 2], "loss": [1.0]}, "'loss' has 1 values, but 'step' has 2"),
        (LINES, {"step": [1], "loss": ["high"]}, "'loss' must be numbers, got high"),
        (LINES, {"step": [1], "loss": 3.0}, r"'loss' must be a list, got 3\.0"),
        (SCATTER, {"gap": [1], "importance": [1], "layer": []}, "'layer' has 0"),
        (HEATMAP, {"values": [1.0, 2.0]}, "'values' must be a list of rows"),
        (HEATMAP, {"values": [[1.0], [2.0, 3.0]]}, r"rows of one length, got \[1, 2\]"),
        (HEATMAP, {"values": []}, "'values'"),
        (GRAPH, NODES | {"edges": [["a", "c", 1.0]]}, "'edges' must be .* got .*'c'"),
        (GRAPH, NODES | {"edges": [["a", "a", 1.0]]}, "'edges' must be"),
        (GRAPH, NODES | {"edges": [["a", "b"]]}, "'edges' must be"),
        (GRAPH, NODES | {"edges": [["a", "b", None]]}, "'edges' must be numbers"),
        (GRAPH, NODES | {"x": ["NaN", 1], "edges": []}, "'x' must be finite"),
        (GRAPH, NODES | {"x": [1, 1], "edges": []}, "a place of its own"),
        (GRAPH, NODES | {"nodes": ["a", "a"], "edges": []}, "distinct names"),
        (GRAPH, NODES | {"weights": [1], "edges": []}, "'weights' has 1"),
        (SAMPLES, {"real": [1.0]}, "'null' is missing"),
        (SAMPLES, {"real": [1.0], "null": ["low"]}, "'null' must be numbers, got low"),
        (SAMPLES, {"real": ["Infinity"], "null": []}, r"'real' must be finite numbers or NaN, got \[inf\]"),
        (TEXT, {"tokens": ["a"], "values": [1], "title": 3}, r"'title' must be strings, got \[3\]"),
        (TABLE, {"columns": ["a"], "rows": [[True]]}, "'rows' must be strings, numbers or .* got True"),
        (TABLE, {"columns": ["a"], "rows": [[["x", 1, "y"]]]}, r"'rows' must be .* got \['x', 1, 'y'\]"),
        (TABLE, {"columns": ["a"], "rows": ["x"]}, "'rows' must be lists of 1 cells, .* got x"),
        (TEXT, {"tokens": ["a"], "values": [1, 2]}, "'values' has 2 values, but 'tokens' has 1"),
        (TEXT, {"tokens": [3], "values": [1]}, r"'tokens' must be strings, got \[3\]"),
        (TEXT, {"tokens": [], "values": []}, "'tokens' must be at least one"),
        (TABLE, {"columns": [], "rows": []}, "'columns' must be at least one"),
        (TABLE, {"columns": ["a", "b"], "rows": [["x"]]}, r"'rows' must be lists of 2 cells.* got \['x'\]"),
        (TABLE, {"columns": ["a"], "rows": [[["x", "y"]]]}, r"'rows' must be .* got \['x', 'y'\]"),
    ],
)  # fmt: skip
def test_a_series_that_can_not_be_drawn_is_named(figure, series, message):
    with pytest.raises(InputError, match=message):
        read_series(plain(figure), series)
