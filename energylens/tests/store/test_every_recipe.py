"""Every recipe of the package: whatever is changed in it, or in the code that makes it, changes the key."""

import ast
import copy
import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import energylens
from energylens.lenses.tuned import TuneLens
from energylens.models.checkpoint import LoadCheckpoint, UntrainedCheckpoint
from energylens.models.corpus import PythonText
from energylens.models.recipe import TrainNetwork
from energylens.models.tasks import ModularAddition
from energylens.models.wired import WireInduction
from energylens.models.zoo import ZOO_NAMES, untrained, zoo
from energylens.sae.planted import PLANTED_VARIANTS, PlantedDictionary, planted_saes
from energylens.sae.recipe import TrainSAEs
from energylens.store import Recipe, key_of
from energylens.store import code as code_module
from energylens.store import key as key_module
from energylens.tests.store.recipes import Everything, Noise
from energylens.trust.store_faults.racer import Numbers

CHECKPOINT = LoadCheckpoint("mine", 0, "0" * 64, "1" * 64, ModularAddition(), "/somewhere")
EXAMPLES: Mapping[type[Recipe], tuple[Recipe, ...]] = {
    TrainNetwork: tuple(zoo(name, 0) for name in ("modadd-1l", "ioi-toy", "pygpt-2l")),
    WireInduction: (WireInduction(0),),
    LoadCheckpoint: (CHECKPOINT,),
    UntrainedCheckpoint: (UntrainedCheckpoint(CHECKPOINT),),
    PythonText: (PythonText(),),
    TrainSAEs: (
        TrainSAEs(zoo("modadd-1l", 0)),
        *(planted_saes(variant) for variant in PLANTED_VARIANTS.values()),
    ),
    PlantedDictionary: (PlantedDictionary(),),
    TuneLens: (TuneLens(zoo("pygpt-2l", 0), PythonText(), "blocks.0.hook_resid_post"),),
    Numbers: (Numbers(0),),
}
RECIPES = [recipe for recipes in EXAMPLES.values() for recipe in recipes]
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


def _recipe_classes() -> set[tuple[str, str]]:
    """(module, name) of every class of the package that derives from Recipe, however far, read from the sources."""
    root = Path(energylens.__file__).parent
    classes = [
        (".".join(("energylens", *path.relative_to(root).with_suffix("").parts)), node)
        for path in root.rglob("*.py")
        if "tests" not in path.parts
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef)
    ]
    names, before = {"Recipe"}, 0
    while len(names) > before:
        before = len(names)
        names |= {node.name for _, node in classes if {ast.unparse(base) for base in node.bases} & names}
    return {(module, node.name) for module, node in classes if node.name in names - {"Recipe"}}


def test_no_recipe_of_the_package_is_left_out():
    told = "give a new recipe an example here, and all its fields are tested"
    assert _recipe_classes() == {(each.__module__, each.__name__) for each in EXAMPLES}, told


def _keyed(instance: Any) -> list[str]:
    return [one.name for one in dataclasses.fields(instance) if one.metadata.get("key", True)]


def _with(instance: Any, name: str, value: Any) -> Any:
    """A copy with another value, even one that the class would refuse: the key must tell them apart all the same."""
    changed = copy.copy(instance)
    object.__setattr__(changed, name, value)
    return changed


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """A value of the same kind as `value`, and different from it."""
    if isinstance(value, enum.Enum):
        others = [each for each in type(value) if each is not value]
        return draw(st.sampled_from(others))
    if isinstance(value, bool):
        return not value
    if dataclasses.is_dataclass(value):
        name = draw(st.sampled_from(_keyed(value)))
        return _with(value, name, draw(_changed(getattr(value, name))))
    if isinstance(value, tuple):
        if not value or draw(st.booleans()):
            return (*value, draw(st.integers()))
        at = draw(st.integers(0, len(value) - 1))
        return (
            *value[:at],
            *draw(st.just(()) | _changed(value[at]).map(lambda one: (one,))),
            *value[at + 1 :],
        )
    same_kind = {int: st.integers(), float: st.floats(allow_nan=False, allow_infinity=False), str: st.text()}
    other = draw(same_kind.get(type(value), st.integers() | st.text() | st.builds(Noise, st.integers())))
    assume(other != value)
    return other


FIELDS = [
    pytest.param(recipe, name, id=f"{type(recipe).__name__}-{recipe.label()}-{name}")
    for recipe in RECIPES
    for name in _keyed(recipe)
]


