"""Planted alignments: latents that fire where their direction lowers the energy, among latents that do not."""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from energylens.energy.reading import Reading
from energylens.interventions.latents import random_directions

STRENGTH = 0.3
"""Correlation between what decides where a planted latent fires and its g."""

PLANTED = 50
LATENTS = 500
FIRING = 0.03
"""Share of tokens at which every latent fires, about that of TopK 32 of 1024."""


def planted_latents(
    reading: Reading, generator: Generator
) -> tuple[Float[Tensor, "tokens latents"], Float[Tensor, "latents d_model"], Bool[Tensor, " latents"]]:
    """(activations, unit directions, which are planted) on a reading's real gradients.

    Directions are uniform on the sphere. A latent fires where u = STRENGTH g + sqrt(1 - STRENGTH^2) noise, g
    standardised over tokens, is among the FIRING largest, with u as its activation; those that are not planted
    have noise alone.
    """
    directions = random_directions(LATENTS, reading.x.shape[1], generator)
    g = -torch.einsum("td,fd->tf", reading.gradient, directions)
    g = (g - g.mean(0)) / g.std(0)
    noise = torch.randn(g.shape, generator=generator)
    planted = torch.arange(LATENTS) < PLANTED
    strength = torch.where(planted, STRENGTH, 0.0)
    u = strength * g + (1 - strength.square()).sqrt() * noise
    cut = u.topk(max(1, round(FIRING * len(u))), dim=0).values[-1]
    return u.where(u >= cut, 0.0), directions, planted
