"""The plugin in a real pytest run, on a project whose claims are about dice, not networks."""

import json
import re
import tomllib

# In-process runs forget modules that they imported first, and these can't be imported twice.
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pytest
import statsmodels.stats.multitest  # noqa: F401

from energylens.tests.plugin.helpers import record_as
from energylens.tests.report.helpers.example import whole_report

pytest_plugins = "pytester"

CONFTEST = """
import pytest

def pytest_energylens_models():
    return {"fair": "", "loaded": ""}

class Cup:
    def __init__(self, network=None):
        self.network = network
    def swapped(self, network):
        return Cup(network)
    def roll(self, model, seed):
        import numpy as np
        rng = np.random.default_rng(seed)
        return 3.5 if self.network else rng.normal(3.5 if model == "fair" else 5.0, 0.1)

@pytest.fixture(scope="session")
def lab():
    return Cup()
"""

GATE = """
from energylens import AtLeast, Measurement, gate

@gate("dice.loaded", says="The die is loaded.", source="us", passes_when=AtLeast(4), models=["fair", "loaded"],
      seeds=range(4), must_fail=["fair"])
def test_loaded(model, seed, lab):
    return Measurement(lab.roll(model, seed))
"""

MEAN = """
from pathlib import Path
from energylens import AtLeast, AtMost, Measurement, Null, Unavailable, claim

@claim("dice.large", says="The mean exceeds 4.5.", source="us", holds_when=AtLeast(4.5), models=["fair", "loaded"],
       seeds=range(4), controls=[Null("swapped", "another cup", swap={"network": "x"})])
def test_large(model, seed, lab):
    with Path("calls.txt").open("a") as log:
        log.write(f"{model}-{seed}-{lab.network}\\n")
    return Measurement(lab.roll(model, seed))

@claim("dice.gated", says="The mean is below 9.", source="us", holds_when=AtMost(9), models=["fair", "loaded"],
       seeds=range(4), controls=[Null("swapped", "another cup", swap={"network": "x"})], gates=["dice.loaded"])
def test_gated(model, seed, lab):
    return Measurement(lab.roll(model, seed))

@claim("dice.absent", says="Gold dice are heavy.", source="us", holds_when=AtMost(9), models=["fair"],
       seeds=range(2), controls=[Null("swapped", "another cup", swap={"network": "x"})])
def test_absent(model, seed, lab):
    raise Unavailable("no gold")
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with its own models, lab and claims."""
    monkeypatch.setenv("COLUMNS", "160")
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST)
    claims = pytester.mkdir("claims")
    (claims / "test_gate.py").write_text(GATE)
    (claims / "test_mean.py").write_text(MEAN)
    return pytester


def results(project, folder="reports"):
    return json.loads((project.path / folder / "results.json").read_text())


def words(found):
    return {f"{v['claim']}/{v['model']}": v["word"] for v in found["verdicts"]}


ALL_WORDS = {
    "dice.loaded/fair": "REFUTED",
    "dice.loaded/loaded": "HOLDS",
    "dice.large/fair": "REFUTED",
    "dice.large/loaded": "HOLDS",
    "dice.gated/fair": "INVALID",
    "dice.gated/loaded": "HOLDS",
    "dice.absent/fair": "NOT RUN",
}


CEILINGS = """
from energylens import AtLeast, Ceiling, Measurement, Null, claim

def best(seed):
    return Measurement(4.0 + seed / 100)

@claim("dice.seven", says="The mean exceeds 7.", source="us", holds_when=AtLeast(7), models=["loaded"], seeds=range(4),
       controls=[Null("swapped", "another cup", swap={"network": "x"}),
                 Ceiling("best", "the best that this die can do", measure=best)])
def test_seven(model, seed, lab):
    return Measurement(lab.roll(model, seed))
"""


def test_a_ceiling_is_measured_like_a_null_and_a_region_beyond_it_is_invalid(project):
    (project.path / "claims" / "test_ceiling.py").write_text(CEILINGS)
    done = project.runpytest("claims/test_ceiling.py", "--ledger=ignore", "--report-dir=reports")
    assert done.ret == 0
    found = results(project)
    (verdict,) = (v for v in found["verdicts"] if v["claim"] == "dice.seven")
    assert verdict["word"] == "INVALID"
    assert verdict["reason"].startswith("out of reach: even best scores 4.01 [")
    assert verdict["ceilings"][0]["out_of_reach"] == ["value"]
    assert [c["seed"] for c in found["cases"] if c["null"] == "best"] == [0, 1, 2, 3]
    assert "out of reach" in whole_report(project.path / "reports")


