"""An edited declaration is shown as amended, with its diff, on every run until it is accepted; full runs are kept."""

import json

# In-process runs forget modules that they imported first, and these can't be imported twice.
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pytest
import statsmodels.stats.multitest  # noqa: F401

from energylens.harness.compare.amendments import AMENDMENTS, read_amendments
from energylens.harness.compare.history import HISTORY, read_history
from energylens.tests.report.helpers.example import whole_report

pytest_plugins = "pytester"

CONFTEST = """
def pytest_energylens_models():
    return {"die": "", "coin": ""}
"""

CLAIMS = """
import os

from energylens import AtLeast, GeometricMean, Mean, Measurement, Null, claim, gate

def nothing(seed):
    return Measurement(0.01)

NOTHING = Null("nothing", "nothing to find", measure=nothing)
"""

CLAIM = """
@claim("die.{name}", says="The mean is large.", source="us", holds_when=AtLeast(0.5), statistic=Mean(), models=["die"],
       seeds=range(4), controls=[NOTHING], gates=["die.rolls"])
def test_{name}(seed):
    return Measurement(0.6 + seed / 100 - float(os.environ.get("LOST", 0)))
"""

GATE = """
@gate("die.{name}", says="It rolls.", source="us", passes_when=AtLeast(0.1), models=["die", "coin"], seeds=range(4),
      must_fail=["coin"])
def test_{name}(model, seed):
    return Measurement(0.0 if model == "coin" else 1.0)
"""

