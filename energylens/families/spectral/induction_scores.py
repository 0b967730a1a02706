"""Induction scores of heads, at the end of training and on the way there."""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.families.spectral.head_prompts import prompt_generator
from energylens.metrics import spectral
from energylens.models.network import Network
from energylens.models.tasks import Induction
from energylens.models.tasks.induction import Sequences

LOGITS = "unembed.hook_out"
FOLLOWED = 32
"""Sequences that every step of a training is measured on."""


def induction_scores(network: Network, seed: int, n: int) -> Float[Tensor, "layer head"]:
    """`spectral.induction_score` of every head on n fresh sequences."""
    sequences = _sequences(network, seed, n)
    found = network.run(_patterns(network), sequences.tokens, pos=slice(None))
    return _scores(network, found, sequences)


def over_training(
    snapshots: Iterable[tuple[int, Network]], final: Network, seed: int
) -> dict[str, list[float]]:
    """Series over training steps: best induction score, repeat loss in nats, and gaps a and a' of one head.

    That head is the one with the highest score at the end of training. Empty without snapshots.
    """
    scores = induction_scores(final, seed, FOLLOWED)
    layer, head = divmod(int(scores.argmax()), scores.shape[1])
    sequences = _sequences(final, seed, FOLLOWED)
    everywhere = torch.ones_like(sequences.tokens, dtype=torch.bool)
    hooks = [f"blocks.{layer}.attn.{hook}" for hook in ("hook_q", "hook_k")]
    found: dict[str, list[float]] = {
        name: [] for name in ("step", "induction score", "repeat loss, nats", "gap a", "gap a-prime")
    }
    for step, network in snapshots:
        ran = network.run([*hooks, *_patterns(network), LOGITS], sequences.tokens, pos=slice(None))
        q, k = (ran[name].transpose(1, 2)[:, head] for name in hooks)
        found["step"].append(float(step))
        found["induction score"].append(float(_scores(network, ran, sequences).max()))
        found["repeat loss, nats"].append(_repeat_loss_nats(network, ran[LOGITS], sequences))
        found["gap a"].append(float(spectral.key_gap(*spectral.pooled(k, everywhere), centred=True)))
        found["gap a-prime"].append(float(spectral.score_gap(q, k, everywhere).nanmean()))
    return found if found["step"] else {}


def repeat_loss_nats(network: Network, seed: int, n: int) -> float:
    """Mean cross-entropy where the next token can be looked up in the segment's first occurrence."""
    sequences = _sequences(network, seed, n)
    logits = network.run([LOGITS], sequences.tokens, pos=slice(None))[LOGITS]
    return _repeat_loss_nats(network, logits, sequences)


def _repeat_loss_nats(
    network: Network, logits: Float[Tensor, "prompt pos d_vocab"], sequences: Sequences
) -> float:
    asked = cast(Induction, network.task).repeats(sequences.period)[:, :-1]
    log_p = logits.log_softmax(-1)[:, :-1]
    return float(-log_p.gather(2, sequences.tokens[:, 1:, None])[..., 0][asked].mean())


def _scores(
    network: Network, found: Mapping[str, Tensor], sequences: Sequences
) -> Float[Tensor, "layer head"]:
    return torch.stack(
        [spectral.induction_score(found[name], sequences.period) for name in _patterns(network)]
    )


def _patterns(network: Network) -> list[str]:
    return [f"blocks.{layer}.attn.hook_pattern" for layer in range(network.n_layers)]


def _sequences(network: Network, seed: int, n: int) -> Sequences:
    return cast(Induction, network.task).sequences(n, prompt_generator(seed))
