"""Edited runs of any bridge (pretrained ones among them), through its own hooks.

Every edited run is a copy of the batch with `hook_z` edited. The run starts again at the edited layer's residual
stream; blocks before it are skipped for that time, and logits are computed at the read positions only, by handing
the unembedding nothing else. The first run tests both shortcuts against the bridge on one prompt and does without
those that do not reproduce its logits, and tests of every layer that editing `hook_z` changes the logits.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import EnergylensError, InputError
from energylens.interventions.hooks import HookWithoutEffect, canonical
from energylens.interventions.prompts import Mask
from energylens.interventions.runners.runner import Edit, HeadOutputs, Shift, hardest, rounding, take
from energylens.interventions.runners.skipping import skipping, watching

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

Hooks = dict[str, Callable[[Tensor], Tensor]]
SUMS = ("hook_resid_post", "hook_mlp_out")


@dataclass(eq=False)
class BridgedRun:
    """An unedited run: residual streams before each block, head outputs, logits."""

    tokens: Int[Tensor, "prompt pos"]
    mask: Mask | None
    read: Int[Tensor, "prompt read"]
    pre: list[Float[Tensor, "prompt pos d_model"]]
    z: list[HeadOutputs]
    logits: Float[Tensor, "prompt read d_vocab"]

    def alone(self, row: slice) -> "BridgedRun":
        """The same run of one prompt alone."""
        mask = None if self.mask is None else self.mask[row]
        pre, z = ([each[row] for each in layers] for layers in (self.pre, self.z))
        return BridgedRun(self.tokens[row], mask, self.read[row], pre, z, self.logits[row])


class BridgedRunner:
    """Executes any bridge that has `hook_z` and residual streams."""

    def __init__(self, bridge: "TransformerBridge") -> None:
        if bridge.training:
            raise InputError(
                "the bridge is in training mode, where dropout changes every run; call bridge.eval()"
            )
        self._bridge, self._tested = bridge, False
        self.n_layers, self.n_heads = bridge.cfg.n_layers, bridge.cfg.n_heads
        self.causal = bridge.cfg.attention_dir == "causal"
        self._pre = [self._point(layer, "hook_resid_pre") for layer in range(self.n_layers)]
        self._z = [self._point(layer, "attn.hook_z") for layer in range(self.n_layers)]
        self._returns_tuple: dict[int, bool] = {}
        self._resumes = self._skips = self._writes = True

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self._bridge.parameters()).device

    def run(
        self, tokens: Int[Tensor, "prompt pos"], mask: Mask | None, read: Int[Tensor, "prompt read"]
    ) -> BridgedRun:
        """The unedited run, with residual streams and head outputs of every layer kept."""
        kept: dict[str, Tensor] = {}
        keep: Hooks = {name: partial(_kept, kept, name) for name in (*self._pre, *self._z)}
        empty = BridgedRun(tokens, mask, read, [], [], torch.empty(*read.shape, 0))
        logits = self._forward(empty, 1, keep)
        for name in keep:
            if name not in kept:
                raise HookWithoutEffect(f"hook {name!r} exists but never fired")
        z = [kept[name].reshape(*tokens.shape, self.n_heads, -1) for name in self._z]
        run = BridgedRun(tokens, mask, read, [kept[name] for name in self._pre], z, logits)
        if not self._tested:
            self._tested = True
            self._test(run.alone(hardest(mask)))
        return run

    def edited(self, run: BridgedRun, edit: Edit) -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits of the edited runs."""
        hooks: Hooks = {}
        for layer in edit.layers:
            hooks[self._z[layer]] = partial(_edited, edit, layer, (edit.n, *run.z[layer].shape))
        return self._forward(run, edit.n, hooks, edit.layers[0]).unflatten(0, (edit.n, -1))

    def written(self, layer: int, head: int, z: Float[Tensor, "... d_head"]) -> Float[Tensor, "... d_model"]:
        """z W_O of one head. Errors: InputError where the network adds something else to the residual stream."""
        if not self._writes:
            raise InputError(
                "in this bridge heads do not add z W_O to the residual stream (a norm or a scale follows)"
            )
        return z @ self._bridge.blocks[layer].attn.W_O[head].to(z)

    def received(
        self,
        run: BridgedRun,
        layer: int,
        head: int,
        kind: Literal["q", "k", "v"],
        added: Float[Tensor, "run prompt pos d_model"],
    ) -> Float[Tensor, "run prompt pos d_head"]:
        """z of a head whose q, k or v alone reads the residual stream plus `added`."""
        if kind != "q" and (self._bridge.cfg.n_key_value_heads or self.n_heads) != self.n_heads:
            raise InputError(
                f"heads share keys and values in this bridge, so {kind!r} of head {head} is not its own"
            )
        name, kept = self._point(layer, f"attn.hook_{kind}"), dict[str, Tensor]()
        moved: Hooks = {self._pre[layer]: added.flatten(0, 1).add, name: partial(_kept, kept, kind)}
        self._forward(run, len(added), moved, layer, layer + 1)
        hooks: Hooks = {name: partial(_one_head, head, kept[kind]), self._z[layer]: partial(_kept, kept, "z")}
        self._forward(run, len(added), hooks, layer, layer + 1)
        return kept["z"].reshape(*added.shape[:3], self.n_heads, -1)[..., head, :]

    def direct(
        self, run: BridgedRun, added: Float[Tensor, "run prompt pos d_model"]
    ) -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits with `added` in the final residual stream."""
        last = self.n_layers - 1
        hooks: Hooks = {self._point(last, "hook_resid_post"): added.flatten(0, 1).add}
        return self._forward(run, len(added), hooks, last).unflatten(0, (len(added), -1))

    def _point(self, layer: int, name: str) -> str:
        return canonical(self._bridge, f"blocks.{layer}.{name}")

    def _forward(
        self, run: BridgedRun, n: int, hooks: Hooks, start: int = 0, stop: int | None = None
    ) -> Float[Tensor, "row read d_vocab"]:
        """Logits of n copies of the batch under hooks, from block `start` on (of no use if stopped before a block)."""
        read, given = run.read.repeat(n, 1), dict[str, Any](stop_at_layer=stop)
        if run.mask is not None:
            given["attention_mask"] = run.mask.long().repeat(n, 1)
        attached: list[Any] = [(name, partial(_called, function)) for name, function in hooks.items()]
        attached.append(("unembed.hook_in", lambda x, hook: take(x[None], read)[0]))
        if start == 0 or not self._resumes:
            return self._bridge.run_with_hooks(run.tokens.repeat(n, 1), fwd_hooks=attached, **given)
        if run.mask is not None:
            given["position_ids"] = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
        stream = run.pre[start].repeat(n, 1, 1)
        with skipping(self._bridge, range(start if self._skips else 0), self._returns_tuple):
            return self._bridge.run_with_hooks(stream, fwd_hooks=attached, start_at_layer=start, **given)

    @torch.no_grad()
    def _test(self, run: BridgedRun) -> None:
        """Reading in part must give the bridge's logits, resuming and skipping may, editing z must change them."""
        given: dict[str, Any] = {} if run.mask is None else {"attention_mask": run.mask.long()}
        kept: dict[str, Tensor] = {}
        sums = [f"blocks.{layer}.{name}" for layer in range(self.n_layers) for name in SUMS]
        hooks: list[Any] = [
            (canonical(self._bridge, name), partial(_called, partial(_kept, kept, name)))
            for name in sums
            if name in self._bridge.hook_dict
        ]
        with watching(self._bridge) as self._returns_tuple:
            whole = self._bridge.run_with_hooks(run.tokens, fwd_hooks=hooks, **given)
        if not _close(take(whole[None], run.read)[0], run.logits):
            raise EnergylensError(
                "this bridge does not unembed position by position, so it cannot be read in part"
            )
        for self._resumes, self._skips in ((True, True), (True, False), (False, False)):
            with suppress(NotImplementedError, TypeError, ValueError, RuntimeError):
                if _close(self._forward(run, 1, {}, self.n_layers - 1), run.logits):
                    break
        self._writes = _writes_heads(self._bridge, run, kept)
        for layer, z in enumerate(run.z):
            same = torch.equal(
                self._forward(run, 1, {}, layer), self.edited(run, Shift({layer: torch.ones_like(z)}))[0]
            )
            if same and self._bridge.blocks[layer].attn.W_O.any():
                raise HookWithoutEffect(
                    f"editing {self._z[layer]!r} does not change the logits of this bridge"
                )


