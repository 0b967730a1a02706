import copy
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from energylens.errors import InputError
from energylens.harness.quiet import quiet
from energylens.report import write, write_report
from energylens.report.markdown.document import picture_names
from energylens.tests.report.helpers.example import HOSTILE, only, whole, whole_report

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table"])


def image_of(path: Path) -> Any:
    from matplotlib.image import imread

    return imread(path)


def test_every_claim_has_section_and_figure(results: dict[str, Any], report: Path, validation: str) -> None:
    for claim in results["claims"]:
        name = claim["id"]
        assert f'<a id="{name}"></a>\n### {name}\n' in validation
        assert (report / "figures" / f"{name}_estimates.svg").exists() == (name != "broken.code")
    assert json.loads((report / "badge.json").read_text())["label"] == "as published"


def test_links_and_pictures_lead_somewhere(report: Path) -> None:
    seen = 0
    for page in report.rglob("*.md"):
        tokens = [child for token in PARSER.parse(page.read_text()) for child in token.children or ()]
        links = [t.attrs["href"] for t in tokens if t.type == "link_open"]
        links += [t.attrs["src"] for t in tokens if t.type == "image"]
        for target in links:
            name, _, anchor = str(target).partition("#")
            found = page.parent / name if name else page
            assert found.is_file(), (page, target)
            assert not anchor or f'<a id="{anchor}">' in found.read_text(), (page, target)
        seen += len(links)
    assert seen > 50


def test_pictures_have_alternative_text_with_the_numbers(validation: str) -> None:
    images = re.findall(r"!\[(.+?)\]\(\.\./figures/([^)]+\.svg)\)", validation)
    assert len(images) >= 10
    assert any("modadd-1l 0.95" in alt and "HOLDS" in alt for alt, name in images if "grokked" in name)


def test_nothing_that_a_claim_says_becomes_markup(results: dict[str, Any], validation: str) -> None:
    claim_ids = [claim["id"] for claim in results["claims"]]
    assert "hostile.text" in validation
    tokens = PARSER.parse(validation)
    flat = tokens + [child for token in tokens for child in token.children or ()]
    html = [token.content for token in flat if token.type in ("html_block", "html_inline")]
    tags = {tag for text in html for tag in re.findall(r"<[^>]*>", text)}
    anchors = {f'<a id="{name}">' for name in (*claim_ids, "errors")}
    assert tags <= anchors | {"</a>", "<details>", "</details>", "<summary>", "</summary>"}
    assert not [t for t in flat if t.type == "link_open" and "javascript" in str(t.attrs["href"])]
    assert "\x1b" not in validation
    assert "\u202e" not in validation
    assert "<script>" not in validation
    assert HOSTILE.split()[-1] in validation


def table_rows(validation: str) -> list[list[str]]:
    """The verdicts of every family, under the headers of the first table that has all columns."""
    tables = [part for part in validation.split("\n\n") if re.match(r"\| claim +\| model", part)]
    rows = [
        [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in part.splitlines()]
        for part in tables
    ]
    headers = max((each[0] for each in rows), key=len)
    found = [
        [dict(zip(each[0], row, strict=True)).get(name, "") for name in headers]
        for each in rows
        for row in each[2:]
    ]
    return [headers, [], *found]


def test_the_table_has_every_verdict_and_part(results: dict[str, Any], validation: str) -> None:
    headers, _, *rows = table_rows(validation)
    assert headers == [
        "claim", "model", "set-up", "verdict", "estimate [90 % interval]", "region", "chance", "reported",
        "original estimator", "seeds", "HOLDS, REFUTED in reach", "survives Holm",
    ]  # fmt: skip
    assert all(len(row) == len(headers) for row in rows)
    parts = sum(len(c["regions"]) * len(c["models"]) for c in results["claims"] if len(c["regions"]) > 1)
    assert len(rows) == len(results["verdicts"]) + parts
    by_model = {(row[0].partition("]")[0].lstrip("["), row[1]): row for row in rows if row[0]}
    level = by_model["stability.pwmcc-level", "modadd-leaky, topk"]
    assert level[2:4] == ["published set-up", "**HOLDS, by chance too**"]
    assert level[5:8] == ["0.292 … 0.312", level[6], ".302 ± .001"]
    assert re.fullmatch(r"0\.\d+ \((step-0|analytic-chance)\), no better", level[6])
    assert level[10] == "both"
    assert level[11].startswith("yes, p = ")


def test_gates_are_told_by_predicate(validation: str) -> None:
    rows = [row for row in table_rows(validation)[2:] if "seeds pass" in row[3]]
    assert [row[3] for row in rows[:2]] == [
        "**HOLDS** (5 of 5 seeds pass)",
        "**REFUTED, as it must** (0 of 5 seeds pass)",
    ]
    assert all(re.fullmatch(r"0\.\d+ … 0\.\d+", row[4]) for row in rows)


