"""Artifacts and recipes: the store keeps an `Artifact`, arrays and numbers; a `Recipe` makes it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    import numpy as np

JSON: TypeAlias = Any
"""None, bool, int, float, str, or lists and string-keyed mappings of these."""

Progress: TypeAlias = Callable[[int, int, Mapping[str, float]], None]
"""Called as progress(step, total, numbers) during a build; the numbers are named, e.g. {"loss": 1.3}."""


def no_progress(step: int, total: int, numbers: Mapping[str, float]) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Artifact:
    """The result of a recipe.

    tensors: numpy arrays by name; they become the safetensors payload.
    meta: small JSON: curves, times, counts. numpy scalars and arrays in it come back as numbers and lists.
    """

    tensors: Mapping[str, "np.ndarray"]
    meta: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe(ABC):
    """Complete, frozen description of how an artifact is made. Subclasses are frozen dataclasses.

    Every field enters the artifact's key, except those declared with `field(metadata={"key": False})`, which
    must not influence the result. Fields are None, bool, int, float, str, enums, (nested) frozen dataclasses,
    recipes, and tuples or string-keyed mappings of these. The code that the recipe runs enters the key too:
    its module and what that imports from energylens or from its own top-level package (see
    `energylens.store.code`). `build` must depend on nothing else; it sets the thread count and dtype policy
    that its fields pin.
    """

    kind: ClassVar[str]
    """Folder in the store: "network", "saes"; lower case letters, digits and '-'."""

    def inputs(self) -> tuple["Recipe", ...]:
        """Recipes whose artifacts `build` reads; by default all fields that are recipes or tuples of them."""
        values = [getattr(self, declared.name) for declared in fields(self)]
        flat = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
        return tuple(item for item in flat if isinstance(item, Recipe))

    @abstractmethod
    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Make the artifact from the artifacts of `inputs()`, in that order."""

    def label(self) -> str:
        """Short name for people, as in a progress bar: "modadd-1l seed 3"."""
        return self.kind
