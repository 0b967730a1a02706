"""The measure of a claim: a hash of the code that its numbers come from, function by function.

The hash covers the body of the claim, the bodies of its controls, its statistics, and all functions, methods, classes
and constants of the project and of energylens that they reach. Names are followed through imports, also those inside
functions. An attribute of an unknown object (`study.alignment(...)`) reaches every method and class attribute of that
name in all classes that reached code names (class-hierarchy analysis by name): no other class can have an object. So
the hash may cover more code than is run; it covers less only for code that is reached by a computed name, or objects
made by code that is not covered. A folder whose files are found by name (`energylens.by_name`) reaches the class of
each of its files. Methods that Python or a base class from elsewhere may call are reached with their class.

Not covered: installed packages, the harness (it judges), and the code that trains (it is part of artifacts' keys).
Files are read as text and never imported, so that a tree of git can be analysed as well.
"""

import ast
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from posixpath import normpath

from energylens.errors import InputError
from energylens.run.measured_code.definitions import Definition, SourceFile
from energylens.run.measured_code.following import Follower
from energylens.run.measured_code.sources import PACKAGE

Reader = Callable[[str], str | None]
"""Function that gives the text of a file by its path from the root of a tree; None where there is no file."""

Placed = tuple[str, Definition]
"""A definition, and the path of its file."""

HOME = "energylens/"
LABS = (f"{HOME}lab/core.py", f"{HOME}lab.py")
"""Modules that define the lab, in this tree and in older ones."""

FOLDERS = f"{HOME[:-1]}.by_name"
LAB_HOOK = "pytest_energylens_lab"
DIGITS = 16

_NOT_READ = (
    "by_name",
    "cli",
    "errors",
    "harness",
    "plugin",
    "pytest_plugin",
    "report",
    "run",
    "stats",
    "store",
    "tests",
    "trust",
)
_TRAINING = {
    "models": (
        "checkpoint",
        "documents",
        "loading",
        "recipe",
        "threads",
        "train",
        "transformer",
        "wired",
        "zoo",
    ),
    "sae": (
        "build",
        "dense",
        "match",
        "planted",
        "planted_dictionary",
        "recipe",
        "scaling",
        "train",
        "variants",
    ),
    "lenses": ("fit", "tuned"),
    "energy": ("fit", "tuned"),
}
"""Modules that make artifacts, now and in trees of before; of models.corpus and sae.activations claims take more than
recipes."""

_CALLED_BY_THE_JUDGE = ("summarise",)
_CALLED_BY_THE_PLUGIN = ("swapped",)


