"""A project of somebody else's, as files: claims about numpy's random generators, no neural network anywhere."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

GENERATORS = '''
"""Two generators of numpy whose draws are kept in the store, and a broken one."""

import os
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from energylens.store import Artifact, Recipe, Store

GENERATORS = {"pcg64": np.random.PCG64, "mt19937": np.random.MT19937}


@dataclass(frozen=True)
class Draw(Recipe):
    kind: ClassVar[str] = "draws"
    generator: str
    seed: int

    def build(self, inputs, progress):
        time.sleep(float(os.environ.get("SECONDS_PER_BUILD", 0)))
        generator = np.random.Generator(GENERATORS[self.generator](self.seed))
        return Artifact({"draws": generator.random(2000)})


@dataclass(frozen=True)
class Draws:
    store: Store
    source: str = "own"

    def swapped(self, source):
        return Draws(self.store, source)

    def recipes(self, model, seed):
        return [] if "stuck" in (model, self.source) else [Draw(model, seed)]

    def uniform(self, model, seed):
        kept = [self.store.get(recipe).tensors["draws"] for recipe in self.recipes(model, seed)]
        return kept[0] if kept else np.full(2000, 0.5)


def needs(lab, model, variant, seed):
    return lab.recipes(model, seed)
'''

CONFTEST = """
import os
import sys
from pathlib import Path

import pytest
from generators import GENERATORS, Draws


def pytest_energylens_models():
    return dict.fromkeys([*GENERATORS, "stuck"], "")


def pytest_energylens_lab(store):
    return Draws(store)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    found = {name: str(sys.modules[name].__file__) for name in ("energylens", "torch") if name in sys.modules}
    Path(config.rootpath, f"imported-{os.getpid()}.txt").write_text(repr(found))
