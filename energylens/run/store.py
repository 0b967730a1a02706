"""The store as labs get it, which reports every artifact that it hands out."""

import os
from collections.abc import Callable

from energylens.store import Artifact, Progress, Recipe, Store, no_progress


class WitnessedStore(Store):
    """A store that calls `on_get` with every recipe whose artifact it hands out, inputs of a build included."""

    def __init__(self, url: str | os.PathLike[str] | None, on_get: Callable[[Recipe], None]) -> None:
        super().__init__(url)
        self._on_get = on_get

    def get(self, recipe: Recipe, progress: Progress = no_progress) -> Artifact:
        """See `Store`."""
        found = super().get(recipe, progress)
        self._on_get(recipe)
        return found
