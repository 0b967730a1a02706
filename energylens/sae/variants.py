"""The kinds of sparse autoencoder, as frozen configs. Knows no torch: recipes can be made without it."""

from dataclasses import dataclass
from typing import TypeAlias

from energylens.errors import InputError


@dataclass(frozen=True)
class TopK:
    """ReLU, then the k largest latents per sample (Gao et al. 2024, arXiv:2406.04093); no auxiliary loss."""

    k: int = 32

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(f"k must be at least 1, received {self.k}")

    def label(self) -> str:
        """Short name: "TopK 32"."""
        return f"TopK {self.k}"


@dataclass(frozen=True)
class ReLU:
    """ReLU with a fixed L1 coefficient, in the units of `energylens.sae.train.loss_and_gradients`."""

    l1: int | float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.l1 < float("inf"):
            raise InputError(f"l1 must be finite and not negative, received {self.l1}")

    def label(self) -> str:
        """Short name: "ReLU l1=0.24"."""
        return f"ReLU l1={self.l1:g}"


@dataclass(frozen=True)
class MatchedReLU:
    """ReLU whose L1 coefficient brings L0 on the training activations near `l0`.

    The coefficient is searched with an SAE of `search_seed`, which must not be one of the seeds that are
    studied. It begins near `start`, if given, and costs less where the coefficient lies within a factor of two of it.
    """

    l0: int | float = 32
    search_seed: int = 7
    start: int | float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.l0 < float("inf"):
            raise InputError(f"the L0 to match must be finite and positive, received {self.l0}")
        if self.start is not None and not 0 < self.start < float("inf"):
            raise InputError(f"the L1 to start from must be finite and positive, received {self.start}")

    def label(self) -> str:
        """Short name: "ReLU at L0 32"."""
        return f"ReLU at L0 {self.l0:g}"


Variant: TypeAlias = TopK | ReLU | MatchedReLU
