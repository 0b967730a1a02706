"""A run that finds nothing new leaves every committed file as it was, to the last byte."""

import hashlib
import json
import subprocess
import sys

import pytest

from energylens.harness.compare.history import HISTORY, read_history
from energylens.harness.timings import TIMINGS
from energylens.tests.plugin.helpers import environment, write_project

TIMED = """

@claim("numbers.seconds", says="A draw takes no time.", holds_when=AtMost(10.0), timed=True, controls=[STUCK],
       **COMMON)
def test_seconds(model, seed, lab):
    started = time.perf_counter()
    lab.uniform(model, seed)
    return Measurement(time.perf_counter() - started, beside={"processes": float(os.getpid())})
"""
ONE, TWO = (), ("-n", "2")


def git(folder, *arguments):
    who = ("-c", "user.name=t", "-c", "user.email=t@t")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run(project, store, *arguments):
    """A full run, which its ledger may fail: nothing is recorded at first."""
    command = [sys.executable, "-m", "pytest", "claims", "-p", "no:cacheprovider", "-q", *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment(store), capture_output=True, text=True, check=False
    )
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), done.stdout + done.stderr


def committed(project):
    """Digest of every file in reports/ that git does not ignore."""
    found = (path for path in (project / "reports").rglob("*") if path.is_file())
    kept = [path for path in found if path.suffix != ".png" and path.name != TIMINGS]
    return {
        path.relative_to(project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A git repository with the claims of somebody else, one of them timed, after a first run in one process."""
    folder = write_project(tmp_path_factory.mktemp("quiet") / "project")
    claims = folder / "claims" / "test_numbers.py"
    claims.write_text(claims.read_text() + TIMED)
    (folder / ".gitignore").write_text(f"reports/**/*.png\nreports/**/{TIMINGS}\nimported-*\n__pycache__/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "claims")
    run(folder, folder.parent / "store", "--ledger=update")
    return folder


@pytest.fixture(scope="module")
def first(project):
    """What the first run wrote, committed."""
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "reports")
    return committed(project)


@pytest.mark.parametrize("workers", [ONE, TWO], ids=["one process", "two"])
@pytest.mark.parametrize("ledger", ["check", "update"])
def test_another_run_changes_no_committed_byte(project, first, workers, ledger):
    before = (project / "reports" / TIMINGS).read_bytes()
    run(project, project.parent / "store", f"--ledger={ledger}", *workers)
    assert committed(project) == first
    assert git(project, "status", "--porcelain") == ""
    assert (project / "reports" / TIMINGS).read_bytes() != before
    assert len(read_history(project / "reports" / HISTORY)) == 1


def test_nothing_committed_tells_a_time(project, first):
    results = json.loads((project / "reports" / "results.json").read_text())
    times = json.loads((project / "reports" / TIMINGS).read_text())
    assert not {"started", "seconds"} & results.keys()
    assert times["run"]["seconds"] > 0
    assert len(times["cases"]) == len(results["cases"])
    assert not any("seconds" in case for case in results["cases"])
    timed = [case for case in results["cases"] if case["claim"] == "numbers.seconds"]
    assert {
        *(case["value"]["value"] for case in timed),
        *(case["beside"]["processes"] for case in timed if case["beside"]),
    } == {"NaN"}
    assert times["timed"]["verdicts"]["numbers.seconds/pcg64"]["parts"][0]["estimate"] < 10
    (verdict,) = (v for v in results["verdicts"] if v["claim"] == "numbers.seconds")
    assert verdict["word"] == "HOLDS"
    page = (project / "reports" / "families" / "numbers.md").read_text()
    assert "| [numbers.seconds](#numbers.seconds) | pcg64 | as stated | **HOLDS" in page
    assert "| timed |" in page


def test_another_project_at_the_same_commit_writes_the_same(project, first, tmp_path):
    """But for the history, which tells when a run was."""
    git(tmp_path, "clone", "-q", str(project), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", "HEAD~1")
    run(clone, tmp_path / "store", "--ledger=update", *TWO)
    dated = dict.fromkeys((f"reports/{HISTORY}", "reports/about/history.md"), "")
    assert committed(clone) | dated == first | dated


def test_what_changes_is_told_with_its_commit_and_a_line_of_the_history(project, first, tmp_path):
    git(tmp_path, "clone", "-q", str(project), "clone")
    clone = tmp_path / "clone"
    claims = clone / "claims" / "test_numbers.py"
    claims.write_text(claims.read_text().replace("draws.mean())", "draws.mean() + 0.001)"))
    git(clone, "commit", "-q", "-a", "-m", "edit")
    run(clone, project.parent / "store")
    results = json.loads((clone / "reports" / "results.json").read_text())
    assert results["provenance"]["commit"] == git(clone, "rev-parse", "HEAD")
    assert not results["provenance"]["dirty"]
    assert len(read_history(clone / "reports" / HISTORY)) == 2