def test_a_complete_run_judges_everything_and_writes_results(project):
    done = project.runpytest("claims", "--ledger=ignore", "--report-dir=reports")
    assert done.ret == 0
    found = results(project)
    assert words(found) == ALL_WORDS
    by_key = {f"{v['claim']}/{v['model']}": v for v in found["verdicts"]}
    assert by_key["dice.gated/loaded"]["qualifiers"] == ["by chance too"]
    assert by_key["dice.loaded/fair"]["qualifiers"] == ["as it must"]
    summary = done.stdout.str().splitlines()[-1]
    for part in ("passed", "3 holds", "2 refuted", "1 invalid", "1 not run"):
        assert part in summary


def test_words_and_ids_in_verbose_output(project):
    done = project.runpytest("claims", "-v", "--ledger=ignore", "-k", "dice.large and loaded")
    done.stdout.fnmatch_lines([
        "*test_large[[]loaded-0[]] MEASURED*", "*test_large[[]loaded-swapped-3[]] MEASURED*",
        "*test_large[[]loaded-verdict[]] HOLDS*",
    ])  # fmt: skip


def test_a_verdict_alone_measures_what_it_lacks_and_agrees(project):
    project.runpytest("claims", "--ledger=ignore", "--report-dir=all")
    done = project.runpytest(
        "claims/test_mean.py", "-k", "large and verdict", "--ledger=ignore", "--report-dir=one"
    )
    done.assert_outcomes()
    everything, alone = results(project, "all"), results(project, "one")
    key = ("dice.large", "loaded")
    pick = [v for v in everything["verdicts"] if (v["claim"], v["model"]) == key]
    assert [v for v in alone["verdicts"] if (v["claim"], v["model"]) == key] == pick
    assert not alone["complete"]
    assert words(alone)["dice.gated/fair"] == "NOT RUN"


def test_each_seed_is_measured_once(project):
    project.runpytest("claims/test_mean.py", "-k", "large", "--ledger=ignore")
    calls = (project.path / "calls.txt").read_text().split()
    assert len(calls) == len(set(calls)) == 16


def test_workers_give_the_same_verdicts(project):
    pytest.importorskip("xdist")
    project.runpytest("claims", "--ledger=ignore", "--report-dir=one")
    done = project.runpytest_subprocess("claims", "--ledger=ignore", "--report-dir=two", "-n2")
    assert done.ret == 0
    assert results(project, "one")["verdicts"] == results(project, "two")["verdicts"]


@pytest.mark.parametrize(
    ("options", "together"), [(["claims"], True), (["claims", "--dist=worksteal"], False)]
)
def test_workers_keep_what_shares_a_network_together_and_judge_last(project, options, together):
    pytest.importorskip("xdist")
    done = project.runpytest_subprocess(*options, "--ledger=ignore", "-n2", "-v")
    case = re.compile(r"\[(gw\d)\] .*\[(fair|loaded)-(?:swapped-)?(\w+)\]")
    ran = [found.groups() for line in done.outlines if (found := case.match(line))]
    workers: dict[tuple[str, str], set[str]] = {}
    for worker, model, seed in ran:
        if seed != "verdict":
            workers.setdefault((model, seed), set()).add(worker)
    assert len(workers) == 8
    assert all(len(of) == 1 for of in workers.values()) is together
    if together:  # lines of two workers may change places on their way here; those of one do not
        by_worker = [[seed == "verdict" for of, _, seed in ran if of == worker] for worker in ("gw0", "gw1")]
        assert sum(map(sum, by_worker)) >= 6
        assert all(judged == sorted(judged) for judged in by_worker)


def test_a_gate_in_another_file_is_found(project):
    done = project.runpytest(
        "claims/test_mean.py", "-k", "gated and verdict", "--ledger=ignore", "--report-dir=r"
    )
    assert done.ret == 0
    assert words(results(project, "r"))["dice.gated/fair"] == "INVALID"


def test_the_ledger_makes_a_flip_red_and_nothing_else(project):
    assert project.runpytest("claims").ret == 1  # unrecorded and refuted
    assert project.runpytest("claims", "--ledger=update").ret == 0
    assert project.runpytest("claims").ret == 0
    ledger = project.path / "claims" / "ledger.toml"
    rows = tomllib.loads(ledger.read_text())["verdicts"]
    assert {key: row["verdict"] for key, row in rows.items()} == {
        k: w for k, w in ALL_WORDS.items() if w != "NOT RUN"
    }
    record_as(ledger, "dice.large/fair", "HOLDS")
    done = project.runpytest("claims", "-k", "large")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*dice.large/fair: HOLDS -> REFUTED*"])


