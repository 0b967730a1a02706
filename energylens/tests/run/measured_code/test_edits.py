"""Edits of declarations and measures in a git history of a few commits, and the command that lists them."""

import json
from pathlib import Path

import pytest

from energylens.cli import main
from energylens.errors import InputError
from energylens.harness.compare.amendments import read_amendments
from energylens.harness.compare.ledger import write_ledger
from energylens.harness.json_values import write_json
from energylens.run.measured_code.edits import edits
from energylens.tests.harness.compare.test_revision import git

LEDGER = "claims/ledger.toml"

CLAIM = """
from energylens import claim
from energylens.harness.declare.in_full import in_full
from helpers import centre


@claim("toy.a", says="s")
def test_a(seed):
    return centre(seed)


test_a_full = in_full(test_a)


@claim("toy.b", says="s")
def test_b(seed):
    return 1
"""

HELPER = "def centre(x):\n    return x + {}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A git repository whose project lies in a folder below its top."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    git(tmp_path, "init", "-q")
    folder = tmp_path / "below"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write("claims/test_a.py", CLAIM)
    write("helpers.py", HELPER.format(0))
    return folder


def write(path, text):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


def commit(started, ledger=True, results=True, region="≥ 1", null=0.0, **estimates):
    """Record estimates of claims, as `a=2.0`, in the ledger, in the results, or in both, and commit everything.

    null: what the claims' null control gives.
    """
    chance = {"name": "chance", "qualifies": True}
    chance["parts"] = [{"part": "value", "estimate": null, "low": null, "high": null}]
    rows, claims, verdicts = {}, [], []
    for name, value in estimates.items():
        claim = f"toy.{name.replace('_', '-')}"
        declaration = {"region": region, "seeds": "0, 1"}
        rows[f"{claim}/dice"] = {
            "verdict": "HOLDS" if value >= 1 else "REFUTED", "estimates": {"value": [value, value - 1, value + 1]},
            "declaration_hash": "x", "declaration": declaration,
        }  # fmt: skip
        part = {"part": "value", "estimate": value, "low": value - 1, "high": value + 1}
        if not claim.endswith("-full"):
            rerun = f"pytest claims/test_a.py::test_{name}"
            claims.append(
                {"id": claim, "declaration": declaration, "file": "claims/test_a.py", "rerun": rerun}
            )
            verdicts.append(
                {
                    "claim": claim, "model": "dice", "variant": "", "word": rows[f"{claim}/dice"]["verdict"],
                    "parts": [part], "own_checkpoint": False, "nulls": [chance],
                }
            )  # fmt: skip
    if ledger:
        write_ledger(Path(LEDGER), rows, {})
    if results:
        write_json(
            Path("reports/results.json"),
            {"schema": 1, "started": started, "claims": claims, "verdicts": verdicts},
        )
    git(Path.cwd(), "add", "-A", ".")
    git(Path.cwd(), "commit", "-q", "--allow-empty", "-m", started)


def told(folder):
    return [(line["claim"], line["changed"], list(line["rows"])) for line in edits(folder, LEDGER)]


def test_an_edit_of_a_helper_that_moves_a_number_is_listed_with_old_and_new(project):
    commit("1", a=2.0, b=2.0)
    write("helpers.py", HELPER.format(1))
    commit("2", a=0.5, b=3.0)
    (line,) = edits(project, LEDGER)
    assert (line["claim"], line["changed"]) == ("toy.a", ["measure"])
    assert line["rows"] == {
        "toy.a/dice": {
            "before": {"verdict": "HOLDS", "estimates": {"value": [2.0, 1.0, 3.0]}},
            "after": {"verdict": "REFUTED", "estimates": {"value": [0.5, -0.5, 1.5]}},
        }
    }
    assert len(line["commit"]) == 40
    assert line["at"].startswith("20")


def test_an_edit_that_moves_a_null_alone_is_listed(project):
    commit("1", a=2.0)
    write("helpers.py", HELPER.format(1))
    commit("2", a=2.0, null=0.5)
    (line,) = edits(project, LEDGER)
    assert line["changed"] == ["measure"]
    before, after = line["rows"]["toy.a/dice"]["controls"]
    assert before != after


def test_an_edit_that_leaves_every_number_is_not_listed_nor_blamed_later(project):
    commit("1", a=2.0)
    write("helpers.py", HELPER.format("0 * 1"))
    commit("2", a=2.0)
    commit("3", a=3.0)
    assert told(project) == []


