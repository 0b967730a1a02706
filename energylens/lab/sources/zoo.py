"""The zoo: networks that energylens trains from scratch."""

from collections.abc import Mapping

from energylens.lab.sources.base import Source
from energylens.models import zoo
from energylens.store import Recipe


class Zoo(Source):
    """Networks of `energylens.models.zoo`."""

    name = "zoo"

    def models(self) -> Mapping[str, str]:
        """See `Source`."""
        return {name: entry.task.name for name, entry in zoo.ZOO.items()}

    def recipe(self, model: str, seed: int, untrained: bool) -> Recipe:
        """See `Source`."""
        trained = zoo.zoo(model, seed)
        return zoo.untrained(trained) if untrained else trained
