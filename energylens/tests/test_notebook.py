"""`energylens.check`: claims of a project in a notebook, on the project's own models, and claims typed there."""

import json
import subprocess
import sys

import pytest

from energylens.harness.quiet import quiet
from energylens.tests.plugin.helpers import WORDS, environment, read_results, words, write_project

TYPED = """
from generators import needs

import energylens
from energylens import AtLeast, Measurement, Null, claim


def half(lab):
    return Measurement(0.5)


@claim("typed.large", says="The largest draw is large.", source="us", reported="<b>1</b>", holds_when=AtLeast(0.99),
       models=["pcg64"], seeds=range(8), gates=["numbers.move"], needs=needs,
       controls=[Null("half", "one half for ever", measure=half)])
def test_large(model, seed, lab):
    return Measurement(float(lab.uniform(model, seed).max()))


@claim("typed.torn", says="The body asks for what pytest alone gives.", source="us", holds_when=AtLeast(0),
       models=["pcg64"], seeds=range(2), gates=["numbers.move"])
def test_torn(tmp_path):
    return Measurement(1.0)


checked = energylens.check([test_large, test_torn])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Somebody else's project, whose conftest.py brings models and a lab of its own."""
    return write_project(tmp_path_factory.mktemp("project"))


def told(project, script, *show):
    """What a stranger's Python prints of the values `show` after a script that has no file, as JSON."""
    shown = f"\nimport json\nprint(json.dumps([{', '.join(show)}]))"
    done = subprocess.run(
        [sys.executable],
        input=script + shown,
        cwd=project,
        env=environment(project / "store"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_notebook_finds_the_numbers_that_pytest_finds(project):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "claims", "-q", "--ledger=ignore", "--report-dir=report"],
        cwd=project,
        env=environment(project / "store"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    recorded = read_results(project / "report")
    script = 'import energylens\nchecked = energylens.check("numbers.*")'
    results, rows = told(project, script, "checked.results", "checked.to_frame().to_dict('records')")
    assert words(results) == words(recorded) == WORDS
    by_row = {(v["claim"], v["model"], v["variant"]): v["parts"] for v in recorded["verdicts"]}
    found = {(v["claim"], v["model"], v["variant"]): v["parts"] for v in quiet(results)["verdicts"]}
    assert found == by_row
    assert len(rows) == sum(max(1, len(parts)) for parts in by_row.values())
    mean = next(row for row in rows if row["claim"] == "numbers.mean" and row["model"] == "pcg64")
    ((part),) = by_row["numbers.mean", "pcg64", ""]
    assert (mean["estimate"], mean["low"], mean["high"]) == (part["estimate"], part["low"], part["high"])
    assert mean["region"] == "0.5 ± 0.01"
    assert not (project / "reports").exists()


def test_seeds_are_the_first_of_those_declared(project):
    script = 'import energylens\nchecked = energylens.check("numbers.coin", seeds=3)'
    (results,) = told(project, script, "checked.results")
    assert {case["seed"] for case in results["cases"]} == {0, 1, 2}
    assert [verdict["partial"] for verdict in results["verdicts"]] == [True]


def test_claims_typed_in_a_notebook_are_judged_with_the_gates_of_the_project(project):
    results, table, html = told(project, TYPED, "checked.results", "repr(checked)", "checked._repr_html_()")
    large, torn = results["verdicts"]
    assert (large["word"], large["gates"][0]["claim"]) == ("HOLDS", "numbers.move")
    assert torn["word"] == "ERROR"
    assert "'tmp_path'" in table
    assert "run such a claim with pytest" in table
    assert "HOLDS" in html
    assert "<b>" not in html
    assert "&lt;b&gt;1&lt;/b&gt;" in html


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ('check("numbers.men")', ("'numbers.men'", "numbers.mean, ")),
        ("check(len)", ("built-in function len", "decorated with `claim`")),
        ("check(seeds=0)", ("received 0",)),
        ('check(claims="nowhere")', ("nowhere",)),
        ('check(models=["mine=nothing-*"])', ("nothing-*",)),
    ],
)
def test_what_cannot_be_checked_is_said(project, call, named):
    script = f"""
from energylens import check
from energylens.errors import InputError
try:
    {call}
except InputError as error:
    found = str(error)
"""
    (found,) = told(project, script, "found")
    assert all(each in found for each in named), found


def test_build_and_gc_serve_the_lab_that_a_project_brings(project, tmp_path):
    """Eight seeds of two generators; a third has nothing to build."""

    def told_by(*command):
        done = subprocess.run(
            [sys.executable, "-m", "energylens.cli", *command, "--store", str(tmp_path / "store")],
            cwd=project,
            env=environment(tmp_path / "unused"),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "16 of 16 artifacts" in told_by("build")
    assert "removed 0 folders" in told_by("store", "gc")
    assert "16 artifacts" in told_by("store", "ls")
