"""Attribution patching: the first-order estimate of what patching each head would do, from gradients."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.errors import InputError
from energylens.interventions.metric import Metric
from energylens.interventions.patching import Direction, Patched, in_direction
from energylens.interventions.prompts import Mask, Tokens, as_pair
from energylens.interventions.runners.remembering import runner_for
from energylens.interventions.runners.runner import HeadOutputs, Replace, Run, Runner, Shift
from energylens.interventions.sweep import BATCH_LIMIT, Batch

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


def attribution_patch(
    bridge: "TransformerBridge",
    clean: Tokens,
    corrupted: Tokens,
    metric: Metric,
    direction: Direction = "denoising",
    *,
    steps: int = 1,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Patched:
    """An estimate of `patch_heads`, in its form: patched = base + sum over pos, d_head of grad * (z_source - z_base).

    steps = 1: grad = d metric / d z in the base run, one forward and one backward for all heads (Nanda 2023,
    "Attribution patching"). steps = m > 1: for each layer, grad is the mean of d metric / d z over the m midpoints
    alpha = (i + 1/2) / m of the straight line z_base + alpha (z_source - z_base), on which z of *all heads of that
    layer* move together; earlier layers stay those of the base run, later ones are recomputed, and neither tokens nor
    embeddings are interpolated. So the scores of one layer sum, as m grows, to the exact change of patching the
    layer's heads together (integrated gradients, Sundararajan et al. 2017, arXiv:1703.01365). m steps cost about
    m n_layers / 2 forwards and backwards. Exact at any m where the metric is linear in z.
    Errors as in `patch_heads`; batch_limit bounds the rows of a forward, whose activations the backward keeps.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    runner = runner_for(bridge)
    base, source = in_direction(*as_pair(clean, corrupted, mask), direction)
    into, other = (Batch.of(runner, tokens, mask, metric) for tokens in (base, source))
    tables, ends = [], []
    for rows in into.parts(batch_limit):
        with torch.no_grad():
            (run, of_rows), (source_run, _) = into.run(runner, rows), other.run(runner, rows)
            ends.append(torch.stack([of_rows(each.logits[None])[0] for each in (run, source_run)]))
            gaps = [after - before for after, before in zip(source_run.z, run.z, strict=True)]
        at_once = max(1, batch_limit // len(ends[-1][0]))
        with torch.enable_grad():
            if steps == 1:
                gradients = _at_base(runner, run, of_rows)
            else:
                gradients = _along_the_line(runner, run, of_rows, gaps, steps, at_once)
        tables.append(torch.stack([(g * gap).sum((1, 3)).T for g, gap in zip(gradients, gaps, strict=True)]))
    of_base, of_source = torch.cat(ends, dim=1)
    estimate = of_base + torch.cat(tables, dim=2)
    return Patched(estimate, *in_direction(of_base, of_source, direction), direction)


def _at_base(runner: Runner[Any], run: Run, metric: Metric) -> Sequence[HeadOutputs]:
    by = [torch.zeros_like(z, requires_grad=True) for z in run.z]
    values = metric(runner.edited(run, Shift(dict(enumerate(by)))))
    return torch.autograd.grad(values.sum(), by)


def _along_the_line(
    runner: Runner[Any], run: Run, metric: Metric, gaps: Sequence[HeadOutputs], steps: int, at_once: int
) -> list[HeadOutputs]:
    gradients = []
    for layer, (z, gap) in enumerate(zip(run.z, gaps, strict=True)):
        total = torch.zeros_like(z)
        midpoints: Float[Tensor, " step"] = (torch.arange(steps, device=z.device) + 0.5).to(z) / steps
        for alphas in midpoints.split(at_once):
            line = (z + alphas[:, None, None, None, None] * gap).requires_grad_()
            everywhere = torch.ones(len(alphas), *z.shape[1:3], dtype=torch.bool, device=z.device)
            edit = Replace({layer: everywhere}, {layer: line}, (0, z.shape[1]))
            total += torch.autograd.grad(metric(runner.edited(run, edit)).sum(), line)[0].sum(0)
        gradients.append(total / steps)
    return gradients
