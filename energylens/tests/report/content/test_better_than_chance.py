"""The difference to chance, ceilings and undefined seeds, wherever a reader meets them."""

import math
from pathlib import Path
from typing import Any

import pytest

from energylens import AtLeast, Ceiling, Measurement, Null
from energylens.harness.json_values import plain
from energylens.harness.judge import judge
from energylens.harness.results import assemble, describe_claim
from energylens.harness.run_folder import RunFolder
from energylens.report import terminal_table
from energylens.report.content.better_than_chance import ceiling_text, chance_text, no_better, short_text
from energylens.report.content.entries import Entry, chance, entries
from energylens.report.content.sections import ceilings_table, nulls_table, section, values_table
from energylens.report.content.sentences import why
from energylens.report.content.verdict_rows import lines
from energylens.report.figures.forest import claim_figure
from energylens.report.figures.style import styled
from energylens.tests.harness.helpers import declare, measured, nothing

OURS = (2.0, 2.2, 1.9, 2.1)
FAR, NEAR = (0.0, 0.3, 0.1, 0.2, 0.1), (2.1, 2.0, 2.2, 1.9, 2.0)


def run_of(folder: Path, nulls: dict[str, Any], ceiling: Any = None, **changes: Any) -> dict[str, Any]:
    """results.json of one claim: five seeds, of which the second is undefined."""
    controls = [Null(name, f"what {name} rules out", measure=nothing) for name in nulls]
    perfect = [Ceiling("perfect", "What a perfect die scores.", measure=nothing)] if ceiling else []
    declared = declare(controls=[*controls, *perfect], **changes)
    ours = {0: Measurement(OURS[0]), 1: Measurement(math.nan, note="it fell off")}
    ours |= {seed: Measurement(value) for seed, value in zip((2, 3, 4), OURS[1:], strict=True)}
    by_null = {name: measured(*values) for name, values in nulls.items()}
    ceilings = {"perfect": measured(*ceiling)} if ceiling else {}
    verdict = judge(declared, "dice", "", ours, by_null, ceilings=ceilings)
    run = RunFolder(folder / "run")
    run.record_note("claim", declared.id, describe_claim(declared, Path(__file__).parent))
    row = {"claim": declared.id, "model": "dice", "variant": "", "row": verdict.key, "index": 0}
    run.record_note("row", verdict.key, row | {"own_checkpoint": False})
    run.record_verdict(verdict)
    return plain(assemble(run))


def entry_of(results: dict[str, Any]) -> Entry:
    (found,) = entries(results)
    return found


@pytest.mark.parametrize(
    ("numbers", "better", "scale", "long", "short"),
    [
        ((0.05, 0.03, 0.07), True, "linear",
         "better than chance by 0.050 [0.030, 0.070]", "better by 0.050 [0.030, 0.070]"),
        ((0.05, -0.03, 0.13), False, "linear", "no better than chance: 0.050 [−0.030, 0.130]", "no better"),
        ((math.log(2), math.log(1.5), math.log(2.7)), True, "log",
         "better than chance by a factor 2.00 [1.50, 2.70]", "better by a factor 2.00 [1.50, 2.70]"),
        ((0.5, 0.3, 0.7), True, "fisher z",
         "better than chance by 0.50 [0.30, 0.70] in Fisher's z", "better by 0.50 [0.30, 0.70] in Fisher's z"),
        ((math.nan,) * 3, False, "linear", "no better than chance: why", "no better"),
        ((math.nan,) * 3, True, "linear", "better than chance: why", "better"),
        ((math.nan,) * 3, None, "linear", "why", ""),
    ],
)  # fmt: skip
def test_a_difference_in_words(numbers: Any, better: Any, scale: str, long: str, short: str) -> None:
    found = dict(zip(("estimate", "low", "high"), numbers, strict=True))
    undecided = math.isnan(numbers[0])
    found |= {"part": "value", "better": better, "scale": scale, "reason": "why" if undecided else ""}
    assert (chance_text(found), short_text(found)) == (long, short)


def test_a_constant_difference_on_few_seeds_says_that_they_decide_nothing(tmp_path: Path) -> None:
    apart = tuple(x - 1 for x in (2.0, 0.0, *OURS[1:]))
    table = str(nulls_table(entry_of(run_of(tmp_path, {"apart": apart}))))
    assert "too few to compare: the same difference on every seed, sign test of 4 seeds, p = 0.062" in table
    assert "better than chance" not in table


