"""The network whose induction circuit is set by hand."""

from collections.abc import Mapping

from energylens.errors import InputError
from energylens.lab.sources.base import Source
from energylens.models.wired import WireInduction
from energylens.store import Recipe

WIRED = "induction-wired"


class Wired(Source):
    """One network, with the heads of its circuit drawn by the seed."""

    name = "wired"

    def models(self) -> Mapping[str, str]:
        """See `Source`."""
        return {WIRED: WIRED}

    def recipe(self, model: str, seed: int, untrained: bool) -> Recipe:
        """See `Source`."""
        if untrained:
            raise InputError(f"{WIRED} is set by hand: it has no untrained twin")
        return WireInduction(seed)
