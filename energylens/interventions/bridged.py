"""Edited runs of any bridge (pretrained ones among them), through its own hooks.

Every edited run is a copy of the batch with `hook_z` edited. The run starts again at the edited layer's residual
stream; blocks before it are skipped for that time, and logits are computed at the read positions only, by handing
the unembedding nothing else. The first run tests both shortcuts against the bridge on one prompt and does without
those that do not reproduce its logits, and tests of every layer that editing `hook_z` changes the logits.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import EnergylensError, InputError
from energylens.interventions.hooks import HookWithoutEffect, check_names
from energylens.interventions.prompts import Mask
from energylens.interventions.runner import Edit, HeadOutputs, Shift, take

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

Hooks = dict[str, Callable[[Tensor], Tensor]]
TOLERANCE = 1e-5


@dataclass(eq=False)
class BridgedRun:
    """An unedited run: residual streams before each block, head outputs, logits."""

    tokens: Int[Tensor, "prompt pos"]
    mask: Mask | None
    read: Int[Tensor, "prompt read"]
    pre: list[Float[Tensor, "prompt pos d_model"]]
    z: list[HeadOutputs]
    logits: Float[Tensor, "prompt read d_vocab"]

    def first(self) -> "BridgedRun":
        """The same run of the first prompt alone."""
        mask = None if self.mask is None else self.mask[:1]
        pre, z = ([each[:1] for each in layers] for layers in (self.pre, self.z))
        return BridgedRun(self.tokens[:1], mask, self.read[:1], pre, z, self.logits[:1])


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
        self._pre = [f"blocks.{layer}.hook_resid_pre" for layer in range(self.n_layers)]
        self._z = [f"blocks.{layer}.attn.hook_z" for layer in range(self.n_layers)]
        self._returns_tuple: dict[int, bool] = {}
        self._resumes = self._skips = True
        check_names(bridge, [*self._pre, *self._z])

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
        empty = BridgedRun(tokens, mask, read, [], [], torch.empty(0))
        logits = self._forward(empty, 1, keep)
        for name in keep:
            if name not in kept:
                raise HookWithoutEffect(f"hook {name!r} exists but never fired")
        z = [kept[name].reshape(*tokens.shape, self.n_heads, -1) for name in self._z]
        run = BridgedRun(tokens, mask, read, [kept[name] for name in self._pre], z, logits)
        if not self._tested:
            self._tested = True
            self._test(run.first())
        return run

    def edited(self, run: BridgedRun, edit: Edit) -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits of the edited runs."""
        hooks: Hooks = {}
        for layer in edit.layers:
            hooks[self._z[layer]] = partial(_edited, edit, layer, (edit.n, *run.z[layer].shape))
        return self._forward(run, edit.n, hooks, edit.layers[0]).unflatten(0, (edit.n, -1))

    def written(self, layer: int, head: int, z: Float[Tensor, "... d_head"]) -> Float[Tensor, "... d_model"]:
        """z W_O of one head."""
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
        kept: dict[str, Tensor] = {}
        hooks: Hooks = {
            f"blocks.{layer}.attn.hook_{kind}_input": partial(_added, head, added.flatten(0, 1)),
            self._z[layer]: partial(_kept, kept, "z"),
        }
        with _split_inputs(self._bridge):
            self._forward(run, len(added), hooks, layer)
        return kept["z"].reshape(*added.shape[:3], self.n_heads, -1)[..., head, :]

    def direct(
        self, run: BridgedRun, added: Float[Tensor, "run prompt pos d_model"]
    ) -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits with `added` in the final residual stream."""
        last = self.n_layers - 1
        hooks: Hooks = {f"blocks.{last}.hook_resid_post": added.flatten(0, 1).add}
        return self._forward(run, len(added), hooks, last).unflatten(0, (len(added), -1))

    def _forward(self, run: BridgedRun, n: int, hooks: Hooks, start: int = 0) -> Tensor:
        """Logits [n * prompt, read, d_vocab] with n copies of the batch under hooks, from block `start` on."""
        read, given = run.read.repeat(n, 1), {}
        if run.mask is not None:
            given["attention_mask"] = run.mask.long().repeat(n, 1)
        at_unembed = [("unembed.hook_in", lambda x, hook: take(x[None], read)[0])]
        attached = [(name, partial(_called, function)) for name, function in hooks.items()]
        if start == 0 or not self._resumes:
            return self._bridge.run_with_hooks(
                run.tokens.repeat(n, 1), fwd_hooks=attached + at_unembed, **given
            )
        if run.mask is not None:
            given["position_ids"] = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
        stream = run.pre[start].repeat(n, 1, 1)
        with self._skipping(start):
            return self._bridge.run_with_hooks(
                stream, fwd_hooks=attached + at_unembed, start_at_layer=start, **given
            )

    @torch.no_grad()
    def _test(self, run: BridgedRun) -> None:
        """Reading few positions must give the bridge's logits, resuming and skipping may, editing z must change them."""
        given = {} if run.mask is None else {"attention_mask": run.mask.long()}
        with _watching(self._bridge) as self._returns_tuple:
            whole = self._bridge(run.tokens, **given)
        if not _close(take(whole[None], run.read)[0], run.logits):
            raise EnergylensError(
                "this bridge does not unembed position by position, so it cannot be read in part"
            )
        for self._resumes, self._skips in ((True, True), (True, False), (False, False)):
            with suppress(NotImplementedError, TypeError, ValueError, RuntimeError):
                if _close(self._forward(run, 1, {}, self.n_layers - 1), run.logits):
                    break
        for layer, z in enumerate(run.z):
            writes = bool(self._bridge.blocks[layer].attn.W_O.any())
            if writes and torch.equal(self.edited(run, Shift({layer: torch.ones_like(z)}))[0], run.logits):
                raise HookWithoutEffect(
                    f"editing {self._z[layer]!r} does not change the logits of this bridge"
                )

    @contextmanager
    def _skipping(self, start: int) -> Iterator[None]:
        """Blocks before `start` hand on what they are given; the block at `start` is given its own input anyway."""
        before: list[tuple[Any, Any]] = []
        try:
            for layer in range(start if self._skips else 0):
                component = self._bridge.blocks[layer].original_component
                before.append((component, component.__dict__.get("forward")))
                component.forward = partial(_passed_on, self._returns_tuple[layer])
            yield
        finally:
            for component, forward in before:
                del component.forward
                if forward is not None:
                    component.forward = forward