def test_old_results_have_no_difference() -> None:
    assert (chance_text(None), short_text(None)) == ("", "")
    null = {"name": "n", "qualifies": True, "parts": []}
    assert no_better([{"nulls": [null]}], "value") == 0


def test_every_null_tells_how_the_claim_stands_to_it(tmp_path: Path) -> None:
    entry = entry_of(run_of(tmp_path, {"far": FAR, "near": NEAR}))
    table = str(nulls_table(entry))
    assert "| the claim is" in table
    assert "better than chance by 1.95 [1.75, 2.15]" in table
    assert "no better than chance: " in table
    assert entry.verdicts[0]["qualifiers"] == ["by chance too"]
    assert no_better(entry.verdicts, "value") == 1


def test_the_null_that_the_claim_is_no_better_than_is_shown_first(tmp_path: Path) -> None:
    results = run_of(tmp_path, {"far": FAR, "near": NEAR})
    entry = entry_of(results)
    (line,) = lines([entry])
    assert line.chance.endswith(" (near), no better")
    assert ", no better" in terminal_table(results)
    verdict = dict(entry.verdicts[0])
    verdict["nulls"] = [null for null in verdict["nulls"] if null["name"] == "far"]
    assert chance(verdict, "value")[0] == "far"  # type: ignore[index]


def test_ceilings_are_told_with_their_interval(tmp_path: Path) -> None:
    results = run_of(tmp_path, {"far": FAR}, ceiling=(0.40, 0.42, 0.45, 0.41, 0.47))
    entry = entry_of(results)
    (verdict,) = entry.verdicts
    assert verdict["word"] == "INVALID"
    table = str(ceilings_table(entry))
    assert "at most 0.432 [0.394, 0.471]" in table
    assert "**out of reach**" in table
    assert "What a perfect die scores." in table
    assert "out of reach: even perfect scores 0.432" in why(verdict)
    assert any(table in text for text in section(entry, [entry], ())["tables"])
    assert entry.claim["ceilings"] == [{"name": "perfect", "why": "What a perfect die scores."}]
    reached = entry_of(run_of(tmp_path / "b", {"far": FAR}, ceiling=(4.0, 4.1, 4.2, 4.3, 4.1)))
    assert "**within reach**" in str(ceilings_table(reached))
    with styled():
        drawn = claim_figure(entry)
    shown = [text.get_text() for text in drawn.texts]  # type: ignore[union-attr]
    assert "ceiling: perfect" in shown
    assert "out of reach" in shown
    assert any(text.startswith("claim better by 1.9") for text in shown)


def test_a_small_value_has_a_floor_instead(tmp_path: Path) -> None:
    part = {"region_low": -math.inf, "estimate": 0.4, "low": 0.3, "high": 0.5}
    assert ceiling_text(part) == "at least 0.40 [0.30, 0.50]"
    assert ceilings_table(entry_of(run_of(tmp_path, {"far": FAR}))) is None


def test_undefined_seeds_are_named_beside_a_decided_verdict(tmp_path: Path) -> None:
    results = run_of(tmp_path, {"far": FAR}, holds_when=AtLeast(1))
    entry = entry_of(results)
    assert entry.verdicts[0]["word"] == "HOLDS"
    assert why(entry.verdicts[0]) == "undefined on seed 1: it fell off"
    assert "undefined on seed 1: it fell off" in terminal_table(results)


def test_pairs_stand_beside_their_own_seeds_where_one_is_undefined(tmp_path: Path) -> None:
    entry = entry_of(run_of(tmp_path, {"far": FAR}))
    (verdict,) = entry.verdicts
    part = dict(verdict["parts"][0]) | {
        "pairs": [[math.nan if i == j else i + j for j in range(4)] for i in range(4)]
    }
    cases = [
        {"claim": entry.id, "model": "dice", "variant": "", "null": "", "seed": seed, "value": {}}
        for seed in range(5)
    ]
    shown = Entry(entry.claim, [{**verdict, "parts": [part]}], cases, entry.word)
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in str(values_table(shown)).splitlines()[2:]
    ]
    assert [row[1:3] for row in rows] == [
        ["0", "2 over pairs"], ["1", "–"], ["2", "2.667 over pairs"], ["3", "3.333 over pairs"], ["4", "4 over pairs"],
    ]  # fmt: skip
