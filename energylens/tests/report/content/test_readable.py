import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from energylens.report.content.readable import (
    Md,
    clean,
    fenced,
    interval,
    label,
    link,
    markdown,
    number,
    span,
    table,
)

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
STRUCTURE = {"text", "inline", "paragraph_open", "paragraph_close", "softbreak", "text_special"}

ANY_TEXT = st.text(max_size=60) | st.text(alphabet="|*_`[]()<>&!#-+=~$\\1.) \n\tab", max_size=40)


def kinds(source: str) -> set[str]:
    tokens = PARSER.parse(source)
    return {t.type for t in tokens} | {child.type for t in tokens for child in t.children or ()}


@given(ANY_TEXT)
def test_escaped_text_is_nothing_but_text(text: str) -> None:
    assert kinds(markdown(text)) <= STRUCTURE


def test_the_check_above_would_notice_markup() -> None:
    assert not kinds("a **b** <i>c</i>") <= STRUCTURE


@given(ANY_TEXT)
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    shown = "".join(child.content for token in PARSER.parse(markdown(text)) for child in token.children or ())
    assert shown == clean(text)


@given(ANY_TEXT)
def test_a_table_keeps_its_cells_apart(text: str) -> None:
    html = PARSER.render(table(["a", "b"], [[text, "x"], ["y", text]], keep=2))
    assert html.count("<td") == 4
    assert html.count("<th") >= 2


@given(ANY_TEXT)
def test_alternative_text_stays_inside_its_picture(text: str) -> None:
    tokens = PARSER.parse(f"![{label(text)}](figures/a.png)")
    images = [child for token in tokens for child in token.children or () if child.type == "image"]
    assert [image.attrs["src"] for image in images] == ["figures/a.png"]


@given(st.text(alphabet="`~\nab <", max_size=40))
def test_a_fence_is_not_closed_by_its_content(text: str) -> None:
    tokens = PARSER.parse(f"{fenced(text)}\n\nafter")
    assert [t.type for t in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


def test_clean_drops_escapes_direction_marks_and_lone_surrogates() -> None:
    assert clean("a\x1b[31m\u202eb\ud800\n c") == "a [31mb c"


def test_markdown_is_not_escaped_twice() -> None:
    assert markdown(Md("**a**")) == "**a**"
    assert markdown("d_sae 0.95 [0.9, 1] -m") == "d_sae 0.95 [0.9, 1] -m"


def test_a_link_to_an_odd_id_is_no_link() -> None:
    assert link("a.b-c") == "[a.b-c](#a.b-c)"
    assert kinds(link("x) [y](javascript:z")) <= STRUCTURE


@pytest.mark.parametrize(
    ("low", "estimate", "high", "text"),
    [
        (0.3012, 0.3021, 0.303, "0.30210 [0.30120, 0.30300]"),
        (0.94, 0.955, 0.97, "0.955 [0.940, 0.970]"),
        (-3.0, 12.0, 27.0, "12 [−3, 27]"),
        (0.5, 0.5, 0.5, "0.5 [0.5, 0.5]"),
        ("-Infinity", 0.25, "Infinity", "0.25 [−∞, ∞]"),
        (1e-9, 2e-9, 3e-9, "2e−09 [1e−09, 3e−09]"),
        (10_000.0, 20_000.0, 30_000.0, "2e+04 [1e+04, 3e+04]"),
        ("NaN", "NaN", "NaN", "NaN"),
    ],
)
def test_interval_shows_two_digits_of_its_half_width(
    low: float, estimate: float, high: float, text: str
) -> None:
    assert interval({"estimate": estimate, "low": low, "high": high}) == text


def test_numbers_that_are_none() -> None:
    assert [number(x) for x in (None, "NaN", "-Infinity", -0.5)] == ["–", "NaN", "−∞", "−0.5"]
    assert span(0.25, 0.25) == "0.25"
    assert span(0.25, 0.5) == "0.25 … 0.5"


def test_empty_columns_are_left_out() -> None:
    shown = table(["a", "b", "c"], [["1", "", "2"], ["3", None, ""]])
    assert "b" not in shown
    assert "c" in shown


def test_a_large_table_is_the_same_without_padding() -> None:
    rows = [[str(i), "a|b" if i % 2 else "*", "long " * 10] for i in range(200)]
    large, small = table(["n", "odd", "text"], rows, keep=3), table(["n", "odd", "text"], rows[:5], keep=3)
    assert "  |" not in large
    assert "  |" in small
    html = PARSER.render(large)
    assert html.count("<tr>") == 201
    assert html.count("<td") == 600
    assert PARSER.render(small).count("<td") == 15
