"""Search for the definitions that a name in one file stands for, through imports of other files."""

from collections.abc import Callable, Sequence

from energylens.run.measured_code.definitions import Definition, SourceFile
from energylens.run.measured_code.references import Import


class Follower:
    """Follows dotted names to `found` definitions with their paths, and to `attributes` of unknown objects.

    file: gives the file at a path, or None. find: gives the path of a module that a file imports, or None.
    """

    def __init__(
        self, file: Callable[[str], SourceFile | None], find: Callable[[str, int, str], str]
    ) -> None:
        self.found: list[tuple[str, Definition]] = []
        self.attributes: set[str] = set()
        self._file = file
        self._find = find
        self._seen: set[tuple[str, tuple[str, ...]]] = set()

    def follow(self, at: str, names: Sequence[str]) -> bool:
        """Follow `names` at the module level of the file `at`; returns whether the file knows the first name."""
        file, (first, *rest) = self._file(at), names
        if file is None or (at, tuple(names)) in self._seen:
            return False
        self._seen.add((at, tuple(names)))
        if first in file.imports:
            self.follow_import(at, file.imports[first], rest)
        if first in file.definitions:
            self.found += [(at, each) for each in file.definitions[first]]
            self._access(at, file.classes.get(first, {}), rest)
        return (
            first in file.imports
            or first in file.definitions
            or any(
                self.follow(path, names)
                for star in file.stars
                if (path := self._find(at, star.level, star.module))
            )
        )

    def follow_import(self, at: str, imported: Import, rest: Sequence[str]) -> None:
        """Follow a name bound by an import in the file `at`, and the names after it."""
        names = [imported.name, *rest] if imported.name else list(rest)
        self._follow_module(at, imported.level, imported.module, names)

    def _follow_module(self, at: str, level: int, module: str, names: Sequence[str]) -> None:
        """Follow a name of a module, or its submodule; a module used as a value reaches all that it defines."""
        path = self._find(at, level, module)
        file = self._file(path) if path else None
        if not names:
            if file:
                self.found += [(path, each) for known in file.definitions.values() for each in known]
            return
        if path and self.follow(path, names):
            return
        submodule = f"{module}.{names[0]}".strip(".")
        if self._find(at, level, submodule):
            self._follow_module(at, level, submodule, names[1:])
        elif file and "__getattr__" in file.definitions:
            self.found += [(path, each) for each in file.definitions["__getattr__"]]
            self.attributes |= set(names)

    def _access(self, at: str, members: dict[str, list[Definition]], rest: Sequence[str]) -> None:
        """Follow attributes of a definition: members of a class, where the class has them."""
        if rest and rest[0] in members:
            self.found += [(at, each) for each in members[rest[0]]]
            rest = rest[1:]
        self.attributes |= set(rest)
