"""Code hashes: changed code changes them, changed words do not, nothing is executed."""

import ast
import importlib
import sys
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.store import code
from energylens.store.code import code_hash

parse = code.parsed_file

MAIN = '''
"""Docstring."""

from typing import TYPE_CHECKING

import numpy
from .near import helper
from lab_package import far

if TYPE_CHECKING:
    from lab_package.types_only import Thing

LIMIT = 3
"""What it limits."""


class Recipe:
    """Of something."""

    def build(self):
        """Build it."""
        from lab_package.deep.train import train  # late: it is slow

        return train(helper(LIMIT), far.far)
'''
FILES = {
    "__init__.py": "",
    "main.py": MAIN,
    "near.py": "def helper(x):\n    return x + 1\n",
    "far.py": "import lab_package.deep.further\n\nfar = 1\n",
    "types_only.py": "class Thing: pass\n",
    "unrelated.py": "x = 1\n",
    "deep/__init__.py": "raise RuntimeError('reading must not import')\n",
    "deep/train.py": "from ..near import helper\nfrom . import kernels\n\ndef train(*a): pass\n",
    "deep/kernels.py": "raise RuntimeError('reading must not import')\n",
    "deep/further.py": "y = 2\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Function: (changes to FILES) -> code hash of lab_package.main in a fresh copy of the package."""
    monkeypatch.syspath_prepend(tmp_path)

    def hash_with(changes=None):
        for name, text in (FILES | (changes or {})).items():
            path = tmp_path / "lab_package" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        _forget()
        importlib.import_module("lab_package")
        return code_hash("lab_package.main")

    yield hash_with
    sys.modules.pop("lab_package", None)
    _forget()


def _forget():
    parse.cache_clear()
    code_hash.cache_clear()


@pytest.mark.parametrize(
    "name", ["main.py", "near.py", "far.py", "deep/train.py", "deep/kernels.py", "deep/further.py"]
)
def test_code_that_is_reached_counts(package, name):
    assert package() != package({name: FILES[name] + "\nz = 1\n"})


@pytest.mark.parametrize("name", ["unrelated.py", "types_only.py", "__init__.py"])
def test_code_that_is_not_reached_does_not_count(package, name):
    assert package() == package({name: FILES[name] + "\nz = 1\n"})


REWORDED = {
    "comment": MAIN.replace("# late: it is slow", "# because torch is slow to import"),
    "docstrings": MAIN.replace("Build it.", "Make it.").replace("Of something.", "Of nothing."),
    "no module docstring": MAIN.replace('"""Docstring."""', ""),
    "attribute docstring": MAIN.replace('"""What it limits."""', ""),
    "layout": MAIN.replace("(helper(LIMIT), far.far)", "(\n  helper(LIMIT),\n far.far)"),
    "quotes": MAIN.replace('"""Of something."""', "'''Of something.'''"),
}  # fmt: skip


@pytest.mark.parametrize("change", REWORDED)
def test_words_and_layout_do_not_count(package, change):
    assert REWORDED[change] != MAIN
    assert package() == package({"main.py": REWORDED[change]})


@pytest.mark.parametrize(
    ("old", "new"),
    [("LIMIT = 3", "LIMIT = 4"), ("3", "3.0"), ("far.far", "far.near"), ("self):", "self, x=1):")],
)
def test_small_changes_of_code_count(package, old, new):
    assert package() != package({"main.py": MAIN.replace(old, new)})


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.text(st.characters(categories=["L", "N"]), max_size=9))))
def test_comments_anywhere_do_not_count(package, comments):
    lines = FILES["near.py"].splitlines()
    for at, text in comments:
        lines.insert(at % (len(lines) + 1), f"# {text}")
    assert package({"near.py": "\n".join(lines) + "\n"}) == package()


def test_the_store_itself_does_not_count(package, monkeypatch):
    read = []
    monkeypatch.setattr(code, "parsed_file", lambda path: read.append(path.name) or parse(path))
    uses = "from energylens import store, errors\nfrom energylens.store import Recipe\n"
    package({"main.py": f"{uses}from energylens.store.key import key_of\nimport energylens\n"})
    assert read == ["main.py"]


def test_a_module_without_source_is_refused():
    with pytest.raises(InputError, match="no_such_module"):
        code_hash("no_such_module")


def test_the_normal_form_is_pinned():
    # A change of the normal form would silently orphan every stored artifact: raise the schema instead.
    tree = ast.parse(
        textwrap.dedent('''
        """Doc."""
        def f(x: int = 1, *, y=None): return [x, (), u"s", None, ...]  # comment
    ''')
    )
    assert code.normalised(tree) == (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x',annotation=Name(id='int'))],"
        "kwonlyargs=[arg(arg='y')],kw_defaults=[Constant()],defaults=[Constant(value=1)]),"
        "body=[Return(value=List(elts=[Name(id='x'),Tuple(),Constant(value='s'),Constant(),"
        "Constant(value=Ellipsis)]))])])"
    )
