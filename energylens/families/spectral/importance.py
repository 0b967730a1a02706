"""Importance of every head, by exact patching and by attribution.

Every function gives the mean damage over prompts (one gives it prompt by prompt) in the unit of the task's metric, a
logit difference or a loss in nats: tables [layer, head], float64, positive where the network gets worse.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from energylens.families.spectral.head_prompts import HeadPrompts
from energylens.interventions import (
    Mean,
    ablate_heads,
    attribution_patch,
    mean_z,
    patch_heads,
    remembered,
    unedited_z,
)
from energylens.models.network import Network

Table = Float[Tensor, "layer head"]


def noising(network: Network, prompts: HeadPrompts) -> Table:
    """Damage by putting z of the corrupted run into the clean one, one head at a time; for text, resample ablation."""
    return noising_by_prompt(network, prompts).mean(-1)


def noising_by_prompt(network: Network, prompts: HeadPrompts) -> Float[Tensor, "layer head prompt"]:
    """`noising` of every prompt by itself."""
    found = patch_heads(
        network.bridge, prompts.clean, prompts.corrupted, prompts.metric, "noising", mask=prompts.real
    )
    return _by_prompt(prompts, found.change())


def denoising(network: Network, prompts: HeadPrompts) -> Table:
    """Gain by putting the clean z into the corrupted run; NaN where the metric means nothing on corrupted prompts."""
    if not prompts.aligned:
        shape = (network.n_layers, network.bridge.cfg.n_heads)
        return torch.full(shape, math.nan, dtype=torch.float64)
    found = patch_heads(
        network.bridge, prompts.clean, prompts.corrupted, prompts.metric, "denoising", mask=prompts.real
    )
    return -_damage(prompts, found.change())


def mean_ablation(network: Network, prompts: HeadPrompts) -> Table:
    """Damage by replacing z with its mean over the clean prompts at that position."""
    mean = Mean(mean_z(network.bridge, prompts.clean, mask=prompts.real))
    found = ablate_heads(network.bridge, prompts.clean, prompts.metric, mean, mask=prompts.real)
    return _damage(prompts, found.change())


def attribution(network: Network, prompts: HeadPrompts, steps: int) -> Table:
    """First-order estimate of `noising`; `steps` > 1 integrates gradients. See `attribution_patch`."""
    found = attribution_patch(
        network.bridge,
        prompts.clean,
        prompts.corrupted,
        prompts.metric,
        "noising",
        steps=steps,
        mask=prompts.real,
    )
    return _damage(prompts, found.change())


def difference(network: Network, prompts: HeadPrompts) -> Table:
    """Mean over prompts of |z_corrupted - z_clean| over all real positions: no causal effect, only its size."""
    sides = (
        unedited_z(network.bridge, side, mask=prompts.real) for side in (prompts.clean, prompts.corrupted)
    )
    sizes = [
        torch.stack([_size(y - x, real) for x, y in zip(clean, corrupted, strict=True)])
        for (clean, real), (corrupted, _) in zip(*sides, strict=True)
    ]
    return torch.cat(sizes, dim=1).mean(1)


@dataclass(frozen=True)
class Alternatives:
    """Other measures of importance than `noising`: tables [layer, head]."""

    denoising: Table
    mean_ablation: Table
    difference: Table
    gradient: Table
    integrated: Table


def alternatives(network: Network, prompts: HeadPrompts, steps: int) -> Alternatives:
    """All alternatives, from the same unedited runs. steps: of integrated gradients."""
    with remembered(network.bridge):
        return Alternatives(
            denoising=denoising(network, prompts),
            mean_ablation=mean_ablation(network, prompts),
            difference=difference(network, prompts),
            gradient=attribution(network, prompts, steps=1),
            integrated=attribution(network, prompts, steps),
        )


def _size(
    z: Float[Tensor, "prompt pos head d_head"], real: Bool[Tensor, "prompt pos"]
) -> Float[Tensor, "prompt head"]:
    return (z * real[..., None, None]).double().square().sum((1, 3)).sqrt()


def _damage(prompts: HeadPrompts, change: Float[Tensor, "layer head prompt"]) -> Table:
    return _by_prompt(prompts, change).mean(-1)


def _by_prompt(prompts: HeadPrompts, change: Float[Tensor, "layer head prompt"]) -> Tensor:
    return (-prompts.sign * change).double()
