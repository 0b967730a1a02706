"""What the lab knows of a source, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from energylens.store import Recipe


class Source(ABC):
    """Models that claims may name; a source is one file of this folder, called as its `name` is."""

    name: ClassVar[str]

    @abstractmethod
    def models(self) -> Mapping[str, str]:
        """Names of its models, each with the task that it does."""

    @abstractmethod
    def recipe(self, model: str, seed: int, untrained: bool) -> Recipe:
        """The recipe of one of them, trained or at initialisation. Errors: InputError where there is none."""
