"""Path patching: what one head writes, put into the input of one later head, or of the logits, and nowhere else."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.errors import InputError
from energylens.interventions.metric import Metric
from energylens.interventions.patching import Direction, Patched, in_direction
from energylens.interventions.prompts import Head, Mask, Tokens, as_pair, check_heads
from energylens.interventions.runners.remembering import runner_for
from energylens.interventions.runners.runner import Replace, Run, Runner
from energylens.interventions.sweep import BATCH_LIMIT, Batch

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

LOGITS: Literal["logits"] = "logits"
Receiver = tuple[int, int, Literal["q", "k", "v"]] | Literal["logits"]
"""(layer, head, which of its inputs), or the final residual stream."""


@torch.no_grad()
def path_patch(
    bridge: "TransformerBridge",
    clean: Tokens,
    corrupted: Tokens,
    senders: Iterable[Head],
    receivers: Iterable[Receiver],
    metric: Metric,
    direction: Direction = "denoising",
    *,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Patched:
    """The direct path of every sender into every receiver: a table [sender, receiver, prompt].

    The receiver's queries (keys, values) read, at every position and through its norm, the base run's residual
    stream + (z_source - z_base) W_O of the sender; between the two, heads and MLPs keep their base values. Its new
    output is then put into the base run, and everything after the receiver is recomputed. `"logits"` adds the
    difference to the final residual stream alone. NaN where the receiver is not in a later layer than the sender.

    Source: Wang et al. 2022 (arXiv:2211.00593), whose MLPs between the two are recomputed, here they are frozen;
    Heimersheim & Nanda 2024 (arXiv:2404.15255). They patch in direction "noising".
    transformer_lens.patching.get_act_patch_direct_path gives the same numbers for one sender in direction
    "denoising", with 0 in the place of NaN and no path to the logits.
    Errors and batch_limit as in `patch_heads`; InputError for k or v of heads that share them, and for a network
    whose heads do not write z W_O into the residual stream.
    """
    runner = runner_for(bridge)
    base, source = in_direction(*as_pair(clean, corrupted, mask), direction)
    from_ = check_heads(senders, runner.n_layers, runner.n_heads)
    to = [_receiver(runner, each) for each in receivers]
    into, other = (Batch.of(runner, tokens, mask, metric) for tokens in (base, source))
    tables, ends = [], []
    for rows in into.parts(batch_limit):
        (run, of_rows), (source_run, _) = into.run(runner, rows), other.run(runner, rows)
        ends.append(torch.stack([of_rows(each.logits[None])[0] for each in (run, source_run)]))
        written = _written(runner, run, source_run, from_)
        at_once = max(1, batch_limit // len(ends[-1][0]))
        table = written.new_full((len(from_), len(to), len(ends[-1][0])), torch.nan)
        for column, receiver in enumerate(to):
            layer = runner.n_layers if receiver == LOGITS else receiver[0]
            earlier = [row for row, (sender, _) in enumerate(from_) if sender < layer]
            for start in range(0, len(earlier), at_once):
                numbers = earlier[start : start + at_once]
                table[numbers, column] = of_rows(_through(runner, run, receiver, written[numbers]))
        tables.append(table)
    of_base, of_source = torch.cat(ends, dim=1)
    return Patched(torch.cat(tables, dim=2), *in_direction(of_base, of_source, direction), direction)


def _receiver(runner: Runner[Any], receiver: Receiver) -> Receiver:
    if receiver == LOGITS:
        return LOGITS
    if len(receiver) != 3 or receiver[2] not in ("q", "k", "v"):
        raise InputError(f"a receiver is (layer, head, 'q' | 'k' | 'v') or 'logits', got {receiver!r}")
    ((layer, head),) = check_heads([receiver[:2]], runner.n_layers, runner.n_heads)
    return layer, head, receiver[2]


def _written(
    runner: Runner[Any], run: Run, source: Run, senders: Sequence[Head]
) -> Float[Tensor, "sender prompt pos d_model"]:
    """What every sender adds to the residual stream of the source run beyond that of the base run."""
    gaps = [after - before for after, before in zip(source.z, run.z, strict=True)]
    return torch.stack([runner.written(layer, head, gaps[layer][:, :, head]) for layer, head in senders])


def _through(
    runner: Runner[Any], run: Run, receiver: Receiver, added: Float[Tensor, "run prompt pos d_model"]
) -> Float[Tensor, "run prompt read d_vocab"]:
    """Logits with `added` in the input of the receiver alone."""
    if receiver == LOGITS:
        return runner.direct(run, added)
    layer, head, kind = receiver
    z = run.z[layer].expand(len(added), -1, -1, -1, -1).clone()
    z[..., head, :] = runner.received(run, layer, head, kind, added)
    n_pos, n_heads = z.shape[2:4]
    mask = (torch.arange(n_heads, device=z.device) == head).expand(len(added), n_pos, n_heads)
    return runner.edited(run, Replace({layer: mask}, {layer: z}, (0, n_pos)))
