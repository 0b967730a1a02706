from typing import Any

import pytest

from energylens.report import badge, terminal_table
from energylens.report.content.entries import Entry, entries
from energylens.report.content.headline import apart, as_published, counts_of, setup
from energylens.report.content.sentences import denominators
from energylens.tests.report.helpers.example import only, whole


def entry(word: str, role: str = "claim", qualifiers: tuple[str, ...] = (), **claim: Any) -> Entry:
    fields = {"id": "a", "role": role, "stated": "as stated", "regions": {"value": {}}} | claim
    verdict = {
        "claim": fields["id"],
        "model": "m",
        "variant": "",
        "word": word,
        "qualifiers": qualifiers,
        "parts": [],
    }
    return Entry(fields, [verdict], [], word)


def many(*words: str) -> list[Entry]:
    return [entry(word, id=f"a.{i}") for i, word in enumerate(words)]


def test_every_finding_is_told_once() -> None:
    found = many(*["HOLDS"] * 9, *["REFUTED"] * 4, "INCONCLUSIVE")
    assert as_published(found) == "9 hold, 4 refuted, 1 open"
    assert as_published([]) == "no claims"


def test_the_singular_and_every_word() -> None:
    by_chance = entry("HOLDS", qualifiers=("by chance too",), id="b")
    found = [*many("HOLDS", "NOT RUN", "ERROR", "INVALID"), by_chance]
    assert as_published(found) == "1 holds, 1 by chance too, 1 invalid, 1 not run here, 1 error"


def test_gates_are_no_findings_but_broken_ones_are_named() -> None:
    found = [entry("HOLDS"), entry("HOLDS", "gate", id="g"), entry("INVALID", "gate", id="h")]
    assert as_published(found) == "1 holds; 1 broken gate"
    assert denominators(found) == "1 declared claim; 1 of 2 gates do what they must"
    assert denominators([entry("HOLDS"), entry("NOT RUN", "gate", id="g")]) == "1 declared claim"


def test_errors_of_gates_and_restated_claims_are_not_hidden() -> None:
    restated = entry("ERROR", id="r", stated="restated")
    found = [*many("HOLDS", "ERROR"), restated, entry("ERROR", "gate", id="g")]
    assert as_published(found) == "1 holds, 1 error; 2 errors elsewhere"


def test_the_headline_of_the_example(results: dict[str, Any]) -> None:
    found = entries(results)
    assert as_published(found) == "2 hold, 3 by chance too, 1 not run here, 1 error"
    assert apart(found) == {
        "On other models": "1 holds, 4 refuted, 1 open, 1 undefined (7 pairs of a claim and a model)",
        "Restated": "1 invalid (1 claim)",
        "Undefined": "fourier.logits on modadd-2l, see fourier.no-frequency",
    }
    assert denominators(found) == "8 declared claims; 2 of 2 gates do what they must"


def test_all_outputs_say_what_the_summary_of_results_counts(results: dict[str, Any]) -> None:
    found = entries(results)
    assert counts_of(found) == results["summary"]["headline"]
    text = as_published(found)
    assert badge(results)["message"] == text
    top = whole(results).split("| claim")[0]
    assert f"**As published: {text}**" in top
    assert "7 as-stated findings, each counted once" in top
    closing = terminal_table(results, width=200).splitlines()[-5:]
    assert closing[0] == f"As published: {text}"
    for name, told in apart(found).items():
        assert f"- **{name}**: {told}" in top
        assert f"{name}: {told}" in closing
    assert closing[-1] == denominators(found)
    holm = results["summary"]["headline"]["holm"]
    assert f"leaves {holm['survive']} of {holm['decided']} decided verdicts" in whole(results)


def test_a_refutation_on_another_model_is_not_in_the_badge(results: dict[str, Any]) -> None:
    r2 = only(results, "fourier.r2-below-5pct")
    assert badge(r2)["message"] == "1 by chance too"
    assert badge(r2, "fourier.r2-below-5pct")["message"] == "refuted"


def test_rows_say_whether_they_are_the_published_set_up(results: dict[str, Any]) -> None:
    text = whole(results)
    section = text.split("### fourier.r2-below-5pct")[1].split("<a id=")[0]
    assert "- modadd-leaky (published set-up): **HOLDS" in section
    assert "- modadd-1l (other model): **REFUTED" in section
    assert "(claim as stated, published on modadd-leaky)" in section
    tables = [page.split("## Claims")[0] for page in text.split("## Verdicts")[1:]]
    rows = [row for each in tables for row in each.splitlines() if row.startswith("|") and "modadd" in row]
    assert {"published set-up", "other model", "restated"} <= {row.split("|")[3].strip() for row in rows}


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ({"role": "gate", "stated": "gate"}, ""),
        ({"role": "claim", "stated": "as stated"}, "as stated"),
        ({"role": "claim", "stated": "restated", "published_on": ["m"]}, "restated"),
        ({"role": "claim", "stated": "as stated", "published_on": ["m"]}, "published set-up"),
        ({"role": "claim", "stated": "as stated", "published_on": ["n"]}, "other model"),
    ],
)
def test_what_a_row_speaks_of(claim: dict[str, Any], told: str) -> None:
    assert setup(claim, "m") == told


def test_results_that_know_no_published_models_render_too(results: dict[str, Any]) -> None:
    new = ("published_on", "undefined_is", "seeds_on")
    claims = [{k: v for k, v in claim.items() if k not in new} for claim in results["claims"]]
    old = {**results, "claims": claims}
    found = entries(old)
    assert as_published(found) == "1 holds, 1 by chance too, 2 refuted, 2 open, 1 error"
    assert list(apart(found)) == ["Restated"]
    assert "published set-up" not in whole(old)
