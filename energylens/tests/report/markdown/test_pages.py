"""The pages of a report: an index, and pages that are small enough to be shown."""

import re
from pathlib import Path
from typing import Any

import pytest

import energylens
from energylens.report import write_report
from energylens.report.content.entries import entries
from energylens.report.markdown import pages as module
from energylens.report.markdown.pages import INDEX, pages

LARGEST = 250_000
"""Bytes of a page that is still shown where repositories are."""


@pytest.fixture(scope="module")
def made(results: dict[str, Any]) -> dict[str, str]:
    return pages(results, entries(results), ())


def test_every_family_has_a_page_and_every_claim_is_on_that_of_its_family(
    results: dict[str, Any], made: dict[str, str]
) -> None:
    for claim in results["claims"]:
        page = f"families/{claim['id'].partition('.')[0]}.md"
        assert f'<a id="{claim["id"]}"></a>\n### {claim["id"]}' in made[page]
        assert f'<a id="{claim["id"]}"></a>[{claim["id"]}]({page}#{claim["id"]})' in made[INDEX]


def test_the_index_is_short(results: dict[str, Any], made: dict[str, str]) -> None:
    rows = [line for line in made[INDEX].splitlines() if line.startswith('| <a id="')]
    assert len(rows) == len(results["claims"])
    assert "Values per seed" not in made[INDEX]
    assert len(made[INDEX]) < 10_000


def test_a_page_that_would_be_larger_goes_on_in_others(
    results: dict[str, Any], made: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 9_000)
    split = pages(results, entries(results), ())
    assert split == pages(results, entries(results), ())
    names = [name for name in split if name.startswith("families/fourier.")]
    assert names == [f"families/fourier{n}.md" for n in ("", *(f".{i}" for i in range(2, len(names) + 1)))]
    assert len(names) > 1
    for text in split.values():
        assert len(text.encode()) < 9_000 * 1.1 or text.count("\n### ") == 1
    told = "".join(split[name] for name in names)
    sections = re.findall(r'<a id="(fourier[^"]+)">', told)
    assert sections == re.findall(r'<a id="(fourier[^"]+)">', made["families/fourier.md"])
    for name in names:
        assert "[← all claims](../VALIDATION.md) · " in split[name]


def test_links_lead_to_the_page_that_has_the_section(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "LIMIT", 9_000)
    write_report(results, tmp_path)
    links = 0
    for page in tmp_path.rglob("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            name, _, anchor = target.partition("#")
            found = page.parent / name if name else page
            if found.suffix == ".md":
                links += 1
                assert f'<a id="{anchor}">' in found.read_text() or not anchor, (page, target)
    assert links > 30


def test_pages_of_before_are_gone(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "LIMIT", 9_000)
        write_report(results, tmp_path)
    assert (tmp_path / "families" / "fourier.2.md").exists()
    write_report(results, tmp_path)
    assert not (tmp_path / "families" / "fourier.2.md").exists()


ROOT = Path(energylens.__file__).parents[1]


@pytest.mark.skipif(not (ROOT / "reports").exists(), reason="an installed copy has no reports")
def test_the_pages_of_this_repository_are_small_enough() -> None:
    found = list((ROOT / "reports").rglob("*.md"))
    assert len(found) > 10
    assert {page.name: page.stat().st_size for page in found if page.stat().st_size > LARGEST} == {}
