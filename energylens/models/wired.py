"""A network with a known circuit, written by hand: the planted positive for head importance.

Importing this module does not import torch; a build does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from energylens.errors import InputError
from energylens.models.recipe import ModelConfig
from energylens.models.tasks.induction import Induction
from energylens.store.recipe import Artifact, Progress, Recipe

if TYPE_CHECKING:
    import torch

SHARPNESS = 20.0
"""Score, in nats, by which a circuit head prefers the key it looks for to any other."""
GAIN = 10.0
"""Logit of the token that the induction head copies."""
NOISE = 0.01
"""Size of the outputs of other heads, relative to a head at initialisation."""


@dataclass(frozen=True)
class WireInduction(Recipe):
    """Induction by two heads that are set by hand, in two attention-only layers without norm.

    The residual stream has four blocks of one-hot codes: the token, the position, the previous token and the
    next token, so d_model = 3 d_vocab + n_ctx. Head (0, h0) attends from position t to t - 1 and copies the
    token there into the block "previous token"; head (1, h1) matches its own token with the keys' previous
    tokens (K-composition) and copies the token it finds into "next token", which alone is unembedded. The seed
    chooses h0 and h1 and draws the other heads: queries and keys as at initialisation, outputs NOISE times as
    large. All biases are 0. Repeat loss is about .003 nats. Errors: InputError if seed < 0 or n_heads < 1.
    Source: the mechanism is that of Elhage et al. 2021; setting weights by hand after Lindner et al. 2023
    (arXiv:2301.05062).
    """

    kind: ClassVar[str] = "network"
    seed: int
    task: Induction = field(default=Induction())
    n_heads: int = 4

    def __post_init__(self) -> None:
        if self.seed < 0 or self.n_heads < 1:
            raise InputError(f"seed must be >= 0 and n_heads >= 1, got {self!r}")

    @property
    def name(self) -> str:
        """The network's name."""
        return "induction-wired"

    @property
    def circuit(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(layer, head_index) of the previous-token head and of the induction head: ((0, h0), (1, h1))."""
        h0, h1 = np.random.default_rng(self.seed).integers(self.n_heads, size=2).tolist()
        return (0, h0), (1, h1)

    @property
    def config(self) -> ModelConfig:
        """Sizes that hold one-hot codes of tokens and positions."""
        d_vocab, n_ctx = self.task.d_vocab, self.task.n_ctx
        return ModelConfig.for_task(
            self.task,
            n_layers=2,
            d_model=3 * d_vocab + n_ctx,
            n_heads=self.n_heads,
            d_head=max(d_vocab, n_ctx),
            attn_only=True,
        )

    def label(self) -> str:
        """The short name shown while it is made."""
        return f"{self.name} seed {self.seed}"

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Set the weights. Tensors: a bridge's state dict; meta["circuit"] lists the two heads."""
        tensors = {name: tensor.numpy() for name, tensor in _wire(self).items()}
        meta = {
            "name": self.name,
            "seed": self.seed,
            "split_seed": self.seed,
            "config": asdict(self.config),
            "task": self.task.to_json(),
            "circuit": [list(head) for head in self.circuit],
        }
        return Artifact(tensors, meta)


def _wire(recipe: WireInduction) -> dict[str, torch.Tensor]:
    """The state dict: noise everywhere, then the two heads written over it."""
    import torch

    from energylens.models.transformer import Transformer

    state = Transformer(recipe.config, recipe.seed).state_dict()
    d_vocab, n_ctx = recipe.task.d_vocab, recipe.task.n_ctx
    token, position = slice(0, d_vocab), slice(d_vocab, d_vocab + n_ctx)
    previous, following = slice(position.stop, -d_vocab), slice(-d_vocab, None)
    for name, block, size in (
        ("embed", token, d_vocab),
        ("pos_embed", position, n_ctx),
        ("unembed", following, d_vocab),
    ):
        state[f"{name}.weight"].zero_()[:, block] = torch.eye(size)
    for layer in range(2):
        state[f"blocks.{layer}.attn.o.weight"] *= NOISE
    strength = math.sqrt(SHARPNESS * math.sqrt(recipe.config.d_head))
    (_, h0), (_, h1) = recipe.circuit

    q, k, v, o = _head(state, recipe.config, 0, h0)
    q[:n_ctx, position] = strength * torch.eye(n_ctx)
    k[1:n_ctx, position] = strength * torch.eye(n_ctx)[:-1]
    v[:d_vocab, token] = torch.eye(d_vocab)
    o[previous, :d_vocab] = torch.eye(d_vocab)

    q, k, v, o = _head(state, recipe.config, 1, h1)
    q[:d_vocab, token] = strength * torch.eye(d_vocab)
    k[:d_vocab, previous] = strength * torch.eye(d_vocab)
    # Nothing precedes position 0, so the first head could only attend to that token itself: never look there.
    k[:d_vocab, position.start] = -2 * strength
    v[:d_vocab, token] = torch.eye(d_vocab)
    o[following, :d_vocab] = GAIN * torch.eye(d_vocab)
    return state


def _head(
    state: dict[str, torch.Tensor], config: ModelConfig, layer: int, head_index: int
) -> tuple[torch.Tensor, ...]:
    """Views of a head's q, k, v [d_head, d_model] and o [d_model, d_head], set to zero."""
    rows = slice(head_index * config.d_head, (head_index + 1) * config.d_head)
    q, k, v = (state[f"blocks.{layer}.attn.{name}.weight"][rows] for name in "qkv")
    o = state[f"blocks.{layer}.attn.o.weight"][:, rows]
    return q.zero_(), k.zero_(), v.zero_(), o.zero_()
