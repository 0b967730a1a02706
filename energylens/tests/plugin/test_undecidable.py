"""Undecidable claims say so when they are collected, once, and however pytest runs."""

import json
from pathlib import Path

# In-process runs forget modules that they imported first, and these can't be imported twice.
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pytest
import statsmodels.stats.multitest  # noqa: F401

import energylens
from energylens.harness.declare.catalogue import load_claims
from energylens.harness.declare.decidable import undecidable
from energylens.tests.report.helpers.example import whole_report

pytest_plugins = "pytester"

SHIPPED = Path(energylens.__file__).parents[1] / "claims"

CONFTEST = """
def pytest_energylens_models():
    return {"fair": "", "loaded": ""}

def pytest_energylens_lab(store):
    return None
"""

CLAIMS = """
import math
from energylens import AtLeast, HitRate, Measurement, Null, claim
from energylens.harness.declare.statistic import Summary
from energylens.stats import Interval

def never(seed):
    return Measurement(0.0)

COMMON = dict(source="us", models=["fair", "loaded"], controls=[Null("never", "never six", measure=never)])

class Last:
    describes = "the last seed, whatever the others say"
    def summarise(self, part, measurements):
        return Summary(Interval(measurements[-1].value[part], -math.inf, math.inf, 1, se=math.inf, df=0))

@claim("dice.sixes", says="Sixes are frequent.", holds_when=AtLeast(.5), statistic=HitRate(), seeds=range(4), **COMMON)
def test_sixes(model, seed):
    return Measurement(float(model == "loaded"))

@claim("dice.large", says="The mean is large.", holds_when=AtLeast(4.5), seeds=range(2), **COMMON)
def test_large(model, seed):
    return Measurement(5.0 + seed / 10)

@claim("dice.last", says="The last is large.", holds_when=AtLeast(4.5), statistic=Last(), seeds=[0], **COMMON)
def test_last(model, seed):
    return Measurement(5.0)
"""

WARNING = "UndecidableClaimWarning: claim 'dice.sixes'"


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST)
    (pytester.mkdir("claims") / "test_dice.py").write_text(CLAIMS)
    return pytester


def warned(project, *arguments):
    """What is told of undecidable claims, a line each."""
    done = project.runpytest("claims", "--ledger=ignore", "--report-dir=out", *arguments)
    assert done.ret == pytest.ExitCode.OK, done.stdout.str()
    return [line.strip() for line in done.stdout.lines if "UndecidableClaimWarning: " in line]


def test_one_warning_for_the_one_claim_that_can_not_be_decided(project):
    (told,) = warned(project)
    assert WARNING in told
    assert "4 seeds on fair, loaded can't reach HOLDS or REFUTED" in told
    assert "HOLDS needs at least 5 seeds, REFUTED needs at least 5 seeds" in told
    results = json.loads((project.path / "out" / "results.json").read_text())
    reach = {claim["id"]: claim["reach"]["fair"] for claim in results["claims"]}
    assert {name: (r["holds"], r["refutes"]) for name, r in reach.items()} == {
        "dice.sixes": (False, False), "dice.large": (True, True), "dice.last": (None, None),
    }  # fmt: skip
    report = whole_report(project.path / "out")
    assert (
        "These seeds can reach: neither; with one seed fewer: neither: 3 of 4 seeds are fewer than four fifths"
        in report
    )


@pytest.mark.parametrize(
    "arguments", [("--collect-only",), ("-n2",), ("-n2", "--collect-only")], ids=" ".join
)
def test_it_is_told_once_however_pytest_runs(project, arguments):
    (told,) = warned(project, *arguments)
    assert WARNING in told


@pytest.mark.parametrize(
    "arguments",
    [("--seeds=2",), ("-k", "dice.large"), ("-W", "ignore::energylens.UndecidableClaimWarning")],
    ids=" ".join,
)
def test_nothing_is_told_of_a_quick_look_of_other_claims_or_where_it_is_not_wanted(project, arguments):
    assert warned(project, "--collect-only", *arguments) == []


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_where_warnings_are_errors_nothing_runs(project, workers):
    project.makeini("[pytest]\nfilterwarnings = error")
    done = project.runpytest("claims", workers)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: {WARNING} in *"])
    assert "passed" not in done.stdout.str()


def test_every_claim_of_ours_can_be_decided_as_declared():
    assert [told for each in load_claims(SHIPPED).values() if (told := undecidable(each.claim))] == []
