"""Pure mathematics on tensors: no files, no hooks, no pytest. Submodules, and torch, load on first use."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from energylens.metrics import (
        alignment,
        association,
        comoments,
        energy,
        fourier,
        lens,
        permutation,
        reconstruction,
        reliability,
        reservoir,
        spectral,
        stability,
        tuned_lens,
    )

__all__ = [
    "alignment",
    "association",
    "comoments",
    "energy",
    "fourier",
    "lens",
    "permutation",
    "reconstruction",
    "reliability",
    "reservoir",
    "spectral",
    "stability",
    "tuned_lens",
]


class LazyModule(ModuleType):
    """A stand-in for a submodule until one of its functions is used, so that declaring claims imports no torch."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what pytest asks of every name in a test file
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(self.__name__), name)


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return LazyModule(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)