class MeasuredCode:
    """Measures of the claims in one tree of files.

    parsed: files by text, to be shared between trees that have most files in common.
    """

    def __init__(self, read: Reader, parsed: dict[str, SourceFile] | None = None) -> None:
        self._text = cache(read)
        self._parsed = {} if parsed is None else parsed
        self._file = cache(self._read)
        self._find = cache(self._look_for)
        self._followed = cache(self._follow)
        self._measured = cache(self._measure)

    def measure(self, path: str, function: str) -> str:
        """First 16 hex digits of the sha256 over what a claim reaches, whose body is this function of this file.

        A body that the file does not define under its name is looked for inside other definitions; where it is not
        found either, all of the file counts. Errors: InputError for a file that is missing or can't be read.
        """
        return self._measured(path, function)

    def _measure(self, path: str, function: str) -> str:
        file = self._file(path)
        if file is None:
            raise InputError(
                f"{path} is missing, so the code that measures the claim {function} can't be hashed; restore the file"
            )
        own = [path, *self._conftests(path)]
        reached = self._reach(_body(file, function), path, own)
        digests = sorted({definition.digest for _, definition in reached})
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:DIGITS]

    def _reach(self, roots: Iterable[Definition], path: str, own: list[str]) -> set[Placed]:
        """Definitions that the roots reach, by name, or by attribute of a class that is reached."""
        reached: set[Placed] = set()
        accessed: set[str] = {*_CALLED_BY_THE_JUDGE, *_CALLED_BY_THE_PLUGIN}
        members: dict[str, list[Placed]] = defaultdict(list)
        waiting = [(path, root) for root in roots]
        while waiting:
            at, definition = waiting.pop()
            if (at, definition) in reached or not _counts(at):
                continue
            reached.add((at, definition))
            found, attributes = self._followed(at, definition)
            waiting += found
            if at in own:
                waiting += self._given(definition, own)
            for name, each in self._members(at, definition):
                members[name].append((at, each))
                waiting += [(at, each)] if name in accessed else []
            waiting += [each for name in attributes - accessed for each in members.get(name, ())]
            waiting += [each for name in attributes - accessed for each in self._part_of_the_lab(name)]
            accessed |= attributes
        return reached

    def _part_of_the_lab(self, family: str) -> list[Placed]:
        """A family's part of the lab, found by the family's name: `lab.energy`."""
        at = f"{HOME}families/{family}/lab.py"
        file = self._file(at)
        return [(at, each) for each in file.definitions.get("PART", ())] if file else []

    def _members(self, at: str, definition: Definition) -> Iterator[tuple[str, Definition]]:
        """Methods and attributes of a class, by name; empty for any other definition."""
        file = self._file(at)
        of_class = file.classes.get(definition.at.name, {}) if file and not definition.at.owner else {}
        for name, found in of_class.items():
            yield from ((name, each) for each in found)

    def _given(self, definition: Definition, own: list[str]) -> list[Placed]:
        """Definitions that pytest gives to the parameters of a body or fixture: other fixtures, and the lab."""
        asked = set(definition.parameters)
        given = [
            (at, each)
            for at in own
            for by_name in (self._file(at) or SourceFile("", at)).definitions.values()
            for each in by_name
            if each.fixture in asked - {""} or (each.at.name == LAB_HOOK and "lab" in asked)
        ]
        if "lab" in asked and not any(each.at.name == LAB_HOOK for _, each in given):
            given += [
                (at, each)
                for at in LABS
                if (lab := self._file(at))
                for each in lab.definitions.get("Lab", ())
            ]
        return given

    def _follow(self, at: str, definition: Definition) -> tuple[list[Placed], set[str]]:
        """Definitions that a definition names, and its attributes of unknown objects."""
        file = self._file(at)
        assert file is not None  # the definition is of it
        follower = Follower(self._file, self._find)
        references = definition.references
        for chain in references.chains:
            imported = references.imports.get(chain[0])
            known = imported or file.imports.get(chain[0])
            if known and known.module == FOLDERS:
                follower.found += self._named_beside(at)
            if imported:
                follower.follow_import(at, imported, chain[1:])
            else:
                follower.follow(at, chain)
        if any(self._is_from_elsewhere(at, base) for base in getattr(definition.node, "bases", ())):
            follower.found += [(at, member) for _, member in self._members(at, definition)]
        return follower.found, follower.attributes | references.attributes

    def _named_beside(self, at: str) -> Iterator[Placed]:
        """Classes with a `name` in the files of a folder of energylens."""
        folder = PurePosixPath(at).parent
        for path in sorted(
            (folder / each.name).as_posix() for each in (PACKAGE.parent / folder).glob("*.py")
        ):
            if file := self._file(path):
                named = [name for name, members in file.classes.items() if "name" in members]
                yield from ((path, each) for name in named for each in file.definitions[name])

    def _is_from_elsewhere(self, at: str, base: ast.expr) -> bool:
        """Whether a base class comes from an installed package, which may call the methods of its subclasses."""
        file, name = self._file(at), ast.unparse(base).partition("[")[0].partition(".")[0]
        imported = file.imports.get(name) if file else None
        return (
            imported is not None
            and not imported.is_ours
            and not self._find(at, imported.level, imported.module)
        )

    def _conftests(self, path: str) -> list[str]:
        """The conftest.py of a file's folder and of all folders above it, up to the root of the tree."""
        folders = [] if path.startswith("/") else list(PurePosixPath(path).parents)
        return [name for each in folders if self._file(name := (each / "conftest.py").as_posix())]

    def _read(self, path: str) -> SourceFile | None:
        if not _is_read(path) or (text := self._text(path)) is None:
            return None
        if text not in self._parsed:
            self._parsed[text] = SourceFile(text, path)
        return self._parsed[text]

    def _look_for(self, importer: str, level: int, module: str) -> str:
        """Path of a module, looked for beside the file that imports it, in the folders above, and in `src`."""
        folder = PurePosixPath(importer).parent
        if level:
            folders = [folder.joinpath(*[".."] * (level - 1))]
        elif f"{module}.".startswith(f"{HOME[:-1]}."):
            folders = [PurePosixPath()]
        elif importer.startswith(HOME):
            folders = []
        else:
            folders = [folder, *([] if folder.is_absolute() else folder.parents), PurePosixPath("src")]
        for each in folders:
            base = each.joinpath(*module.split(".")) if module else each
            for candidate in (base.with_suffix(".py"), base / "__init__.py") if base.name else ():
                name = normpath(candidate)
                if self._text(name) is not None:
                    return name
        return ""


def reader(root: Path, package: Path) -> Reader:
    """Reads the files below a project's root, and those of energylens where its package lies."""

    def read(path: str) -> str | None:
        file = (package.parent if path.startswith(HOME) else root) / path
        if "site-packages" in PurePosixPath(path).parts or not file.is_file():
            return None
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file} can't be read ({error}), so the code of claims that import it can't be hashed; mend the file"
            ) from None

    return read


def _body(file: SourceFile, function: str) -> list[Definition]:
    """The definition of a claim's body; `in_full` makes `f_full` of `f`."""
    for name in (function, function.removesuffix("_full")):
        if found := file.definitions.get(name) or file.enclosing(name):
            return found
    return [each for known in file.definitions.values() for each in known]


@cache
def _is_read(path: str) -> bool:
    """Whether the imports of a file are followed: of all files but the harness."""
    return not path.startswith(HOME) or PurePosixPath(path).with_suffix("").parts[1] not in _NOT_READ


@cache
def _counts(path: str) -> bool:
    """Whether definitions of a file can be part of a measure."""
    parts = PurePosixPath(path).with_suffix("").parts
    training = _TRAINING.get(parts[1], ()) if path.startswith(HOME) else ()
    return not training or parts[2] not in training
