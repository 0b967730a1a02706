"""The maps of a native bridge as plain functions on its own weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

Map = Callable[[Tensor], Tensor]
State = dict[str, Tensor]

ACTIVATIONS: dict[str, Map] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
}
NORMS = (None, "LN", "LNPRE")


class Block(NamedTuple):
    """The maps of one layer. q, k and v give heads side by side; `mlp` includes its norm; none if attention only."""

    ln1: Map
    q: Map
    k: Map
    v: Map
    W_O: Float[Tensor, "head d_head d_model"]
    o_bias: Float[Tensor, " d_model"]
    mlp: Map | None


@dataclass(frozen=True, eq=False)
class Weights:
    """A whole network. turns: cos + i sin of the rotary angles, None with learned positions (W_pos)."""

    W_E: Float[Tensor, "d_vocab d_model"]
    W_pos: Float[Tensor, "n_ctx d_model"] | None
    turns: Complex[Tensor, "n_ctx half"] | None
    scale: float
    blocks: list[Block]
    unembed: Map


def is_supported(bridge: "TransformerBridge") -> bool:
    """Whether these functions cover everything that the bridge computes, hooks included."""
    from transformer_lens.model_bridge.sources.native.model import NativeModel

    if not isinstance(bridge.original_model, NativeModel):
        return False
    cfg = bridge.cfg
    plain = not (
        cfg.gated_mlp or cfg.final_rms or cfg.attn_scores_soft_cap > 0 or cfg.output_logits_soft_cap > 0
    )
    own_keys = (cfg.n_key_value_heads or cfg.n_heads) == cfg.n_heads
    norm = cfg.normalization_type and cfg.normalization_type.upper()
    known = norm in NORMS and (cfg.attn_only or (cfg.act_fn or "gelu").lower() in ACTIVATIONS)
    hooked = any(point.has_hooks() for point in bridge.hook_dict.values())
    return plain and own_keys and known and cfg.attention_dir == "causal" and not hooked


def weights_of(bridge: "TransformerBridge") -> Weights:
    """The maps of a supported bridge; they share its tensors."""
    model: Any = bridge.original_model
    state = {key: tensor.detach() for key, tensor in bridge.state_dict().items()}
    ln_final, head = _norm(bridge.cfg, state, "ln_final"), _linear(state, "unembed")
    return Weights(
        W_E=state["embed.weight"],
        W_pos=state.get("pos_embed.weight"),
        turns=None if model.rotary is None else _turns(model.rotary),
        scale=1 / model.layers[0].attn.scale,
        blocks=[_block(bridge.cfg, state, f"blocks.{layer}") for layer in range(bridge.cfg.n_layers)],
        unembed=partial(_chain, (ln_final, head)),
    )


def rotated(
    x: Float[Tensor, "run prompt pos head d_head"], turns: Complex[Tensor, "1 _ pos 1 half"]
) -> Float[Tensor, "run prompt pos head d_head"]:
    """Adjacent pairs of the first 2 * half dimensions, as complex numbers, times their position's turn."""
    width = 2 * turns.shape[-1]
    pairs = torch.view_as_complex(x[..., :width].unflatten(-1, (-1, 2)))
    turned = torch.view_as_real(pairs * turns).flatten(-2)
    return turned if width == x.shape[-1] else torch.cat([turned, x[..., width:]], dim=-1)


def _turns(rotary: Any) -> Complex[Tensor, "n_ctx half"]:
    return torch.complex(rotary.cos_cached[:, ::2], rotary.sin_cached[:, ::2])


def _block(cfg: Any, state: State, prefix: str) -> Block:
    q, k, v = (_linear(state, f"{prefix}.attn.{name}") for name in "qkv")
    W_O, o_bias = (state[f"{prefix}.attn.o.{name}"] for name in ("weight", "bias"))
    mlp: Map | None = None
    if not cfg.attn_only:
        into, out = (_linear(state, f"{prefix}.mlp.{name}") for name in ("in", "out"))
        activation = ACTIVATIONS[(cfg.act_fn or "gelu").lower()]
        mlp = partial(_chain, (_norm(cfg, state, f"{prefix}.ln2"), into, activation, out))
    return Block(
        _norm(cfg, state, f"{prefix}.ln1"), q, k, v, W_O.T.unflatten(0, (cfg.n_heads, -1)), o_bias, mlp
    )


def _linear(state: State, name: str) -> Map:
    return partial(functional.linear, weight=state[f"{name}.weight"], bias=state.get(f"{name}.bias"))


def _norm(cfg: Any, state: State, name: str) -> Map:
    if cfg.normalization_type is None:
        return partial(_chain, ())
    weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
    return partial(
        functional.layer_norm, normalized_shape=(cfg.d_model,), weight=weight, bias=bias, eps=cfg.eps
    )


def _chain(maps: tuple[Map, ...], x: Tensor) -> Tensor:
    for each in maps:
        x = each(x)
    return x
