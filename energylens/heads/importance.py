"""How much every head matters, by exact patching of all of them, and by attribution.

Every function gives the mean damage over prompts in the unit of the task's metric (a logit difference, or a loss in
nats): tables [layer, head], float64, positive where the network gets worse.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.heads.prompts import HeadPrompts
from energylens.interventions import Mean, ablate_heads, attribution_patch, mean_z, patch_heads
from energylens.models.network import Network

Table = Float[Tensor, "layer head"]


def noising(network: Network, prompts: HeadPrompts) -> Table:
    """z of the corrupted run put into the clean one, one head at a time; for text, resample ablation."""
    found = patch_heads(
        network.bridge, prompts.clean, prompts.corrupted, prompts.metric, "noising", mask=prompts.real
    )
    return _damage(prompts, found.change())


def denoising(network: Network, prompts: HeadPrompts) -> Table:
    """How far the clean z lifts the corrupted run; NaN where the metric means nothing on corrupted prompts."""
    if not prompts.aligned:
        shape = (network.n_layers, network.bridge.cfg.n_heads)
        return torch.full(shape, math.nan, dtype=torch.float64)
    found = patch_heads(
        network.bridge, prompts.clean, prompts.corrupted, prompts.metric, "denoising", mask=prompts.real
    )
    return -_damage(prompts, found.change())


def mean_ablation(network: Network, prompts: HeadPrompts) -> Table:
    """z replaced by its mean over the clean prompts at that position."""
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
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(network.n_layers)]
    clean, corrupted = (
        network.run(names, side, pos=slice(None)) for side in (prompts.clean, prompts.corrupted)
    )
    real = prompts.real[..., None, None]
    rows = [
        ((corrupted[name] - clean[name]) * real).double().square().sum((1, 3)).sqrt().mean(0)
        for name in names
    ]
    return torch.stack(rows)


def _damage(prompts: HeadPrompts, change: Float[Tensor, "layer head prompt"]) -> Table:
    return (-prompts.sign * change).double().mean(-1)
