"""Induction scores of heads, at the end of training and on the way there."""

from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.heads.prompts import induction_prompts, prompt_generator
from energylens.metrics import spectral
from energylens.models.network import Network
from energylens.models.tasks import Induction
from energylens.models.tasks.induction import Sequences

FOLLOWED = 32
"""Sequences that every step of a training is measured on."""


def induction_scores(network: Network, seed: int, n: int) -> Float[Tensor, "layer head"]:
    """`spectral.induction_score` of every head on n fresh sequences."""
    sequences = _sequences(network, seed, n)
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(network.n_layers)]
    patterns = network.run(names, sequences.tokens, pos=slice(None))
    return torch.stack([spectral.induction_score(patterns[name], sequences.period) for name in names])


def over_training(
    snapshots: Iterable[tuple[int, Network]], final: Network, seed: int
) -> dict[str, list[float]]:
    """Series over training steps: best induction score, repeat loss in nats, and gaps a and a' of one head.

    That head is the one with the highest score at the end of training. Empty without snapshots.
    """
    scores = induction_scores(final, seed, FOLLOWED)
    layer, head = divmod(int(scores.argmax()), scores.shape[1])
    prompts = induction_prompts(final, seed, FOLLOWED)
    found: dict[str, list[float]] = {
        name: [] for name in ("step", "induction score", "repeat loss, nats", "gap a", "gap a-prime")
    }
    for step, network in snapshots:
        names = [f"blocks.{layer}.attn.{hook}" for hook in ("hook_q", "hook_k")]
        q, k = (
            one.transpose(1, 2)[:, head] for one in network.run(names, prompts.clean, slice(None)).values()
        )
        found["step"].append(float(step))
        found["induction score"].append(float(induction_scores(network, seed, FOLLOWED).max()))
        found["repeat loss, nats"].append(repeat_loss_nats(network, seed, FOLLOWED))
        found["gap a"].append(float(spectral.key_gap(*spectral.pooled(k, prompts.counted), centred=True)))
        found["gap a-prime"].append(float(spectral.score_gap(q, k, prompts.counted).nanmean()))
    return found if found["step"] else {}


@torch.no_grad()
def repeat_loss_nats(network: Network, seed: int, n: int) -> float:
    """Mean cross-entropy where the next token can be looked up in the segment's first occurrence."""
    task, (tokens, period) = cast(Induction, network.task), _sequences(network, seed, n)
    asked = task.repeats(period)[:, :-1]
    log_p = network.bridge(tokens).log_softmax(-1)[:, :-1]
    return float(-log_p.gather(2, tokens[:, 1:, None])[..., 0][asked].mean())


def _sequences(network: Network, seed: int, n: int) -> Sequences:
    return cast(Induction, network.task).sequences(n, prompt_generator(seed))
