"""Questions and answers: composed from results.json alone, escaped, counted right."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from energylens.report.content.counted import tally
from energylens.report.content.entries import entries
from energylens.report.content.questions import answers
from energylens.tests.report.helpers.example import HOSTILE, whole

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table"])


def text_of(results: Any) -> str:
    return whole(results)


def verdict(model: str, word: str, variant: str = "", *qualifiers: str) -> dict[str, Any]:
    return {"model": model, "variant": variant, "word": word, "qualifiers": qualifiers}


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ([verdict("a", "HOLDS")], ["holds on a"]),
        ([verdict(m, "REFUTED") for m in "abc"], ["refuted on all 3 models: a, b, c"]),
        (
            [verdict("a", "HOLDS"), verdict("b", "REFUTED"), verdict("c", "REFUTED")],
            ["refuted on 2 of 3 models: b, c", "holds on 1 of 3 models: a"],
        ),
        (
            [verdict("a", "HOLDS"), verdict("b", "HOLDS", "", "by chance too")],
            ["holds on 1 of 2 models: a", "holds, no better than a control, on 1 of 2 models: b"],
        ),
        ([verdict("a", "HOLDS", "", "not compared with chance")], ["holds, not compared with a control, on a"]),
        ([verdict(m, "REFUTED", v) for m in "ab" for v in "xy"], ["refuted in all 4 cases"]),
        (
            [verdict(m, "HOLDS" if (m, v) == ("a", "x") else "REFUTED", v) for m in "abc" for v in "xy"],
            ["refuted in 5 of 6 cases, among them every variant on b, c and y on every model",
             "holds in 1 of 6 cases: x on a"],
        ),
        ([verdict("a", "REFUTED", "", "as it must")], ["rejected, as it must be, on a"]),
    ],
)  # fmt: skip
def test_verdicts_are_counted_in_words(verdicts: list[dict[str, Any]], told: list[str]) -> None:
    assert [text for _, text in tally(verdicts)] == told


def test_every_outcome_of_a_claim_that_holds_has_its_answer(large: dict[str, Any]) -> None:
    changed = copy.deepcopy(large)
    rows = [v for v in changed["verdicts"] if v["claim"] == "spectral.weakest-link"]
    for row in rows:
        row.update(word="HOLDS", qualifiers=["not compared with chance"], reason="")
    for question in changed["questions"]:
        question["words"].setdefault("spectral.weakest-link", {})["HOLDS"] = "What holding means."
    told = f"- **holds, not compared with a control, in all {len(rows)} cases**. What holding means."
    assert told in text_of(changed)


def test_the_report_opens_with_questions_and_answers(large: dict[str, Any]) -> None:
    text = text_of(large)
    before, opening = text.split("## Questions and answers")
    assert "| claim" not in before
    first, second = opening.split("## All claims at a glance")[0].split("### ")[1:]
    assert first.startswith("Does the minimum-gap head have the highest patching importance, r &gt; .7?")
    assert [line.partition("]")[0] for line in first.splitlines() if line.startswith("[")] == [
        "[spectral.weakest-link", "[spectral.gap-predicts", "[spectral.pre-post-softmax",
    ]  # fmt: skip
    assert (
        "- **refuted in 16 of 30 cases, among them every variant on induction-2l, induction-2l-rotary**. "
        in first
    )
    assert "The head with the smallest gap is not the most important one." in first
    assert (
        "Null controls behind the chance levels: **within-layer**, permuted within each layer: what depth"
        in first
    )
    assert (
        "| pygpt-4l            | **HOLDS**        | 0.789 [0.736, 0.842]       | ≥ 0.7    "
        "| 0.15 (within-layer), better by 0.639 [0.586, 0.692] |" in first
    )
    assert "only 3 of 5 seeds are competent" in second


def test_every_estimate_stands_in_the_table_with_its_null(large: dict[str, Any]) -> None:
    (asked,) = [one for one in answers(large, entries(large)) if "left" in one["asks"]]
    (claim,) = asked["claims"]
    rows = [row.split("|")[1:-1] for row in claim["table"].splitlines()[2:]]
    assert len(rows) == 12
    assert all(len(row) == 6 for row in rows)
    assert sum(cell.count("chance 0.0375") for row in rows for cell in row) == 24  # NaN and INVALID have none


def test_old_results_and_partial_runs_are_reports_too(large: dict[str, Any]) -> None:
    old = {name: value for name, value in large.items() if name != "questions"}
    assert "Questions" not in text_of(old)
    other = {
        **large,
        "questions": [
            {"asks": "Why?", "answered_by": ["no.such", "spectral.gap-predicts-full"], "words": {}}
        ],
    }
    text = text_of(other).split("### Why?")[1].split("## All")[0]
    assert "No claim that answers this question was measured in this run." in text
    assert "Claims that are not declared in this run: no.such" in text


def test_answers_follow_from_results_alone_and_change_with_them(large: dict[str, Any]) -> None:
    assert text_of(json.loads(json.dumps(large))) == text_of(large)
    changed = copy.deepcopy(large)
    for one in changed["verdicts"]:
        if one["claim"] == "spectral.weakest-link":
            one["word"] = "HOLDS"
    text = text_of(changed)
    assert "- **holds in all 30 cases**" in text
    assert "The head with the smallest gap is not the most important one." not in text


def test_nothing_that_a_question_says_becomes_markup(large: dict[str, Any]) -> None:
    words = {"spectral.forms": dict.fromkeys(("REFUTED", "HOLDS", "INCONCLUSIVE"), HOSTILE)}
    question = {"asks": HOSTILE, "answered_by": ["spectral.forms"], "words": words}
    section = text_of({**large, "questions": [question]}).split("## All")[0]
    tokens = [child for token in PARSER.parse(section) for child in (token, *(token.children or ()))]
    assert not [t for t in tokens if t.type in ("html_block", "html_inline")]
    assert not [t for t in tokens if t.type == "link_open" and "javascript" in str(t.attrs["href"])]
    assert section.count("alert(1)") == 2


def test_a_question_that_chance_answers_says_so(results: dict[str, Any], tmp_path: Path) -> None:
    question = {
        "asks": "Stable?", "answered_by": ["stability.pwmcc-level"],
        "words": {"stability.pwmcc-level": {"HOLDS": "The number is reproduced."}},
    }  # fmt: skip
    text = text_of({**results, "questions": [question]}).split("### Stable?")[1].split("## All")[0]
    told = "holds, no better than a control, in all 2 cases"
    assert f"- **{told}**. The number is reproduced. It is no better than a control" in text


def test_a_claim_measured_at_full_size_only_answers_for_itself(large: dict[str, Any]) -> None:
    results = copy.deepcopy(large)
    name = results["questions"][0]["answered_by"][0]
    base = next(claim for claim in results["claims"] if claim["id"] == name)
    results["claims"].append({**base, "id": f"{name}-full", "extends": name})
    for one in [each for each in results["verdicts"] if each["claim"] == name]:
        results["verdicts"].append({**one, "claim": f"{name}-full"})
        one |= {
            "word": "NOT RUN",
            "reason": "not selected in this run",
            "parts": [],
            "nulls": [],
            "gates": [],
        }
    first = answers(results, entries(results))[0]["claims"][0]
    assert first["id"] == f"{name}-full"
    assert first["outcomes"] == answers(large, entries(large))[0]["claims"][0]["outcomes"]
    assert answers(large, entries(large))[0]["claims"][0]["id"] == name
