"""The lab's part for stability claims."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from energylens.families import Part
from energylens.store import key_of

if TYPE_CHECKING:
    import torch


class StabilityPart(Part):
    """The part of the lab on the SAEs of one network: numbers beside their agreement, and planted dictionaries."""

    def setting(self, model: str, kind: str, seed: int) -> dict[str, float]:
        """Numbers about the SAEs of one network and their training data, to print beside a verdict.

        Means over the SAEs. Explained variance and L0 are of held-out activations; dead latents fire on no training
        activation.
        """
        from energylens.metrics import reconstruction, stability

        saes = self.lab.sae.trained(model, kind, seed)
        train, held_out = self.lab.sae.split(model, kind, seed)
        rank_key = ("rank", key_of(self.lab.sae.recipe(model, kind, seed).source))
        return {
            "explained variance": self.lab.sae.explained_variance(model, kind, seed),
            "L0": fmean(reconstruction.l0(saes.encode(held_out, each)) for each in saes.seeds),
            "dead latents": fmean(
                reconstruction.dead_fraction(saes.encode(train, each)) for each in saes.seeds
            ),
            "effective rank of activations": self.lab.remember(
                rank_key, lambda: stability.effective_rank(self.lab.sae.activations(model, seed))
            ),
            "leak rate": max(self.lab.fourier.leak_rates(model, seed).values()),
        }

    def planted_atoms(self, model: str, seed: int) -> torch.Tensor:
        """The true atoms of a planted dictionary [n_atoms, d_in]."""
        import torch

        return torch.tensor(self.lab.artifact(self.lab.recipe(model, seed)).tensors["dictionary"])


PART = StabilityPart
