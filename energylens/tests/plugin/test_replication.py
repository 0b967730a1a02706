"""On artifacts with other bits than the recorded ones, or on another processor, a run replicates: it is not red."""

import json
import os
import subprocess
import sys

import pytest

from energylens.harness.compare.ledger import read_ledger
from energylens.tests.plugin.helpers import environment

CONFTEST = """
import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from made import Draw


class Lab:
    def __init__(self, store):
        self.store = store

    def draw(self, seed):
        return self.store.get(Draw(seed)).tensors["x"]


def pytest_energylens_models():
    return {"normal": ""}


def pytest_energylens_lab(store):
    return Lab(store)
"""

MADE = '''
"""The same recipe gives other bits where PROCESSOR is set: all draws lie a little higher or lower."""

import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from energylens.store import Artifact, Recipe


@dataclass(frozen=True)
class Draw(Recipe):
    kind: ClassVar[str] = "draw"
    seed: int

    def label(self):
        return f"draw {self.seed}"

    def build(self, inputs, progress):
        rng = np.random.default_rng(self.seed)
        return Artifact({"x": rng.normal(5.0, 0.5, 4) + float(os.environ.get("PROCESSOR", 0.0))})
'''

CLAIM = """
import os

from energylens import AtLeast, Measurement, Null, claim


def nothing(seed):
    return Measurement(0.0)


@claim("draws.large", says="Draws are large.", source="us", holds_when=AtLeast(4.5), models=["normal"], seeds=range(6),
       controls=[Null("nothing", "nothing to find", measure=nothing)])
def test_large(seed, lab):
    return Measurement(float(lab.draw(seed).mean()) + float(os.environ.get("MEASURED", 0.0)))
"""


@pytest.fixture
def project(tmp_path):
    """A project whose claim is recorded as HOLDS on this processor."""
    files = {"pytest.ini": "[pytest]\npythonpath = .\n", "conftest.py": CONFTEST, "made.py": MADE}
    for name, text in (files | {"claims/test_large.py": CLAIM}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert run(tmp_path, "here", "--ledger=update")[0] == 0
    return tmp_path


def run(folder, store, *options, **more):
    """Exit status, terminal and the verdict of a run on the artifacts of this store."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "claims", "--report-dir=out", "-v", *options],
        cwd=folder, env=environment(folder / store, COLUMNS="160", **more), capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    (verdict,) = json.loads((folder / "out" / "results.json").read_text())["verdicts"]
    return done.returncode, done.stdout + done.stderr, verdict


def test_the_ledger_records_what_a_verdict_rests_on(project):
    row = read_ledger(project / "claims" / "ledger.toml")["draws.large/normal"]
    status, _, verdict = run(project, "again")
    assert status == 0
    assert row["artifacts"] == verdict["artifacts"] != ""  # made again from the same recipe: the same bits
    assert row["machine"] == verdict["machine"] != ""
    assert row["standard_errors"]["value"] == pytest.approx(float(verdict["parts"][0]["se"]), rel=1e-5)
    assert verdict["ledger"]["status"] == "same"
    assert verdict["ledger"]["z"] == {}


def test_a_flip_on_the_same_artifacts_is_red(project):
    status, output, verdict = run(project, "here", MEASURED="-3")
    assert status == 1
    assert (verdict["word"], verdict["ledger"]["status"]) == ("REFUTED", "flip")
    assert "differs here" not in output


@pytest.mark.parametrize(
    ("shift", "word", "shown"),
    [
        ("0", "HOLDS", "same"),
        ("-0.3", "INCONCLUSIVE", "differs here"),
        ("-3", "REFUTED", "does not replicate"),
        ("3", "HOLDS", "does not replicate"),
    ],
)
def test_other_bits_make_a_replication_that_only_strict_mode_fails(project, shift, word, shown):
    """Far away, it is said even where the word is the same; otherwise another word is told with its z."""
    there = {} if shift == "0" else {"PROCESSOR": shift}
    status, output, verdict = run(project, f"there{shift}", **there)
    assert (status, verdict["word"], verdict["ledger"]["status"]) == (0, word, shown)
    if shift == "0":
        return
    z = verdict["ledger"]["z"]["value"]
    assert (abs(z) > 3.3) == (shown == "does not replicate")
    assert z == pytest.approx(float(shift) / (2**0.5 * float(verdict["parts"][0]["se"])), rel=1e-3)
    assert f"({shown})" in output
    assert f"{shown}: draws.large/normal: HOLDS -> {word}" in output
    assert f"z = {z:.1f}" in output
    assert "on the same machine, but other artifacts" in output
    assert run(project, f"there{shift}", "--ledger=strict", **there)[0] == 1


def test_another_processor_is_told_by_name(project):
    """Variables that hide instructions make another processor of this one, also where the bits are the same."""
    other = "avx2" if os.environ.get("ATEN_CPU_CAPABILITY") == "default" else "default"
    status, output, verdict = run(project, "here", MEASURED="-3", ATEN_CPU_CAPABILITY=other)
    assert (status, verdict["ledger"]["status"]) == (0, "does not replicate")
    assert f"ATEN_CPU_CAPABILITY={other}" in verdict["machine"]
    assert "recorded on" in output
    assert "measured on" in output
    assert "1 verdicts 0 differ here, 1 do not replicate" in output