def test_an_edit_of_the_measure_is_shown_not_red(project):
    project.runpytest("claims", "--ledger=update")
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(
        mean.read_text().replace(
            'lab.roll(model, seed))\n\n@claim("dice.gated', '9.0 - seed)\n\n@claim("dice.gated'
        )
    )
    done = project.runpytest("claims", "-k", "large")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["amended: measure of dice.large/fair: REFUTED -> HOLDS*"])


def test_what_tells_the_data_enters_the_ledger(project):
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text().replace('"loaded": ""', '"loaded": "lead"')
        + "\n\ndef pytest_energylens_data():\n    return {'lead': lambda: 'abc'}\n"
    )
    project.runpytest("claims", "--ledger=update")
    rows = tomllib.loads((project.path / "claims" / "ledger.toml").read_text())["verdicts"]
    assert {key: row.get("data") for key, row in rows.items() if key.startswith("dice.large")} == {
        "dice.large/fair": None,
        "dice.large/loaded": "abc",
    }


def test_an_edited_declaration_is_shown_not_red(project):
    project.runpytest("claims", "--ledger=update")
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(mean.read_text().replace("AtLeast(4.5)", "AtLeast(1.5)"))
    done = project.runpytest("claims", "-k", "large")
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        ["*amended: dice.large/fair: REFUTED -> HOLDS, the declaration changed*", "*≥ 4.5*≥ 1.5*"]
    )
    assert project.runpytest("claims", "-k", "large", "--ledger=strict").ret == 1


def test_an_exception_is_an_error_and_never_a_verdict(project):
    project.runpytest("claims", "--ledger=update")
    mean = project.path / "claims" / "test_mean.py"
    text = mean.read_text().replace(
        "    with Path", "    if model == 'fair' and seed == 2: raise MemoryError('boom')\n    with Path"
    )
    mean.write_text(text)
    done = project.runpytest("claims", "-k", "large", "--report-dir=r")
    assert done.ret == 1
    found = results(project, "r")
    assert words(found)["dice.large/fair"] == "ERROR"
    assert words(found)["dice.large/loaded"] == "HOLDS"
    assert any("boom" in error["message"] for error in found["errors"])


def test_an_expected_failure_can_not_hide_an_exception(project):
    mean = project.path / "claims" / "test_mean.py"
    text = mean.read_text().replace(
        '@claim("dice.large"', 'import pytest\n@pytest.mark.xfail\n@claim("dice.large"'
    )
    mean.write_text(text)
    done = project.runpytest("claims", "-k", "large", "--ledger=ignore")
    assert done.ret == pytest.ExitCode.INTERRUPTED
    done.stdout.fnmatch_lines(["*'dice.large'*can't be marked xfail*"])
    mean.write_text(
        text.replace("@pytest.mark.xfail", "").replace(
            "    with Path", "    pytest.xfail('hm')\n    with Path"
        )
    )
    done = project.runpytest("claims", "-k", "large", "--ledger=ignore", "--report-dir=r")
    assert done.ret == 1
    assert words(results(project, "r"))["dice.large/fair"] == "ERROR"


def test_a_skip_in_a_body_is_not_run_with_its_reason(project):
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(
        mean.read_text().replace('raise Unavailable("no gold")', 'import pytest; pytest.skip("no gold")')
    )
    project.runpytest("claims", "-k", "absent", "--ledger=ignore", "--report-dir=r")
    row = next(v for v in results(project, "r")["verdicts"] if v["claim"] == "dice.absent")
    assert (row["word"], row["reason"]) == ("NOT RUN", "no gold")


def test_a_run_with_an_error_is_not_complete(project):
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(mean.read_text().replace('raise Unavailable("no gold")', "raise MemoryError"))
    project.runpytest("claims", "--ledger=ignore")
    assert not (project.path / "reports").exists()
    assert not results(project, ".energylens/last-run")["complete"]


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_broken_file_that_was_not_collected_is_said_before_anything_is_measured(project, workers):
    (project.path / "claims" / "test_zzz.py").write_text("def (")
    done = project.runpytest_subprocess("claims/test_mean.py", "--ledger=ignore", *workers)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "test_zzz.py" in done.stdout.str() + done.stderr.str()
    assert not (project.path / "calls.txt").exists()


def test_seeds_takes_the_first_and_marks_the_verdict_partial(project):
    done = project.runpytest("claims", "-k", "large", "--seeds=3", "--ledger=ignore", "--report-dir=r")
    assert done.ret == 0
    verdict = next(v for v in results(project, "r")["verdicts"] if v["claim"] == "dice.large")
    assert (verdict["seeds"], verdict["partial"]) == ([0, 1, 2], True)
    assert project.runpytest("claims", "--seeds=0").ret == pytest.ExitCode.USAGE_ERROR


