"""Every public function of `metrics/` and `stats/` is exercised by a Hypothesis test in its module's own test file."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(PACKAGE)
    for folder in ("metrics", "stats")
    for path in (PACKAGE / folder).glob("*.py")
    if path.stem != "__init__"
)


def public(module: str) -> set[str]:
    """Functions, and methods of classes, whose names have no underscore."""
    top = ast.parse(module).body
    methods = [each for node in top if isinstance(node, ast.ClassDef) for each in node.body]
    functions = (node for node in [*top, *methods] if isinstance(node, ast.FunctionDef))
    return {node.name for node in functions if not node.name.startswith("_")}


def exercised(tests: str) -> set[str]:
    """Names in the tests under `@given`, and in the helpers and tables of the file that those use."""
    names: dict[str, set[str]] = {}
    properties = set()
    for node in ast.parse(tests).body:
        within = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        within |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
        if isinstance(node, ast.FunctionDef):
            names[node.name] = within
            if any("given" in ast.unparse(each).split("(")[0] for each in node.decorator_list):
                properties.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id: within for target in node.targets if isinstance(target, ast.Name)}
    reached, ahead = set(), set(properties)
    while ahead:
        reached |= ahead
        ahead = set().union(*(names.get(name, set()) for name in ahead)) - reached
    return reached


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_public_function_has_a_property(module):
    tests = PACKAGE / "tests" / module.parent / f"test_{module.name}"
    missing = public((PACKAGE / module).read_text()) - exercised(tests.read_text())
    assert not missing, f"no @given test in {tests} uses {', '.join(sorted(missing))}"


def test_a_function_that_only_plain_tests_use_is_missed():
    module = (
        "def f(): ...\ndef g(): ...\nclass C:\n    def m(self): ...\n    def n(self): ...\ndef _hidden(): ..."
    )
    tests = "TABLE = [g]\ndef help(): C().m()\n@given(x)\ndef test_a(x): help(), TABLE\ndef test_b(): f(), C().n()\n"
    assert public(module) == {"f", "g", "m", "n"}
    assert public(module) - exercised(tests) == {"f", "n"}
