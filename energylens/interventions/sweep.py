"""Many interventions on many prompts, batched: the one loop behind patching and ablation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.interventions.metric import Metric, from_start
from energylens.interventions.prompts import Head, Mask, Tokens, as_tokens, check_read
from energylens.interventions.runners.remembering import runner_for
from energylens.interventions.runners.runner import HeadOutputs, Replace, Run, Runner

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

BATCH_LIMIT = 64
"""Rows (copies of a prompt) per forward. A row holds about 10 d_model + 2 d_mlp floats per position while its layer
is computed and d_vocab floats per position that the metric reads; an unedited run keeps 7 d_model floats per
position and layer for at most this many prompts."""

Replacements = Callable[[slice, Run], Sequence[HeadOutputs]]
"""Which head outputs to put in, per layer, for some of the prompts, given their unedited run."""


class Intervention(NamedTuple):
    """Replaces z of these heads, at every position or at one."""

    heads: frozenset[Head]
    pos: int | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts with the metric that reads them, cut off after the last position it reads. n_pos: their full length."""

    tokens: Int[Tensor, "prompt pos"]
    mask: Mask | None
    n_pos: int
    metric: Metric

    @classmethod
    def of(cls, runner: Runner[Any], tokens: Tensor, mask: Tensor | None, metric: Metric) -> "Batch":
        """Errors: InputError for a metric of another number of prompts, or one that reads padding."""
        if len(metric) != len(tokens):
            raise InputError(f"the metric is for {len(metric)} prompts, got {len(tokens)}")
        read = metric.positions(tokens.shape[1])
        check_read(read, mask)
        end = int(read.max()) + 1 if runner.causal else tokens.shape[1]
        device = runner.device
        mask = None if mask is None else mask[:, :end].to(device)
        return cls(tokens[:, :end].to(device), mask, tokens.shape[1], metric)

    def run(self, runner: Runner[Any], rows: slice) -> tuple[Run, Metric]:
        """The unedited run of some prompts, and their metric."""
        mask, metric = None if self.mask is None else self.mask[rows], self.metric.rows(rows)
        read = metric.positions(self.n_pos).to(self.tokens.device)
        return runner.run(self.tokens[rows], mask, read), metric

    def parts(self, limit: int) -> list[slice]:
        """Slices of at most `limit` prompts."""
        if limit < 1:
            raise InputError(f"batch_limit must be at least 1, got {limit}")
        return [slice(start, start + limit) for start in range(0, len(self.tokens), limit)]


@torch.no_grad()
def sweep(
    runner: Runner[Any],
    batch: Batch,
    interventions: Sequence[Intervention],
    replacements: Replacements,
    limit: int,
) -> tuple[Float[Tensor, "intervention prompt"], Float[Tensor, " prompt"]]:
    """The metric under every intervention, and without any.

    Interventions that first change the same layer and positions share forwards of at most `limit` rows; one that
    changes no head output at all has the unedited value, without a forward. The order of prompts and `limit` do
    not change results beyond rounding.
    """
    values, base = [], []
    for rows in batch.parts(limit):
        run, metric = batch.run(runner, rows)
        z = [new.to(old) for new, old in zip(replacements(rows, run), run.z, strict=True)]
        base.append(metric(run.logits[None])[0])
        part = base[-1].repeat(len(interventions), 1)
        at_once = max(1, limit // len(base[-1]))
        for numbers, first, span in _together(interventions, _changed(z, run.z), at_once):
            edit = _replace([interventions[number] for number in numbers], z, first, span)
            part[numbers] = metric(runner.edited(run, edit))
        values.append(part)
    return torch.cat(values, dim=1), torch.cat(base)


@torch.no_grad()
def logits_at(
    bridge: "TransformerBridge",
    tokens: Tokens,
    pos: Int[Tensor, "prompt read"],
    *,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Float[Tensor, "prompt read d_vocab"]:
    """Logits of the network as it is, at some positions of each prompt (-1 is the last)."""
    runner, tokens = runner_for(bridge), as_tokens(tokens, mask)
    read = from_start(pos, tokens.shape[1])
    check_read(read, mask)
    masks = [None] * len(tokens) if mask is None else mask.to(runner.device).split(batch_limit)
    parts = zip(tokens.split(batch_limit), masks, read.split(batch_limit), strict=False)
    runs = (runner.run(part.to(runner.device), real, at.to(runner.device)) for part, real, at in parts)
    return torch.cat([run.logits for run in runs])


Places = list[list[list[int]]]
"""Positions that differ, per layer and head."""


def _changed(new: Sequence[HeadOutputs], old: Sequence[HeadOutputs]) -> Places:
    differs = [(a != b).any(-1).any(0).T.cpu() for a, b in zip(new, old, strict=True)]
    return [[row.nonzero().flatten().tolist() for row in layer] for layer in differs]


def _together(
    interventions: Sequence[Intervention], changed: Places, at_once: int
) -> list[tuple[list[int], int, tuple[int, int]]]:
    """Interventions that can share a forward: same first layer, same range of changed positions."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for number, (heads, pos) in enumerate(interventions):
        hits: dict[int, list[int]] = {}
        for layer, head in heads:
            places = changed[layer][head]
            places = places if pos is None else [pos] if pos in places else []
            if places:
                hits.setdefault(layer, []).extend((places[0], places[-1]))
        if hits:
            start, stop = min(map(min, hits.values())), max(hits[min(hits)]) + 1
            groups.setdefault((min(hits), start, stop), []).append(number)
    return [
        (numbers[at : at + at_once], first, (start, stop))
        for (first, start, stop), numbers in groups.items()
        for at in range(0, len(numbers), at_once)
    ]


def _replace(
    chosen: Sequence[Intervention], z: Sequence[HeadOutputs], first: int, span: tuple[int, int]
) -> Replace:
    shape = (len(chosen), *z[0].shape[1:3])
    layers = sorted({layer for heads, _ in chosen for layer, _ in heads if layer >= first})
    masks = {layer: torch.zeros(shape, dtype=torch.bool, device=z[0].device) for layer in layers}
    for number, (heads, pos) in enumerate(chosen):
        for layer, head in heads:
            if layer >= first:
                masks[layer][number, slice(None) if pos is None else pos, head] = True
    return Replace(masks, {layer: z[layer][None] for layer in layers}, span)
