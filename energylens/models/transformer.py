"""A small transformer in plain torch, for training only.

Its state dict is that of a transformer_lens bridge (`TransformerBridge.boot_native`), key by key, so a
trained network loads there with strict=True; a test holds the two to the same logits. It exists because the
bridge trains at half the speed. Two savings: where a batch holds more tokens than there are (position, token)
pairs, the first block's norm, q, k and v are computed once per pair; and where one position is read, the last
block computes nothing else.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from energylens.errors import InputError
from energylens.models.recipe import ModelConfig

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": functional.relu, "gelu": functional.gelu}
SHORT = 8
ROTARY_BASE = 10_000
FROZEN_BIASES = ("attn.q.bias", "attn.k.bias", "attn.v.bias", "attn.o.bias", "unembed.bias")


def _norm(config: ModelConfig) -> nn.Module:
    if config.normalization_type not in (None, "LN"):
        raise InputError(f"the trainer knows LN or no normalisation, got {config.normalization_type!r}")
    return nn.LayerNorm(config.d_model) if config.normalization_type == "LN" else nn.Identity()


def rotate(x: Float[Tensor, "batch pos head d_head"], start: int) -> Float[Tensor, "batch pos head d_head"]:
    """Rotary positions start, start + 1, ...: each adjacent pair (2i, 2i+1) turns by pos / 10000^(2i / d_head).

    A pair is a complex number here: one multiplication, ten times faster than sines and cosines written out.
    Source: Su et al. 2021 (arXiv:2104.09864), in the pairing of transformer_lens' native models.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * _turns(start, x.shape[1], x.shape[-1])).flatten(-2).to(x.dtype)


@lru_cache(maxsize=64)
def _turns(start: int, n_pos: int, d_head: int) -> Complex[Tensor, "pos 1 pair"]:
    """exp(i angle) for every position and pair."""
    frequencies = ROTARY_BASE ** (-torch.arange(0, d_head, 2) / d_head)
    angles = torch.outer(torch.arange(start, start + n_pos).float(), frequencies)
    return torch.polar(torch.ones_like(angles), angles)[:, None]


def attend(
    q: Float[Tensor, "batch query head d_head"],
    k: Float[Tensor, "batch key head d_head"],
    v: Float[Tensor, "batch key head d_head"],
) -> Float[Tensor, "batch query head d_head"]:
    """softmax(q k^T / sqrt(d_head)) v; the queries stand at the last key positions, blind to later keys.

    Written out, since torch's fused kernel is slow in bf16 on a CPU; contexts of up to SHORT tokens are too
    small for batched matrix products and are multiplied element by element.
    """
    n_queries, n_keys = q.shape[1], k.shape[1]
    q = q / math.sqrt(q.shape[-1])
    future = torch.ones(n_queries, n_keys, dtype=torch.bool).triu(n_keys - n_queries + 1)
    if n_keys <= SHORT:
        scores = (q[:, :, None] * k[:, None]).sum(-1)
        if n_queries > 1:
            scores = scores.masked_fill(future[:, :, None], -torch.inf)
        return (scores.softmax(dim=2)[..., None] * v[:, None]).sum(2)
    # Heads first and contiguous, additive mask: twice as fast on a CPU as the same sums in einsum's layout.
    q, k, v = (tensor.transpose(1, 2) for tensor in (q, k, v))
    scores = q @ k.transpose(-2, -1) + torch.zeros(future.shape, dtype=q.dtype).masked_fill(
        future, -torch.inf
    )
    return (scores.softmax(dim=-1).to(v.dtype) @ v).transpose(1, 2)


