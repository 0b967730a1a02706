"""Ablation of attention heads: z set to zero, to a mean, or to that of other prompts; heads alone or in groups."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.interventions.metric import Metric
from energylens.interventions.patching import in_table
from energylens.interventions.prompts import Head, Mask, Tokens, all_heads, as_pair, as_tokens, check_heads
from energylens.interventions.runners.remembering import runner_for
from energylens.interventions.runners.runner import HeadOutputs, Run, Runner
from energylens.interventions.sweep import BATCH_LIMIT, Batch, Intervention, Replacements, sweep

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

MeanZ = Float[Tensor, "layer pos head d_head"]


@dataclass(frozen=True)
class Zero:
    """z = 0. Takes the network off its usual activations: a large effect need not mean use of the input."""


@dataclass(frozen=True, eq=False)
class Mean:
    """z = its mean at the same position over reference prompts, as `mean_z` gives it: keeps what all prompts share."""

    z: MeanZ


@dataclass(frozen=True, eq=False)
class Resample:
    """z = that of a reference prompt at the same positions.

    Without a generator row i takes from reference row i, say its ABC corruption; with one, each prompt draws a
    reference row at random among those that differ from it. Reference rows have the prompts' padding.
    """

    reference: Int[Tensor, "reference pos"]
    generator: torch.Generator | None = None


Ablation = Zero | Mean | Resample


@dataclass(frozen=True, eq=False)
class Ablated:
    """Metric values with heads ablated, NaN where nothing was measured, and of the unedited network (`base`)."""

    ablated: Float[Tensor, "*table prompt"]
    base: Float[Tensor, " prompt"]

    def change(self) -> Float[Tensor, "*table prompt"]:
        """ablated - base, in the metric's unit."""
        return self.ablated - self.base


