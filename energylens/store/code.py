"""Hash of the code that makes an artifact, so that a changed trainer never finds the old one's results.

The hash covers a module and, transitively, the modules that it imports from energylens or from its own
top-level package. Imports are read from the syntax tree: nothing is executed, and imports inside functions
count. Comments, docstrings and layout do not count. Not followed: third-party packages, imports by string,
`if TYPE_CHECKING:` blocks, and code that can't change a result: the store itself, the error classes, and the search
of files by name (`energylens.by_name`; a class found so enters the key by a field of the recipe).
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

from energylens.errors import InputError

_HOME = "energylens"
_NO_PRODUCERS = (_HOME, f"{_HOME}.by_name", f"{_HOME}.errors", f"{_HOME}.store")
# `kind` (the u of u"") and `ctx` carry no meaning of their own; the others differ between Python versions.
_IGNORED_FIELDS = {"kind", "ctx", "type_comment", "type_ignores"}


@cache
def code_hash(module: str) -> str:
    """sha256, as hex, of the normalised source of `module` and of the modules of ours that it imports.

    Cached for the life of the process, which runs the code that it imported, not later edits.
    Raises InputError for a module without source file (an interactive session).
    """
    return _hash_of(module)


def _hash_of(module: str) -> str:
    owners = {_HOME, module.partition(".")[0]}
    digests: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = source_file(name)
        if name in digests or path is None:
            continue
        tree = parsed_file(path)
        digests[name] = hashlib.sha256(normalised(tree).encode()).hexdigest()
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = imported_modules(tree, package, owners)
        waiting += [other for other in found if not is_infrastructure(other)]
    if module not in digests:
        raise InputError(f"a recipe must live in a module with a source file, got module {module!r}")
    return hashlib.sha256("".join(sorted(digests.values())).encode()).hexdigest()


def is_infrastructure(module: str) -> bool:
    """Whether a module of energylens can't change a result: the store and the error classes."""
    return module in _NO_PRODUCERS or module.startswith(f"{_HOME}.store.")


def source_file(module: str) -> Path | None:
    """Source of a module without importing it; its package or the module itself must be loaded already."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded and loaded.endswith(".py"):
        return Path(loaded)
    top, _, rest = module.partition(".")
    for folder in getattr(sys.modules.get(top), "__path__", ()):
        base = Path(folder, *rest.split(".")) if rest else Path(folder)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


@cache
def parsed_file(path: Path) -> ast.Module:
    """Syntax tree of a file, read once per process."""
    return ast.parse(path.read_bytes(), filename=str(path))


def imported_modules(tree: ast.Module, package: str, owners: set[str]) -> Iterator[str]:
    """Modules of ours that a module imports; `from package import submodule` gives the submodule."""
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in owners)
        elif isinstance(node, ast.ImportFrom):
            base = (
                resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            )
            if base is None or base.partition(".")[0] not in owners:
                continue
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield submodule if source_file(submodule) else base


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node`, except those under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            children: list[ast.AST] = list(child.orelse)
        else:
            yield child
            children = [child]
        for inner in children:
            yield from _executed(inner)


def normalised(node: object) -> str:
    """Text of a syntax tree without positions, comments, bare strings and empty fields.

    Not ast.dump: its treatment of empty fields changed in Python 3.13, and a shared store outlives a Python.
    """
    if isinstance(node, list):
        kept = [item for item in node if not _is_bare_string(item)]
        return f"[{','.join(map(normalised, kept))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [
        f"{name}={normalised(value)}"
        for name, value in ast.iter_fields(node)
        if name not in _IGNORED_FIELDS and value is not None and value != []
    ]
    return f"{type(node).__name__}({','.join(parts)})"


def _is_bare_string(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
