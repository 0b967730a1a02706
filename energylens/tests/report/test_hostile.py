"""Whatever a claim's text contains stays text: in the report, in its pictures and badges, in the terminal."""

import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from energylens import Figure
from energylens.harness.json_values import write_json
from energylens.report import badge_svg, terminal_table, write_report
from energylens.report.content.readable import html, markdown
from energylens.report.figures.claim_figure import series_figure
from energylens.report.figures.style import encode, styled
from energylens.report.markdown.document import picture_names
from energylens.tests.report.content.test_readable import ANY_TEXT
from energylens.tests.report.figures.test_claim_figure import entry
from energylens.tests.report.helpers.example import whole

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

FIELDS = {
    "says", "source", "reported", "stated", "unit", "note", "model", "variant", "part", "why", "reason", "unavailable",
    "title", "x_label", "y_label", "mark_label", "x", "asks", "HOLDS", "REFUTED", "message", "text", "cpu", "platform",
}  # fmt: skip
"""Fields of results.json that hold somebody's text."""

LISTS = {
    "models", "published_on", "variants", "must_fail", "y", "beside", "regions", "packages", "tokens", "columns",
    "artifacts",
}  # fmt: skip
"""Lists of such texts, or mappings whose names are."""

OURS = {"", "value", "gate", "as stated", "restated"}
"""Words with a meaning of their own."""

NASTY = [
    "a|b\\|c\\\\|d", "`code` ``two`` ```", "**bold** __bold__ *i* _i_ ~~gone~~", "<script>alert(1)</script>",
    "<!-- --> --> <![CDATA[ ]]> <?php ?>", "[x](javascript:alert(1)) ![i](http://x) [r][y] <http://x>",
    "$x$ $$\\frac{1}{0}$$ \\input{/etc/passwd} \\(y\\)", "100 % & # ^ ~ {} {{ jinja }} {% raw %} {# c #}", "[r]: http://x",
    "# title", "> quote", "- item", "1. item", "[ ] task", "[x] done", "[!CAUTION]", "---", "===", "```sh", "    code",
    "two\n\nparagraphs\n# title\n| a | b |\n|---|---|\n", "</summary></details><img src=x onerror=alert(1)>",
    "x" * 3000, "\x00\x07\x1b[31mred\x1b[0m\x7f\x85\u2028\u2029", "שלום \u202eevil\u202c مرحبا",
    "😀👩‍👩‍👧 e\u0301\u0301\u0301",
    "\ud800 lone \udfff", "\ufffe\uffff\ufdd0", "&amp; &#60; &lt;b&gt;", "\\", "\\\\", "|", "`", "*", "_", "!",
]  # fmt: skip


def texts_in(found: Any) -> Iterator[str]:
    """Everything in results.json that people wrote."""
    if isinstance(found, Mapping):
        for name, value in found.items():
            if name in FIELDS and isinstance(value, str):
                yield value
            if name in LISTS:
                yield from (one for one in value or () if isinstance(one, str))
            yield from texts_in(value)
    elif isinstance(found, list):
        for item in found:
            yield from texts_in(item)


def infested(found: Any, chosen: set[str], before: str, after: str) -> Any:
    """The same run, had people written something before and after all that they wrote."""

    def put(text: str) -> str:
        return f"{before}{text}{after}" if text in chosen else text

    if isinstance(found, Mapping):
        return {put(name): infested(value, chosen, before, after) for name, value in found.items()}
    if isinstance(found, list):
        return [infested(item, chosen, before, after) for item in found]
    return put(found) if isinstance(found, str) else found


@pytest.fixture(scope="module")
def run(results: dict[str, Any]) -> dict[str, Any]:
    """The example, with a question and a checkpoint's artifact."""
    asked = {
        "asks": "Is it so?",
        "answered_by": ["fourier.logits"],
        "words": {"fourier.logits": {"HOLDS": "It is."}},
    }
    provenance = {**results["provenance"], "artifacts": {"0123": "a network"}}
    return {**results, "questions": [asked], "provenance": provenance}


@pytest.fixture(scope="module")
def texts(run: dict[str, Any]) -> set[str]:
    return set(texts_in(run)) - OURS


def structure(results: dict[str, Any], pictures: set[str]) -> list[tuple[Any, ...]]:
    """The report without its words: blocks, emphasis, cells, links with their targets, tags of HTML."""
    kept = []
    with patch("energylens.report.markdown.pages.LIMIT", sys.maxsize):
        text = whole(results, pictures)
    for token in PARSER.parse(text):
        for each in (token, *(token.children or ())):
            if each.type not in ("text", "text_special", "softbreak"):
                tags = re.findall(r"<[^>]*>", each.content) if each.type.startswith("html") else ()
                targets = [value for name, value in each.attrs.items() if name != "style"]
                kept.append((each.type, each.tag, each.nesting, each.info, *targets, *tags))
    return kept


@pytest.fixture(scope="module")
def expected(run: dict[str, Any], report: Path) -> tuple[set[str], list[tuple[Any, ...]]]:
    pictures = picture_names(path.relative_to(report).as_posix() for path in report.glob("figures/*"))
    return pictures, structure(run, pictures)


