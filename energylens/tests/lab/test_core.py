import copy

import pytest

from energylens.errors import InputError
from energylens.families import lab_part, names
from energylens.lab import MODEL_TASKS, PLANTED, WIRED, Lab
from energylens.models.zoo import untrained, zoo
from energylens.sae.planted import PlantedDictionary
from energylens.store import Store


@pytest.fixture
def lab(tmp_path):
    return Lab(Store(tmp_path))


@pytest.mark.parametrize("family", names())
def test_every_family_is_reached_by_its_name_and_sees_the_lab_that_was_asked(lab, family):
    for asked in (lab, lab.swapped(network="untrained")):
        part = getattr(asked, family)
        assert type(part) is lab_part(family)
        assert part.lab is asked


@pytest.mark.parametrize("name", ["fourrier", "heads", "_private", "__deepcopy__", ""])
def test_what_there_is_not_is_no_attribute(lab, name):
    assert lab_part(name) is None
    with pytest.raises(AttributeError):
        getattr(lab, name)
    assert not hasattr(lab, name)


def test_a_lab_can_be_copied(lab):
    assert copy.copy(lab).swapped(dictionary="frozen").dictionary == "frozen"


def test_swaps_add_up_and_what_was_computed_is_shared(lab):
    both = lab.swapped(network="untrained").swapped(dictionary="frozen")
    assert (both.network_state, both.dictionary) == ("untrained", "frozen")
    assert both.is_swapped
    assert not lab.is_swapped
    assert lab.remember("key", lambda: 1) == both.remember("key", lambda: 2) == 1
    for wrong in ({"network": "random"}, {"dictionary": "none"}):
        with pytest.raises(InputError, match="no such swap"):
            lab.swapped(**wrong)


def test_recipes_by_name(lab):
    swapped = lab.swapped(network="untrained")
    assert lab.recipe("modadd-1l", 3) == zoo("modadd-1l", 3)
    assert swapped.recipe("modadd-1l", 3) == untrained(zoo("modadd-1l", 3))
    assert lab.recipe(PLANTED, 2) == PlantedDictionary(seed=2)
    for name in (PLANTED, WIRED):
        with pytest.raises(InputError, match="no untrained twin"):
            swapped.recipe(name)
    with pytest.raises(InputError, match="modadd-9l"):
        lab.recipe("modadd-9l")
    assert set(MODEL_TASKS) >= {PLANTED, WIRED, "modadd-1l"}


def test_seeds_are_those_declared_or_one_for_each_checkpoint(tmp_path):
    lab = Lab(Store(tmp_path), {"mine": ("a", "b", "c")})
    assert lab.seeds("mine", range(8)) == [0, 1, 2]
    assert lab.seeds("modadd-1l", range(8)) == list(range(8))
    assert not lab.is_one_network("mine")
    assert Lab(Store(tmp_path), {"mine": ("a",)}).is_one_network("mine")
