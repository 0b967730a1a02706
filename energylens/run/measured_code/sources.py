"""The code behind a verdict: its source files, each with its hash and the source files that it imports.

Source files are those of energylens and of the project's folder, without packages installed there. Comments,
docstrings and layout do not count: code is normalised as it is for the keys of artifacts.
"""

import ast
import copy
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from energylens.store.code import imported_modules, is_infrastructure, normalised, parsed_file, source_file

PACKAGE = Path(__file__).resolve().parents[2]
"""The folder of energylens."""

_NOT_FOLLOWED = f"{__package__.rpartition('.')[0]}."
"""Modules whose imports are not followed: beyond the choice of seeds and gates these only write files and reports."""


@dataclass(frozen=True)
class Source:
    """One file: the first 16 hex digits of its hash, and the names of the files that it imports."""

    hash: str
    imports: tuple[str, ...]


def sources_of(modules: Iterable[str], root: Path) -> dict[str, Source]:
    """Files of these modules and, transitively, of what they import of ours, by `file_name`.

    Modules that are not ours are left out, and the store, which can't change a number. Files are read once per
    process: what runs is what was imported, not what was edited since.
    """
    loaded = {name.partition(".")[0] for name in sys.modules}
    found: dict[str, Source] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        name, path = file_name(module, root), source_file(module)
        if path is None or not name or name in found:
            continue
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        imported = (
            [] if module.startswith(_NOT_FOLLOWED) else imported_modules(parsed_file(path), package, loaded)
        )
        others = [other for other in imported if not is_infrastructure(other)]
        digest = hashlib.sha256(normalised(_undeclared(parsed_file(path))).encode()).hexdigest()[:16]
        found[name] = Source(digest, tuple(sorted({file_name(other, root) for other in others} - {""})))
        waiting += others
    return found


def _undeclared(tree: ast.Module) -> ast.Module:
    """The tree without `@claim(...)` and `@gate(...)`: what they declare is compared as a declaration, not as code."""
    return ast.Module(
        [_undecorated(node) if isinstance(node, ast.FunctionDef) else node for node in tree.body], []
    )


def _undecorated(node: ast.FunctionDef) -> ast.FunctionDef:
    bare = copy.copy(node)  # the tree is shared with the hashes of producers
    bare.decorator_list = [each for each in node.decorator_list if not _declares(each)]
    return bare


def _declares(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] in ("claim", "gate")


def file_name(module: str, root: Path) -> str:
    """`claims/test_mean.py`; `energylens/lab.py`, wherever it is installed; empty for a module that is not ours."""
    path = source_file(module)
    if path is None:
        return ""
    file = path.resolve()
    if file.is_relative_to(PACKAGE):
        return file.relative_to(PACKAGE.parent).as_posix()
    own = file.is_relative_to(root.resolve()) and "site-packages" not in file.parts
    return file.relative_to(root.resolve()).as_posix() if own else ""
