"""The history section lists edits of claims, the newest first; whatever they contain stays text."""

import re
import unicodedata

import pytest

from energylens.report import write_report
from energylens.report.content.amendments import LISTED, amendments_tables, amendments_text
from energylens.report.content.timeline import history_section
from energylens.tests.report.figures.test_history import CLAIM, entry_of, line  # noqa: F401
from energylens.tests.report.helpers.example import only, whole_report
from energylens.tests.report.test_hostile import NASTY, PARSER


def row(before, after):
    return {
        "before": {"verdict": "HOLDS", "estimates": {"value": before}},
        "after": {"verdict": "REFUTED", "estimates": {"value": after}},
    }


def edit(day=1, claim=CLAIM, changed=("measure",), **rows):
    moved = rows or {"dice": row([2.0, 1.0, 3.0], [0.5, 0.25, 0.75])}
    return {
        "at": f"2026-01-{day:02}T10:00:00+00:00", "commit": f"{day:02}" * 20, "claim": claim, "changed": list(changed),
        "rows": {f"{claim}/{model}": pair for model, pair in moved.items()},
    }  # fmt: skip


def shown(*edits):
    """The one table of a few edits."""
    (table,) = amendments_tables(edits)
    return table


def test_the_table_has_the_newest_first_with_before_and_after():
    lines = shown(edit(1, "toy.a"), edit(3, "toy.c"), edit(2, "toy.b")).splitlines()[2:]
    assert [re.search(r"toy\.\w", text)[0] for text in lines] == ["toy.c", "toy.b", "toy.a"]
    assert "030303030" in lines[0]
    assert "measure" in lines[0]
    assert "dice: HOLDS → REFUTED, 2 [1, 3] → 0.5 [0.25, 0.75]" in lines[0]


def test_digits_tell_numbers_apart_and_more_rows_are_counted():
    close = row([0.5270, 0.4, 0.6], [0.52701, 0.4, 0.6])
    text = shown(edit(die=close, coin=close, card=close))
    assert "0.527 [0.4, 0.6] → 0.52701 [0.4, 0.6]" in text
    assert "and 2 more" in text


def test_rows_that_came_or_went_and_edits_that_moved_nothing():
    gone = row([2.0, 1.0, 3.0], [0.5, 0.25, 0.75]) | {"after": None}
    assert "dice: HOLDS, value 2 [1, 3] → –" in shown(edit(dice=gone))
    nothing = edit() | {"rows": {}}
    assert "no number moved" in amendments_text([nothing])
    assert amendments_tables([]) == []


def test_of_many_edits_the_latest_are_listed_and_all_are_told(results, line, tmp_path):  # noqa: F811
    many = [edit(1 + i % 28) for i in range(LISTED + 3)]
    section = history_section([entry_of(results)], [line], [], many)
    assert [len(table.splitlines()) for table in (*section["latest"], *section["earlier"])] == [
        LISTED + 2,
        3 + 2,
    ]
    write_report(only(results, CLAIM), tmp_path, [line], None, many)
    told = whole_report(tmp_path).split("# History")[1].split("\n# ")[0]
    before, folded = told.split("<summary>Earlier edits</summary>")
    assert (before.count("dice: HOLDS → REFUTED"), folded.count("dice: HOLDS → REFUTED")) == (LISTED, 3)


def test_an_edit_that_moved_controls_alone_says_so():
    pair = row([2.0, 1.0, 3.0], [2.0, 1.0, 3.0]) | {"controls": ["aaaa", "bbbb"]}
    assert "dice: REFUTED, only numbers of controls moved" in shown(edit(dice=pair))


@pytest.mark.parametrize("runs", [1, 2])
def test_the_report_lists_them(results, line, runs, tmp_path):  # noqa: F811
    write_report(only(results, CLAIM), tmp_path, [line] * runs, None, [edit()])
    section = whole_report(tmp_path).split("# History")[1].split("\n# ")[0]
    assert "1 edit of claims' declarations and of the code that measures them." in section
    assert "| recorded at" in section
    write_report(only(results, CLAIM), tmp_path, [line] * runs)
    assert "of measures" not in whole_report(tmp_path)


def structure(text):
    """Blocks, tags and links with their targets; without links to claims, which depend on the claim's id."""
    found = PARSER.parse(text)
    kept = []
    for token in [*found, *(child for each in found for child in each.children or ())]:
        is_text = token.type in ("text", "text_special", "softbreak", "link_close")
        if not is_text and not str(token.attrs.get("href", "")).startswith("#"):
            kept.append(
                (
                    token.type,
                    token.tag,
                    token.attrs.get("href"),
                    token.content if "html" in token.type else "",
                )
            )
    return kept


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_whatever_an_edit_contains_stays_text(text):
    hostile = edit(claim=text, changed=[text]) | {"commit": text}
    hostile["rows"] = {f"toy/{text}": row([1, 1, 1], [2, 2, 2])}
    harmless = edit(claim="<", changed=["x"]) | {"rows": {"toy/x": row([1, 1, 1], [2, 2, 2])}}
    kinds = [structure(shown(each)) for each in (hostile, harmless)]
    assert kinds[0] == kinds[1]
    text = amendments_text([hostile]).replace("\n", "")
    assert {unicodedata.category(char) for char in text} & {"Cc", "Cf", "Cs"} == set()
