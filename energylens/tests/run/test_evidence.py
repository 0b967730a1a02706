"""Results tell what a verdict rests on, so that `energylens diff` names the cause of a change and nothing else."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from energylens.cli import main
from energylens.harness.compare.causes import Kind, reached_from
from energylens.harness.compare.diff import Status, diff
from energylens.harness.declare.cases import Case
from energylens.harness.run_folder import RunFolder
from energylens.lab import Lab
from energylens.run.measured_code.sources import file_name, sources_of
from energylens.run.store import WitnessedStore
from energylens.run.witness import Witness, describe_artifact
from energylens.store import Artifact, Store, code, key_of
from energylens.tests.harness.helpers import declare
from energylens.tests.plugin.helpers import environment
from energylens.tests.store.recipes import Big, Everything, Noise, Total

CLAIM = """
from energylens import AtLeast, Measurement, Null, claim
from measures_{name} import centre


def nothing(seed):
    return Measurement(0.0)


@claim("draws.{name}", says="Draws are large.", source="us", holds_when=AtLeast(4), models=["{model}"], seeds=range(4),
       controls=[Null("nothing", "nothing to find", measure=nothing)], gates=["draws.{gate}"])
def test_{name}(seed, lab):
    return Measurement(centre(lab.draw("{name}", seed)))
"""

GATE = """
from energylens import AtLeast, Measurement, Null, gate


def low(seed):
    return Measurement(0.0)


@gate("draws.{name}", says="Enough.", source="us", passes_when=AtLeast(10), models=["normal", "other"], seeds=range(4),
      rejects=[Null("none", "no draws", measure=low)])
def test_{name}(seed, lab):
    return Measurement(float(len(lab.draw("{name}", seed))))
"""

MEASURES = '''
"""What is measured."""


def centre(x):
    return float(x.mean())
'''

RECIPE = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from energylens.store import Artifact, Recipe


@dataclass(frozen=True)
class Draw(Recipe):
    kind: ClassVar[str] = "draw"
    name: str
    seed: int
    n: int
    fingerprint: str

    def label(self):
        return f"{self.name} {self.seed}"

    def build(self, inputs, progress):
        rng = np.random.default_rng([self.seed, self.n, len(self.fingerprint)])
        return Artifact({"x": rng.normal(5.0, 1.0, self.n)})
"""

CONFTEST = """
import json
import os

import made
import made_otherwise

GIVEN = json.loads(os.environ.get("GIVEN", "{}"))


class Lab:
    def __init__(self, store):
        self.store = store

    def draw(self, name, seed):
        given = {"n": 100, "fingerprint": "text"} | GIVEN.get(name, {})
        makers = made_otherwise if name == "maker" else made
        return self.store.get(makers.Draw(name, seed, **given)).tensors["x"]


def pytest_energylens_models():
    return {"normal": "draws", "other": "texts"}


def pytest_energylens_lab(store):
    return Lab(store)


def pytest_energylens_data():
    return {"texts": lambda: os.environ.get("DATA", "as it was")}
"""

CLAIMS = ("recipe", "text", "data", "code", "body", "maker", "gate", "region", "words")


def write_project(folder):
    """One claim, in files of its own, for every thing that may change; `gate` has a gate of its own."""
    files = {"pytest.ini": "[pytest]\npythonpath = .\n", "conftest.py": CONFTEST}
    files |= {"made.py": RECIPE, "made_otherwise.py": RECIPE}
    for name in CLAIMS:
        gate, model = "few" if name == "gate" else "many", "other" if name == "data" else "normal"
        files[f"claims/test_{name}.py"] = CLAIM.format(name=name, gate=gate, model=model)
        files[f"measures_{name}.py"] = MEASURES
    files |= {f"claims/test_{name}.py": GATE.format(name=name) for name in ("many", "few")}
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def measure(folder, store, *options, **more):
    """Run the project's claims in a process of their own, and return its results."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "claims", "--ledger=ignore", "--report-dir=out", "-q", *options],
        cwd=folder, env=environment(store, **more), capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "out" / "results.json").read_text())


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The project's folder, its store, and the results of a run."""
    folder = tmp_path_factory.mktemp("draws")
    write_project(folder)
    return folder, folder / "store", measure(folder, folder / "store")


