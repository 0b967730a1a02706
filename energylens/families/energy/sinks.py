"""Attention sinks: positions that later queries of a head attend to, whatever the queries are.

Source: Gu et al., When Attention Sink Emerges in Language Models (arXiv:2410.10781). Their score of position k in
one text is alpha_k = mean over i >= k of A[i, k], over all T - k + 1 queries that see it, its own among them; k is
a sink of the head where alpha_k > eps = .3, and Sink_k is the share of heads and texts in which it is. They measure
the first token with T = 64. A position near the end is seen by few queries (the last one by itself alone), and
what is near always gets attention; so here a position counts only if at least 64 queries see it, as in the paper.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.lenses.depth import activations_at
from energylens.lenses.logit import logit_lens
from energylens.metrics.energy import energy_and_gradient
from energylens.models.network import Network

EPSILON = 0.3
LEAST_QUERIES = 64


def attention_received(pattern: Float[Tensor, "*batch query key"]) -> Float[Tensor, "*batch key"]:
    """alpha_k = sum over i >= k of pattern[i, k] / (T - k), k from 0: mean over the queries that see the key.

    Errors: InputError for a pattern that is not square, has NaN, or looks ahead.
    """
    n_pos = pattern.shape[-1]
    if pattern.shape[-2] != n_pos or not torch.isfinite(pattern).all() or pattern.triu(1).any():
        shape = tuple(pattern.shape)
        raise InputError(
            f"an attention pattern is square, finite and causal, received another of shape {shape}"
        )
    return pattern.sum(-2) / torch.arange(n_pos, 0, -1, dtype=pattern.dtype, device=pattern.device)


def sinks(
    received: Float[Tensor, "*batch pos"], least_queries: int = LEAST_QUERIES, epsilon: float = EPSILON
) -> Bool[Tensor, "*batch pos"]:
    """True where a position receives more than epsilon on average; never where fewer queries than that see it."""
    n_pos = received.shape[-1]
    if not 1 <= least_queries <= n_pos or not 0 < epsilon < 1:
        raise InputError(
            f"of {n_pos} positions 1 to {n_pos} queries can be asked for and epsilon is a share, received "
            f"{least_queries!r} and {epsilon!r}"
        )
    found = received > epsilon
    found[..., n_pos - least_queries + 1 :] = False
    return found


def excess_over_matched(
    energy: Float[Tensor, "layer window pos"], is_sink: Bool[Tensor, "layer window pos"]
) -> Float[Tensor, " sink"]:
    """Energy at every sink minus the mean at its position in the windows where that is none, in the same layer.

    NaN for a sink whose position is one in every window. Position 0, BOS, is left out: it has no match.
    """
    others = ~is_sink
    mean = torch.where(others, energy.double(), 0.0).sum(1, keepdim=True) / others.sum(1, keepdim=True)
    chosen = is_sink.clone()
    chosen[..., 0] = False
    return (energy.double() - mean)[chosen]


@dataclass(frozen=True, eq=False)
class SinkStudy:
    """Attention that every position receives, and lens energies of the residual that a layer's heads read.

    received: [layer window head pos]; energy: nats, [layer window pos], NaN where no study needs it.
    """

    received: Float[Tensor, "layer window head pos"]
    energy: Float[Tensor, "layer window pos"]

    def sinks(self, least_queries: int = LEAST_QUERIES) -> Bool[Tensor, "layer window head pos"]:
        """Sinks of every head, BOS among them."""
        return sinks(self.received, least_queries)

    def excess(self, least_queries: int = LEAST_QUERIES) -> Float[Tensor, " sink"]:
        """`excess_over_matched`; a position that is a sink of several heads of a layer counts once."""
        return excess_over_matched(self.energy, self.sinks(least_queries).any(2))

    def share_besides_bos(self) -> Float[Tensor, "layer head"]:
        """Share of windows in which a position that is not BOS is a sink of the head."""
        return self.sinks()[..., 1:].any(-1).double().mean(1)

    def largest_besides_bos(self) -> float:
        """Largest attention that a position which is not BOS receives, of those that LEAST_QUERIES queries see."""
        return float(self.received[..., 1 : self.received.shape[-1] - LEAST_QUERIES + 1].max())

    @property
    def on_bos(self) -> Float[Tensor, "layer head"]:
        """Mean attention on BOS over queries and windows."""
        return self.received[..., 0].mean(1)

    @property
    def bos_share(self) -> float:
        """Sink_1 of the paper: share of heads and windows in which BOS is a sink."""
        return float(self.sinks()[..., 0].double().mean())


def study_sinks(
    network: Network, tokens: Int[Tensor, "window pos"], targets: Int[Tensor, "window pos"]
) -> SinkStudy:
    """Attention received everywhere, and energies at every position that is a sink of its layer in some window.

    The residual is the one before the block: heads make their keys of it.
    """
    layers, lens = range(network.n_layers), logit_lens(network)
    patterns, residuals = (
        [f"blocks.{layer}.{hook}" for layer in layers] for hook in ("attn.hook_pattern", "hook_resid_pre")
    )
    found = activations_at(network, [*patterns, *residuals], tokens)
    received = torch.stack([attention_received(found[name]) for name in patterns])
    energy = torch.full((len(layers), *tokens.shape), torch.nan)
    anywhere = sinks(received, least_queries=1).any(2).any(1)
    for layer, name in enumerate(residuals):
        asked = anywhere[layer].nonzero().flatten()
        if len(asked):
            energy[layer, :, asked] = energy_and_gradient(lens, found[name][:, asked], targets[:, asked])[0]
    return SinkStudy(received, energy)
