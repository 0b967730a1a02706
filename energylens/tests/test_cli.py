import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from energylens.cli import main
from energylens.harness.results import write_results
from energylens.store import Artifact, Recipe, Store
from energylens.tests.report.helpers.example import example_results

CLAIMS = """
from energylens import AtLeast, Measurement, Null, claim

def nothing(seed):
    return Measurement(0.0)

@claim("toy.large", says="It is large.", source="us", holds_when=AtLeast(1), models=["modadd-1l"], seeds=range(3),
       controls=[Null("nothing", "none", measure=nothing)])
def test_large(seed):
    return Measurement(2.0 + seed)
"""


@dataclass(frozen=True)
class Toy(Recipe):
    kind: ClassVar[str] = "toy"
    n: int = 3

    def build(self, inputs, progress):
        return Artifact({"x": np.arange(self.n)})


@pytest.fixture
def claims(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "test_toy.py").write_text(CLAIMS)
    return folder


def test_help_is_worth_reading_and_loads_no_torch():
    code = "import sys; from energylens.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules), 'heavy import'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for word in ("list", "build", "report", "plan", "badge", "store", "examples:"):
        assert word in done.stdout


def unheard(*arguments, buffered):
    """Exit status and errors of a command whose output nobody reads, written at its end or line by line."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "energylens.cli", *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": "" if buffered else "1"}
    found = subprocess.run(
        command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False, env=environment
    )
    os.close(write_end)
    return found.returncode, found.stderr


@pytest.mark.parametrize(("buffered", "cut_short"), [(True, 0), (False, 141)])
def test_a_reader_that_has_seen_enough_causes_no_traceback_and_hides_no_damage(
    claims, tmp_path, buffered, cut_short
):
    assert unheard("list", buffered=buffered) == (cut_short, "")
    store = Store(tmp_path / "store")
    store.get(Toy())
    payload = next(path for path in (tmp_path / "store").rglob("*") if path.suffix == ".safetensors")
    payload.write_bytes(payload.read_bytes()[:-1] + b"?")
    arguments = ("store", "verify", "--store", str(tmp_path / "store"))
    assert unheard(*arguments, buffered=buffered) == (cut_short or 1, "")


def test_a_broken_pipe_of_something_else_is_an_error(monkeypatch):
    def fails(options):
        raise BrokenPipeError("a worker is gone")

    monkeypatch.setattr("energylens.commands.claims.list_claims", fails)
    with pytest.raises(BrokenPipeError, match="a worker"):
        main(["list"])


def test_declaring_the_shipped_claims_loads_no_torch():
    code = (
        "import sys; from pathlib import Path; from energylens.harness.declare.catalogue import load_claims\n"
        "import energylens.tests; root = Path(energylens.tests.__file__).parents[2]\n"
        "print(len(load_claims(root / 'claims')))\n"
        "assert not {'torch', 'scipy', 'transformer_lens'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_list_shows_claims_and_recorded_verdicts(claims, capsys):
    assert main(["list"]) == 0
    assert "toy.large" in (shown := capsys.readouterr().out)
    assert "not recorded" in shown
    assert re.search(r"toy\.large .* both +cpu ", shown)


def test_a_missing_folder_is_one_line(tmp_path, capsys):
    assert main(["list", "--claims", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err


def test_a_gate_declared_in_another_folder_is_one_line(claims, capsys):
    apart = claims.parent / "apart"
    apart.mkdir()
    gated = CLAIMS.replace("seeds=range(3),", 'seeds=range(3), gates=["toy.gate"],')
    (apart / "test_gated.py").write_text(gated)
    assert main(["build", "--claims", str(apart)]) == 1
    told = capsys.readouterr().err
    assert "'toy.gate'" in told
    assert "apart" in told
    assert len(told.splitlines()) == 1


def test_store_commands(claims, tmp_path, capsys):
    store = Store(tmp_path / "store")
    store.get(Toy(3))
    key = store.put(Toy(4), Artifact({"x": np.arange(4)}))
    arguments = ["--store", str(tmp_path / "store")]
    assert main(["store", "ls", *arguments]) == 0
    assert "2 artifacts" in capsys.readouterr().out
    assert main(["store", "verify", *arguments]) == 0
    next((tmp_path / "store" / "toy").glob(f"*/{key}/payload.safetensors")).write_bytes(b"cut")
    assert main(["store", "verify", *arguments]) == 1
    assert key in capsys.readouterr().out
    assert main(["store", "gc", *arguments]) == 0
    assert store.ls() == []


def test_plan_says_how_many_seeds_would_decide(tmp_path, capsys):
    path = tmp_path / "results.json"
    write_results(path, example_results(tmp_path / "run"))
    assert main(["plan", "fourier.grokked-circuit", "--results", str(path), "--power", "0.9"]) == 0
    shown = capsys.readouterr().out
    assert "modadd-1l: " in shown
    assert "90 % power" in shown
    assert main(["plan", "fourier.grokked-circuit", "--results", str(path), "--model", "modadd-2l"]) == 0
    assert "modadd-1l" not in capsys.readouterr().out
    assert main(["plan", "fourier.grokd-circuit", "--results", str(path)]) == 1
    assert "nearest: fourier.grokked-circuit" in capsys.readouterr().err


def test_report_and_badge_render_a_finished_run(tmp_path, capsys):
    path = tmp_path / "results.json"
    results = example_results(tmp_path / "run")
    write_results(path, results)
    assert main(["report", str(path), "--to", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "VALIDATION.md").exists()
    capsys.readouterr()
    assert main(["badge", str(path)]) == 0
    assert '"schemaVersion": 1' in capsys.readouterr().out
    assert main(["badge", str(path), "--svg"]) == 0
    assert capsys.readouterr().out.startswith("<svg")
    assert main(["badge", str(path), "--all", str(tmp_path / "badges")]) == 0
    badges = {found.stem for found in (tmp_path / "badges").iterdir()}
    assert badges == {claim["id"] for claim in results["claims"]}
    assert main(["badge", str(path), "--claim", "no.such"]) == 1
    assert main(["report", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


def test_report_renders_a_readme_from_the_results_it_names(tmp_path, capsys):
    (tmp_path / "reports").mkdir()
    write_results(tmp_path / "reports" / "results.json", example_results(tmp_path / "run"))
    readme = tmp_path / "README.md"
    asked = "It is {fourier.r2-below-5pct; REFUTED}."
    region = f"<!-- told: reports/results.json\n{asked}\n-->\nIt is 9.\n<!-- told: end -->\n"
    readme.write_text(region)
    assert main(["report", "--readme", str(readme)]) == 0
    assert readme.read_text() == region.replace("It is 9.", "It is 3 of 4.")
    assert not (tmp_path / "reports" / "VALIDATION.md").exists()
    readme.write_text(region.replace("r2-below-5pct", "r2-below-5"))
    assert main(["report", "--readme", str(readme)]) == 1
    assert "nearest: fourier.r2-below-5pct" in capsys.readouterr().err
    assert "It is 9." in readme.read_text()
    readme.write_text("nothing")
    assert main(["report", "--readme", str(readme)]) == 1
    assert main(["report", "--readme", str(tmp_path / "none.md")]) == 1
    assert "none.md is no file" in capsys.readouterr().err


def test_diff_compares_two_runs_and_names_what_it_can_not_read(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    provenance = {"commit": "", "dirty": False, "packages": {}}
    results = example_results(tmp_path / "run") | {"started": "2026-01-01T00:00:00", "provenance": provenance}
    write_results(tmp_path / "old.json", results)
    results["verdicts"][0]["word"] = "REFUTED"
    write_results(tmp_path / "new.json", results)
    assert main(["diff", "old.json", "new.json"]) == 0
    shown = capsys.readouterr().out
    assert "1 flip" in shown
    assert "fourier.grokked-circuit" in shown
    assert main(["diff", "old.json", "none.json"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
