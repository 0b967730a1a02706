"""How the modules of energylens depend on each other, beyond what import contracts can say."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import energylens
from energylens.store.code import imported_modules

PACKAGE = Path(energylens.__file__).parent


def modules():
    """Path of every module by its name, tests left out."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "tests":
            found[".".join(("energylens", *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


class WithoutBuilders(ast.NodeTransformer):
    """A recipe imports what builds it when it is built: the one circle that is meant."""

    def visit_FunctionDef(self, node):
        return None if node.name == "build" else self.generic_visit(node)


def imported_by(name, tree):
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    return {other for other in imported_modules(tree, package, {"energylens"}) if other in MODULES}


def circle(trees):
    """Modules that import each other in a circle, the first that is found; none is an empty list."""
    try:
        TopologicalSorter({name: imported_by(name, tree) for name, tree in trees.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def parsed(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def test_only_a_recipe_and_its_builder_import_each_other():
    trees = {name: parsed(name) for name in MODULES}
    assert circle(trees)
    assert circle({name: WithoutBuilders().visit(tree) for name, tree in trees.items()}) == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_private_names_stay_in_their_module(name):
    private = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("energylens")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert private == [], f"{name} imports private names: give them a public one, or move what uses them"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_is_too_long_to_read(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    most = 200 if name == "energylens.lab.core" else 350
    assert lines <= most, f"{name} has {lines} lines, expected at most {most}: split it by what it answers"
