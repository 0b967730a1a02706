"""References of a piece of syntax: names that it does not bind itself, and attributes of unknown objects.

Annotations are not read: an argument of a function was made elsewhere, by a name that is followed there. A literal name
in a call of `getattr` is taken for an attribute.
"""

import ast
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LITERALS = (
    ast.Constant,
    ast.JoinedStr,
    ast.List,
    ast.Dict,
    ast.Set,
    ast.Tuple,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
)
_BY_NAME = {"getattr", "attrgetter", "methodcaller"}

_DECLARES = {
    "claim": ("controls", "rejects", "statistic"),
    "gate": ("controls", "rejects", "statistic"),
    "Null": ("measure",),
    "Ceiling": ("measure",),
    "Gate": (),
    "Figure": (),
    "in_full": ("body",),
}
"""Functions that declare, with their arguments that name code; other arguments belong to the declaration."""

_PLACES = {"Null": {3: "measure"}, "Ceiling": {3: "measure"}, "in_full": {0: "body"}}
"""Places of those arguments that may be given without a name."""


@dataclass(frozen=True)
class Import:
    """`from ..module import name as bound` with level 2; without a name the module itself is bound."""

    level: int
    module: str
    name: str
    bound: str

    @property
    def is_ours(self) -> bool:
        """Whether energylens is imported, or something of it."""
        return not self.level and self.module.partition(".")[0] == "energylens"


def imports_in(nodes: Iterable[ast.AST]) -> Iterator[Import]:
    """Names bound by the import statements among these nodes."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.level, node.module or "", alias.name, alias.asname or alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield Import(0, alias.name if alias.asname else top, "", alias.asname or top)
                if not alias.asname and top != alias.name:
                    yield Import(0, alias.name, "", "")


def is_scope(node: ast.AST) -> bool:
    """Whether a node is a scope: names bound inside are not bound outside."""
    return isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda, *_COMPREHENSIONS))


class References:
    """References of a definition: dotted names as `chains`, `attributes` of unknown objects, its own `imports`.

    lambdas: functions that it declares without a name. declaring: names of its file that stand for something of
    energylens, each with its name there.
    """

    def __init__(self, node: ast.AST, declaring: Mapping[str, str]) -> None:
        self.chains: set[tuple[str, ...]] = set()
        self.attributes: set[str] = set()
        self.imports: dict[str, Import] = {}
        self.lambdas: list[ast.Lambda] = []
        self.declares = False
        self._declaring = declaring
        self._scopes: list[tuple[set[str], bool]] = []
        self._strings: set[str] = set()
        self._by_name = False
        self._read(node)
        if self._by_name:
            self.attributes |= {text for text in self._strings if text.isidentifier()}

    def _read(self, *nodes: ast.AST) -> None:
        for node in nodes:
            reader = _READERS.get(type(node))
            if reader:
                reader(self, node)
            else:
                self._read(*ast.iter_child_nodes(node))

    def _read_name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and not self._is_bound(node.id):
            self.chains.add((node.id,))
            self._by_name |= node.id in _BY_NAME

    def _read_attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            parts.insert(0, base.attr)
            base = base.value
        if isinstance(base, ast.Name) and not self._is_bound(base.id):
            self.chains.add((base.id, *parts))
            self._by_name |= parts[-1] in _BY_NAME
            return
        self.attributes |= set(parts[1:] if isinstance(base, _LITERALS) else parts)
        self._read(base)

    def _read_constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._strings.add(node.value)

    def _read_call(self, node: ast.Call) -> None:
        kind = declares(node, self._declaring)
        if not kind:
            self._read(*ast.iter_child_nodes(node))
            return
        self.declares = True
        places = _PLACES.get(kind, {})
        kept = [value for i, value in enumerate(node.args) if i in places]
        kept += [keyword.value for keyword in node.keywords if keyword.arg in (None, *_DECLARES[kind])]
        self._read(*kept)
        self.lambdas += [each for value in kept for each in ast.walk(value) if isinstance(each, ast.Lambda)]

    def _read_annotated(self, node: ast.AnnAssign) -> None:
        self._read(node.target, *([node.value] if node.value else []))

    def _read_import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.imports |= {each.bound: each for each in imports_in([node])}

    def _read_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._read(*node.decorator_list, *_defaults(node.args))
        with self._scope(_arguments(node.args) | _stored(node.body)):
            self._read(*node.body)

    def _read_lambda(self, node: ast.Lambda) -> None:
        self._read(*_defaults(node.args))
        with self._scope(_arguments(node.args) | _stored([node.body])):
            self._read(node.body)

    def _read_class(self, node: ast.ClassDef) -> None:
        self._read(*node.decorator_list, *node.bases, *node.keywords)
        with self._scope(_stored(node.body), of_class=True):
            self._read(*node.body)

    def _read_comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self._read(node.generators[0].iter)
        with self._scope(_stored([each.target for each in node.generators])):
            self._read(*ast.iter_child_nodes(node))

    @contextmanager
    def _scope(self, names: set[str], of_class: bool = False) -> Iterator[None]:
        self._scopes.append((names, of_class))
        yield
        self._scopes.pop()

    def _is_bound(self, name: str) -> bool:
        """Names of a class are not seen inside its functions."""
        inner = len(self._scopes) - 1
        return any(
            name in names for i, (names, of_class) in enumerate(self._scopes) if not of_class or i == inner
        )


_READERS: Mapping[type, Callable[..., None]] = {
    ast.Name: References._read_name,
    ast.Attribute: References._read_attribute,
    ast.Constant: References._read_constant,
    ast.Call: References._read_call,
    ast.AnnAssign: References._read_annotated,
    ast.Import: References._read_import,
    ast.ImportFrom: References._read_import,
    ast.FunctionDef: References._read_function,
    ast.AsyncFunctionDef: References._read_function,
    ast.Lambda: References._read_lambda,
    ast.ClassDef: References._read_class,
    **dict.fromkeys(_COMPREHENSIONS, References._read_comprehension),
}
"""Readers by kind of node; of other nodes the children are read."""


def declares(node: ast.Call, declaring: Mapping[str, str]) -> str:
    """Name of the function of energylens that a call calls (`claim`, `Null`, ...); empty for any other call."""
    first, *rest = ast.unparse(node.func).split(".") if _is_dotted(node.func) else ["", ""]
    found = rest[-1] if rest else declaring.get(first, "")
    return found if first in declaring and found in _DECLARES else ""


def undeclared(node: ast.AST, declaring: Mapping[str, str]) -> ast.AST:
    """A copy of the tree without the arguments of functions that declare."""
    found = copy.deepcopy(node)
    for each in ast.walk(found):
        if isinstance(each, ast.Call) and declares(each, declaring):
            each.args, each.keywords = [], []
    return found


def _is_dotted(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_dotted(node.value))


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(each for each in arguments.kw_defaults if each)]


def _arguments(arguments: ast.arguments) -> set[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {each.arg for each in (*every, arguments.vararg, arguments.kwarg) if each}


def _stored(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that are bound in this scope, other than by imports."""
    found: set[str] = set()
    outer: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            found |= {node.name} if node.name else set()
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        elif isinstance(node, ast.Global):
            outer |= set(node.names)
        if isinstance(node, _COMPREHENSIONS):
            found |= {each.target.id for each in ast.walk(node) if isinstance(each, ast.NamedExpr)}
        elif not is_scope(node):
            waiting += ast.iter_child_nodes(node)
    return found - outer
