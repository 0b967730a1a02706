"""A README's regions are rendered from the results they name: rows aren't picked, numbers aren't copied."""

import re
from typing import Any

import pytest

from energylens.errors import InputError
from energylens.report.content.entries import entries
from energylens.report.content.headline import as_published
from energylens.report.markdown.readme import fact, rewritten, sources

VERDICTS = """before
<!-- verdicts: runs/results.json
stability.pwmcc-level/modadd-leaky/topk
fourier.r2-below-5pct/modadd-1l
stability.decoupled/modadd-leaky
stability.above-chance/modadd-1l
-->
stale | numbers
<!-- verdicts: end -->
after
"""


def told(template: str) -> str:
    return f"<!-- told: runs/results.json\n{template}\n-->\nold\n<!-- told: end -->\n"


def rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_table_says_how_many_cells_share_the_verdict(results: dict[str, Any]) -> None:
    text = rewritten(VERDICTS, lambda _: results)
    assert text.startswith("before\n")
    assert text.endswith("<!-- verdicts: end -->\nafter\n")
    assert "stale" not in text
    level, r2, decoupled, above = rows_of(text)
    assert level[0] == "[TopK and ReLU PWMCC is .30.](runs/VALIDATION.md#stability.pwmcc-level)"
    assert level[1:3] == ["modadd-leaky, topk (published set-up)", "**HOLDS, by chance too**"]
    assert level[-1] == "2 of 2"
    assert r2[1] == "modadd-1l"
    assert r2[2].startswith("**REFUTED")
    assert r2[-1] == "3 of 4"
    assert decoupled[3].startswith("explained_variance 0.9")
    assert "; pwmcc 0." in decoupled[3]
    assert decoupled[-1] == "1 of 2"
    assert above[1] == "modadd-1l (restated)"
    assert "The table shows 4 of 8 claims." in text


def test_the_headline_and_what_holm_leaves_stand_above_the_table(results: dict[str, Any]) -> None:
    above = " ".join(rewritten(VERDICTS, lambda _: results).split("| claim")[0].split())
    assert f"**As published: {as_published(entries(results))}** (7 as-stated findings" in above
    assert "On other models: 1 holds, 4 refuted" in above
    assert "Restated: 1 invalid (1 claim)." in above
    holm = results["summary"]["headline"]["holm"]
    assert f"leaves {holm['survive']} of {holm['decided']} decided ones." in above


def test_rendering_twice_changes_nothing_and_follows_the_results(results: dict[str, Any]) -> None:
    once = rewritten(VERDICTS, lambda _: results)
    assert rewritten(once, lambda _: results) == once
    turned = [v | {"word": "REFUTED", "qualifiers": []} for v in results["verdicts"]]
    assert "**REFUTED** " in rewritten(once, lambda _: {**results, "verdicts": turned})


def test_every_region_reads_the_results_it_names() -> None:
    text = VERDICTS + told("x").replace("runs", "other") + told("y")
    assert sources(text) == ["runs/results.json", "other/results.json"]
    assert sources("no region") == []


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        ("fourier.r2-below-5pct/modadd-1l", r"0\.8\d+"),
        ("fourier.r2-below-5pct/modadd-1l; word", "refuted"),
        ("fourier.r2-below-5pct/modadd-1l; %", r"8\d\.\d %"),
        ("fourier.r2-below-5pct/modadd-1l; published", r"0\.00\d+"),
        ("fourier.r2-below-5pct/modadd-1l; beside raw_r2", r"0\.9\d+"),
        ("fourier.grokked-circuit/modadd-1l; null untrained", r"0\.02\d*"),
        ("fourier.grokked-circuit/modadd-1l; chance", r"0\.1\d+"),
        ("stability.decoupled/modadd-leaky; part pwmcc; null frozen-decoder", r"0\.(29|30)\d?"),
        ("fourier.r2-below-5pct; REFUTED", "3 of 4"),
        ("fourier.r2-below-5pct; HOLDS", "0 of 4"),
        ("fourier.r2-below-5pct; HOLDS, by chance too", "1 of 4"),
        ("fourier.r2-below-5pct; range", r"0\.0\d+ … 0\.8\d*"),
    ],
)
def test_facts(results: dict[str, Any], asked: str, pattern: str) -> None:
    assert re.fullmatch(pattern, fact(entries(results), asked))


def test_what_a_perfect_effect_would_score_is_a_fact(results: dict[str, Any]) -> None:
    ceiling = {"name": "perfect", "parts": [{"part": "value", "estimate": 0.354}]}
    verdicts = [verdict | {"ceilings": [ceiling]} for verdict in results["verdicts"]]
    asked = "fourier.r2-below-5pct/modadd-1l; ceiling perfect"
    assert fact(entries(results | {"verdicts": verdicts}), asked) == "0.354"


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("fourier.r2-below-5pct/modadd-11", "nearest: fourier.r2-below-5pct/modadd-1l"),
        ("fourier.r2; REFUTED", "fourier.r2-below-5pct"),
        ("fourier.r2-below-5pct/modadd-1l; part pwmcc", "nearest"),
        ("fourier.r2-below-5pct/modadd-1l; null gausian", "nearest: gaussian"),
        ("fourier.r2-below-5pct/modadd-1l; beside r2", "nearest: raw_r2"),
        ("fourier.r2-below-5pct/modadd-1l; mean", "asks for 'mean'; a field of a row"),
        ("stability.above-chance/modadd-1l; published", "nearest: none"),
        ("fourier.r2-below-5pct; REFUTD", "nearest: REFUTED"),
    ],
)
def test_what_the_results_do_not_have_is_named(results: dict[str, Any], asked: str, named: str) -> None:
    with pytest.raises(InputError, match=re.escape(named)):
        fact(entries(results), asked)


def test_prose_is_wrapped_and_nothing_becomes_a_list(results: dict[str, Any]) -> None:
    template = f"{'word ' * 23}off\n4. Then {{fourier.r2-below-5pct; REFUTED}}.\n\nNext."
    text = rewritten(told(template), lambda _: results)
    made = text.split("-->\n")[1].split("<!-- told: end")[0]
    assert max(map(len, made.splitlines())) <= 120
    assert "\n4\\. Then 3 of 4.\n\nNext.\n" in made
