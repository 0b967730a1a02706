"""TopK: the k largest latents of every sample."""

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
class TopK(Method):
    """ReLU, then the k largest latents per sample (Gao et al. 2024, arXiv:2406.04093); no auxiliary loss."""

    name: ClassVar[str] = "topk"
    k: int = 32

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(f"k must be at least 1, received {self.k}")

    def label(self) -> str:
        """Short name: "TopK 32"."""
        return f"TopK {self.k}"

    def check(self, d_sae: int, seeds: Sequence[int]) -> None:
        """See `Method`: no more latents can fire than there are."""
        if self.k > d_sae:
            raise InputError(f"k is {self.k}, more than d_sae {d_sae}")

    def fit(self, x: torch.Tensor, seeds: Sequence[int], settings: Settings, progress: Progress) -> Fitted:
        """See `Method`."""
        from energylens.sae.train import train

        l1 = [0.0] * len(seeds)
        return Fitted(train(x, seeds, settings, self.k, l1, progress), {"l1": l1, "search": []})

    def latent_acts(self, pre_acts: torch.Tensor) -> torch.Tensor:
        """See `Method`."""
        from energylens.sae.latents import latent_acts

        return latent_acts(pre_acts, self.k)
