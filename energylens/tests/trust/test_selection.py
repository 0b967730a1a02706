"""The verdict of a claim does not depend on what else was selected: alone, with others, by -k, in reversed order."""

import json

# In-process runs forget modules that they imported first, and these can't be imported twice.
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pytest
import statsmodels.stats.multitest  # noqa: F401

pytest_plugins = "pytester"

CONFTEST = """
import os
import numpy as np
import pytest

def pytest_energylens_models():
    return {"fair": "", "loaded": ""}

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    if os.environ.get("REVERSED"):
        items.reverse()

class Dice:
    def __init__(self, shift=0.0):
        self.shift = shift
    def swapped(self, shift):
        return Dice(float(shift))
    def roll(self, model, seed):
        rng = np.random.default_rng(seed)
        return rng.normal(self.shift + (4.0 if model == "fair" else 5.0), 0.2, size=6)

@pytest.fixture(scope="session")
def lab():
    return Dice()
"""

CLAIMS = """
from energylens import AtLeast, Gate, HitRate, Measurement, Null, Pairs, Within, claim, gate

MODELS = ["fair", "loaded"]
LOW = Null("low", "dice without a shift", swap={"shift": "-4"})

@gate("dice.rolls", says="Dice roll.", source="us", passes_when=AtLeast(0), models=MODELS, seeds=range(5),
      rejects=[LOW])
def test_rolls(model, seed, lab):
    return Measurement(lab.roll(model, seed).mean() - 1)

@claim("dice.mean", says="The mean exceeds 4.4.", source="us", holds_when={"mean": AtLeast(4.4), "large": AtLeast(0.5)},
       models=MODELS, seeds=range(5), controls=[LOW], gates=["dice.rolls"], statistic={"large": HitRate()})
def test_mean(model, seed, lab):
    rolled = lab.roll(model, seed)
    return Measurement({"mean": rolled.mean(), "large": float(rolled.max() > 4.2)})

def product(a, b):
    return float(a["x"] @ b["x"] / 6)

@claim("dice.alike", says="Two dice are alike.", source="us", holds_when=Within(15.9, 16.1), models=MODELS,
       seeds=range(4), controls=[LOW], statistic=Pairs(product), variants=["first", "second"])
def test_alike(model, variant, seed, lab):
    return Measurement(arrays={"x": lab.roll(model, seed + 10 * (variant == "second"))})
"""

SELECTIONS = {
    "one claim": ("-k", "alike"),
    "one model's verdicts": ("-k", "fair and verdict"),
    "one verdict": ("-k", "test_mean and loaded and verdict"),
}


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST)
    (pytester.mkdir("claims") / "test_dice.py").write_text(CLAIMS)
    return pytester


def judged(project, folder, *options):
    """What every verdict of a run rests on. Holm's column counts all declared claims, so it belongs to the run."""
    project.runpytest("claims", "--ledger=ignore", f"--report-dir={folder}", *options)
    found = json.loads((project.path / folder / "results.json").read_text())["verdicts"]
    return {
        (v["claim"], v["model"], v["variant"]): {key: v[key] for key in v if key not in ("holm", "ledger")}
        for v in found
        if v["reason"] != "not selected in this run"
    }


def test_any_selection_and_order_gives_the_same_verdicts_and_intervals(project, monkeypatch):
    everything = judged(project, "all")
    assert len(everything) == 8
    assert {verdict["word"] for verdict in everything.values()} >= {"HOLDS", "REFUTED", "INCONCLUSIVE"}
    selected = {name: judged(project, f"run{len(name)}", *options) for name, options in SELECTIONS.items()}
    assert [len(found) for found in selected.values()] == [4, 4, 1]
    for name, found in selected.items():
        assert found == {key: everything[key] for key in found}, name
    monkeypatch.setenv("REVERSED", "1")
    assert judged(project, "reversed") == everything


def test_a_measurement_that_counts_its_calls_would_be_noticed(project, monkeypatch):
    counting = CLAIMS.replace("MODELS =", "CALLS = []\nMODELS =").replace(
        "    rolled = lab.roll(model, seed)",
        "    CALLS.append(seed)\n    rolled = lab.roll(model, seed) + len(CALLS)",
    )
    (project.path / "claims" / "test_dice.py").write_text(counting)
    everything = judged(project, "all")
    monkeypatch.setenv("REVERSED", "1")
    changed = judged(project, "reversed")
    assert {key[0] for key in everything if changed[key] != everything[key]} == {"dice.mean"}
