"""Runs that add something to the residual stream at one hook point, computing only what lies after it.

Two executors, as for head outputs: plain torch on a native bridge's own weights, and the bridge's hooks for every
other network. Both continue an unedited run row by row: a row is a prompt with its own addition, and a prompt may
stand in many rows. `check_site` compares either with the bridge under `intervening`, so that a hook point that is
not read back, or an architecture whose streams are not what they seem, is an error.

Site l is the stream before block l: `blocks.l.hook_resid_pre`, which is `blocks.(l-1).hook_resid_post`; site
n_layers is what the final norm reads.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from energylens.errors import EnergylensError, InputError
from energylens.interventions.hooks import canonical, intervening
from energylens.interventions.prompts import Mask
from energylens.interventions.runners.bridged import BridgedRun, BridgedRunner, Hooks
from energylens.interventions.runners.native import NativeRun, NativeRunner
from energylens.interventions.runners.native_weights import Block, is_supported
from energylens.interventions.runners.runner import hardest, rounding, take

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


class NativeResidual(NativeRunner):
    """Continues runs of a native bridge from one site, in plain torch."""

    def __init__(self, bridge: "TransformerBridge", hook_name: str) -> None:
        super().__init__(bridge)
        self.bridge, self.hook_name, self.site = bridge, hook_name, site_of(bridge, hook_name)

    def stream(self, run: NativeRun) -> Float[Tensor, "prompt pos d_model"]:
        """The unedited residual stream at the site."""
        if self.site < self.n_layers:
            return run.pre[self.site][0]
        return _after_mlp(self._blocks[-1], run.mid[-1])[0]

    def shifted(
        self,
        run: NativeRun,
        rows: Int[Tensor, " row"],
        added: Float[Tensor, "row some d_model"],
        span: tuple[int, int],
    ) -> Float[Tensor, "row read d_vocab"]:
        """Logits of the prompts `rows` with `added` in the stream at the positions `span`."""
        (start, stop), last = span, self.n_layers - 1
        part = self._gathered(run, rows)
        if self.site == self.n_layers:
            return self.direct(part, _widened(added, span, run.n_pos)[None])[0]
        x = part.pre[self.site][:, :, start:stop] + added
        for layer in range(self.site, self.n_layers):
            block, where = self._blocks[layer], part.at(layer == last, (start, run.n_pos))
            x, z = self._attention(part, layer, x, (start, stop), where)
            x = _after_mlp(block, x + z.flatten(-2) @ block.W_O.flatten(0, 1) + block.o_bias)
            stop = run.n_pos
        logits = self._read_out(x)[0]
        return torch.cat([run.logits[rows, :start], logits], 1) if isinstance(where, slice) else logits

    def _gathered(self, run: NativeRun, rows: Int[Tensor, " row"]) -> NativeRun:
        """What blocks after the site read of these prompts. Earlier layers hold copies that nothing reads."""

        def late(layers: list[Tensor]) -> list[Tensor]:
            kept = [each[:, rows] for each in layers[self.site :]]
            return kept[:1] * self.site + kept

        qkv = [late([layer[kind] for layer in run.qkv]) for kind in range(3)]
        turns = run.turns if run.turns is None or run.turns.shape[1] == 1 else run.turns[:, rows]
        return replace(
            run,
            read=run.read[rows],
            allowed=run.allowed if len(run.allowed) == 1 else run.allowed[rows],
            turns=turns,
            pre=late(run.pre),
            mid=[],
            qkv=[list(layer) for layer in zip(*qkv, strict=True)],
            z=[],
            post=run.post[:, rows],
            logits=run.logits.new_empty(*run.read[rows].shape, 0),
        )


class BridgedResidual(BridgedRunner):
    """Continues runs of any bridge from one site, through its hooks."""

    def __init__(self, bridge: "TransformerBridge", hook_name: str) -> None:
        super().__init__(bridge)
        self.bridge, self.hook_name, self.site = bridge, hook_name, site_of(bridge, hook_name)

    def stream(self, run: BridgedRun) -> Float[Tensor, "prompt pos d_model"]:
        """The unedited residual stream at the site."""
        if self.site < self.n_layers:
            return run.pre[self.site]
        seen: list[Tensor] = []
        self._forward(
            run, 1, {self._point(self.site - 1, "hook_resid_post"): partial(_seen, seen)}, self.site - 1
        )
        return seen[-1]

    def shifted(
        self,
        run: BridgedRun,
        rows: Int[Tensor, " row"],
        added: Float[Tensor, "row some d_model"],
        span: tuple[int, int],
    ) -> Float[Tensor, "row read d_vocab"]:
        """Logits of the prompts `rows` with `added` in the stream at the positions `span`."""
        # The run resumes at this one layer, so the others' streams are never read.
        resumed = min(self.site, self.n_layers - 1)
        mask = None if run.mask is None else run.mask[rows]
        pre = [run.pre[resumed][rows]] * self.n_layers
        part = BridgedRun(run.tokens[rows], mask, run.read[rows], pre, [], run.logits[rows])
        whole = _widened(added, span, run.tokens.shape[1])
        if self.site == self.n_layers:
            return self.direct(part, whole[None])[0]
        hooks: Hooks = {self._pre[self.site]: whole.add}
        return self._forward(part, 1, hooks, self.site)


ResidualRunner = NativeResidual | BridgedResidual


def residual_runner(bridge: "TransformerBridge", hook_name: str) -> ResidualRunner:
    """The plain-torch executor where it knows the architecture, else the bridge itself.

    Errors: InputError for a name that is no hook point (with the nearest), or no whole residual stream.
    """
    site_of(bridge, hook_name)
    return (NativeResidual if is_supported(bridge) else BridgedResidual)(bridge, hook_name)


def site_of(bridge: "TransformerBridge", hook_name: str) -> int:
    """The site of `blocks.L.hook_resid_pre` (L) or `blocks.L.hook_resid_post` (L + 1), under any alias.

    Errors: InputError as in `residual_runner`.
    """
    name = canonical(bridge, hook_name)
    for layer in range(bridge.cfg.n_layers):
        for after, kind in enumerate(("hook_resid_pre", "hook_resid_post")):
            if name == canonical(bridge, f"blocks.{layer}.{kind}"):
                return layer + after
    raise InputError(
        f"{hook_name!r} is no residual stream between blocks; give blocks.L.hook_resid_pre or "
        f"blocks.L.hook_resid_post with L from 0 to {bridge.cfg.n_layers - 1}"
    )


@torch.no_grad()
def check_site(
    runner: ResidualRunner,
    tokens: Int[Tensor, "prompt pos"],
    mask: Mask | None,
    read: Int[Tensor, "prompt read"],
) -> None:
    """One prompt with the stream's coordinates moved on by one place, here and by the bridge under `intervening`.

    Errors: HookWithoutEffect where that does not change the bridge's logits; EnergylensError where they differ.
    """
    row = hardest(mask)
    real = None if mask is None else mask[row]
    run: Any = runner.run(tokens[row], real, read[row])
    x = runner.stream(run)
    first = torch.zeros(1, dtype=torch.long, device=x.device)
    found = runner.shifted(run, first, x.roll(1, -1) - x, (0, x.shape[1]))
    given = {} if real is None else {"attention_mask": real.long()}
    with intervening(runner.bridge, {runner.hook_name: lambda x: x.roll(1, -1)}) as through:
        expected = take(through(tokens[row], **given)[None], read[row])[0]
    error = (found - expected).abs().max()
    if not error <= rounding(expected):
        raise EnergylensError(
            f"an edit at {runner.hook_name!r} gives logits that differ by {float(error):.2g} from the bridge's own: "
            "the stream at this hook point is not what the next block reads"
        )


def _after_mlp(block: Block, mid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
    return mid if block.mlp is None else mid + block.mlp(mid)


def _widened(
    added: Float[Tensor, "row some d_model"], span: tuple[int, int], n_pos: int
) -> Float[Tensor, "row pos d_model"]:
    """`added` with zeros at the positions outside `span`."""
    return functional.pad(added, (0, 0, span[0], n_pos - span[1]))


def _seen(seen: list[Tensor], activation: Tensor) -> Tensor:
    seen.append(activation)
    return activation
