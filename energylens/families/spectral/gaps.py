"""Gaps and other descriptions of every attention head of a network, from one forward pass over its prompts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energylens.families.spectral import as_published
from energylens.metrics import spectral
from energylens.models.network import Network

Table = Float[Tensor, "layer head"]
HOOKS = ("hook_q", "hook_k", "hook_pattern", "hook_z")
PUBLISHED_PROMPTS = 10


@dataclass(frozen=True)
class HeadGaps:
    """Tables [layer, head], float64.

    gaps: by the names of `spectral.GAPS`. published: the published estimator on the first 10 prompts.
    entropy: of the pattern, nats. ov_norm: mean norm of what the head writes.
    """

    gaps: Mapping[str, Table]
    published: Table
    entropy: Table
    ov_norm: Table


def head_gaps(
    network: Network, tokens: Int[Tensor, "prompt pos"], mask: Bool[Tensor, "prompt pos"]
) -> HeadGaps:
    """All definitions for all heads. mask: the positions that count (no padding, no BOS)."""
    names = [f"blocks.{layer}.attn.{hook}" for layer in range(network.n_layers) for hook in HOOKS]
    found = network.run(names, tokens, pos=slice(None))
    state = network.bridge.state_dict()
    layers = [_inputs(network, state, found, layer, mask) for layer in range(network.n_layers)]
    _, k, pattern, z = ([_by_head(found, layer, hook) for layer in range(network.n_layers)] for hook in HOOKS)
    few = slice(PUBLISHED_PROMPTS)
    return HeadGaps(
        gaps={name: _stacked(gap.compute(one) for one in layers) for name, gap in spectral.GAPS.items()},
        published=_stacked(as_published.key_gap(keys[few], mask[few]) for keys in k),
        entropy=_stacked(spectral.attention_entropy(one, mask) for one in pattern),
        ov_norm=_stacked(
            spectral.ov_output_norm(one, W_O, mask) for one, W_O in zip(z, network.bridge.W_O, strict=True)
        ),
    )


def _inputs(
    network: Network, state: Mapping[str, Tensor], found: Mapping[str, Tensor], layer: int, mask: Tensor
) -> spectral.HeadInputs:
    """Activations of one layer and its weights, with the norms before them folded in."""
    bridge = network.bridge
    before, last = f"blocks.{layer}.ln1", "ln_final"
    return spectral.HeadInputs(
        q=_by_head(found, layer, "hook_q"),
        k=_by_head(found, layer, "hook_k"),
        pattern=_by_head(found, layer, "hook_pattern"),
        mask=mask,
        W_Q=_folded(network, state, before, bridge.W_Q[layer]),
        W_K=_folded(network, state, before, bridge.W_K[layer]),
        W_V=_folded(network, state, before, bridge.W_V[layer]),
        W_O=bridge.W_O[layer],
        W_E=bridge.W_E,
        W_U=_folded(network, state, last, bridge.W_U),
    )


def _folded(
    network: Network, state: Mapping[str, Tensor], norm: str, weight: Float[Tensor, "*head d_model out"]
) -> Float[Tensor, "*head d_model out"]:
    """Weights that read the residual stream through a norm: its gain, and the centring of a LayerNorm, folded in."""
    gain = state.get(f"{norm}.weight")
    weight = weight if gain is None else gain[:, None] * weight
    if (network.bridge.cfg.normalization_type or "none").upper() in ("LN", "LNPRE"):
        weight = weight - weight.mean(dim=-2, keepdim=True)
    return weight


def _by_head(found: Mapping[str, Tensor], layer: int, hook: str) -> Float[Tensor, "prompt head pos last"]:
    """The head axis before the positions, as patterns have it anyway."""
    activations = found[f"blocks.{layer}.attn.{hook}"]
    return activations if hook == "hook_pattern" else activations.transpose(1, 2)


def _stacked(rows: Iterable[Tensor]) -> Table:
    return torch.stack([row.double() for row in rows])
