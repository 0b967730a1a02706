"""Samples of a dictionary that is known: no network, but what SAEs train on."""

from collections.abc import Mapping

from energylens.errors import InputError
from energylens.lab.sources.base import Source
from energylens.sae.planted_dictionary import PlantedDictionary
from energylens.store import Recipe

PLANTED = "planted-dictionary"


class Planted(Source):
    """One planted dictionary for each seed."""

    name = "planted"

    def models(self) -> Mapping[str, str]:
        """See `Source`."""
        return {PLANTED: "planted"}

    def recipe(self, model: str, seed: int, untrained: bool) -> Recipe:
        """See `Source`."""
        if untrained:
            raise InputError(f"{PLANTED} is no network: it has no untrained twin")
        return PlantedDictionary(seed=seed)
