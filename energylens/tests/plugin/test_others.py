"""Others can use it: the wheel, without this repository, gives another project the plugin."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from ast import literal_eval
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scipy.stats import mstats

import energylens
from energylens.tests.plugin.helpers import WORDS, environment, read_results, record_as, words, write_project

pytest_plugins = "pytester"

ROOT = Path(energylens.__file__).parents[1]
PAGE = ROOT / "docs" / "EXTENDING.md"
LEFTOVERS = ("__pycache__", ".*")
BLOCK = re.compile(r"```\w+\n# (\S+)\n(.*?)```", re.DOTALL)
needs_page = pytest.mark.skipif(not PAGE.exists(), reason="an installed copy has no docs/")


def call(*command, cwd):
    """Run a command to its end as a stranger would."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(store=cwd / "store", PIP_DISABLE_PIP_VERSION_CHECK="1"),
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that no old `build/` takes part and none is left behind. None in an installed copy."""
    if not (ROOT / "pyproject.toml").exists():
        return None
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "energylens", folder / "energylens", ignore=shutil.ignore_patterns(*LEFTOVERS))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = (
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        folder / "dist",
        folder,
    )
    done = call(sys.executable, "-m", "pip", *build, cwd=folder)
    assert done.returncode == 0, done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Python of an environment with the wheel; what energylens depends on comes from the environment of this run.

    Folders that a .pth file adds have their own .pth files ignored, an editable installation of energylens among them.
    """
    if wheel is None:
        return Path(sys.executable)
    folder = tmp_path_factory.mktemp("stranger") / "env"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
    paths = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
    found = Path(paths["scripts"], Path(sys.executable).name)
    install = ("install", "--no-deps", "--no-index", wheel)
    done = call(sys.executable, "-m", "pip", "--python", found, *install, cwd=folder)
    assert done.returncode == 0, done.stderr
    dependencies = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    Path(paths["purelib"], "dependencies.pth").write_text("\n".join(dependencies))
    return found


def imported(project):
    """Where energylens came from in each pytest process, and whether torch was imported."""
    return [literal_eval(path.read_text()) for path in project.glob("imported-*.txt")]


def test_the_wheel_holds_every_file_of_the_package(wheel):
    names = map(str, metadata.files("energylens")) if wheel is None else zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if name.startswith("energylens/") and "__pycache__" not in name}
    files = [path.relative_to(ROOT) for path in (ROOT / "energylens").rglob("*") if path.is_file()]
    left = [path for path in files if any(fnmatch(part, kind) for part in path.parts for kind in LEFTOVERS)]
    assert packed == {path.as_posix() for path in set(files) - set(left)}
    assert {"energylens/py.typed", "energylens/report/markdown/templates/VALIDATION.md.j2"} <= packed


def test_another_project_gets_the_plugin_from_the_wheel_and_a_flip_is_red(python, wheel, tmp_path):
    project = write_project(tmp_path / "numbers")
    done = call(python, "-m", "pytest", "claims", "-v", "--ledger=update", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_mean[pcg64-verdict] HOLDS, by chance too" in done.stdout
    assert "4 holds, 3 refuted, 2 invalid, 1 inconclusive" in done.stdout.splitlines()[-1]
    reports = project / "reports"
    assert words(read_results(reports)) == WORDS
    assert "Are draws even?" in (reports / "VALIDATION.md").read_text()
    assert {path.name for path in (reports / "figures").glob("*.png")} >= {"forest_numbers.png"}
    assert "1 refuted" in "".join(ElementTree.parse(reports / "badge.svg").getroot().itertext())
    rows = tomllib.loads((project / "claims" / "ledger.toml").read_text())["verdicts"]
    assert {key: row["verdict"] for key, row in rows.items()} == {
        k: w.split(",")[0] for k, w in WORDS.items()
    }
    (found,) = imported(project)
    assert found.keys() == {"energylens"}, "claims that use no network must not pay for torch"
    assert wheel is None or not Path(found["energylens"]).is_relative_to(ROOT)

    record_as(project / "claims" / "ledger.toml", "numbers.mean/pcg64", "REFUTED")
    done = call(python, "-m", "pytest", "claims", "-k", "numbers.mean", cwd=project)
    assert done.returncode == 1
    assert re.search(r"numbers\.mean/pcg64: REFUTED -> HOLDS\s+value: 0\.49\d+ \[.*\] -> 0\.49", done.stdout)


def test_the_command_knows_another_projects_claims(python, tmp_path):
    project = write_project(tmp_path / "numbers")
    done = call(python, "-m", "energylens.cli", "list", cwd=project)
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()[2:]} == {key.split("/")[0] for key in WORDS}


def test_an_installed_copy_can_test_itself(python, tmp_path):
    some = ("--pyargs", "energylens.tests.harness.declare.test_region", "-p", "no:cacheprovider", "-q")
    done = call(python, "-m", "pytest", *some, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


def test_claims_on_numbers_run_beside_other_tests_of_a_project(pytester, monkeypatch):
    monkeypatch.setenv("ENERGYLENS_STORE", str(pytester.path / "store"))
    write_project(pytester.path / "numbers")
    (pytester.path / "numbers" / "test_own.py").write_text("def test_own(): pass\n")
    done = pytester.runpytest_subprocess(
        "--rootdir=numbers", "-c", "numbers/pytest.ini", "numbers", "--ledger=ignore"
    )
    done.stdout.fnmatch_lines(["*161 passed, 4 holds, 3 refuted, 2 invalid, 1 inconclusive*"])
    assert words(read_results(pytester.path / "numbers" / "reports")) == WORDS


@needs_page
def test_every_block_on_extending_is_about_20_lines():
    blocks = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    sizes = {name: len([line for line in code.splitlines() if line.strip()]) for name, code in blocks.items()}
    assert len(sizes) == 8
    assert max(sizes.values()) <= 22, sizes


@needs_page
def test_the_page_on_extending_is_a_project_that_runs(python, tmp_path):
    for name, code in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    done = call(python, "-m", "pytest", "claims", "--ledger=ignore", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ridge on 500 samples, seed 0, true labels: done" in done.stdout + done.stderr
    results = read_results(tmp_path / "reports")
    assert words(results) == {
        "ridge.recovery/ridge-500": "HOLDS",
        "ridge.recovery/ridge-20": "REFUTED",
        "ridge.moves/ridge-500": "HOLDS",
        "ridge.moves/ridge-20": "HOLDS",
        "ridge.misses/ridge-500": "REFUTED",
        "ridge.misses/ridge-20": "HOLDS, by chance too",
    }
    recovery = next(v for v in results["verdicts"] if v["claim"] == "ridge.recovery")
    at = {"claim": "ridge.recovery", "model": "ridge-500", "null": ""}
    values = [case["value"]["value"] for case in results["cases"] if at.items() <= case.items()]
    ends = mstats.trimmed_mean_ci(values, limits=(1 / 6, 1 / 6), alpha=0.10)
    assert [recovery["parts"][0]["low"], recovery["parts"][0]["high"]] == pytest.approx(list(ends))
    assert len(list((tmp_path / "store" / "ridge").rglob("manifest.json"))) == 24