def copy_of(before, folder, edits):
    """The project with some texts replaced."""
    shutil.copytree(before[0], folder, ignore=shutil.ignore_patterns("out", "store", "__pycache__"))
    for name, old, new in edits:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    return folder


EDITS = [
    ("measures_code.py", "x.mean()", "x.mean() + 0.01"),
    ("claims/test_body.py", "centre(lab", "0.01 + centre(lab"),
    ("made_otherwise.py", "normal(5.0, 1.0", "normal(5.1, 1.0"),
    ("claims/test_few.py", "float(len", "5.0 - float(len"),
    ("claims/test_region.py", "AtLeast(4)", "AtLeast(6)"),
    ("measures_words.py", "x.mean())", "x.mean())  # a comment"),
    ("measures_words.py", "What is measured.", "Something else."),
    ("claims/test_words.py", "Draws are large.", "Draws are very large."),
]
GIVEN = {"recipe": {"n": 200}, "text": {"fingerprint": "longer text"}}


@pytest.fixture(scope="module")
def after(before, tmp_path_factory):
    """Results of the project after all edits at once."""
    folder = copy_of(before, tmp_path_factory.mktemp("edited") / "draws", EDITS)
    return folder, measure(folder, before[1], GIVEN=json.dumps(GIVEN), DATA="otherwise")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("recipe", [(Kind.RECIPE, "n 100 -> 200")]),
        ("text", [(Kind.DATA, "fingerprint text -> longer text")]),
        ("code", [(Kind.CODE, "measures_code.py")]),
        ("body", [(Kind.CODE, "claims/test_body.py")]),
        ("maker", [(Kind.CODE, "what Draw runs")]),
        ("gate", [(Kind.CODE, "claims/test_few.py")]),
        ("region", [(Kind.DECLARATION, "region: 'value: ≥ 4' -> 'value: ≥ 6'")]),
    ],
)
def test_the_cause_of_a_change_is_told_and_no_other_claims(before, after, name, told):
    changes = {change.claim: change for change in diff(before[2], after[1])}
    found = [(cause.kind, cause.detail) for cause in changes[f"draws.{name}"].causes]
    assert [cause for cause in found if cause != SHARED] == told


SHARED = (Kind.CODE, "made_otherwise.py")
"""conftest.py imports it, so every claim may run it."""


def test_all_and_only_what_was_changed_has_changed(before, after):
    changes = {change.claim: change.status for change in diff(before[2], after[1])}
    moved = {"recipe", "text", "code", "body", "maker"}
    expected = {f"draws.{name}": Status.MOVED for name in moved}
    expected |= {"draws.gate": Status.FLIP, "draws.region": Status.AMENDED, "draws.few": Status.FLIP}
    assert {claim: status for claim, status in changes.items() if status != Status.SAME} == expected


def test_the_command_tells_it_too(before, after, capsys):
    first, second = (folder / "out" / "results.json" for folder in (before[0], after[0]))
    assert main(["diff", str(first), str(second)]) == 0
    shown = capsys.readouterr().out
    for told in (
        "region: 'value: ≥ 4' -> 'value: ≥ 6'",
        "n 100 -> 200 (4 artifacts: recipe 0; recipe 1;",
        "3 flip",
    ):
        assert told in shown


def test_seeds_data_and_what_the_lab_runs_are_told(before, tmp_path):
    folder = copy_of(before, tmp_path / "draws", [("conftest.py", "100", "101 - 1")])
    changes = diff(before[2], measure(folder, before[1], "--seeds=3", DATA="otherwise"))
    told = {change.claim: [(cause.kind, cause.detail) for cause in change.causes] for change in changes}
    seeds, lab = (Kind.SEED, "0, 1, 2, 3 -> 0, 1, 2"), (Kind.CODE, "conftest.py")
    assert told["draws.words"] == [seeds, lab]
    assert told["draws.data"] == [seeds, (Kind.DATA, "as it was -> otherwise"), lab]


