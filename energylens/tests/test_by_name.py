"""Folders of files that are found by name: one file more is one method, or one task, more, and nothing else changes."""

import importlib
import sys

import pytest
import torch

import energylens.models.tasks
import energylens.sae.methods
from energylens.by_name import Folder
from energylens.errors import InputError
from energylens.lab import SAE_KINDS, Lab
from energylens.models.checkpoint import export_checkpoint, match_checkpoints
from energylens.models.network import Network
from energylens.models.samples import sampled
from energylens.models.tasks import IOI, TASKS, Induction, ModularAddition, Text, task_from_json
from energylens.sae.methods.table import METHODS, default_method, method_from_json
from energylens.sae.planted import PlantedDictionary
from energylens.sae.recipe import TrainSAEs
from energylens.sae.sae import SAEs, pre_acts
from energylens.sae.variants import MatchedReLU, ReLU, TopK
from energylens.store import Store, key_of, no_progress
from energylens.tests.models.helpers import recipe as tiny
from energylens.tests.one_file import METHOD, TASK


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Function: files by name -> the Folder of a package that holds them."""
    monkeypatch.syspath_prepend(tmp_path)

    def made(**files):
        package = tmp_path / "kinds_of_things"
        package.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (package / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return Folder("kinds_of_things")

    yield made
    for name in [each for each in sys.modules if each.partition(".")[0] == "kinds_of_things"]:
        del sys.modules[name]


THING = "class Thing:\n    name = '{}'\n"


def test_what_a_file_is_called_is_found_under_its_name(folder):
    found = folder(
        red=THING.format("red"),
        dark_blue=THING.format("dark-blue") + "class Shade(Thing):\n    depth = 1\n",
        base="class Base:\n    name: str\n",
        borrowed="from kinds_of_things.red import Thing\n",
        other=THING.format("green"),
    )
    assert sorted(found) == ["dark-blue", "red"]
    assert len(found) == 2
    assert found["dark-blue"].__qualname__ == "Thing"
    for name in ("green", "other", "base", "dark_blue", "os", "..", "", None, 3):
        assert name not in found


def test_a_name_imports_no_other_file(folder):
    found = folder(red=THING.format("red"), broken="raise RuntimeError('not asked for')\n")
    assert found["red"].name == "red"
    with pytest.raises(RuntimeError, match="not asked for"):
        list(found)


def test_two_classes_of_one_name_are_refused(folder):
    found = folder(red=THING.format("red") + THING.format("red").replace("Thing", "Another"))
    with pytest.raises(InputError, match=r"kinds_of_things\.red defines Another, Thing of one name"):
        found["red"]


def test_the_tables_hold_what_the_package_brings():
    assert dict(TASKS) == {"induction": Induction, "ioi": IOI, "modadd": ModularAddition, "text": Text}
    assert dict(METHODS) == {"matched-relu": MatchedReLU, "relu": ReLU, "topk": TopK}
    assert default_method() == TopK(32)
    with pytest.raises(InputError, match=r"unknown method .*'none'.*\['matched-relu', 'relu', 'topk'\]"):
        method_from_json({"name": "none"})


@pytest.mark.parametrize("method", [TopK(3), ReLU(0.5), MatchedReLU(8, start=0.4)], ids=str)
def test_a_method_comes_back_from_its_json(method):
    assert method_from_json(method.to_json()) == method


@pytest.fixture
def added(tmp_path, monkeypatch):
    """A package with one method and one task more, as if its files lay in our folders."""
    places = {
        energylens.sae.methods: ("near_largest", METHOD),
        energylens.models.tasks: ("first_token", TASK),
    }
    for package, (name, text) in places.items():
        more = tmp_path / "more" / name
        more.mkdir(parents=True)
        (more / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(more)])
    yield
    for package, (name, _) in places.items():
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


@pytest.mark.usefixtures("added")
def test_a_new_method_trains_is_loaded_and_can_be_named_by_claims(tmp_path):
    method = METHODS["near-largest"]()
    recipe = TrainSAEs(
        PlantedDictionary(n=600), variant=method, d_sae=24, steps=80, batch=64, lr=1e-2, seeds=(1, 2), n_heldout=99
    )  # fmt: skip
    artifact = Store(tmp_path / "store").get(recipe)
    saes = SAEs.from_artifact(artifact)
    assert saes.method == method
    assert artifact.meta["share"] == 0.5
    assert artifact.meta["curve"]["loss"][-1][0] < artifact.meta["curve"]["loss"][0][0]
    x = PlantedDictionary(n=10).build([], no_progress).tensors["x"]
    acts = saes.encode(torch.tensor(x), 2)
    assert torch.equal(acts, method.latent_acts(pre_acts(saes.weights, 1, torch.tensor(x))))
    assert ((acts == 0) | (acts >= 0.5 * acts.amax(1, keepdim=True))).all()
    lab = Lab(Store(tmp_path / "store"))
    assert lab.sae.recipe("modadd-1l", "near-largest", 0).variant == method
    assert lab.sae.recipe("planted-dictionary", "near-largest", 0).variant == method
    assert lab.text.sae_recipe("pygpt-2l", 0, "near-largest-late").variant == method
    others = {key_of(lab.sae.recipe("modadd-1l", kind, 0)) for kind in (*SAE_KINDS, "near-largest")}
    assert len(others) == len(SAE_KINDS) + 1


@pytest.mark.usefixtures("added")
def test_a_new_task_trains_is_loaded_and_can_be_named_by_checkpoints(tmp_path):
    task = task_from_json({"name": "first-token", "d_vocab": 4})
    store = Store(tmp_path / "store")
    network = Network.from_artifact(store.get(tiny(task, batch=8)))
    assert network.task == task
    name, (recipe,) = match_checkpoints(f"mine={export_checkpoint(network, tmp_path / 'mine')}")
    assert (name, recipe.task_name) == ("mine", "first-token")
    assert Network.from_artifact(store.get(recipe)).task == task
    assert sampled(task, 1).sample == 1


def test_what_is_in_no_table_is_refused_by_the_lab(tmp_path):
    lab = Lab(Store(tmp_path))
    with pytest.raises(
        InputError, match=r"unknown kind of SAE 'none'; known: topk, relu, relu-matched, .*matched-relu"
    ):
        lab.sae.recipe("modadd-1l", "none", 0)
    for variant in ("topk", "none-late", "topk-early"):
        with pytest.raises(InputError, match="latents on text are one of topk-middle"):
            lab.text.sae_recipe("pygpt-2l", 0, variant)
