"""Everything that claims ask about the heads of one network, each thing measured once and when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.heads.circuit import Circuit, discover
from energylens.heads.gaps import HeadGaps, head_gaps
from energylens.heads.importance import attribution, denoising, difference, mean_ablation, noising
from energylens.heads.prompts import HeadPrompts, head_prompts, ioi_prompts
from energylens.metrics.association import permuted_within
from energylens.models.network import Network

SHUFFLES = 200
GAP_PROMPTS = 64
"""Gaps settle with fewer prompts than damage does, and their singular values cost more."""

IG_STEPS = 4

Table = Float[Tensor, "layer head"]


@dataclass(frozen=True, eq=False)
class HeadStudy:
    """A network's heads on the prompts of its task. Tables are [layer, head]; rows list all heads layer by layer."""

    network: Network
    prompts: HeadPrompts
    seed: int

    @cached_property
    def gaps(self) -> HeadGaps:
        """All definitions of the gap, and other descriptions of the heads, on the first GAP_PROMPTS prompts."""
        some = slice(GAP_PROMPTS)
        return head_gaps(self.network, self.prompts.clean[some], self.prompts.counted[some])

    @cached_property
    def noising(self) -> Table:
        """Damage by exact patching: what claims call importance, with its sign."""
        return noising(self.network, self.prompts)

    @cached_property
    def denoising(self) -> Table:
        """What each head alone restores of the corrupted run."""
        return denoising(self.network, self.prompts)

    @cached_property
    def mean_ablation(self) -> Table:
        """Damage by mean ablation."""
        return mean_ablation(self.network, self.prompts)

    @cached_property
    def difference(self) -> Table:
        """How far z differs between clean and corrupted prompts: what attribution knows without a gradient."""
        return difference(self.network, self.prompts)

    @cached_property
    def gradient(self) -> Table:
        """Attribution patching: gradient times difference."""
        return attribution(self.network, self.prompts, steps=1)

    @cached_property
    def integrated(self) -> Table:
        """Attribution patching with 4 steps of integrated gradients."""
        return attribution(self.network, self.prompts, steps=IG_STEPS)

    @property
    def layer(self) -> Int[Tensor, " heads"]:
        """Layer of every head."""
        return torch.arange(self.network.n_layers).repeat_interleave(self.network.bridge.cfg.n_heads)

    def gap(self, name: str) -> Float[Tensor, " heads"]:
        """One definition of the gap, by the names of `metrics.spectral.GAPS`."""
        return self.gaps.gaps[name].flatten()

    @property
    def damage(self) -> Float[Tensor, " heads"]:
        """Causal importance: abs(noising), since a head whose removal helps matters as well."""
        return self.noising.abs().flatten()

    @cached_property
    def circuit(self) -> Circuit:
        """The circuit for indirect objects that is found on prompts with training name pairs."""
        return discover(self.network, ioi_prompts(self.network, self.seed, pairs="train"))

    def shuffles(self, n: int = SHUFFLES) -> Int[Tensor, "draws heads"]:
        """Index rows that shuffle heads within their layers: what depth alone would give."""
        return permuted_within(self.layer, torch.Generator().manual_seed(self.seed), n)

    def over_shuffles(self, of: Callable[[Int[Tensor, " heads"]], float]) -> list[float]:
        """A number that depends on the order of heads, for every row of `shuffles`."""
        return [of(rows) for rows in self.shuffles()]


def study_heads(network: Network, seed: int) -> HeadStudy:
    """The heads of a network on the prompts that `seed` draws."""
    return HeadStudy(network, head_prompts(network, seed), seed)
