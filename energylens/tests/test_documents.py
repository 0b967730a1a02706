"""What the documents tell people to do works as written, and what they say was measured."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from energylens.harness.declare.catalogue import load_claims
from energylens.harness.results import parse_results
from energylens.harness.trust_file import TRUST_FILE, read_sections
from energylens.report import badge, badge_svg
from energylens.report.content.entries import entries
from energylens.report.content.headline import as_published, counts_of
from energylens.report.content.trust import trust_section
from energylens.report.markdown.readme import rewritten, sources

ROOT = Path(__file__).parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"


@pytest.mark.skipif(not CONTRIBUTING.exists(), reason="an installed copy has no CONTRIBUTING.md")
def test_the_example_claim_is_a_claim_of_at_most_25_lines(tmp_path):
    code = re.search(r"```python\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
    (tmp_path / "test_residual.py").write_text(code)
    (declared,) = load_claims(tmp_path).values()
    assert declared.claim.id == "fourier.residual"


README = ROOT / "README.md"
REPORTS = ROOT / "reports"
in_a_checkout = pytest.mark.skipif(
    not (README.exists() and REPORTS.exists()), reason="an installed copy has no README and no reports"
)


@cache
def document(name: str) -> str:
    """A file as it was committed, as long as README.md is: a run writes its own numbers into reports/, README stays."""
    committed = _git("show", f"HEAD:{name}")
    unchanged = _git("status", "--porcelain", "--", "README.md") == ""
    return committed if committed is not None and unchanged else (ROOT / name).read_text(encoding="utf-8")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode()


def results_in(name: str) -> dict[str, Any]:
    return parse_results(document(name).encode(), name)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return results_in("reports/results.json")


def numbers(text: str) -> list[str]:
    """Numbers with the digits that they are printed with."""
    plain = text.replace("−", "-").replace(",", "")
    return re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]\d+)?", plain)


def read_from(text: str, kind: str) -> list[tuple[str, str]]:
    """(what a region asks for, what it shows) of every region of this kind."""
    return re.findall(rf"<!-- {kind}: \S+\n(.*?)\n-->\n(.*?)<!-- {kind}: end -->", text, re.DOTALL)


@in_a_checkout
def test_the_readme_is_what_its_results_say():
    text = document("README.md")
    assert sources(text)[0] == "reports/results.json"
    made = rewritten(text, results_in)
    assert made == text, "run: energylens report --readme README.md"


@in_a_checkout
def test_every_number_of_the_readme_table_is_in_the_results_with_its_word(recorded):
    """Read back without the code that wrote it."""
    ((asked, shown),) = read_from(document("README.md"), "verdicts")
    by_row = {"/".join(filter(None, (v["claim"], v["model"], v["variant"]))): v for v in recorded["verdicts"]}
    _, _, *lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(lines) == len(asked.split()) >= 10
    for key, line in zip(asked.split(), lines, strict=True):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        verdict = by_row[key]
        assert cells[2] == f"**{', '.join([verdict['word'], *verdict['qualifiers']])}**"
        values = [float(part[end]) for part in verdict["parts"] for end in ("estimate", "low", "high")]
        for estimate in re.findall(r"(\S+ \[.*?\])", cells[3]):
            for printed in numbers(estimate):
                decimals = len(printed.partition(".")[2])
                assert any(f"{value:.{decimals}f}" == printed for value in values), (key, printed)
        same = [
            v for v in recorded["verdicts"]
            if (v["claim"], v["word"], "by chance too" in v["qualifiers"])
            == (verdict["claim"], verdict["word"], "by chance too" in verdict["qualifiers"])
        ]  # fmt: skip
        assert (
            cells[-1] == f"{len(same)} of {sum(v['claim'] == verdict['claim'] for v in recorded['verdicts'])}"
        )


@in_a_checkout
def test_readme_report_and_badge_count_alike(recorded):
    found = entries(recorded)
    counts, text = counts_of(found), as_published(found)
    assert recorded["summary"].get("headline", counts) == counts
    assert json.loads(document("reports/badge.json")) == badge(recorded)
    assert badge(recorded)["message"] == text
    assert document("reports/badge.svg") == badge_svg(badge(recorded))
    assert f"as published: {text}" in document("reports/badge.svg")
    readme = " ".join(document("README.md").split())
    report = document("reports/VALIDATION.md")
    survive, decided = counts["holm"]["survive"], counts["holm"]["decided"]
    assert f"**As published: {text}**" in readme
    assert f"**As published: {text}**" in report
    assert f"leaves {survive} of {decided} decided ones" in readme
    assert f"leaves {survive} of {decided} decided verdicts" in report


@in_a_checkout
def test_prose_in_the_readme_copies_no_number_of_a_result():
    """Every region of prose has fields, and beside them no decimals but those of the published threshold r < -.7."""
    for asked, _ in read_from(document("README.md"), "told"):
        typed, fields = re.subn(r"\{[^{}]+\}", "", asked)
        assert fields
        assert set(re.findall(r"\d*\.\d+", typed)) <= {".7"}


@in_a_checkout
def test_outside_of_its_regions_the_readme_tells_no_number_of_a_result():
    """Left are the version of Python, and how far away a replication is called far."""
    text = re.sub(r"<!-- (verdicts|told): .*?<!-- \1: end -->", "", document("README.md"), flags=re.DOTALL)
    before, rest = text.split("## How far to trust a report")
    typed = before + rest.partition("\n## ")[2]
    assert set(re.findall(r"(?<![\w.])\d*\.\d+", typed)) <= {"3.11", "3.3", ".30"}


@in_a_checkout
def test_what_the_readme_says_of_the_harness_is_in_the_report():
    section = document("README.md").split("## How far to trust a report")[1].split("\n## ")[0]
    elsewhere = {"replication": read_sections(REPORTS)["replication"]}
    told = trust_section(json.loads(document(f"reports/{TRUST_FILE}")) | elsewhere, {})
    measured = {
        number for part in told["parts"] for block in part["blocks"] for number in numbers(str(block))
    }
    assert len(numbers(section)) > 20
    assert set(numbers(section)) - measured == set()


@in_a_checkout
def test_the_change_log_repeats_no_count_that_the_next_run_changes():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    counted = r"\d+ (?:broken instruments|controls|claims|verdicts|gates|findings|refuted|hold|open)\b"
    assert re.findall(counted, text) == []
