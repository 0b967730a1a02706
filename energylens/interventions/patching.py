"""Activation patching of attention heads: z of one run put into another, every head (and position) at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.errors import InputError
from energylens.interventions.metric import Metric
from energylens.interventions.prompts import Head, Mask, Tokens, all_heads, as_pair, check_heads
from energylens.interventions.runners.remembering import runner_for
from energylens.interventions.runners.runner import HeadOutputs, Run, Runner
from energylens.interventions.sweep import BATCH_LIMIT, Batch, Intervention, sweep

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

Direction = Literal["denoising", "noising"]
"""denoising puts clean activations into the corrupted run, noising corrupted ones into the clean run."""


@dataclass(frozen=True, eq=False)
class Patched:
    """Metric values of the clean, the corrupted and the patched runs, per prompt (last axis).

    `patched` is NaN where nothing was measured. Source of the terms: Heimersheim & Nanda 2024 (arXiv:2404.15255).
    """

    patched: Float[Tensor, "*table prompt"]
    clean: Float[Tensor, " prompt"]
    corrupted: Float[Tensor, " prompt"]
    direction: Direction

    @property
    def base(self) -> Float[Tensor, " prompt"]:
        """Values of the run that was patched."""
        return self.corrupted if self.direction == "denoising" else self.clean

    @property
    def source(self) -> Float[Tensor, " prompt"]:
        """Values of the run whose activations were put in."""
        return self.clean if self.direction == "denoising" else self.corrupted

    def change(self) -> Float[Tensor, "*table prompt"]:
        """patched - base, in the metric's unit."""
        return self.patched - self.base

    def effect(self) -> Float[Tensor, "*table prompt"]:
        """(patched - base) / (source - base): 0 did nothing, 1 is the whole way to the other run.

        NaN for prompts whose two runs have the same value.
        """
        gap = self.source - self.base
        return self.change() / torch.where(gap == 0, torch.nan, gap)


def patch_heads(
    bridge: "TransformerBridge",
    clean: Tokens,
    corrupted: Tokens,
    metric: Metric,
    direction: Direction = "denoising",
    *,
    by_pos: bool = False,
    heads: Iterable[Head] | None = None,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Patched:
    """z of every head of one run put into the other, one head at a time: a table [layer, head, prompt].

    by_pos: one head at one position at a time: [layer, head, pos, prompt]. heads: measure only these; the others
    are NaN. mask: True at tokens, for prompts padded to one length. batch_limit: prompts per forward, the bound on
    memory (see `sweep.BATCH_LIMIT`). Equal to transformer_lens.patching.get_act_patch_attn_head_out_all_pos and
    _by_pos (whose table is [layer, pos, head]) within rounding.
    Errors: InputError for a head out of range, shapes that differ, a corrupted prompt that equals its clean one,
    a metric that reads padding.
    """
    runner = runner_for(bridge)
    base, source = in_direction(*as_pair(clean, corrupted, mask), direction)
    chosen = all_heads(runner.n_layers, runner.n_heads) if heads is None else list(heads)
    chosen = check_heads(chosen, runner.n_layers, runner.n_heads)
    places = range(base.shape[1]) if by_pos else [None]
    interventions = [Intervention(frozenset([head]), pos) for head in chosen for pos in places]
    into, from_ = (Batch.of(runner, tokens, mask, metric) for tokens in (base, source))
    values, of_base = sweep(runner, into, interventions, source_z := Paired(runner, from_), batch_limit)
    table = in_table(values.unflatten(0, (len(chosen), -1)), chosen, (runner.n_layers, runner.n_heads))
    ends = in_direction(of_base, source_z.values, direction)
    return Patched(table if by_pos else table[:, :, 0], *ends, direction)


class Paired:
    """Head outputs of row i of another batch for row i; `values` collects that batch's metric."""

    def __init__(self, runner: Runner[Any], batch: Batch) -> None:
        self._runner, self._batch, self._values = runner, batch, list[Tensor]()

    def __call__(self, rows: slice, run: Run) -> list[HeadOutputs]:
        """Per layer, z of the paired prompts."""
        other, metric = self._batch.run(self._runner, rows)
        self._values.append(metric(other.logits[None])[0])
        return other.z

    @property
    def values(self) -> Float[Tensor, " prompt"]:
        """The metric of the other batch, for the rows asked for so far."""
        return torch.cat(self._values)


def in_direction(first: Tensor, second: Tensor, direction: Direction) -> tuple[Tensor, Tensor]:
    """(clean, corrupted) -> (base, source), and back: denoising exchanges the two.

    Errors: InputError for another direction.
    """
    if direction not in ("denoising", "noising"):
        raise InputError(f"direction is 'denoising' or 'noising', got {direction!r}")
    return (second, first) if direction == "denoising" else (first, second)


def in_table(
    values: Float[Tensor, "measured ..."], chosen: Sequence[Head], shape: tuple[int, int]
) -> Float[Tensor, "layer head ..."]:
    """Values of chosen heads in a table over all heads, NaN elsewhere."""
    table = values.new_full((*shape, *values.shape[1:]), torch.nan)
    for (layer, head), row in zip(chosen, values, strict=True):
        table[layer, head] = row
    return table
