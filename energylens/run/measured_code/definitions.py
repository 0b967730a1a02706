"""What one file of Python defines, and what each definition refers to: syntax alone, nothing is imported.

A definition is a function, a method, a class without its ordinary methods, or a statement that binds names or changes
what they are bound to. Comments, docstrings and layout do not count, as for the keys of artifacts; nor does what a
claim declares: of `@claim(...)`, `Null(...)` and the like only the functions that they name.
"""

import ast
import copy
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from energylens.errors import InputError
from energylens.run.measured_code.references import (
    FUNCTIONS,
    Import,
    References,
    imports_in,
    is_scope,
    undeclared,
)
from energylens.store.code import normalised


class Name(NamedTuple):
    """A definition's place in its file: `f`, `C`, or `C.method`."""

    owner: str
    name: str


@dataclass(frozen=True, eq=False)
class Definition:
    """One definition; digest and references are computed when it is first reached."""

    at: Name
    node: ast.stmt
    declaring: dict[str, str] = field(repr=False)

    @cached_property
    def references(self) -> References:
        """What it refers to."""
        return References(self._whole, self.declaring)

    @cached_property
    def digest(self) -> str:
        """sha256 of the normalised syntax tree, without what is declared."""
        found = self.references
        node = undeclared(self._whole, self.declaring) if found.declares else self._whole
        text = "".join(map(normalised, [node, *found.lambdas]))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of a function's parameters: pytest fills those of fixtures and bodies by name."""
        if not isinstance(self.node, FUNCTIONS):
            return ()
        given = self.node.args
        return tuple(each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs))

    @cached_property
    def fixture(self) -> str:
        """The name under which pytest knows it, if it is a fixture."""
        for each in self.node.decorator_list if isinstance(self.node, FUNCTIONS) else ():
            called = each.func if isinstance(each, ast.Call) else each
            if ast.unparse(called).split(".")[-1] == "fixture":
                keywords = each.keywords if isinstance(each, ast.Call) else []
                named = [k.value for k in keywords if k.arg == "name" and isinstance(k.value, ast.Constant)]
                return str(named[0].value) if named else self.at.name
        return ""

    @cached_property
    def _whole(self) -> ast.stmt:
        """A class without its ordinary methods, which are definitions of their own."""
        if not isinstance(self.node, ast.ClassDef) or self.at.owner:
            return self.node
        header = copy.copy(self.node)
        header.body = [
            each for each in self.node.body if not isinstance(each, FUNCTIONS) or _is_special(each.name)
        ]
        return header


class SourceFile:
    """Definitions of a file by name, members of its classes, and what it imports."""

    def __init__(self, text: str, path: str) -> None:
        try:
            tree = ast.parse(text, filename=path)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise InputError(
                f"{path} is not readable as Python ({error}), so the code of claims that import it can't be hashed; "
                "mend the file"
            ) from None
        self.imports: dict[str, Import] = {}
        self.stars: list[Import] = []
        self.definitions: dict[str, list[Definition]] = defaultdict(list)
        self.classes: dict[str, dict[str, list[Definition]]] = {}
        for each in imports_in(_at_module_level(tree.body)):
            if each.name == "*":
                self.stars.append(each)
            else:
                self.imports[each.bound] = each
        self.declaring = {
            name: each.name or each.module for name, each in self.imports.items() if each.is_ours
        }
        for statement in tree.body:
            self._define(statement)

    def enclosing(self, function: str) -> list[Definition]:
        """The definitions of a file in which a function of this name is defined, however deep."""
        return [
            each
            for definitions in self.definitions.values()
            for each in definitions
            if any(isinstance(node, FUNCTIONS) and node.name == function for node in ast.walk(each.node))
        ]

    def _define(self, statement: ast.stmt) -> None:
        for name in sorted(_bound_by(statement)):
            self.definitions[name].append(Definition(Name("", name), statement, self.declaring))
        for node in _at_module_level([statement]):
            if isinstance(node, ast.ClassDef):
                members: dict[str, list[Definition]] = defaultdict(list)
                for each in node.body:
                    for name in _bound_by(each):
                        members[name].append(Definition(Name(node.name, name), each, self.declaring))
                self.classes[node.name] = members


def _is_special(name: str) -> bool:
    """Python itself calls these: `__init__`, `__post_init__`, `__getitem__`."""
    return name.startswith("__") and name.endswith("__")


def _at_module_level(statements: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """These statements and those inside their blocks, but for the insides of functions and classes."""
    for statement in statements:
        yield statement
        if not is_scope(statement):
            yield from _at_module_level(
                each for each in ast.iter_child_nodes(statement) if not isinstance(each, ast.expr)
            )


def _bound_by(statement: ast.stmt) -> set[str]:
    """Names that a statement binds, or whose value it changes in place: `TABLE[x] = y`, `TABLE.update(...)`."""
    found: set[str] = set()
    for node in _at_module_level([statement]):
        targets: list[Any] = []
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            targets = list(node.targets)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For | ast.AsyncFor):
            targets = [node.target]
        elif isinstance(node, ast.withitem):
            targets = [node.optional_vars]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            targets = [node.value.func] if isinstance(node.value.func, ast.Attribute) else []
        found |= {name for target in targets for name in _bases(target)}
    return found


def _bases(target: ast.AST | None) -> Iterator[str]:
    """Names at the root of a target: x of `x[0].y`, both of `x, y`."""
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Attribute | ast.Subscript | ast.Starred):
        yield from _bases(target.value)
    elif isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from _bases(each)