def _writes_heads(bridge: "TransformerBridge", run: BridgedRun, kept: dict[str, Tensor]) -> bool:
    """Whether every block adds sum_heads z W_O + b_O, and its MLP's output, to the residual stream."""
    for layer, (pre, z) in enumerate(zip(run.pre, run.z, strict=True)):
        attn = bridge.blocks[layer].attn
        written = torch.einsum("nphd,hdm->npm", z, attn.W_O) + (0 if attn.b_O is None else attn.b_O)
        mlp_out = kept.get(f"blocks.{layer}.hook_mlp_out", torch.zeros_like(pre))
        if not _close(pre + written + mlp_out, kept[f"blocks.{layer}.hook_resid_post"]):
            return False
    return True


def _called(function: Callable[[Tensor], Tensor], activation: Tensor, hook: object) -> Tensor:
    return function(activation)


def _kept(kept: dict[str, Tensor], name: str, activation: Tensor) -> Tensor:
    kept[name] = activation
    return activation


def _edited(edit: Edit, layer: int, shape: tuple[int, ...], z: Tensor) -> Tensor:
    return edit(layer, z.reshape(shape), slice(0, shape[2])).reshape(z.shape)


def _one_head(
    head: int, new: Float[Tensor, "row pos head d_head"], x: Float[Tensor, "row pos head d_head"]
) -> Float[Tensor, "row pos head d_head"]:
    return torch.cat([x[:, :, :head], new[:, :, head : head + 1], x[:, :, head + 1 :]], dim=2)


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= rounding(b))
