"""Edited runs of a native bridge, in plain torch on its own weights, computing only what the result needs.

Head outputs z' put into layer l change its residual stream by (z' - z) W_O; attention of layer l is not run again.
In later layers, positions before the edit keep their queries, keys and values. In the last layer queries, MLP and
logits are computed at the read positions only. Tokens after the last read position are never given.

Covered: LN, LNPre or no norm; MLP with ReLU or GELU, or attention only; learned or rotary positions; padding.
`native_weights.is_supported` refuses everything else and any bridge with hooks attached; the first run is compared
with the bridge itself, so that an unforeseen variant is an error instead of a wrong number.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.nn import functional

from energylens.errors import EnergylensError
from energylens.interventions.prompts import Mask
from energylens.interventions.runners.native_weights import Block, rotated, weights_of
from energylens.interventions.runners.runner import Edit, HeadOutputs, Where, hardest, rounding, take

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

Residual = Float[Tensor, "... d_model"]
Heads = Float[Tensor, "_ prompt _ head d_head"]


@dataclass(eq=False)
class NativeRun:
    """An unedited run and all that later layers read of it. Lists are per layer; axis 0 is a run axis of size 1."""

    read: Int[Tensor, "prompt read"]
    allowed: Bool[Tensor, "_ query key"]
    turns: Complex[Tensor, "1 _ pos 1 half"] | None
    pre: list[Float[Tensor, "1 prompt pos d_model"]]
    mid: list[Float[Tensor, "1 prompt pos d_model"]]
    qkv: list[list[Heads]]
    z: list[HeadOutputs]
    post: Float[Tensor, "1 prompt read d_model"]
    logits: Float[Tensor, "prompt read d_vocab"]

    @property
    def n_pos(self) -> int:
        """Number of positions."""
        return self.allowed.shape[-1]

    def at(self, read: bool, span: tuple[int, int]) -> Where:
        """The read positions, or a range; a range also where all positions are read in order."""
        everywhere = torch.arange(self.n_pos, device=self.read.device)
        if not read or (self.read.shape[1] == self.n_pos and (self.read == everywhere).all()):
            return slice(*span)
        return self.read


class NativeRunner:
    """Executes native bridges. Copies nothing: the weights are the bridge's own tensors."""

    causal = True

    def __init__(self, bridge: "TransformerBridge") -> None:
        self._bridge, self._checked = bridge, False
        self.n_layers, self.n_heads = bridge.cfg.n_layers, bridge.cfg.n_heads
        self._weights = weights_of(bridge)
        self._blocks = self._weights.blocks

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._weights.W_E.device

    def run(
        self, tokens: Int[Tensor, "prompt pos"], mask: Mask | None, read: Int[Tensor, "prompt read"]
    ) -> NativeRun:
        """The unedited run, with every query, key, value and residual stream kept."""
        n_pos = tokens.shape[1]
        places = torch.arange(n_pos, device=self.device)[None]
        allowed = (places[0] <= places[0][:, None])[None]
        if mask is not None:
            # A padded query sees itself, so that its softmax is defined; no token reads it.
            allowed = allowed & (mask[:, None] | torch.eye(n_pos, dtype=torch.bool, device=self.device))
            places = (mask.long().cumsum(1) - 1).clamp(min=0)
        weights = self._weights
        turns = None if weights.turns is None else weights.turns[places][None, :, :, None]
        nothing = weights.W_E.new_empty(*read.shape, 0)
        run = NativeRun(read, allowed, turns, [], [], [], [], nothing[None], nothing)
        x = weights.W_E[tokens][None]
        x = x if weights.W_pos is None else x + weights.W_pos[places]
        for block in self._blocks:
            run.pre.append(x)
            run.qkv.append(self._project(block, block.ln1(x), "qkv", turns))
            z = self._attend(run, run.qkv[-1], slice(0, n_pos))
            run.z.append(z[0])
            run.mid.append(x + _write(block, z) + block.o_bias)
            last = len(run.mid) == self.n_layers
            x = _mlp(block, take(run.mid[-1], run.at(last, (0, n_pos))))
        run.post, run.logits = x, self._read_out(x)[0]
        self._check(tokens, mask, run)
        return run

    def edited(self, run: NativeRun, edit: Edit) -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits of the edited runs."""
        first, (start, stop), last = edit.layers[0], edit.span, self.n_layers - 1
        block, where = self._blocks[first], run.at(first == last, (start, stop))
        z = take(run.z[first][None], where)
        x = _mlp(block, take(run.mid[first], where) + _write(block, edit(first, z, where) - z))
        for layer in range(first + 1, self.n_layers):
            block, where = self._blocks[layer], run.at(layer == last, (start, run.n_pos))
            x, z = self._attention(run, layer, x, (start, stop), where)
            z = edit(layer, z, where) if layer in edit.layers else z
            x, stop = _mlp(block, x + _write(block, z) + block.o_bias), run.n_pos
        logits = self._read_out(x)
        return _splice(run.logits[None], logits, start, stop) if isinstance(where, slice) else logits

    def written(self, layer: int, head: int, z: Float[Tensor, "... d_head"]) -> Residual:
        """z W_O of one head."""
        return z @ self._blocks[layer].W_O[head]

    def received(
        self,
        run: NativeRun,
        layer: int,
        head: int,
        kind: Literal["q", "k", "v"],
        added: Float[Tensor, "run prompt pos d_model"],
    ) -> Float[Tensor, "run prompt pos d_head"]:
        """z of a head whose q, k or v alone reads the residual stream plus `added`."""
        block = self._blocks[layer]
        (mine,) = self._project(block, block.ln1(run.pre[layer] + added), kind, run.turns)
        one = slice(head, head + 1)
        qkv = [own.expand(len(added), -1, -1, -1, -1)[..., one, :] for own in run.qkv[layer]]
        qkv["qkv".index(kind)] = mine[..., one, :]
        return self._attend(run, qkv, slice(0, run.n_pos))[..., 0, :]

    def direct(
        self, run: NativeRun, added: Float[Tensor, "run prompt pos d_model"]
    ) -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits with `added` in the final residual stream."""
        return self._read_out(run.post + take(added, run.at(True, (0, run.n_pos))))

    def _project(self, block: Block, normed: Residual, kinds: str, turns: Tensor | None) -> list[Heads]:
        heads = [getattr(block, kind)(normed).unflatten(-1, (self.n_heads, -1)) for kind in kinds]
        if turns is None:
            return heads
        return [x if kind == "v" else rotated(x, turns) for x, kind in zip(heads, kinds, strict=True)]

    def _attention(
        self, run: NativeRun, layer: int, x: Residual, span: tuple[int, int], where: Where
    ) -> tuple[Residual, Heads]:
        """Residual stream before the layer and head outputs at `where`; x is that stream where it has changed."""
        block, turns = self._blocks[layer], run.turns
        part = None if turns is None else turns[:, :, slice(*span)]
        normed, (q, k, v) = block.ln1(x), run.qkv[layer]
        new_k, new_v = self._project(block, normed, "kv", part)
        k, v = _splice(k, new_k, *span), _splice(v, new_v, *span)
        if isinstance(where, slice):
            x = _splice(run.pre[layer], x, *span)[:, :, where]
            (new_q,) = self._project(block, normed, "q", part)
            q = _splice(q, new_q, *span)[:, :, where]
        else:
            x = take(_splice(run.pre[layer], x, *span), where)
            (q,) = self._project(block, block.ln1(x), "q", None if turns is None else take(turns, where))
        return x, self._attend(run, [q, k, v], where)

    def _attend(self, run: NativeRun, qkv: list[Heads], where: Where) -> Heads:
        """softmax(q k^T / scale) v of every run and prompt."""
        allowed = take(run.allowed[None], where)[0]
        if len(allowed) > 1:
            allowed = allowed.repeat(len(qkv[0]), 1, 1)
        q, k, v = (each.flatten(0, 1).transpose(1, 2) for each in qkv)
        z = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=allowed[:, None], scale=self._weights.scale
        )
        return z.transpose(1, 2).unflatten(0, qkv[0].shape[:2])

    def _read_out(self, x: Residual) -> Float[Tensor, "... d_vocab"]:
        return self._weights.unembed(x)

    def _check(self, tokens: Tensor, mask: Mask | None, run: NativeRun) -> None:
        if self._checked:
            return
        row = hardest(mask)
        given = {} if mask is None else {"attention_mask": mask[row].long()}
        with torch.no_grad():
            expected = take(self._bridge(tokens[row], **given)[None], run.read[row])[0]
        error = (run.logits[row] - expected).abs().max()
        if not error <= rounding(expected):
            raise EnergylensError(
                f"the plain-torch executor differs from the bridge by {float(error):.2g} in the logits of a prompt: "
                "this architecture has a variant that it does not know"
            )
        self._checked = True


def _mlp(block: Block, x: Residual) -> Residual:
    return x if block.mlp is None else x + block.mlp(x)


def _write(block: Block, z: Heads) -> Residual:
    return z.flatten(-2) @ block.W_O.flatten(0, 1)


def _splice(base: Tensor, new: Tensor, start: int, stop: int) -> Tensor:
    """`base` [1, prompt, pos, ...] with `new` [run, prompt, stop - start, ...] in the place of its positions."""
    if stop - start == base.shape[2]:
        return new
    before, after = base[:, :, :start], base[:, :, stop:]
    runs = [each.expand(len(new), *each.shape[1:]) for each in (before, after)]
    return torch.cat([runs[0], new, runs[1]], dim=2)
