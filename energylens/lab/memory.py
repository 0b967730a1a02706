"""Values that one process has computed, each with the artifacts that it rests on."""

from collections.abc import Callable
from typing import Any

from energylens.store import Recipe

REMEMBERED = 200
"""Number of values that a lab keeps in memory: networks, grids (about 32 MB each at p = 113), SAEs."""


class Memory:
    """Values by key, of which the oldest are dropped, so that memory stays bounded."""

    def __init__(self) -> None:
        self._values: dict[Any, tuple[Any, dict[Recipe, None]]] = {}
        self._computing: list[dict[Recipe, None]] = []

    def remember(self, key: Any, compute: Callable[[], Any], tell: Callable[[Recipe], None]) -> Any:
        """The value of a key, computed once; `tell` hears of every artifact that it rests on, however often asked."""
        if key not in self._values:
            while len(self._values) >= REMEMBERED:
                del self._values[next(iter(self._values))]
            used: dict[Recipe, None] = {}
            self._computing.append(used)
            try:
                self._values[key] = compute(), used
            finally:
                self._computing.pop()
        value, rests_on = self._values[key]
        for recipe in rests_on:
            self.note(recipe, tell)
        return value

    def note(self, recipe: Recipe, tell: Callable[[Recipe], None]) -> None:
        """Note an artifact for the values being computed from it, which report it whenever they are used."""
        if self._computing:
            self._computing[-1][recipe] = None
        else:
            tell(recipe)