def test_a_verdict_tells_its_artifacts_and_files_those_of_its_gates_included(before):
    results = before[2]
    by_claim = {verdict["claim"]: verdict for verdict in results["verdicts"]}
    artifacts = results["basis"]["artifacts"]
    labels = {artifacts[key]["label"] for key in by_claim["draws.gate"]["basis"]["artifacts"]}
    assert labels == {f"{name} {seed}" for name in ("gate", "few") for seed in range(4)}
    assert set(results["provenance"]["artifacts"].values()) == {each["label"] for each in artifacts.values()}
    sources = by_claim["draws.gate"]["basis"]["sources"]
    assert {"claims/test_gate.py", "claims/test_few.py", "conftest.py"} <= set(sources)
    assert "claims/test_many.py" not in sources


def test_a_second_run_on_a_full_store_has_the_same_basis_so_that_nothing_explains_a_change(before):
    again = measure(before[0], before[1])
    assert again["basis"] == before[2]["basis"]
    assert [v["basis"] for v in again["verdicts"]] == [v["basis"] for v in before[2]["verdicts"]]
    again["verdicts"][0]["parts"][0]["estimate"] += 0.5
    changed = diff(before[2], again)[0]
    assert [cause.kind for cause in changed.causes] == [Kind.NOT_EXPLAINED]


def test_a_recipe_is_told_by_its_fields_data_code_and_inputs(tmp_path):
    store = Store(tmp_path)
    inner = Noise(3)
    recipe = Everything(size=Big(7), source=inner)
    store.put(recipe, Artifact({"x": np.ones(2)}))
    found = describe_artifact(recipe, store)
    assert found["recipe"] == {
        "class": "Everything", "number": 1, "share": 0.5, "name": "a", "flag": False, "maybe": None, "colour": "RED",
        "size": "Big", "size.k": 7, "numbers": "1, 2", "table[0]": "a, 1.5", "source": "Noise",
    }  # fmt: skip
    assert found["inputs"] == [key_of(inner)]
    assert len(found["payload"]) == 16
    assert found["built_with"]["numpy"] == np.__version__
    assert describe_artifact(inner, store)["payload"] == ""


@pytest.mark.parametrize("of", ["energylens.store.code", "energylens.store.key"])
def test_code_of_a_recipe_and_of_what_its_fields_are_made_of_counts(tmp_path, monkeypatch, of):
    """The second module asks for the code of nested dataclasses."""
    store = Store(tmp_path)
    before = describe_artifact(Everything(size=Big(1)), store)["code"]
    assert describe_artifact(Everything(size=Big(2), number=5), store)["code"] == before
    monkeypatch.setattr(f"{of}.code_hash", lambda module: f"edited {module}")
    assert describe_artifact(Everything(size=Big(1)), store)["code"] != before


def test_a_lab_tells_of_an_artifact_also_where_it_remembers_what_it_made_of_it(tmp_path):
    told = []
    lab = Lab(Store(tmp_path), on_artifact=told.append)

    def inner():
        return lab.remember("inner", lambda: lab.artifact(Noise(1)).tensors["x"])

    def outer():
        return lab.remember("outer", lambda: inner() + lab.artifact(Noise(2)).tensors["x"])

    for _ in range(2):
        outer()
        assert sorted(told, key=lambda recipe: recipe.seed) == [Noise(1), Noise(2)]
        told.clear()
    lab.swapped(network="untrained").remember("inner", list)
    assert told == [Noise(1)]


