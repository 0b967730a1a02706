"""Tables that claims recorded, in the claim's section."""

import copy
import re

import pytest
from markdown_it import MarkdownIt

from energylens import Figure
from energylens.harness.json_values import plain
from energylens.report import write_report
from energylens.report.content.recorded_tables import recorded_tables
from energylens.tests.report.figures.test_claim_figure import HEATMAP, entry, series
from energylens.tests.report.helpers.example import only, whole_report

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
TABLE = Figure("table", title="Top *features*")
CELLS = ["7", 0.123456, ["x = `a", " b|", "<c>\nd"]]


def recorded(_model, variant, seed):
    return {"columns": ["latent", "EFAS", "context"], "rows": [CELLS, [f"{variant}{seed}", float("nan"), ""]]}


def rendered(cells, columns=None):
    """The cells of one row, as a reader of the Markdown sees them."""
    series = {"columns": columns or [f"c{i}" for i in range(len(cells))], "rows": [cells]}
    text = recorded_tables(entry(TABLE, ("m",), ("",), 1, lambda *_: series))
    return re.findall(r"<td[^>]*>(.*?)</td>", PARSER.render(text))


def test_cells_are_escaped_and_their_middle_is_marked():
    text = recorded_tables(entry(TABLE, ("m",), ("",), 2, recorded))
    assert r"**Top \*features\***; m, seed 0 (first 1 of 2 seeds):" in text
    row = next(line for line in text.splitlines() if line.startswith("| 7"))
    assert "0.123 " in row
    assert r"x = \`a<b>⟦␣b\|⟧</b>&lt;c&gt;↵d" in row
    assert "NaN" in text


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (["in", "side", " the"], "in<b>⟦side⟧</b> the"),
        (["in the ", "*cat*", "s sat "], "in the <b>⟦*cat*⟧</b>s sat␣"),
        ([" ", " x", "  y"], "␣<b>⟦␣x⟧</b> ␣y"),
        (["", "", ""], "<b>⟦⟧</b>"),
        ("    return  1\n", "␣␣␣␣return␣␣1↵"),
        ("\ta_b_ [c](d) <i>", "→a_b_ [c](d) &lt;i&gt;"),
        ("a\u202eb\x00c\u00a0d", "a□b□c d"),
        (123456, "123456"), (-0.0123456, "−0.0123"), ("NaN", "NaN"), (float("inf"), "Infinity"),
    ],
)  # fmt: skip
def test_a_reader_sees_what_the_cell_holds(cell, shown):
    assert rendered([cell, "end"]) == [shown, "end"]


def test_a_table_without_rows_has_its_columns():
    series = {"columns": ["latent", "a|b"], "rows": []}
    html = PARSER.render(recorded_tables(entry(TABLE, ("m",), ("",), 1, lambda *_: series)))
    assert re.findall(r"<th[^>]*>(.*?)</th>", html) == ["latent", "a|b"]


def test_the_table_stands_in_the_section_of_its_claim_and_is_no_picture(results, tmp_path):
    changed = copy.deepcopy(results)
    claim = next(one for one in changed["claims"] if one["id"] == "fourier.grokked-circuit")
    claim["figure"] = plain(TABLE)
    for case in changed["cases"]:
        if case["claim"] == claim["id"] and case["series"]:
            case["series"] = plain(recorded(case["model"], case["model"], case["seed"]))
    written = write_report(only(changed, claim["id"]), tmp_path)
    section = whole_report(tmp_path).split(f"### {claim['id']}")[1]
    assert "| latent" in section
    assert "modadd-1l0" in section.split("<details>")[0]
    assert not [path for path in written if "_series" in path.name]


def test_the_first_seed_of_every_variant_is_shown_and_later_variants_are_folded():
    text = recorded_tables(entry(TABLE, ("m",), ("one", "two"), 3, recorded))
    assert "one0" in text
    assert "one1" not in text
    before, folded = text.split("<details>")
    assert "one0" in before
    assert "two0" in folded
    assert "<summary>m, two, seed 0 (first 1 of 3 seeds)</summary>" in folded


def test_other_figures_are_no_tables():
    assert recorded_tables(entry(HEATMAP, ("m",), ("",), 1, series)) is None
