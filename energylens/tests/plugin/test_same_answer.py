"""The same answer, however it runs. Every run is a process of its own, on claims with pairs, nulls, gates, a store."""

import os
import signal
import subprocess
import sys
import time

import pytest

from energylens.errors import EnergylensError
from energylens.store import Store
from energylens.tests.plugin.helpers import read_results, write_project
from energylens.trust.same_answer import (
    Layout,
    compare_layouts,
    differences,
    judged,
    layouts,
    measured,
    run_claims,
)

pytest.importorskip("xdist")

ALONE = ("streams_apart and verdict", "memory and stuck-lag-2-verdict")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """A store of its own for every test."""
    monkeypatch.setenv("ENERGYLENS_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Results of one process, never interrupted."""
    project = write_project(tmp_path_factory.mktemp("reference") / "numbers")
    return run_claims(project / "claims", (), {"ENERGYLENS_STORE": str(project / "store")})


def test_one_process_two_workers_any_order_or_alone(tmp_path):
    project = write_project(tmp_path / "numbers")
    found = compare_layouts(project / "claims", layouts(ALONE), lambda line: None)
    assert {
        name: one["different verdicts"] + one["different measurements"] for name, one in found.items()
    } == {name: [] for name in found}
    sizes = {name: (one["verdicts"], one["measurements"]) for name, one in found.items()}
    assert sizes == {
        "one process": (10, 160),
        "two workers": (10, 160),
        "shuffled": (10, 160),
        "shuffled, two workers": (10, 160),
        "alone: streams_apart and verdict": (1, 16),
        "alone: memory and stuck-lag-2-verdict": (1, 32),
    }


@pytest.mark.parametrize(("shift", "is_beyond_six_digits"), [(1e-9, True), (1e-4, False)])
def test_what_depends_on_the_order_would_be_noticed(tmp_path, shift, is_beyond_six_digits):
    """Measurements are committed with six digits; what a verdict rests on is compared before it is rounded."""
    project = write_project(tmp_path / "numbers")
    claims = project / "claims" / "test_numbers.py"
    text = claims.read_text().replace("float(draws.mean())", f"float(draws.mean()) + {shift} * len(ORDER)")
    claims.write_text(
        text.replace("def log(*what):", "ORDER = []\n\n\ndef log(*what):\n    ORDER.append(what)")
    )
    ways = [way for way in layouts() if way.name in ("one process", "shuffled")]
    found = compare_layouts(project / "claims", ways, lambda line: None, ("-k", "numbers.mean"))
    assert set(found["shuffled"]["different verdicts"]) == {
        "numbers.mean/mt19937: exact, nulls, parts",
        "numbers.mean/pcg64: exact, nulls, parts",
    }
    told = len(found["shuffled"]["different measurements"])
    assert told == 0 if is_beyond_six_digits else told > 16


def test_a_run_that_fails_is_no_answer(tmp_path):
    project = write_project(tmp_path / "numbers")
    (project / "claims" / "test_numbers.py").write_text("def (")
    with pytest.raises(EnergylensError, match=r"ended with [24](.|\n)*SyntaxError"):
        compare_layouts(project / "claims", [Layout("one process")], lambda line: None)


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("name", "during"), [("SIGINT", "measuring"), ("SIGKILL", "building")])
def test_interrupted_and_started_again(reference, tmp_path, store, name, during, workers):
    project = write_project(tmp_path / "numbers")
    calls = tmp_path / "calls"
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", "claims", "--ledger=ignore", "-n", workers],
        cwd=project,
        env=os.environ | {"CALLS": str(calls), "SECONDS_PER_CALL": "0.02", "SECONDS_PER_BUILD": "0.1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a job in the background ignores
    )  # fmt: skip
    wait_until(lambda: reached(calls, store, during), running)
    running.send_signal(getattr(signal, name))
    output, _ = running.communicate(timeout=600)
    if name == "SIGINT":
        assert running.returncode == pytest.ExitCode.INTERRUPTED, output
        partial = read_results(project / ".energylens" / "last-run")
        assert partial["interrupted"]
        assert 0 < len(measured(partial)) < len(measured(reference))
        assert differences(measured(reference), measured(partial)) == []
        assert differences(judged(reference), judged(partial)) == []
    assert not (project / "reports").exists()

    again = run_claims(project / "claims", ("-n", workers))
    assert judged(again) == judged(reference)
    assert measured(again) == measured(reference)
    checked = Store(store).verify()
    assert [each for each in checked if each.problem] == []
    assert len(checked) == 16


def reached(calls, store, during):
    """Whether the run has measured, or built, some of what it has to."""
    if during == "building":
        return len(list(store.rglob("manifest.json"))) >= 3
    return calls.exists() and calls.read_text().count("\n") >= 20


def wait_until(condition, running):
    deadline = time.monotonic() + 600
    while not condition():
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
