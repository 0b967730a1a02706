"""Another network that computes the same: every head's keys and queries in other coordinates.

Scores are q k^T, so K -> K M with Q -> Q M^-T leaves them, and the network, unchanged for every invertible M. A
property of the keys alone changes; it is then no property of the network.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.metrics.stability import random_rotation

CONDITION = 10.0
"""Condition number of every map: enough to change a gap of the keys, and costs one digit of sixteen."""


def regauged(
    state: Mapping[str, Tensor], config: Mapping[str, Any], generator: Generator
) -> dict[str, Tensor]:
    """The float64 state dict of a native bridge with K -> K M and Q -> Q M^-T in every head, M random.

    Weights and biases of `blocks.L.attn.q` and `.k` change, everything else is only converted; load it into
    `boot(config).double()`, which computes in float64 throughout, except that RMSNorm with a gain rounds to
    float32. `config`: the fields of its TransformerBridgeConfig. Heads that share keys share M.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (only W_Q W_K^T matters).
    Errors: InputError if a weight is missing or has another shape than the config says.
    """
    made = {key: tensor.double() for key, tensor in state.items()}
    n_heads = config["n_heads"]
    n_key_heads = config.get("n_key_value_heads") or n_heads
    for layer in range(config["n_layers"]):
        maps = torch.stack([random_gauge(config, generator) for _ in range(n_key_heads)])
        inverse = torch.linalg.inv(maps).mT.repeat_interleave(n_heads // n_key_heads, dim=0)
        for name, by_head in (("k", maps), ("q", inverse)):
            for kind in ("weight", "bias"):
                key = f"blocks.{layer}.attn.{name}.{kind}"
                made[key] = _turned(made, key, by_head)
    return made


def random_gauge(config: Mapping[str, Any], generator: Generator) -> Float[Tensor, "d_head d_head"]:
    """A random M under which a head of this config computes the same; condition number CONDITION or less.

    Learned positions: U diag(s) V^T, U and V uniform orthogonal, s spread evenly in the logarithm over a factor
    of CONDITION. Rotary positions turn adjacent pairs of the first `rotary_dim` coordinates, and M has to
    commute with that: a I + b J in each pair, lengths spread likewise in random order, angles uniform; the
    coordinates that are not turned get a map as above.
    """
    d_head = config["d_head"]
    if (config.get("positional_embedding_type") or "standard").lower() != "rotary":
        return _general(d_head, generator)
    n_turned = config.get("rotary_dim") or d_head
    lengths = _spread(n_turned // 2)[torch.randperm(n_turned // 2, generator=generator)]
    angles = 2 * math.pi * torch.rand(n_turned // 2, generator=generator, dtype=torch.float64)
    a, b = lengths * angles.cos(), lengths * angles.sin()
    pairs = torch.stack([torch.stack([a, -b], dim=1), torch.stack([b, a], dim=1)], dim=1)
    return torch.block_diag(*pairs, _general(d_head - n_turned, generator))


def _general(d: int, generator: Generator) -> Tensor:
    if d == 0:
        return torch.zeros(0, 0, dtype=torch.float64)
    return random_rotation(d, generator) * _spread(d) @ random_rotation(d, generator)


def _spread(n: int) -> Tensor:
    return torch.logspace(-0.5, 0.5, n, base=CONDITION, dtype=torch.float64)


def _turned(state: Mapping[str, Tensor], key: str, by_head: Tensor) -> Tensor:
    """A projection whose output, heads side by side, is multiplied from the right by each head's map."""
    n_heads, d_head, _ = by_head.shape
    if key not in state or len(state[key]) != n_heads * d_head:
        found = tuple(state[key].shape) if key in state else "nothing"
        raise InputError(
            f"{key} should have {n_heads} x {d_head} rows, got {found}: not a native bridge's state"
        )
    heads = state[key].unflatten(0, (n_heads, d_head))
    return torch.einsum("hi...,hij->hj...", heads, by_head).flatten(0, 1)
