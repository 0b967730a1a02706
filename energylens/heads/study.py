"""Everything that claims ask about the heads of one network, measured once."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.heads.gaps import HeadGaps, head_gaps
from energylens.heads.importance import HeadImportance, head_importance
from energylens.heads.prompts import head_prompts
from energylens.metrics.association import permuted_within
from energylens.models.network import Network

SHUFFLES = 200


@dataclass(frozen=True)
class HeadStudy:
    """Gaps and importance, tables [layer, head]; `flat` puts the heads of a table in one row, layer by layer."""

    gaps: HeadGaps
    importance: HeadImportance

    @property
    def layer(self) -> Int[Tensor, " heads"]:
        """Layer of every head."""
        n_layers, n_heads = self.gaps.entropy.shape
        return torch.arange(n_layers).repeat_interleave(n_heads)

    def gap(self, name: str) -> Float[Tensor, " heads"]:
        """One definition of the gap, by the names of `metrics.spectral.GAPS`."""
        return self.gaps.gaps[name].flatten()

    def shuffles(self, seed: int, n: int = SHUFFLES) -> Int[Tensor, "draws heads"]:
        """Index rows that shuffle heads within their layers: what depth alone would give."""
        return permuted_within(self.layer, torch.Generator().manual_seed(seed), n)

    @property
    def damage(self) -> Float[Tensor, " heads"]:
        """Causal importance of every head: see `HeadImportance.importance`."""
        return self.importance.importance.flatten()


def study_heads(network: Network, seed: int) -> HeadStudy:
    """Measure a network's heads on the prompts that `seed` draws."""
    prompts = head_prompts(network, seed)
    return HeadStudy(head_gaps(network, prompts.clean, prompts.counted), head_importance(network, prompts))
