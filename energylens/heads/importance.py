"""How much every head matters, by exact patching of all of them, and by attribution."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.heads.prompts import HeadPrompts
from energylens.interventions import Mean, ablate_heads, attribution_patch, mean_z, patch_heads
from energylens.models.network import Network

Table = Float[Tensor, "layer head"]
IG_STEPS = 8


@dataclass(frozen=True)
class HeadImportance:
    """Mean damage over prompts, in nats of the task's metric (a logit difference, or a loss): tables [layer, head].

    Positive where the network gets worse. noising: z of the corrupted run put into the clean one (for text:
    resample ablation). denoising: how far the clean z lifts the corrupted run; NaN where prompts are not aligned.
    mean_ablation: z replaced by its mean over prompts at that position. attribution, integrated:
    first-order estimates of `noising`, without and with integrated gradients.
    whole: damage by the whole corruption, for scale; NaN where prompts are not aligned.
    """

    noising: Table
    denoising: Table
    mean_ablation: Table
    attribution: Table
    integrated: Table
    whole: float

    @property
    def importance(self) -> Table:
        """abs(noising): what claims call causal importance; a head whose removal helps matters as well."""
        return self.noising.abs()


def head_importance(network: Network, prompts: HeadPrompts) -> HeadImportance:
    """All heads of a network, exactly and approximately, on one set of prompts."""
    bridge, sign = network.bridge, -prompts.sign
    pair = (bridge, prompts.clean, prompts.corrupted, prompts.metric)
    noised = patch_heads(*pair, "noising", mask=prompts.real)
    mean = Mean(mean_z(bridge, prompts.clean, mask=prompts.real))
    ablated = ablate_heads(bridge, prompts.clean, prompts.metric, mean, mask=prompts.real)

    def attributed(steps: int) -> Table:
        found = attribution_patch(*pair, "noising", steps=steps, mask=prompts.real)
        return _mean(sign * found.change())

    if prompts.aligned:
        denoising = _mean(-sign * patch_heads(*pair, "denoising", mask=prompts.real).change())
        whole = float((sign * (noised.corrupted - noised.clean)).double().mean())
    else:
        denoising, whole = torch.full(noised.patched.shape[:2], math.nan, dtype=torch.float64), math.nan
    return HeadImportance(
        noising=_mean(sign * noised.change()),
        denoising=denoising,
        mean_ablation=_mean(sign * ablated.change()),
        attribution=attributed(1),
        integrated=attributed(IG_STEPS),
        whole=whole,
    )


def _mean(by_prompt: Float[Tensor, "layer head prompt"]) -> Table:
    return by_prompt.double().mean(-1)