@pytest.mark.parametrize(("recipe", "name"), FIELDS)
@settings(QUIET, max_examples=10)
@given(data=st.data())
def test_whatever_changes_in_a_field_changes_the_key(recipe, name, data):
    one = data.draw(_changed(getattr(recipe, name)))
    other = data.draw(_changed(one))
    keys = {key_of(each) for each in (recipe, _with(recipe, name, one))}
    assert len(keys) == 2
    assert key_of(_with(recipe, name, one)) != key_of(_with(recipe, name, other))
    assert key_of(_with(_with(recipe, name, one), name, getattr(recipe, name))) == key_of(recipe)


@QUIET
@given(st.data())
def test_two_recipes_never_share_a_key(data):
    pair = []
    for _ in range(2):
        recipe = data.draw(st.sampled_from(RECIPES))
        for name in data.draw(st.lists(st.sampled_from(_keyed(recipe)), max_size=3)):
            recipe = _with(recipe, name, data.draw(_changed(getattr(recipe, name))))
        pair.append(recipe)
    one, other = pair
    assert (key_of(one) == key_of(other)) == (type(one) is type(other) and one == other)


def test_two_models_of_the_zoo_never_share_a_key():
    networks = [zoo(name, seed) for name in ZOO_NAMES for seed in range(10)]
    networks += [untrained(recipe) for recipe in networks]
    made = [*networks, *map(WireInduction, range(10)), *map(TrainSAEs, networks)]
    assert len({key_of(recipe) for recipe in made}) == len(made)
    folders = {f"{recipe.kind}/{key_of(recipe)}" for recipe in made}
    assert len({folder.casefold() for folder in folders}) == len(made)


def _reached(module: str) -> dict[str, ast.Module]:
    """Source of every module whose code enters the keys of recipes in `module`, by path."""
    seen = {}
    real = code_module.parsed_file

    def noted(path):
        seen[str(path)] = real(path)
        return seen[str(path)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_module, "parsed_file", noted)
        code_module._hash_of(module)
    return seen


_CHANGEABLE = (
    ast.Constant, ast.BinOp, ast.Name, ast.arg, ast.Attribute, ast.FunctionDef, ast.Compare, ast.Return,
)  # fmt: skip


def _mutable(tree: ast.Module) -> list[Any]:
    """Nodes that `_mutate` can change: all but docstrings, and constants that are no number or text."""
    words = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, _CHANGEABLE)
        and id(node) not in words
        and not (isinstance(node, ast.Constant) and not isinstance(node.value, int | float | str))
    ]


def _mutate(node: Any) -> None:
    if isinstance(node, ast.Constant):
        node.value = f"{node.value}x" if isinstance(node.value, str) else node.value + 1
    elif isinstance(node, ast.BinOp):
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    elif isinstance(node, ast.Name):
        node.id += "x"
    elif isinstance(node, ast.arg):
        node.arg += "x"
    elif isinstance(node, ast.Attribute):
        node.attr += "x"
    elif isinstance(node, ast.FunctionDef):
        node.name += "x"
    elif isinstance(node, ast.Compare):
        node.ops = [ast.NotEq() if isinstance(node.ops[0], ast.Eq) else ast.Eq(), *node.ops[1:]]
    else:
        node.value = ast.Constant(value="mutated")


MODULES = sorted({each.__module__ for each in EXAMPLES})


@pytest.fixture(scope="module")
def sources():
    return {module: _reached(module) for module in MODULES}


@QUIET
@given(data=st.data())
def test_whatever_changes_in_the_code_changes_what_is_hashed(sources, data):
    everything = {path: tree for found in sources.values() for path, tree in found.items()}
    tree = everything[
        data.draw(st.sampled_from(sorted(path for path in everything if list(_mutable(everything[path])))))
    ]
    changed = copy.deepcopy(tree)
    _mutate(data.draw(st.sampled_from(list(_mutable(changed)))))
    assert code_module.normalised(changed) != code_module.normalised(tree)


@pytest.mark.parametrize("module", MODULES)
def test_whatever_module_changes_the_key_does(module, sources, monkeypatch):
    before = code_module._hash_of(module)
    assert any(path.endswith(module.rpartition(".")[2] + ".py") for path in sources[module])
    for path in sources[module]:
        changed = dict(sources[module])
        changed[path] = ast.parse(ast.unparse(changed[path]) + "\nmutated = 1\n")
        monkeypatch.setattr(code_module, "parsed_file", lambda found, changed=changed: changed[str(found)])
        assert code_module._hash_of(module) != before, path


def test_the_code_of_a_field_counts_as_well(monkeypatch):
    before = key_of(Everything())
    monkeypatch.setattr(key_module, "code_hash", lambda module: f"another {module}")
    assert key_of(Everything()) != before
