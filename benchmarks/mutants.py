"""All changes of a module in one place that its tests should notice: mutmut's table of changes, applied to the source.

`<` for `<=`, + for -, an argument dropped or None, a constant plus 1, a value made None, a condition forced. Not
counted: annotations, decorators, docstrings, imports, `__all__`, and whatever a `raise` statement says. mutmut itself
passes over functions with decorators, module constants and class bodies; here they are changed like everything else.
"""

import difflib
import hashlib
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m
from mutmut.mutation.mutators import mutation_operators


@dataclass(frozen=True)
class Mutant:
    """`source` is the whole module; `was` and `now` the lines that differ; `line` the first of them."""

    line: int
    was: str
    now: str
    source: str

    @property
    def key(self) -> str:
        """What its result is stored under."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]


def mutants(source: str) -> list[Mutant]:
    """All one-place changes of a module that compile and differ, in the order of the source."""
    module, found = cst.parse_module(source), []

    class Changes(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            if _not_counted(node):
                return False
            for kind, changes in mutation_operators:
                if isinstance(node, kind) and not _always_raises(node):
                    some = list(changes(node))
                    # Of a string one change tells as much as its three.
                    found.extend((node, new) for new in some[: 1 if kind is cst.BaseString else None])
            return True

    module.visit(Changes())
    unique = {module.deep_replace(node, new).code: None for node, new in found}
    return [_described(source, code) for code in unique if code != source and _compiles(code)]


def _not_counted(node: cst.CSTNode) -> bool:
    names_only = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise)
    docstring = isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString)
    if isinstance(node, cst.Assign):
        return getattr(node.targets[0].target, "value", "") == "__all__"
    if isinstance(node, cst.AnnAssign):
        return getattr(node.annotation.annotation, "value", "") == "TypeAlias"
    return docstring or isinstance(node, names_only)


def _always_raises(node: cst.CSTNode) -> bool:
    """`len(None)`: a mutant that says nothing of the tests."""
    return m.matches(node, m.Call(func=m.Name("len") | m.Name("isinstance")))


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _described(source: str, code: str) -> Mutant:
    old, new = source.splitlines(), code.splitlines()
    changed = [op for op in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if op[0] != "equal"]
    was, now = (
        " / ".join(line.strip() for op in changed for line in lines[op[start] : op[start + 1]])
        for lines, start in ((old, 1), (new, 3))
    )
    return Mutant(changed[0][1] + 1, was, now, code)