def ablate_heads(
    bridge: "TransformerBridge",
    tokens: Tokens,
    metric: Metric,
    ablation: Ablation,
    *,
    heads: Iterable[Head] | None = None,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Ablated:
    """Every head ablated alone: a table [layer, head, prompt]; NaN outside `heads`.

    Errors and batch_limit as in `patch_heads`.
    """
    n_layers, n_heads = bridge.cfg.n_layers, bridge.cfg.n_heads
    chosen = check_heads(all_heads(n_layers, n_heads) if heads is None else heads, n_layers, n_heads)
    groups = [{head} for head in chosen]
    result = ablate_groups(bridge, tokens, metric, groups, ablation, mask=mask, batch_limit=batch_limit)
    return Ablated(in_table(result.ablated, chosen, (n_layers, n_heads)), result.base)


def ablate_groups(
    bridge: "TransformerBridge",
    tokens: Tokens,
    metric: Metric,
    groups: Sequence[Collection[Head]],
    ablation: Ablation,
    *,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Ablated:
    """All heads of a group ablated at once, for each group: values [group, prompt]. An empty group changes nothing.

    To keep a circuit and ablate the rest, give `set(all_heads(n_layers, n_heads)) - circuit`.
    """
    runner, tokens = runner_for(bridge), as_tokens(tokens, mask)
    interventions = [
        Intervention(frozenset(check_heads(group, runner.n_layers, runner.n_heads))) for group in groups
    ]
    batch = Batch.of(runner, tokens, mask, metric)
    return Ablated(
        *sweep(
            runner, batch, interventions, _replacements(runner, tokens, mask, batch, ablation), batch_limit
        )
    )


def mean_z(
    bridge: "TransformerBridge", tokens: Tokens, *, mask: Mask | None = None, batch_limit: int = BATCH_LIMIT
) -> MeanZ:
    """Mean over prompts of z per layer, position and head; NaN at positions where every prompt is padded."""
    sums: Tensor | float = 0.0
    counts: Tensor | float = 0.0
    for layers, real in unedited_z(bridge, tokens, mask=mask, batch_limit=batch_limit):
        weights = real.to(layers[0])
        sums = sums + torch.stack([torch.einsum("np,nphd->phd", weights, z) for z in layers])
        counts = counts + weights.sum(0)
    assert isinstance(sums, Tensor)
    assert isinstance(counts, Tensor)
    return sums / counts[:, None, None]


def unedited_z(
    bridge: "TransformerBridge", tokens: Tokens, *, mask: Mask | None = None, batch_limit: int = BATCH_LIMIT
) -> Iterator[tuple[list[HeadOutputs], Mask]]:
    """z of every layer at all positions, and which of them are no padding, of `batch_limit` prompts after the other."""
    runner, tokens = runner_for(bridge), as_tokens(tokens, mask)
    device = runner.device
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    for part, part_real in zip(tokens.split(batch_limit), real.split(batch_limit), strict=True):
        first = part_real.to(torch.uint8).argmax(1, keepdim=True)
        given = None if mask is None else part_real.to(device)
        with torch.no_grad():
            run = runner.run(part.to(device), given, first.to(device))
        yield run.z, part_real.to(device)


def _replacements(
    runner: Runner[Any], tokens: Tensor, mask: Mask | None, batch: Batch, ablation: Ablation
) -> Replacements:
    match ablation:
        case Zero():
            return _zero
        case Mean(z):
            return partial(_mean, _checked_mean(runner, batch, z))
        case Resample():
            return partial(_other, runner, replace(batch, tokens=_drawn(tokens, mask, batch, ablation)))
    raise InputError(f"an ablation is Zero(), Mean(z) or Resample(reference), got {ablation!r}")


def _zero(rows: slice, run: Run) -> list[HeadOutputs]:
    return [torch.zeros_like(z) for z in run.z]


def _mean(means: MeanZ, rows: slice, run: Run) -> list[HeadOutputs]:
    return [mean.to(z).expand_as(z) for mean, z in zip(means, run.z, strict=True)]


def _other(runner: Runner[Any], batch: Batch, rows: slice, run: Run) -> list[HeadOutputs]:
    return batch.run(runner, rows)[0].z


def _checked_mean(runner: Runner[Any], batch: Batch, z: MeanZ) -> Float[Tensor, "layer end head d_head"]:
    """The means, cut off where the batch is."""
    if z.ndim != 4 or z.shape[:3] != (runner.n_layers, batch.n_pos, runner.n_heads):
        expected = f"[{runner.n_layers}, {batch.n_pos}, {runner.n_heads}, d_head]"
        raise InputError(f"means must be {expected} (see mean_z), got {list(z.shape)}")
    z = z[:, : batch.tokens.shape[1]]
    undefined = z.isnan().any(-1).any(-1).any(0).to(runner.device)
    if batch.mask is not None:
        undefined = undefined & batch.mask.any(0)
    if undefined.any():
        pos = int(undefined.nonzero()[0])
        raise InputError(f"the mean at position {pos} is NaN: no reference prompt has a token there")
    # What is left of NaN stands at padding, where it must not spread from keys that no query may see.
    return z.to(runner.device).nan_to_num()


def _drawn(tokens: Tensor, mask: Mask | None, batch: Batch, resample: Resample) -> Int[Tensor, "prompt end"]:
    """The reference prompt of each prompt, cut off where the batch is."""
    reference = as_tokens(resample.reference)
    if reference.shape[1] != tokens.shape[1]:
        raise InputError(
            f"reference prompts have {reference.shape[1]} positions, the prompts {tokens.shape[1]}"
        )
    if resample.generator is None:
        reference = as_pair(tokens, reference, mask)[1]
    elif mask is not None:
        raise InputError("padded prompts need row-by-row references of the same padding: give no generator")
    else:
        differs = (tokens[:, None] != reference[None]).any(-1)
        if not differs.any(1).all():
            raise InputError(f"every reference prompt equals prompt {int((~differs.any(1)).nonzero()[0])}")
        rows = torch.multinomial(differs.double(), 1, generator=resample.generator)[:, 0]
        reference = reference[rows]
    return reference[:, : batch.tokens.shape[1]].to(batch.tokens.device)
