"""ReLU with an L1 penalty whose coefficient is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from energylens.errors import InputError
from energylens.sae.methods.base import Fitted, Method

if TYPE_CHECKING:
    import torch

    from energylens.sae.train import Progress
    from energylens.sae.weights import Settings


@dataclass(frozen=True)
class ReLU(Method):
    """ReLU with a fixed L1 coefficient, in the units of `energylens.sae.dense.loss_and_gradients`."""

    name: ClassVar[str] = "relu"
    l1: int | float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.l1 < float("inf"):
            raise InputError(f"l1 must be finite and not negative, received {self.l1}")

    def label(self) -> str:
        """Short name: "ReLU l1=0.24"."""
        return f"ReLU l1={self.l1:g}"

    def fit(self, x: torch.Tensor, seeds: Sequence[int], settings: Settings, progress: Progress) -> Fitted:
        """See `Method`."""
        from energylens.sae.train import train

        l1 = [self.l1] * len(seeds)
        return Fitted(train(x, seeds, settings, None, l1, progress), {"l1": l1, "search": []})

    def latent_acts(self, pre_acts: torch.Tensor) -> torch.Tensor:
        """See `Method`."""
        return pre_acts.relu()
