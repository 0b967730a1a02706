"""The study of one network's heads, for claims; each number is measured once, on first use."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.families.spectral.circuit import Circuit, discover, kept
from energylens.families.spectral.gaps import HeadGaps, head_gaps
from energylens.families.spectral.gauge_test import gauge_test
from energylens.families.spectral.head_prompts import HeadPrompts, head_prompts, ioi_prompts
from energylens.families.spectral.importance import Alternatives, alternatives, noising_by_prompt
from energylens.interventions.prompts import Head
from energylens.metrics.association import permuted_within
from energylens.metrics.reliability import split_halves
from energylens.models.network import Network

SHUFFLES = 200
SPLITS = 100
"""Number of random splits of the prompts into halves; reliability is a mean over them."""

GAP_PROMPTS = 64
"""Number of prompts for gaps, which settle with fewer prompts than damage does, and cost more (singular values)."""

GAUGE_PROMPTS = 8
IG_STEPS = 4

Table = Float[Tensor, "layer head"]


@dataclass(frozen=True, eq=False)
class HeadStudy:
    """A network's heads on the prompts of its task. Tables are [layer, head]; rows list all heads layer by layer."""

    network: Network
    prompts: HeadPrompts
    seed: int
    _kept: dict[Circuit, Tensor] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def gaps(self) -> HeadGaps:
        """All definitions of the gap, and other descriptions of the heads, on the first GAP_PROMPTS prompts."""
        some = slice(GAP_PROMPTS)
        return head_gaps(self.network, self.prompts.clean[some], self.prompts.counted[some])

    @cached_property
    def gauge(self) -> dict[Literal["right", "wrong"], dict[str, float]]:
        """The gauge test on GAUGE_PROMPTS prompts, with its map and with a wrong one."""
        prompts = head_prompts(self.network, self.seed, n=GAUGE_PROMPTS)
        return gauge_test(self.network, prompts, torch.Generator().manual_seed(self.seed))

    @cached_property
    def noising_by_prompt(self) -> Float[Tensor, "layer head prompt"]:
        """Damage by exact patching, prompt by prompt: measured once for `noising` and `damage_halves`."""
        return noising_by_prompt(self.network, self.prompts)

    @cached_property
    def noising(self) -> Table:
        """Damage by exact patching, with its sign; its size is what claims call importance."""
        return self.noising_by_prompt.mean(-1)

    @cached_property
    def alternatives(self) -> Alternatives:
        """Other measures of importance, among them attribution with IG_STEPS steps of integrated gradients."""
        return alternatives(self.network, self.prompts, IG_STEPS)

    @cached_property
    def layer(self) -> Int[Tensor, " heads"]:
        """Layer of every head."""
        return torch.arange(self.network.n_layers).repeat_interleave(self.network.bridge.cfg.n_heads)

    def gap(self, name: str) -> Float[Tensor, " heads"]:
        """One definition of the gap, by the names of `metrics.spectral.GAPS`."""
        return self.gaps.gaps[name].flatten()

    @cached_property
    def damage(self) -> Float[Tensor, " heads"]:
        """Causal importance: abs(noising), since a head whose removal helps matters as well."""
        return self.noising.abs().flatten()

    @cached_property
    def damage_halves(self) -> tuple[Float[Tensor, "splits heads"], Float[Tensor, "splits heads"]]:
        """`damage` from either of two disjoint halves of the prompts, for SPLITS random splits."""
        generator = torch.Generator().manual_seed(self.seed)
        first, second = split_halves(self.noising_by_prompt.flatten(0, 1), SPLITS, generator)
        return first.abs(), second.abs()

    def kept(self, circuits: Sequence[Iterable[Head]]) -> Float[Tensor, " circuit"]:
        """Share of the metric that each circuit keeps on held-out name pairs; every circuit is run once."""
        asked = [frozenset(circuit) for circuit in circuits]
        new = [circuit for circuit in dict.fromkeys(asked) if circuit not in self._kept]
        if new:
            prompts = ioi_prompts(self.network, self.seed, pairs="held-out")
            self._kept.update(zip(new, kept(self.network, prompts, new), strict=True))
        return torch.stack([self._kept[circuit] for circuit in asked])

    @cached_property
    def circuit(self) -> Circuit:
        """The circuit for indirect objects that is found on prompts with training name pairs."""
        return discover(self.network, ioi_prompts(self.network, self.seed, pairs="train"))

    def shuffles(self, n: int = SHUFFLES) -> Int[Tensor, "draws heads"]:
        """Index rows that shuffle heads within their layers, which keeps what depth alone would give."""
        return permuted_within(self.layer, torch.Generator().manual_seed(self.seed), n)

    def shuffled(self, values: Float[Tensor, " heads"]) -> Float[Tensor, "draws heads"]:
        """One number per head, in the order of every row of `shuffles`."""
        return values[self.shuffles()]

    def over_shuffles(self, of: Callable[[Int[Tensor, " heads"]], float]) -> list[float]:
        """A number that depends on the order of heads, for every row of `shuffles`."""
        return [of(rows) for rows in self.shuffles()]


def study_heads(network: Network, seed: int) -> HeadStudy:
    """The heads of a network on the prompts that `seed` draws."""
    return HeadStudy(network, head_prompts(network, seed), seed)
