"""One package for each family of claims: its science, its part of the lab, its estimators as published.

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
    """A part of the lab: what one family asks, of networks and SAEs that the core hands out.

    It is made whenever it is asked for: what it computes is kept by `lab.remember`.
    """

    lab: Lab


def names() -> list[str]:
    """The families that there are: the packages of this folder, in order of their names."""
    return sorted(found.name for found in iter_modules(__path__) if found.ispkg)


@cache
def lab_part(family: str) -> type[Part] | None:
    """The part of the lab of one family; None for no such family, or one that asks for nothing of its own."""
    module = f"{__name__}.{family}.lab"
    if family not in names() or find_spec(module) is None:
        return None
    found: type[Part] = import_module(module).PART
    return found
