"""Many directions added to the residual stream at one site, on many prompts: the one loop behind latents.

A row is a pair of a direction and a prompt. Rows share forwards sorted by the first position that changes, so that
little is computed before it; rows that change nothing that the metric can read are not run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energylens.interventions.metric import Metric
from energylens.interventions.residual import ResidualRunner, check_site
from energylens.interventions.sweep import Batch

Rows = Int[Tensor, " row"]

LOGITS_AT_ONCE = 2**22
"""Logits per forward beyond which rows wait for the next one: 16 MB, which allocators still use again."""


@dataclass(frozen=True, eq=False)
class Shifts:
    """What is added to x: sizes[i, prompt, pos] * directions[i], for shift i."""

    directions: Float[Tensor, "shift d_model"]
    sizes: Float[Tensor, "shift prompt pos"]


class Swept(NamedTuple):
    """The metric under every shift and without any. reached: which pairs change something that it can read."""

    values: Float[Tensor, "shift prompt"]
    base: Float[Tensor, " prompt"]
    reached: Bool[Tensor, "shift prompt"]


class Reader(NamedTuple):
    """A metric of one prompt, and how many positions it reads."""

    metric: Metric
    width: int


@torch.no_grad()
def sweep_shifts(runner: ResidualRunner, batch: Batch, shifts: Shifts, limit: int) -> Swept:
    """The metric of every prompt under every shift; rows that are not reached have the unedited value.

    limit: rows per forward; fewer where they would read more than LOGITS_AT_ONCE logits. The order of prompts and
    `limit` do not change results beyond rounding.
    Errors: those of `check_site`.
    """
    tokens, mask, n_pos = batch.tokens, batch.mask, batch.tokens.shape[1]
    readers, read = _readers(batch)
    limit = min(limit, max(1, LOGITS_AT_ONCE // (read.shape[1] * runner.bridge.cfg.d_vocab)))
    check_site(runner, tokens, mask, read)
    directions, sizes = (each.to(tokens.device) for each in (shifts.directions, shifts.sizes[..., :n_pos]))
    changed = (sizes != 0) & _visible(runner, read, n_pos)
    values, bases = [], []
    for rows in batch.parts(limit):
        run: Any = runner.run(tokens[rows], None if mask is None else mask[rows], read[rows])
        base = _judged(readers[rows], torch.arange(len(run.logits)), run.logits)
        part, here = base.repeat(len(directions), 1), sizes[:, rows]
        for numbers, prompts, span in _together(changed[:, rows], limit):
            size, direction = here[numbers, prompts, slice(*span)].to(base), directions[numbers].to(base)
            logits = runner.shifted(run, prompts, torch.einsum("rp,rd->rpd", size, direction), span)
            part[numbers, prompts] = _judged(readers[rows], prompts, logits)
        values.append(part)
        bases.append(base)
    return Swept(torch.cat(values, dim=1), torch.cat(bases), changed.any(-1))


def _readers(batch: Batch) -> tuple[list[Reader], Int[Tensor, "prompt read"]]:
    """The metric of each prompt alone, and where it reads; shorter lists end in their first position again."""
    alone = [batch.metric.rows(slice(row, row + 1)) for row in range(len(batch.tokens))]
    places = [each.positions(batch.n_pos)[0] for each in alone]
    width = max(map(len, places))
    filled = [torch.cat([each, each[:1].expand(width - len(each))]) for each in places]
    readers = [Reader(metric, len(each)) for metric, each in zip(alone, places, strict=True)]
    return readers, torch.stack(filled).to(batch.tokens.device)


def _visible(
    runner: ResidualRunner, read: Int[Tensor, "prompt read"], n_pos: int
) -> Bool[Tensor, "prompt pos"]:
    """Positions of the stream at the site on which what is read can depend."""
    seen = torch.zeros(len(read), n_pos, dtype=torch.bool, device=read.device).scatter_(1, read, True)
    if runner.site == runner.n_layers:
        return seen
    if not runner.causal:
        return torch.ones_like(seen)
    return torch.arange(n_pos, device=read.device) <= read.amax(1, keepdim=True)


def _together(
    changed: Bool[Tensor, "shift prompt pos"], limit: int
) -> Iterator[tuple[Rows, Rows, tuple[int, int]]]:
    """Shift and prompt of rows that share a forward, prompts in order, and the positions that change in any."""
    reached = changed.any(-1).nonzero()
    places = changed[reached[:, 0], reached[:, 1]].to(torch.uint8)
    starts, stops = places.argmax(-1), places.shape[-1] - places.flip(-1).argmax(-1)
    for chosen in starts.argsort(stable=True).split(limit):
        if len(chosen):
            chosen = chosen[reached[chosen, 1].argsort(stable=True)]
            span = int(starts[chosen].min()), int(stops[chosen].max())
            yield reached[chosen, 0], reached[chosen, 1], span


def _judged(
    readers: Sequence[Reader], prompts: Rows, logits: Float[Tensor, "row read d_vocab"]
) -> Float[Tensor, " row"]:
    """Metric values of rows whose prompts are in order."""
    order, counts = prompts.unique_consecutive(return_counts=True)
    values = [
        metric(part[:, None, :width])[:, 0]
        for (metric, width), part in zip(
            (readers[prompt] for prompt in order.tolist()), logits.split(counts.tolist()), strict=True
        )
    ]
    return torch.cat(values)