@contextmanager
def _watching(bridge: "TransformerBridge") -> Iterator[dict[int, bool]]:
    """Notes of each block whether it returns its residual stream in a tuple."""
    seen: dict[int, bool] = {}

    def note(layer: int, module: object, given: object, output: object) -> None:
        seen[layer] = isinstance(output, tuple)

    handles = [
        block.original_component.register_forward_hook(partial(note, layer))
        for layer, block in enumerate(bridge.blocks)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _split_inputs(bridge: "TransformerBridge") -> Iterator[None]:
    """Queries, keys and values of each head read their own copy of the residual stream; flags are put back."""
    split, attn_in = bool(bridge.cfg.use_split_qkv_input), bool(bridge.cfg.use_attn_in)
    try:
        if attn_in:
            bridge.set_use_attn_in(False)
        bridge.set_use_split_qkv_input(True)
        yield
    finally:
        bridge.set_use_split_qkv_input(split)
        if attn_in:
            bridge.set_use_attn_in(True)


def _passed_on(in_tuple: bool, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor]:
    return (hidden_states,) if in_tuple else hidden_states


def _called(function: Callable[[Tensor], Tensor], activation: Tensor, hook: object) -> Tensor:
    return function(activation)


def _kept(kept: dict[str, Tensor], name: str, activation: Tensor) -> Tensor:
    kept[name] = activation
    return activation


def _edited(edit: Edit, layer: int, shape: tuple[int, ...], z: Tensor) -> Tensor:
    return edit(layer, z.reshape(shape), slice(0, shape[2])).reshape(z.shape)


def _added(head: int, added: Float[Tensor, "row pos d_model"], x: Tensor) -> Tensor:
    return torch.cat([x[:, :, :head], (x[:, :, head] + added)[:, :, None], x[:, :, head + 1 :]], dim=2)


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= TOLERANCE * (1 + b.abs().max()))
