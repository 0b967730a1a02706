"""Folders whose files are found by name: to add a task or method is to add a file, and nothing else.

Files are imported by a computed name, which the hash of code does not follow (`energylens.store.code`): a class that a
recipe uses from such a folder has to enter the recipe's key by a field of its own.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from energylens.errors import InputError


class Folder(Mapping[str, type[Any]]):
    """Classes by name, one for each module of a package: `two_words.py` defines the class whose `name` is "two-words".

    Modules that define no such class are passed over when the folder is listed. Looking up a name imports one module.
    Errors: InputError for a module that defines two.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    def __getitem__(self, name: str) -> type[Any]:
        module = name.replace("-", "_") if isinstance(name, str) else ""
        if module in self._modules() and (found := self._defined_in(module)) and found.name == name:
            return found
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (found.name for module in self._modules() if (found := self._defined_in(module)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _modules(self) -> list[str]:
        return sorted({each.name for each in iter_modules(import_module(self._package).__path__)})

    def _defined_in(self, module: str) -> type[Any] | None:
        """The class in a module whose `name` is that of the module; None without one."""
        defined = vars(import_module(f"{self._package}.{module}"))
        found = {
            each
            for each in defined.values()
            if isinstance(each, type)
            and each.__module__ == defined["__name__"]
            and _own_name(each) == module.replace("_", "-")
        }
        if len(found) > 1:
            raise InputError(
                f"{defined['__name__']} defines {', '.join(sorted(each.__qualname__ for each in found))} "
                "of one name; a module defines one"
            )
        return found.pop() if found else None


def _own_name(found: type[Any]) -> str | None:
    name = vars(found).get("name")
    return name.replace("_", "-") if isinstance(name, str) else None