def test_what_fails_half_way_leaves_nothing_behind_in_the_lab(tmp_path):
    told = []
    lab = Lab(Store(tmp_path), on_artifact=told.append)

    def fails():
        lab.artifact(Noise(1))
        raise MemoryError

    with pytest.raises(MemoryError):
        lab.remember("x", fails)
    lab.artifact(Noise(2))
    assert told == [Noise(2)]


def test_bits_of_inputs_count_among_those_that_a_verdict_rests_on(tmp_path):
    """Other bits of an input are other artifacts, though the same be made of them."""
    used, case, found = Total((Noise(1),)), Case(declare(), "dice", "", 0), []
    for place, bits in (("here", 1.0), ("again", 1.0), ("there", 2.0)):
        store, witness = Store(tmp_path / place), Witness(RunFolder(tmp_path / f"run {place}"), tmp_path)
        store.put(Noise(1), Artifact({"x": np.full(4, bits)}))
        store.put(used, Artifact({"x": np.zeros(4)}))
        with witness.measuring(case):
            witness.artifact(used, store)
        found.append(witness.artifacts_behind([case]))
    assert found[0] == found[1] != found[2]


def test_a_witnessed_store_tells_of_what_it_hands_out(tmp_path):
    told = []
    store = WitnessedStore(tmp_path, told.append)
    total = Total((Noise(1), Noise(2)))
    store.get(total)
    store.get(total)
    assert told == [Noise(1), Noise(2), total, total]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A module of a project, what it imports, and something installed below the same folder."""
    files = {
        "own_main.py": "from own_part import f\nimport own_installed\nimport json\n",
        "own_part.py": "import own_main\ndef f():\n    import own_late\n",
        "own_late.py": "x = 1\n",
        "site-packages/own_installed.py": "x = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        loaded = SimpleNamespace(__file__=str(tmp_path / name))
        monkeypatch.setitem(sys.modules, name.rpartition("/")[2].removesuffix(".py"), loaded)
    monkeypatch.setattr("energylens.run.measured_code.sources.parsed_file", code.parsed_file.__wrapped__)
    return tmp_path


def test_sources_are_those_of_the_project_and_ours(package):
    found = sources_of(["own_main", "json"], package)
    assert {name: source.imports for name, source in found.items()} == {
        "own_main.py": ("own_part.py",),
        "own_part.py": ("own_late.py", "own_main.py"),
        "own_late.py": (),
    }
    assert file_name("energylens.lab.core", package) == "energylens/lab/core.py"
    assert "energylens/metrics/fourier.py" not in sources_of(["energylens.harness.judge"], package)
    assert set(sources_of(["energylens.run.measure"], package)) == {"energylens/run/measure.py"}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("@claim('b', note='n')\ndef f():\n    return 1\n", True),
        ("@energylens.gate('b')\ndef f():\n    return 1  # one\n", True),
        ("@claim('a')\ndef f():\n    return 2\n", False),
        ("@cache\n@claim('a')\ndef f():\n    return 1\n", False),
        ("@claim('a')\ndef f():\n    return 1\nx = 2\n", False),
    ],
)
def test_what_a_claim_declares_is_not_its_code(package, text, same):
    hashes = []
    for written in ("@claim('a')\ndef f():\n    return 1\n", text):
        (package / "own_late.py").write_text(written)
        hashes.append(sources_of(["own_late"], package)["own_late.py"].hash)
    assert (hashes[0] == hashes[1]) is same


def test_hashing_a_claims_file_leaves_the_tree_that_keys_are_made_of(package):
    (package / "own_late.py").write_text("@claim('a')\ndef f():\n    return 1\n")
    tree = code.parsed_file.__wrapped__(package / "own_late.py")
    from energylens.run.measured_code.sources import _undeclared

    before = code.normalised(tree)
    assert code.normalised(_undeclared(tree)) != before
    assert code.normalised(tree) == before


def test_links_are_followed_in_circles_too():
    assert reached_from(["a"], {"a": ["b"], "b": ["a", "c"], "d": ["a"]}) == {"a", "b", "c"}