def test_an_edit_counts_from_the_commit_that_measures_again(project):
    commit("1", a=2.0)
    write("helpers.py", HELPER.format(1))
    write("notes.txt", "none")
    commit("1", ledger=False, results=False, a=2.0)
    write("reports/results.json", Path("reports/results.json").read_text() + "\n")
    commit("1", ledger=False, results=False, a=2.0)
    commit("2", ledger=False, a=3.0)
    assert told(project) == [("toy.a", ["measure"], ["toy.a/dice"])]


def test_a_ledger_that_stays_behind_the_results_is_not_taken_for_new(project):
    commit("1", a=2.0)
    write("helpers.py", HELPER.format(1))
    commit("2", ledger=False, a=3.0)
    commit("2", results=False, a=2.0, b=2.0)
    assert told(project) == [("toy.a", ["measure"], ["toy.a/dice"])]


def test_edited_declarations_are_listed_whether_or_not_a_number_moved(project):
    commit("1", a=2.0, b=2.0)
    commit("2", region="≥ 0.9", a=2.0, b=3.0)
    region = "region: '≥ 1' -> '≥ 0.9'"
    assert told(project) == [("toy.a", [region], []), ("toy.b", [region], ["toy.b/dice"])]


def test_comments_and_other_claims_are_no_edit(project):
    commit("1", a=2.0)
    write("helpers.py", HELPER.format("0  # nothing"))
    write("claims/test_a.py", CLAIM.replace("return 1", "return 2").replace('says="s"', 'says="t"'))
    commit("2", a=3.0)
    assert told(project) == []


def test_a_claim_at_full_size_has_the_body_of_its_claim(project):
    commit("1", a=2.0, a_full=2.0)
    write("helpers.py", HELPER.format(1))
    commit("2", a=2.0, a_full=3.0)
    assert told(project) == [("toy.a-full", ["measure"], ["toy.a-full/dice"])]


def test_new_and_vanished_claims_and_what_was_before_the_ledger_are_no_edits(project):
    commit("0", ledger=False, a=9.0)
    write("helpers.py", HELPER.format(1))
    commit("1", a=2.0)
    commit("2", b=2.0)
    assert told(project) == []


def test_a_file_that_could_not_be_read_then_is_passed_over(project):
    commit("1", a=2.0)
    write("helpers.py", "def centre(:")
    commit("2", a=2.0)
    write("helpers.py", HELPER.format(1))
    commit("3", a=3.0)
    assert told(project) == [("toy.a", ["measure"], ["toy.a/dice"])]


def test_a_ledger_or_results_that_could_not_be_read_then_tell_nothing(project):
    commit("1", a=2.0)
    write(LEDGER, "[[[")
    write("reports/results.json", "{")
    commit("2", ledger=False, results=False)
    write("helpers.py", HELPER.format(1))
    commit("3", a=3.0)
    assert told(project) == [("toy.a", ["measure"], ["toy.a/dice"])]


def test_nothing_is_checked_out_and_what_is_not_committed_does_not_count(project):
    commit("1", a=2.0)
    write("helpers.py", HELPER.format(1))
    write("reports/results.json", "{}")
    assert told(project) == []
    assert Path("helpers.py").read_text() == HELPER.format(1)


def test_outside_of_git_and_without_a_ledger_it_says_so(project, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"no commit in .*below holds claims/ledger\.toml: record with"):
        edits(project, LEDGER)
    outside = tmp_path.parent / "outside"
    outside.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InputError, match="outside is not in a git repository"):
        edits(outside, LEDGER)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="git can't be run"):
        edits(project, LEDGER)


def test_progress_is_told_commit_by_commit(project):
    for started in "123":
        commit(started, a=float(started))
    seen = []
    edits(project, LEDGER, lambda done, of: seen.append((done, of)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_the_command_lists_edits_and_adds_those_that_are_new_to_a_file(project, capsys):
    commit("1", a=2.0, b=2.0)
    write("helpers.py", HELPER.format(1))
    commit("2", a=0.5, b=3.0)
    file = Path("reports/amendments.jsonl")
    for _ in range(2):
        assert main(["list", "--amended", "--to", str(file)]) == 0
        shown = capsys.readouterr().out
        assert "dice: HOLDS → REFUTED, 2 [1, 3] → 0.5 [−0.5, 1.5]" in shown
        assert "1 edit of declarations and measures since the first ledger" in shown
        assert len(read_amendments(file)) == 1
    before = json.loads(file.read_text())
    commit("3", region="≥ 2", a=0.5, b=3.0)
    assert main(["list", "--amended", "--to", str(file)]) == 0
    assert read_amendments(file)[0] == before
    assert len(read_amendments(file)) == 3