EDITS = {
    "region": ("AtLeast(0.5)", "AtLeast(0.9)", "region: 'value: ≥ 0.5' -> 'value: ≥ 0.9'"),
    "seeds": ("range(4)", "range(3)", "seeds: '0, 1, 2, 3' -> '0, 1, 2'"),
    "control": (
        "NOTHING",
        'Null("zero", "0", measure=nothing)',
        "nulls: 'nothing (nothing)' -> 'zero (nothing)'",
    ),
    "gate": ('gates=["die.rolls"]', "gates=[]", "gates: 'die.rolls' -> ''"),
    "statistic": (
        "statistic=Mean()",
        "statistic=GeometricMean()",
        "statistic: 'value: mean over seeds, t interval' -> 'value: geometric mean",
    ),
    "rejects": ('must_fail=["coin"]', "rejects=[NOTHING]", "must fail: 'coin' -> ''"),
    "excludes": ("must_fail", "competence=True, must_fail", "competence: '' -> 'seeds that fail"),
    "words": ("The mean is large.", "The mean is very large.", ""),
}


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with a recorded ledger: one claim or gate for every edit."""
    monkeypatch.setenv("COLUMNS", "160")
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST)
    claims = pytester.mkdir("claims")
    for name, text in all_claims().items():
        (claims / f"test_{name}.py").write_text(CLAIMS + text)
    assert pytester.runpytest("claims", "--ledger=update").ret == 0
    return pytester


def all_claims():
    gates = ("rolls", "rejects", "excludes")
    return {name: (GATE if name in gates else CLAIM).format(name=name) for name in ("rolls", *EDITS)}


def edit(project, name, old, new):
    path = project.path / "claims" / f"test_{name}.py"
    head, _, body = path.read_text().rpartition("\n@")
    assert old in body
    path.write_text(f"{head}\n@{body.replace(old, new)}")


def shown(project, *options):
    """What a run says in the terminal, and what its report says."""
    done = project.runpytest("claims", *options)
    assert done.ret == 0
    return done.stdout.str(), whole_report(project.path / "reports")


def test_edited_declarations_are_amended_on_every_run_until_they_are_accepted(project):
    for name, (old, new, _) in EDITS.items():
        edit(project, name, old, new)
    edited = {name: difference for name, (_, _, difference) in EDITS.items() if difference}
    for _ in range(2):
        terminal, report = shown(project)
        for name, difference in edited.items():
            assert difference in terminal.split(f"amended: die.{name}/die: HOLDS -> ")[1].split("amended:")[0]
            assert difference in report.split(f"### die.{name}\n")[1].split("<a id=")[0]
            assert f"[die.{name}](#die.{name}) on die" in report.split("**amended**: ")[1].split("\n")[0]
        assert terminal.count("amended: ") == len(edited) + 2  # the two gates on the coin
        assert "die.words/die" not in terminal
    shown(project, "--ledger=update")
    terminal, report = shown(project)
    assert "amended: " not in terminal
    assert "**amended**" not in report


def lines(project):
    return read_history(project.path / "reports" / HISTORY)


def test_a_full_run_adds_a_line_unless_it_repeats_the_last(project):
    (first,) = lines(project)
    shown(project)
    assert lines(project) == [first]
    edit(project, "region", "0.6 + seed", "0.5 + seed")
    _, report = shown(project)
    first, second = lines(project)
    assert first["rows"] != second["rows"]
    assert {"die.region/die", "die.rolls/die", "die.rolls/coin"} <= set(first["rows"])
    assert "2 full runs" in report
    assert (project.path / "reports" / "figures" / "history_die.png").exists()


def test_what_is_no_full_run_or_reports_elsewhere_adds_no_line(project):
    for options in (("-k", "rolls", "--report-dir=reports"), ("--seeds=2",), ("--report-dir=elsewhere",)):
        project.runpytest("claims", *options)
        assert len(lines(project)) == 1
    assert (project.path / "elsewhere" / "results.json").exists()
    assert not (project.path / "elsewhere" / HISTORY).exists()
    edit(project, "region", "return Measurement(0.6", "raise MemoryError\n    return Measurement(0.6")
    assert project.runpytest("claims").ret == 1
    assert len(lines(project)) == 1


def test_a_damaged_history_is_said_before_anything_is_measured(project):
    path = project.path / "reports" / HISTORY
    path.write_text(path.read_text() + "<<<<<<< HEAD\n")
    before = (project.path / "reports" / "results.json").read_text()
    done = project.runpytest("claims")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "history.jsonl, line 2 is not JSON" in done.stdout.str() + done.stderr.str()
    assert (project.path / "reports" / "results.json").read_text() == before
    path.unlink()
    (project.path / "reports" / AMENDMENTS).write_text("{}")
    done = project.runpytest("claims")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "amendments.jsonl, line 1 is no amendment" in done.stdout.str() + done.stderr.str()


def test_an_edit_of_the_measure_is_amended_where_a_number_changes_and_silent_elsewhere(project):
    edit(project, "region", "0.6 + seed", "0.1 + seed")
    edit(project, "gate", "0.6 + seed", "0.60 * 1 + seed")
    terminal, report = shown(project)
    told = terminal.split("\namended: measure of die.region/die: HOLDS -> REFUTED\n")[1].splitlines()
    assert "0.615 [0.5998, 0.6302] -> 0.115 [0.09981, 0.1302], region ≥ 0.5" in told[0]
    assert "measure: '" in told[1]
    assert terminal.count("amended: ") == 1
    assert "[die.region](#die.region) on die" in report.split("**amended**: ")[1].split("\n")[0]
    assert project.runpytest("claims", "--ledger=strict").ret == 1
    file = project.path / "reports" / AMENDMENTS
    assert not file.exists()
    for _ in range(2):
        _, report = shown(project, "--ledger=update")
        (line,) = read_amendments(file)
        assert (line["claim"], line["changed"], list(line["rows"])) == (
            "die.region",
            ["measure"],
            ["die.region/die"],
        )
        assert "die: HOLDS → REFUTED, 0.615 [0.6, 0.63] → 0.115" in report.split("# History")[1]


def test_a_flip_says_how_to_find_what_changed_it(project, monkeypatch):
    monkeypatch.setenv("LOST", "0.5")
    done = project.runpytest("claims")
    assert done.ret == 1
    done.stdout.fnmatch_lines(
        ["possible causes of changed verdicts: energylens diff HEAD reports/results.json"]
    )
    assert "energylens diff" not in shown(project, "--ledger=update")[0]


def test_a_report_that_is_rendered_again_keeps_its_history(project, monkeypatch):
    from energylens.cli import main

    edit(project, "region", "0.6 + seed", "0.1 + seed")
    shown(project, "--ledger=update")
    before = whole_report(project.path / "reports")
    assert "1 edit of claims' declarations and of the code that measures them." in before
    monkeypatch.chdir(project.path)
    assert main(["report"]) == 0
    assert whole_report(project.path / "reports") == before
    assert json.loads((project.path / "reports" / "results.json").read_text())["complete"]
