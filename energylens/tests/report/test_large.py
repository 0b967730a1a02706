"""A run with more than a hundred verdicts stays readable: tables, figures, terminal."""

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from energylens.report import terminal_table, write_report
from energylens.report.content.entries import Entry, entries, families
from energylens.report.content.sections import gates_table
from energylens.report.content.verdict_rows import lines, verdict_lines
from energylens.report.figures.forest import claim_figure, forest
from energylens.report.figures.style import styled
from energylens.tests.report.helpers.example import only, whole_report
from energylens.tests.report.helpers.large import DEFINITIONS, MODELS

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table"])


@pytest.fixture(scope="module")
def found(large: dict[str, Any]) -> dict[str, Entry]:
    return {entry.id: entry for entry in entries(large)}


def test_many_verdicts_are_one_line_per_model(large: dict[str, Any], found: dict[str, Entry]) -> None:
    assert len(large["verdicts"]) > 130
    told = lines(entries(large))
    assert len(told) < 60
    gaps = [line for line in told if line.claim == "spectral.gap-predicts"]
    assert [line.model for line in gaps] == [f"{model} (5 variants)" for model in MODELS]
    entry = found["spectral.gap-predicts"]
    for line, verdicts in zip(gaps, entry.by_model().values(), strict=True):
        counts = dict(reversed(count.split(" ", 1)) for count in line.verdict.split(", "))
        assert sum(map(int, counts.values())) == len(verdicts) == len(DEFINITIONS)
        assert all(int(n) == sum(v["word"] == word for v in verdicts) for word, n in counts.items())
        estimates = [float(v["parts"][0]["estimate"]) for v in verdicts]
        low, _, high = line.estimate.replace("−", "-").partition(" … ")
        assert float(low) == pytest.approx(min(estimates), abs=0.006)
        assert float(high) == pytest.approx(max(estimates), abs=0.006)


def test_parts_of_many_verdicts_are_counted_too(found: dict[str, Entry]) -> None:
    parts = [line for line in lines([found["spectral.adds"]]) if line.is_part]
    assert {line.model for line in parts} == {"gain", "share"}
    assert all(re.fullmatch(r"\d [A-Z]+(, \d [A-Z]+)*", line.verdict) for line in parts)


def test_twelve_verdicts_are_still_told_one_by_one(found: dict[str, Entry]) -> None:
    entry = found["spectral.unstable-matter"]
    assert len(entry.verdicts) == 12
    assert lines([entry]) == list(verdict_lines(entry))


def test_a_claim_of_another_tier_is_one_line(large: dict[str, Any], found: dict[str, Entry]) -> None:
    (line,) = lines([found["spectral.gap-predicts-full"]])
    assert (line.model, line.word, line.why) == ("6 models", "NOT RUN", "not selected in this run")
    with styled():
        assert forest([found["spectral.gap-predicts-full"]]) is None


def test_the_report_of_many_verdicts(large: dict[str, Any], tmp_path: Path) -> None:
    kept = only(large, "spectral.adds", "spectral.forms", "spectral.gap-predicts-full")
    write_report({**kept, "questions": []}, tmp_path)
    text = whole_report(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("figures/forest*")) == [
        "forest_spectral.png", "forest_spectral.svg",
    ]  # fmt: skip
    assert "(../figures/forest_spectral.svg)" in text
    assert "A line that counts the verdicts of several variants" in text
    section = text.split("### spectral.adds")[1].split("<a id=")[0]
    assert "- **refuted in " in section
    assert "<br>**invalid**" in section
    tokens = PARSER.parse(text)
    tables = sum(token.type == "table_open" for token in tokens)
    assert tables == len(re.findall(r"(?m)^\|[-:| ]+\|$", text))
    folded = re.findall(r"<summary>(.*?)</summary>", section)
    assert folded == [
        "Null controls, judged by the claim's own rule",
        "Gates that the claim relies on",
        "Values per seed",
    ]
    full = text.split("### spectral.gap-predicts-full")[1]
    assert "- **not run in all 30 cases: not selected in this run**" in full


def test_gates_that_all_variants_share_are_told_once_per_model(found: dict[str, Entry]) -> None:
    table = gates_table(found["spectral.adds"])
    assert table is not None
    assert len(table.splitlines()) == 2 + len(MODELS)


def test_figures_of_many_verdicts_fit_a_few_pages(large: dict[str, Any], found: dict[str, Entry]) -> None:
    ((family, of_family),) = families(entries(large)).items()
    with styled():
        overview, gaps = forest(of_family), claim_figure(found["spectral.gap-predicts"])
    assert overview is not None
    assert gaps is not None
    assert family == "spectral"
    assert overview.get_figheight() < 20
    assert gaps.get_figheight() < 10
    assert len(gaps.axes) == len(MODELS)


def test_the_terminal_fits(large: dict[str, Any]) -> None:
    shown = terminal_table(large, width=110).splitlines()
    assert max(map(len, shown)) <= 110
    assert len(shown) < 100
    assert any(re.match(r" +pygpt-4l \(5 +3 INCONCLUSIVE, 1 HOLDS, 1 +0\.51 … 0\.85 ", row) for row in shown)
