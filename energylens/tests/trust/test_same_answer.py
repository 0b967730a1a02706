"""Artifacts built again, and networks trained in another number of threads. Runs of claims: see `tests/plugin`."""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from energylens.errors import InputError
from energylens.models.recipe import ModelConfig, Optimiser
from energylens.models.tasks import ModularAddition
from energylens.models.zoo import ZooEntry
from energylens.store import Artifact, Recipe, Store, key_of
from energylens.trust.same_answer import (
    ThreadedLab,
    compare_built,
    compare_threads,
    differences,
    judged,
    measured,
    run_claims,
    steps_as_lines,
)

CLAIMS = """
from energylens import AtLeast, Measurement, Null, claim

NULL = Null("untrained", "before training", swap={"network": "untrained"})
COMMON = dict(says="-", source="-", holds_when=AtLeast(1.5), models=["tiny"], seeds=range(3), controls=[NULL])


@claim("tiny.weights", **COMMON)
def test_weights(model, seed, lab):
    tensors = lab.artifact(lab.recipe(model, seed)).tensors
    return Measurement(2 + float(sum(abs(tensor).sum() for tensor in tensors.values())))


@claim("tiny.threads", **COMMON)
def test_threads(model, seed, lab):
    return Measurement(lab.recipe(model, seed).threads + seed / 1000)
"""


@dataclass(frozen=True)
class Seeded(Recipe):
    kind: ClassVar[str] = "seeded"
    seed: int

    def label(self):
        return f"seeded {self.seed}"

    def build(self, inputs, progress):
        progress(1, 1, {})
        return Artifact({"draws": np.random.default_rng(self.seed).random(3)}, {"when": time.time_ns()})


@dataclass(frozen=True)
class Unseeded(Recipe):
    kind: ClassVar[str] = "unseeded"

    def build(self, inputs, progress):
        return Artifact({"draws": np.random.default_rng().random(3)})


@pytest.fixture
def tiny(monkeypatch):
    """A zoo of one network that trains in no time."""
    task = ModularAddition(p=5)
    config = ModelConfig.for_task(task, n_layers=1, d_model=8, n_heads=1, d_head=8, d_mlp=8)
    entry = ZooEntry("tiny", task, config, Optimiser(), steps=2, batch=None, train_fraction=0.5)
    monkeypatch.setattr("energylens.models.zoo.ZOO", {"tiny": entry})


def test_what_a_seed_decides_is_built_the_same_again_and_nothing_else(tmp_path):
    found = compare_built([Seeded(0), Seeded(1), Unseeded()], Store(tmp_path), lambda line: None)
    assert {label: one["identical"] for label, one in found.items()} == {
        "seeded 0": True, "seeded 1": True, "unseeded": False,
    }  # fmt: skip
    assert all(len(sha256) == 64 for one in found.values() for sha256 in one["sha256"])


def test_other_threads_are_other_artifacts(tiny, tmp_path):
    lab = ThreadedLab(Store(tmp_path), threads=2)
    assert lab.recipe("tiny", 0).threads == 2
    assert lab.swapped(network="untrained").recipe("tiny", 0).threads == 2
    assert key_of(lab.recipe("tiny", 0)) != key_of(ThreadedLab(Store(tmp_path)).recipe("tiny", 0))


def test_verdicts_on_other_thread_counts_are_compared(tiny, tmp_path):
    claims, store = tmp_path / "claims", Store(tmp_path / "store")
    claims.mkdir()
    (claims / "test_tiny.py").write_text(CLAIMS)
    found = compare_threads(claims, "tiny", ["tiny.weights"], 2, store, lambda line: None)
    assert found["same verdicts"]
    assert found["seeds"] == 3
    assert found["largest difference of a weight"] < 1e-3
    assert [one["word"] for one in found["verdicts"]["tiny.weights"]] == ["HOLDS", "HOLDS"]
    assert {entry.label for entry in store.ls()} == {
        f"tiny seed {seed}{state}" for seed in range(3) for state in ("", " untrained")
    }
    other = compare_threads(claims, "tiny", ["tiny.weights", "tiny.threads"], 2, store, lambda line: None)
    assert [one["word"] for one in other["verdicts"]["tiny.threads"]] == ["REFUTED", "HOLDS"]
    assert not other["same verdicts"]


def test_what_was_not_reached_is_not_compared():
    verdict = {
        "claim": "a.b",
        "model": "m",
        "variant": "",
        "word": "HOLDS",
        "holm": {"survives": True},
        "ledger": None,
    }
    case = {
        "claim": "a.b",
        "model": "m",
        "variant": "",
        "null": "",
        "seed": 3,
        "value": {"value": 1.0},
        "seconds": 0.1,
    }
    missing = verdict | {"model": "n", "word": "NOT RUN"}
    one = {"verdicts": [verdict, missing], "cases": [case]}
    other = {"verdicts": [verdict | {"holm": None}], "cases": [case | {"seconds": 9.0}]}
    assert differences(judged(one), judged(other)) == differences(measured(one), measured(other)) == []
    last_bit = {"cases": [case | {"value": {"value": 1.0 + 2**-52}}]}
    assert differences(measured(one), measured(last_bit)) == ["a.b/m//3: value"]
    assert differences({}, measured(last_bit)) == ["a.b/m//3: missing"]


def test_lines_come_every_few_seconds(monkeypatch):
    clock = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr("energylens.trust.same_answer.time.monotonic", lambda: next(clock))
    told = []
    steps = steps_as_lines(Seeded(0), told.append)
    for step in (1, 2, 3):
        steps(step, 3, {})
    assert told == ["seeded 0: step 2 of 3"]


def test_a_folder_without_claims_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        run_claims(tmp_path / "claims", ())
