"""The hash of what a claim measures: which edits change it, which don't, and that of every claim of ours."""

import pytest

from energylens.errors import InputError
from energylens.run.measured_code.measured import MeasuredCode
from energylens.tests.run.measured_code.helpers import FILES


def measure(files, function="test_a", path="claims/test_a.py"):
    return MeasuredCode(files.get).measure(path, function)


def edited(path, old, new):
    assert old in FILES[path]
    return FILES | {path: FILES[path].replace(old, new)}


CHANGES = {
    "body": ("claims/test_a.py", "+ study.level", "- study.level"),
    "constant of the body": ("claims/test_a.py", "POINTS = 3", "POINTS = 4"),
    "body of a null": ("claims/test_a.py", "[0.0]", "[0.5]"),
    "body of a ceiling, given by place": ("claims/test_a.py", "9.0", "9.5"),
    "function of a statistic": ("claims/test_a.py", "first - second", "second - first"),
    "helper two calls away": ("deeper.py", "FACTOR * x", "FACTOR + x"),
    "constant of that helper": ("deeper.py", "FACTOR = 2", "FACTOR = 3"),
    "table filled by key": ("tables.py", 'KNOWN["a"] = first', 'KNOWN["a"] = second'),
    "function in a table": ("tables.py", "def second(x):\n    return x", "def second(x):\n    return -x"),
    "import inside the body": ("late.py", "return getattr(Shift(),", "return 2 * getattr(Shift(),"),
    "attribute by a literal name": ("late.py", "by = 3", "by = 4"),
    "method of the project's lab": ("lab.py", "made(seed)", "made(seed + 1)"),
    "lab with other inputs": ("lab.py", "Lab(inputs)", "Lab(None)"),
    "default of a class": ("lab.py", "depth: int = 2", "depth: int = 3"),
    "what a class does when it is made": ("lab.py", "depth > 0", "depth > 1"),
    "property of what the lab hands out": ("studies.py", "SHARE * self.seed", "SHARE + self.seed"),
    "constant of that property": ("studies.py", "SHARE = 0.5", "SHARE = 0.6"),
    "method that a foreign base class calls": ("studies.py", "return 7", "return 8"),
    "fixture": ("claims/conftest.py", "[raw + seed]", "[raw - seed]"),
    "fixture of that fixture, under another name": ("claims/conftest.py", "4.0", "4.5"),
    "hook that hands out the lab": ("conftest.py", "Lab(store)", "Lab(store, 5)"),
}

IRRELEVANT = {
    "comment": ("helpers.py", "# all of them", "# every one"),
    "docstring": ("helpers.py", '"""Mean."""', '"""The mean."""'),
    "layout": ("helpers.py", "sum(values)", "sum(\n        values\n    )"),
    "region": ("claims/test_a.py", 'AtLeast(1), models=["dice"], seeds=range(5), note', "AtLeast(2), note"),
    "words": ("claims/test_a.py", 'says="Large."', 'says="Very large."'),
    "constant of the words": ("claims/test_a.py", 'SOURCE = "us"', 'SOURCE = "them"'),
    "words of a null": ("claims/test_a.py", '"nothing", "none"', '"nothing", "there is none"'),
    "figure": ("claims/test_a.py", '("y",)', '("z",)'),
    "gate": ("claims/test_a.py", "toy.b", "toy.d"),
    "seeds at full size": ("claims/test_a.py", "range(8)", "range(9)"),
    "another claim": ("claims/test_a.py", "1.0", "2.0"),
    "function of the same file": ("claims/test_a.py", "return 1\n", "return 2\n"),
    "function of a helper's file": ("helpers.py", "def unrelated(x):\n    return x", "def unrelated(x):\n    return 2"),
    "name that is imported and not used": ("helpers.py", "shapes():\n    return 1", "shapes():\n    return 2"),
    "constant that nobody reads": ("deeper.py", "UNUSED = 3", "UNUSED = 4"),
    "local name like a constant's": ("deeper.py", "FACTOR = 9", "FACTOR = 8"),
    "method that nobody calls": ("lab.py", "return 3\n\n\n@data", "return 4\n\n\n@data"),
    "method of a class that nobody makes": ("studies.py", "return 8", "return 9"),
    "fixture that nobody asks for": ("claims/conftest.py", "5.0", "5.5"),
    "what trains": ("lab.py", "n: int = 2", "n: int = 3"),
    "imports in another order": ("claims/test_a.py", "import centre, shapes", "import shapes, centre"),
}  # fmt: skip


@pytest.mark.parametrize("edit", CHANGES.values(), ids=CHANGES)
def test_an_edit_of_what_is_measured_changes_the_hash(edit):
    assert measure(edited(*edit)) != measure(FILES)


@pytest.mark.parametrize("edit", IRRELEVANT.values(), ids=IRRELEVANT)
def test_an_edit_of_anything_else_does_not(edit):
    assert measure(edited(*edit)) == measure(FILES)