class Block(nn.Module):
    """Pre-norm attention and MLP, each added to the residual stream."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        d_model, width = config.d_model, config.n_heads * config.d_head
        self.heads, self.rotary = (
            (config.n_heads, config.d_head),
            config.positional_embedding_type == "rotary",
        )
        self.ln1 = _norm(config)
        self.attn = nn.ModuleDict(
            {name: nn.Linear(d_model, width) for name in "qkv"} | {"o": nn.Linear(width, d_model)}
        )
        self.mlp = None
        if config.attn_only:
            return
        self.ln2 = _norm(config)
        self.mlp = nn.ModuleDict(
            {"in": nn.Linear(d_model, config.d_mlp), "out": nn.Linear(config.d_mlp, d_model)}
        )
        self.activation = ACTIVATIONS[config.act_fn]

    def project(self, x: Float[Tensor, "... d_model"]) -> list[Float[Tensor, "... width"]]:
        """Queries, keys and values of a residual stream, heads side by side."""
        normed = self.ln1(x)
        return [self.attn[name](normed) for name in "qkv"]

    def forward(
        self, x: Float[Tensor, "batch query d_model"], qkv: list[Float[Tensor, "batch _ width"]]
    ) -> Float[Tensor, "batch query d_model"]:
        """The residual stream after the block at the last positions, x being the stream before it there."""
        q, k, v = (tensor.unflatten(-1, self.heads) for tensor in qkv)
        q, start = q[:, -x.shape[1] :], k.shape[1] - x.shape[1]
        if self.rotary:
            q, k = rotate(q, start), rotate(k, 0)
        x = x + self.attn["o"](attend(q, k, v).flatten(-2))
        if self.mlp is None:
            return x
        return x + self.mlp["out"](self.activation(self.mlp["in"](self.ln2(x))))


class Transformer(nn.Module):
    """Token and position embedding, blocks, unembedding. Biases of attention and unembedding stay at zero."""

    def __init__(self, config: ModelConfig, seed: int):
        super().__init__()
        self.embed = nn.Embedding(config.d_vocab, config.d_model)
        rotary = config.positional_embedding_type == "rotary"
        self.pos_embed = None if rotary else nn.Embedding(config.n_ctx, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.ln_final = _norm(config)
        self.unembed = nn.Linear(config.d_model, config.d_vocab)
        initialise(self, config, seed)

    def forward(
        self, tokens: Int[Tensor, "batch pos"], readout: int | None = -1
    ) -> Float[Tensor, "batch ..."]:
        """Logits at one position, counted from the end, or at every position: [batch, (pos,) d_vocab]."""
        if readout is not None:
            tokens = tokens[:, : tokens.shape[1] + readout + 1]
        x, qkv = self.embedded(tokens)
        blocks = cast(list[Block], self.blocks)
        for layer, block in enumerate(blocks):
            qkv = qkv if layer == 0 else block.project(x)
            last = layer == len(blocks) - 1 and readout is not None
            x = block(x[:, -1:] if last else x, qkv)
        return self.unembed(self.ln_final(x if readout is None else x[:, -1]))

    def embedded(
        self, tokens: Int[Tensor, "batch pos"]
    ) -> tuple[Float[Tensor, "batch pos d_model"], list[Float[Tensor, "batch pos width"]]]:
        """The residual stream before the first block, and that block's queries, keys and values."""
        n_ctx, first = tokens.shape[1], cast(list[Block], self.blocks)[0]
        if self.pos_embed is None:
            x = self.embed(tokens)
            return x, first.project(x)
        positions = self.pos_embed.weight[:n_ctx]
        if tokens.numel() <= n_ctx * len(self.embed.weight):
            x = self.embed(tokens) + positions
            return x, first.project(x)
        table = self.embed.weight + positions[:, None]
        rows = tokens + torch.arange(n_ctx) * len(self.embed.weight)

        def look_up(per_token: Tensor) -> Tensor:
            # float32, because the backward pass adds up thousands of examples per row.
            return functional.embedding(rows, per_token.flatten(0, 1).float())

        return look_up(table), [look_up(tensor) for tensor in first.project(table)]


@torch.no_grad()
def initialise(network: Transformer, config: ModelConfig, seed: int) -> None:
    """Weights ~ N(0, 0.64 / d_model), over sqrt(2 n_layers) where they write into the residual stream.

    Biases are 0. The draws and their order are those of transformer_lens' native models: the same seed gives
    the same network there.
    """
    generator = torch.Generator().manual_seed(seed)
    std = 0.8 / math.sqrt(config.d_model)
    for name, parameter in network.named_parameters():
        if name.endswith(".bias"):
            parameter.zero_()
            parameter.requires_grad_(not name.endswith(FROZEN_BIASES))
        elif parameter.ndim == 2:
            writes = name.endswith(("attn.o.weight", "mlp.out.weight"))
            scale = std / math.sqrt(2 * config.n_layers) if writes else std
            parameter.normal_(0, scale, generator=generator)