"""

GATE = '''
"""Is it a generator at all?"""

from generators import needs

from energylens import AtLeast, Measurement, Null, gate


def repeated(model, seed, lab):
    return Measurement(float(lab.uniform(model, seed)[:1].repeat(9).std()))


@gate("numbers.move", says="Draws differ from one another.", source="numpy", passes_when=AtLeast(0.1),
      models=["pcg64", "stuck"], seeds=range(8), must_fail=["stuck"],
      rejects=[Null("one-draw", "one draw, repeated", measure=repeated)], needs=needs)
def test_move(model, seed, lab):
    return Measurement(float(lab.uniform(model, seed).std()))
'''

CLAIMS = '''
"""What uniform draws look like."""

import os
import time

import numpy as np
from generators import needs

from energylens import (
    AtLeast, AtMost, Equivalent, FisherZ, HitRate, Measurement, Null, Pairs, Question, claim
)

COMMON = dict(source="numpy", models=["pcg64"], seeds=range(8), needs=needs)
STUCK = Null("stuck", "a generator that says one half for ever", swap={"source": "stuck"})
EVEN = Question("Are draws even?", answered_by=("numbers.mean", "numbers.coin"))


def log(*what):
    with open(os.environ.get("CALLS", os.devnull), "a") as calls:
        calls.write(" ".join(map(str, what)) + "\\n")
    time.sleep(float(os.environ.get("SECONDS_PER_CALL", 0)))


@claim("numbers.mean", says="Uniform draws have the mean 1/2, within .01.", holds_when=Equivalent(0.5, 0.01),
       controls=[STUCK], **COMMON | {"models": ["pcg64", "mt19937"]})
def test_mean(model, seed, lab):
    log("mean", model, seed, lab.source)
    draws = lab.uniform(model, seed)
    return Measurement(float(draws.mean()), as_published=float(draws[0]), beside={"variance": float(draws.var())})


def correlation(first, second):
    return abs(float(np.corrcoef(first["draws"], second["draws"])[0, 1]))


def one_stream(lab):
    draws = lab.uniform("pcg64", 0)
    return Measurement({"least": float(draws.min())}, arrays={"draws": draws})


@claim("numbers.streams-apart", says="Streams of different seeds are not correlated.",
       holds_when={"correlation": AtMost(0.05), "least": AtMost(0.01)}, statistic={"correlation": Pairs(correlation)},
       controls=[Null("one-stream", "the same seed every time", measure=one_stream)], **COMMON)
def test_streams_apart(model, seed, lab):
    log("apart", model, seed, lab.source)
    draws = lab.uniform(model, seed)
    return Measurement({"least": float(draws.min())}, arrays={"draws": draws})


def lag_correlation(draws, lag):
    return float(np.corrcoef(draws[:-lag], draws[lag:])[0, 1]) if draws.std() else 0.0


def in_order(model, variant, seed, lab):
    return Measurement(lag_correlation(np.sort(lab.uniform(model, seed)), int(variant[-1])))


@claim("numbers.memory", says="A draw tells the next one: r >= .3.", holds_when=AtLeast(0.3),
       variants=["lag-1", "lag-2"], statistic=FisherZ(), gates=["numbers.move"],
       controls=[Null("in-order", "draws in order of size", measure=in_order)],
       **COMMON | {"models": ["pcg64", "stuck"]})
def test_memory(model, variant, seed, lab):
    log("memory", model, variant, seed)
    return Measurement(lag_correlation(lab.uniform(model, seed), int(variant[-1])))


@claim("numbers.coin", says="The first draw exceeds one half every second time.", holds_when=AtLeast(0.5),
       statistic=HitRate(), controls=[STUCK], **COMMON)
def test_coin(model, seed, lab):
    log("coin", model, seed, lab.source)
    return Measurement(float(lab.uniform(model, seed)[0] > 0.5))
'''

WORDS = {
    "numbers.move/pcg64": "HOLDS",
    "numbers.move/stuck": "REFUTED, as it must",
    "numbers.mean/pcg64": "HOLDS, by chance too, as published: INCONCLUSIVE",
    "numbers.mean/mt19937": "HOLDS, by chance too, as published: INCONCLUSIVE",
    "numbers.streams-apart/pcg64": "HOLDS, by chance too",
    "numbers.memory/pcg64/lag-1": "REFUTED",
    "numbers.memory/pcg64/lag-2": "REFUTED",
    "numbers.memory/stuck/lag-1": "INVALID",
    "numbers.memory/stuck/lag-2": "INVALID",
    "numbers.coin/pcg64": "INCONCLUSIVE",
}
"""What every verdict of the project says."""


def write_project(folder: Path) -> Path:
    """Write the project's files and return its folder."""
    (folder / "claims").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\nfilterwarnings = error\n")
    (folder / "generators.py").write_text(GENERATORS)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "claims" / "test_gate.py").write_text(GATE)
    (folder / "claims" / "test_numbers.py").write_text(CLAIMS)
    return folder


def read_results(folder: Path) -> dict[str, Any]:
    """results.json in a folder."""
    found: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def words(results: dict[str, Any]) -> dict[str, str]:
    """Word and qualifiers by row."""
    rows = {"/".join(filter(None, (v["claim"], v["model"], v["variant"]))): v for v in results["verdicts"]}
    return {key: ", ".join([row["word"], *row["qualifiers"]]) for key, row in rows.items()}


def environment(store: Path, **more: str) -> dict[str, str]:
    """A stranger's environment with a store of its own: nothing of this test session leaks in."""
    ours = ("PYTEST", "PYTHON", "ENERGYLENS", "COV_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    own = {"ENERGYLENS_STORE": str(store), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    return inherited | own | more


def record_as(ledger: Path, key: str, word: str) -> None:
    """Let a ledger stand by another verdict, so that the next run flips it."""
    import tomli_w

    content = tomllib.loads(ledger.read_text(encoding="utf-8"))
    content["verdicts"][key]["verdict"] = word
    ledger.write_text(tomli_w.dumps(content), encoding="utf-8")
