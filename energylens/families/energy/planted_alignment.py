"""Planted alignments: latents that fire where their direction lowers the energy, some among others, or perfect ones."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from energylens.interventions.latents import random_directions
from energylens.lenses.reading import Reading

STRENGTH = 0.3
"""Correlation of a planted latent's g with the variable that decides where it fires."""

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


def perfect_latents(
    g: Float[Tensor, "tokens latents"], counts: Int[Tensor, " latents"]
) -> Float[Tensor, "tokens latents"]:
    """Activations with the largest correlation with g that a latent can have that fires on so many tokens, a >= 0.

    At the k tokens with the largest g: a = g - m, m the mean of g elsewhere; 0 elsewhere. Of all activations that are
    0 outside these tokens these are the least squares fit of g, so 1 - r^2 = SS(g elsewhere) / SS(g), each about its
    own mean. Where a latent fires on every token m is the least g, and r = 1. Give -g for a latent that fires where its
    direction raises the energy.
    """
    place = g.argsort(dim=0, descending=True, stable=True).argsort(dim=0)
    return as_it_fires(g, place < counts)


def as_it_fires(
    g: Float[Tensor, "tokens latents"], fires: Bool[Tensor, "tokens latents"]
) -> Float[Tensor, "tokens latents"]:
    """Such activations on tokens that are given; those below 0 are 0, as a TopK latent's."""
    g = g.double()
    elsewhere = g.masked_fill(fires, 0.0).sum(0) / (~fires).sum(0)
    return (g - torch.where(fires.all(0), g.amin(0), elsewhere)).relu().where(fires, 0.0)
