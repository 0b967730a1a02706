"""Tables that claims recorded, in the claim's section."""

from energylens import Figure
from energylens.report.recorded import recorded_tables
from energylens.tests.report.test_series import HEATMAP, entry, series

TABLE = Figure("table", title="Top *features*")
CELLS = ["7", 0.123456, ["x = `a", " b|", "<c>\nd"]]


def recorded(_model, variant, seed):
    return {"columns": ["latent", "EFAS", "context"], "rows": [CELLS, [f"{variant}{seed}", float("nan"), ""]]}


def test_cells_are_escaped_and_their_middle_is_marked():
    text = recorded_tables(entry(TABLE, ("m",), ("",), 2, recorded))
    assert r"Top \*features\*; m, seed 0:" in text
    row = next(line for line in text.splitlines() if line.startswith("| 7"))
    assert "0.123" in row
    assert r"x = \`a**⟦␣b\|⟧**&lt;c&gt;↵d" in row
    assert "NaN" in text


def test_the_first_seed_of_every_variant_is_shown_and_later_variants_are_folded():
    text = recorded_tables(entry(TABLE, ("m",), ("one", "two"), 3, recorded))
    assert "one0" in text
    assert "one1" not in text
    before, folded = text.split("<details>")
    assert "one0" in before
    assert "two0" in folded
    assert "<summary>m, two, seed 0</summary>" in folded


def test_other_figures_are_no_tables():
    assert recorded_tables(entry(HEATMAP, ("m",), ("",), 1, series)) is None
