import dataclasses
import subprocess
import sys

import pytest

from energylens.errors import InputError
from energylens.models import zoo as zoo_module
from energylens.models.corpus import PythonText
from energylens.models.recipe import TrainNetwork, fastest_autocast
from energylens.models.zoo import ZOO, ZOO_NAMES, untrained, zoo
from energylens.store.key import key_of

NAMES = (
    *("modadd-1l", "modadd-2l", "modadd-memorised", "modadd-leaky"),
    *("induction-2l", "induction-2l-rotary", "induction-1l", "ioi-toy", "pygpt-2l", "pygpt-4l", "pygpt-6l"),
)


def test_the_names():
    assert ZOO_NAMES == NAMES
    assert all(ZOO[name].name == name for name in ZOO_NAMES)


@pytest.mark.parametrize("name", ZOO_NAMES)
def test_a_recipe_is_complete_and_fits_its_task(name):
    made = zoo(name, 3)
    assert isinstance(made, TrainNetwork)
    assert (made.name, made.seed, made.threads, made.autocast) == (name, 3, 1, fastest_autocast())
    assert (made.config.d_vocab, made.config.n_ctx) == (made.task.d_vocab, made.task.n_ctx)
    assert made.label() == f"{name} seed 3"
    assert made.inputs() == ((PythonText(),) if name.startswith("pygpt") else ())


def test_every_network_seed_and_twin_has_its_own_key():
    recipes = [zoo(name, seed) for name in ZOO_NAMES for seed in (0, 1)]
    keys = [key_of(made) for made in [*recipes, *map(untrained, recipes)]]
    assert len(set(keys)) == len(keys) == 4 * len(ZOO_NAMES)
    assert key_of(zoo("modadd-1l", 0)) == keys[0]


def test_the_untrained_twin_differs_in_its_steps_only():
    made = zoo("modadd-1l", 2)
    twin = untrained(made)
    assert twin.label() == "modadd-1l seed 2 untrained"
    assert dataclasses.replace(twin, steps=made.steps) == made


def test_the_untrained_twin_keeps_no_snapshots():
    made = zoo("induction-2l", 0)
    assert made.snapshots[0] == 0
    assert made.snapshots[-1] == made.steps
    assert untrained(made).snapshots == ()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=f"'modadd-3l'; it has {', '.join(NAMES)}"):
        zoo("modadd-3l", 0)


def test_duplicates_are_refused():
    entry = ZOO["modadd-1l"]
    with pytest.raises(InputError, match="'modadd-1l'"):
        zoo_module._table([entry, entry])


def test_naming_the_zoo_does_not_import_torch():
    code = "import energylens.models.zoo, energylens.models.checkpoint, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