def test_the_claim_at_full_size_is_measured_by_the_same_code():
    for edit in (CHANGES["body"], CHANGES["helper two calls away"]):
        assert measure(edited(*edit), "test_a_full") != measure(FILES, "test_a_full")
    assert measure(edited(*IRRELEVANT["region"]), "test_a_full") == measure(FILES, "test_a_full")


def test_a_function_may_move_to_another_file_that_is_imported():
    moved = FILES | {
        "deeper.py": "from deepest import FACTOR, scaled",
        "deepest.py": FILES["deeper.py"],
    }
    assert measure(moved) == measure(FILES)
    assert measure(moved | {"deepest.py": FILES["deeper.py"].replace("FACTOR = 2", "FACTOR = 3")}) != measure(
        FILES
    )


FACTORY = '''
from energylens import AtLeast, Measurement, Null, claim

def chance(seed):
    return Measurement(0.0)

def wrong(seed):
    return Measurement(1.0)

def level(kind, published):
    nulls = [Null("chance", "c", measure=chance)]
    return claim(f"toy.{kind}", says=f"It is {published}.", source="us", holds_when=AtLeast(published), controls=nulls)

@level("a", 0.3)
def test_a(seed):
    return Measurement(2.0)

def declared(kind):
    @claim(kind, says="s", source="us", holds_when=AtLeast(1), statistic=Pairs(lambda a, b: a - b))
    def test_inner(seed):
        return Measurement(3.0)
    return test_inner

test_b = declared("b")
'''  # fmt: skip


@pytest.mark.parametrize(
    ("function", "old", "new", "same"),
    [
        ("test_a", "2.0", "2.5", False),
        ("test_a", "0.0", "0.5", False),
        ("test_a", "1.0", "1.5", True),
        ("test_a", "It is", "It was", True),
        ("test_a", "3.0", "3.5", True),
        ("test_inner", "3.0", "3.5", False),
        ("test_inner", "a - b", "b - a", False),
        ("test_inner", 'says="s"', 'says="t"', True),
        ("test_inner", "2.0", "2.5", True),
        ("test_made_elsewhere", "1.0", "1.5", False),
    ],
)
def test_claims_that_functions_declare(function, old, new, same):
    """The last is declared by nothing that can be found: all of its file counts."""
    text = FACTORY.replace("import AtLeast,", "import AtLeast, Pairs,")
    assert old in text
    first, second = (
        measure({"test_f.py": each}, function, "test_f.py") for each in (text, text.replace(old, new))
    )
    assert (first == second) is same


def test_names_of_energylens_mean_what_declares_only_where_they_are_imported():
    text = "def gate(x):\n    return x\n\ndef test_g(seed):\n    return gate({})\n"
    assert measure({"g.py": text.format(1)}, "test_g", "g.py") != measure(
        {"g.py": text.format(2)}, "test_g", "g.py"
    )


@pytest.mark.parametrize(
    "body",
    [
        "from package.inner import f",
        "from package import inner\nf = inner.f",
        "import package.inner\nf = package.inner.f",
        "import package.inner as p\nf = p.f",
        "from package import lazy as f",
        "from package import *",
        "import package.outer\nf = package.outer.called",
        "from . import sibling\nf = sibling.f",
        "try:\n    from package.inner import f\nexcept ImportError:\n    f = None",
        "import package.inner\ndef f():\n    return package.inner.C.of()",
        "from package.inner import C\ndef f():\n    return [C().m() for x in range(3)]",
        "from package.inner import C\ndef f():\n    c = C()\n    def g():\n        return c.n\n    return g",
        "from package import inner\ndef f():\n    return passed(inner)\ndef passed(m):\n    return m.f()",
    ],
)
def test_every_way_of_importing_is_followed(body):
    def files(value):
        inner = f"V = {value}\ndef f():\n    return V\nclass C:\n    def m(self):\n        return f()\n"
        inner += f"    @classmethod\n    def of(cls):\n        return {value}\n    n = {value}\n"
        package = (
            "from typing import TYPE_CHECKING\nfrom .inner import f\nfrom package import inner\nif TYPE_CHECKING:\n"
            "    from package.inner import f as lazy\n"
        )
        return {
            "claims/test_x.py": f"{body}\ndef test_x(seed):\n    return f()\n",
            "claims/sibling.py": "from package.inner import f\n",
            "src/package/__init__.py": package,
            "src/package/inner.py": inner,
            "src/package/outer.py": "from .inner import f as called\n",
        }

    assert measure(files(1), "test_x", "claims/test_x.py") != measure(files(2), "test_x", "claims/test_x.py")


@pytest.mark.parametrize(
    ("path", "text"),
    [("deeper.py", "def scaled(x:\n"), ("claims/test_a.py", "x = 1\0"), ("lab.py", "(" * 900)],
)
def test_a_file_that_is_no_python_is_named(path, text):
    with pytest.raises(InputError, match=rf"{path} is not readable as Python .*; mend the file"):
        measure(FILES | {path: text})