def test_a_tier_without_claims_runs_and_writes_nothing(project):
    done = project.runpytest("claims", "-m", "gpu", "--ledger=ignore")
    assert done.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert not (project.path / ".energylens").exists()


def test_last_failed_runs_the_red_verdicts_again(project):
    first = project.runpytest("claims")
    again = project.runpytest("claims", "--lf")
    assert first.parseoutcomes()["failed"] == again.parseoutcomes()["failed"] == 3
    assert "passed" not in again.parseoutcomes()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"dice.absent"', '"dice.large"', "two claims have the id 'dice.large'"),
        ('models=["fair"]', 'models=["gold"]', "unknown model 'gold'; known: *fair"),
        ("seeds=range(2)", "seeds=[]", "seeds is empty"),
        ('gates=["dice.loaded"]', 'gates=["dice.lost"]', "its gate 'dice.lost' is not declared"),
    ],
)
def test_a_wrong_declaration_is_a_collection_error_that_names_file_and_claim(project, old, new, message):
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(mean.read_text().replace(old, new))
    done = project.runpytest("claims", "--ledger=ignore")
    assert done.ret != 0
    text = done.stdout.str() + done.stderr.str()
    assert "test_mean.py" in text
    assert all(piece in text for piece in message.split("*"))
    assert "measured" not in text


QUESTION = """
from energylens import Question
LARGE = Question("Is it large?", answered_by=("dice.large", "dice.loaded"), words={"dice.large": {"HOLDS": "Yes."}})
"""


def test_questions_reach_results_and_the_report_whatever_is_selected(project):
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(mean.read_text() + QUESTION)
    for name, selection in (("all", ()), ("one", ("-k", "loaded"))):
        assert project.runpytest("claims", "--ledger=ignore", f"--report-dir={name}", *selection).ret == 0
        assert [q["asks"] for q in results(project, name)["questions"]] == ["Is it large?"]
    assert "Yes." in whole_report(project.path / "all")


def test_a_question_that_no_claim_answers_is_said_before_anything_is_measured(project):
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(mean.read_text() + QUESTION.replace('"dice.loaded"', '"dice.lost"'))
    done = project.runpytest("claims/test_mean.py", "--ledger=ignore")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "'Is it large?' is answered by 'dice.lost'" in done.stdout.str() + done.stderr.str()
    assert not (project.path / "calls.txt").exists()


def test_a_series_that_can_not_be_drawn_is_an_error_of_its_seed(project):
    mean = project.path / "claims" / "test_mean.py"
    text = mean.read_text().replace("import AtLeast,", "import AtLeast, Figure,")
    text = text.replace(
        'says="The mean exceeds 4.5."', 'figure=Figure("lines", "step", ("loss",), "t"), says="Large."'
    )
    text = text.replace(
        "return Measurement(lab.roll(model, seed))",
        "return Measurement(lab.roll(model, seed), series={'step': [1]})",
        1,
    )
    mean.write_text(text)
    done = project.runpytest("claims", "-k", "large and fair-1", "--ledger=ignore")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*series 'loss' is missing*"])


def test_a_body_that_returns_no_measurement_is_an_error(project):
    mean = project.path / "claims" / "test_mean.py"
    mean.write_text(mean.read_text().replace('raise Unavailable("no gold")', "return 3.0"))
    done = project.runpytest("claims", "-k", "absent", "--ledger=ignore")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*'dice.absent': test_absent must return a Measurement, got 3.0*"])


def test_a_project_without_claims_is_left_alone(pytester):
    pytester.makepyfile("def test_fine(): pass")
    pytester.runpytest().assert_outcomes(passed=1)
    assert not (pytester.path / "reports").exists()
    assert not (pytester.path / ".energylens").exists()


def test_a_claim_at_full_size_is_collected_when_it_is_asked_for(project):
    larger = """
from energylens.harness.declare.in_full import in_full
test_large_full = in_full(test_large, seeds=range(6))
"""
    (project.path / "claims" / "test_mean.py").write_text(MEAN + larger)
    plain = project.runpytest("claims", "-k", "large", "--ledger=ignore")
    plain.stdout.no_fnmatch_line("*dice.large-full*")
    assert "dice.large-full" not in {
        claim["id"] for claim in results(project, ".energylens/last-run")["claims"]
    }
    project.runpytest("claims", "-m", "full", "--ledger=ignore")
    found = results(project, ".energylens/last-run")
    by_id = {claim["id"]: claim for claim in found["claims"]}
    assert by_id["dice.large-full"]["extends"] == "dice.large"
    seeds = {case["seed"] for case in found["cases"] if case["claim"] == "dice.large-full"}
    assert seeds == set(range(6))