def test_the_top_says_how_the_claims_stand(validation: str) -> None:
    top = validation.split("| claim")[0]
    assert "**As published: 2 hold, 3 by chance too, 1 not run here, 1 error**" in top
    assert "8 declared claims; 2 of 2 gates" in top
    assert "1 case raised an exception" in top
    assert "**flip**: " in top
    assert "verdicts are expected" in validation


def test_errors_are_shown_with_their_text(validation: str) -> None:
    section = validation.split("# Errors")[1]
    assert "**broken.code[modadd-1l-0]**" in section
    assert "Traceback" in section


def test_a_section_tells_what_the_verdict_rests_on(validation: str) -> None:
    section = validation.split("### stability.pwmcc-level")[1].split("<a id=")[0]
    for text in (
        "Two random dictionaries of this size.", "for comparison, not a chance level", "over pairs",
        "Seeds: 42, 123, 456, 789, 1011", "pytest example.py::level",
        "What would refute the claim: The whole 90 % interval",
    ):  # fmt: skip
        assert text in section
    r2 = validation.split("### fourier.r2-below-5pct")[1].split("<a id=")[0]
    assert "The original estimator beside the corrected one" in r2
    assert "raw_r2" in r2
    circuit = validation.split("### fourier.grokked-circuit")[1].split("<a id=")[0]
    assert "excluded: fails a competence gate" in circuit
    assert "4 of 5 seeds" in circuit


def test_the_same_results_give_the_same_bytes(results: dict[str, Any], report: Path, tmp_path: Path) -> None:
    again = json.loads(json.dumps(results))
    names = picture_names(path.relative_to(report).as_posix() for path in report.glob("figures/*"))
    assert whole(quiet(again), names).split() == whole_report(report).split()
    write_report(only(again, "fourier.grokked-circuit"), tmp_path)
    own = [*tmp_path.glob("figures/fourier*")]
    assert len(own) == 4
    for path in own:
        assert path.read_bytes() == (report / path.relative_to(tmp_path)).read_bytes(), path.name


def test_pictures_carry_no_date_and_no_version(report: Path) -> None:
    for path in report.glob("figures/*"):
        content = path.read_bytes()
        assert b"matplotlib.org" not in content
        assert b"<dc:date" not in content


def test_vanished_claims_leave_nothing_and_strangers_stay(results: dict[str, Any], tmp_path: Path) -> None:
    for name in ("figures/old.claim_estimates.svg", "figures/mine.png", "families/old.md", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    written = write_report(only(results, "broken.code"), tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    ours = {path.relative_to(tmp_path).as_posix() for path in written}
    assert left == ours | {"figures/mine.png", "README.md"}


def test_an_interrupted_run_leaves_the_old_report(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "VALIDATION.md").write_text("old")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "pages", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(only(results, "broken.code"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["VALIDATION.md"]
    assert whole_report(tmp_path) == "old"


@pytest.mark.parametrize("name", ["../../outside", "a/b", "", "A"])
def test_an_id_that_is_no_file_name_is_refused(results: dict[str, Any], tmp_path: Path, name: str) -> None:
    hostile = copy.deepcopy(only(results, "broken.code"))
    hostile["claims"][0]["id"] = name
    with pytest.raises(InputError, match="file"):
        write_report(hostile, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_without_claims_is_a_report_too(tmp_path: Path) -> None:
    empty = {
        "claims": [],
        "verdicts": [],
        "cases": [],
        "errors": [],
        "summary": {"by_claim": {}},
        "schema": 1,
    }
    write_report(empty, tmp_path)
    assert "**As published: no claims**" in whole_report(tmp_path)


def test_partial_and_interrupted_runs_say_so(results: dict[str, Any], tmp_path: Path) -> None:
    write_report({**only(results, "broken.code"), "interrupted": True}, tmp_path)
    assert "This run was interrupted" in whole_report(tmp_path)
    write_report({**only(results, "broken.code"), "complete": False}, tmp_path)
    assert "not a full run" in whole_report(tmp_path)


def test_pictures_are_drawn_not_blank(report: Path) -> None:
    for name in ("forest_fourier", "stability.pwmcc-level_estimates", "fourier.r2-below-5pct_series"):
        pixels = image_of(report / "figures" / f"{name}.png")[..., :3]
        assert 0.01 < (pixels < 0.9).any(axis=-1).mean() < 0.6
        ElementTree.parse(report / "figures" / f"{name}.svg")