def test_the_example_holds_every_kind_of_text(texts: set[str]) -> None:
    wanted = {
        "modadd-1l",
        "topk",
        "pwmcc",
        "cosine",
        "raw_r2",
        "Is it so?",
        "It is.",
        "Two random dictionaries of this size.",
    }
    assert wanted <= texts
    assert len(texts) > 60


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_what_people_write_changes_no_structure(run: Any, texts: set[str], expected: Any, text: str) -> None:
    pictures, found = expected
    assert structure(infested(run, texts, text, ""), pictures) == found
    assert structure(infested(run, texts, "", text), pictures) == found


@settings(max_examples=25, deadline=None)
@given(before=ANY_TEXT, after=ANY_TEXT)
def test_no_text_changes_the_structure(
    run: Any, texts: set[str], expected: Any, before: str, after: str
) -> None:
    pictures, found = expected
    assert structure(infested(run, texts, before, after), pictures) == found


def test_the_checks_above_would_notice_markup(
    run: Any, texts: set[str], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, found = expected
    monkeypatch.setattr("energylens.report.content.readable._escape", lambda value, special: str(value))
    hidden = [text for text in NASTY[:8] if structure(infested(run, texts, text, ""), pictures) == found]
    assert len(hidden) <= 2, hidden


def test_pictures_and_badges_of_such_a_run_are_sound(run: Any, texts: set[str], tmp_path: Path) -> None:
    write_report(infested(run, texts, " ".join(NASTY), ""), tmp_path)
    drawn = [*tmp_path.rglob("*.svg")]
    assert len(drawn) > 12
    for path in drawn:
        ElementTree.parse(path)
        assert b"<script" not in path.read_bytes()


@pytest.mark.parametrize("text", ["[!CAUTION]", "[ ] open", "[x] done"])
def test_no_alert_and_no_check_box_of_github(text: str) -> None:
    assert markdown(text) == f"\\{text}"


def test_the_inside_of_html_is_escaped_as_html() -> None:
    assert html("a|b <i> *c* & \n d") == "a|b &lt;i&gt; *c* &amp; d"


WILD = " ".join(NASTY)
KINDS = [
    Figure("lines", WILD, ("loss", f"gap{WILD}"), WILD, WILD, WILD),
    Figure("bars", WILD, ("loss", f"gap{WILD}"), WILD, WILD, WILD),
    Figure("scatter", WILD, ("loss",), WILD, WILD, WILD, colour="layer", mark=0.7, mark_label=WILD),
    Figure("heatmap", title=WILD, x_label=WILD, y_label=WILD),
    Figure("graph", title=WILD),
    Figure("distribution", "", ("loss", f"gap{WILD}"), WILD, x_label=WILD, mark=0.5, mark_label=WILD),
    Figure("text", title=WILD, x_label=WILD),
]


def wild_series(kind: str) -> dict[str, Any]:
    """What each kind draws, with names that are anything."""
    if kind == "graph":
        return {"nodes": ["a", WILD, "c"], "x": [0, 1, 2], "y": [0, 1, 0], "edges": [["a", WILD, 0.5]]}
    if kind == "text":
        return {"tokens": NASTY, "values": [0.1] * len(NASTY), "title": WILD}
    if kind == "heatmap":
        return {"values": [[0.1, 0.2], [0.3, 0.4]]}
    return {
        WILD: [0, 1, 2],
        "loss": [0.1, 0.2, 0.4],
        f"gap{WILD}": [0.2, 0.1, 0.3],
        "layer": ["a", WILD, "c"],
    }


@pytest.mark.parametrize("figure", KINDS, ids=lambda figure: figure.kind)
def test_every_kind_of_picture_is_xml_whatever_its_names(figure: Figure) -> None:
    claim = entry(figure, (f"1{WILD}",), (f"2{WILD}", f"3{WILD}"), 2, lambda *at: wild_series(figure.kind))
    with styled():
        drawn = series_figure(claim)
        assert drawn is not None
        ElementTree.fromstring(encode(drawn)["svg"])


@given(label=ANY_TEXT | st.sampled_from(NASTY), message=ANY_TEXT | st.sampled_from(NASTY))
def test_a_badge_is_xml_whatever_it_says(label: str, message: str) -> None:
    root = ElementTree.fromstring(badge_svg({"label": label, "message": message, "color": "blue"}))
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
        "svg",
        "title",
        "clipPath",
        "rect",
        "g",
        "text",
    }


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nothing_reaches_the_terminal_but_letters(run: Any, texts: set[str], text: str) -> None:
    shown = terminal_table(infested(run, texts, text, text))
    assert {unicodedata.category(char) for char in shown.replace("\n", "")} & {"Cc", "Cf", "Cs"} == set()


@given(text=st.text(st.characters(), max_size=20) | st.sampled_from(NASTY))
def test_results_are_json_that_keeps_every_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "text.json"
    write_json(path, {"text": text})
    assert json.loads(path.read_bytes())["text"] == text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "surrogatepass"
    )
