"""Families of claims, one package each: the family's science, its part of the lab, its estimators as published.

A new family is one package here; `lab.<name>` is the class that `<name>/lab.py` calls PART.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energylens.lab.core import Lab


@dataclass(frozen=True)
class Part:
    """A family's part of the lab: what its claims ask of the networks and SAEs that the core of the lab gives.

    A part is made anew on each access; values that it computes are kept by `lab.remember`.
    """

    lab: Lab


def names() -> list[str]:
    """The names of all families, the packages of this folder, in alphabetical order."""
    return sorted(found.name for found in iter_modules(__path__) if found.ispkg)


@cache
def lab_part(family: str) -> type[Part] | None:
    """The part of the lab of one family; None for an unknown family, or a family without a part."""
    module = f"{__name__}.{family}.lab"
    if family not in names() or find_spec(module) is None:
        return None
    found: type[Part] = import_module(module).PART
    return found
