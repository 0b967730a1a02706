"""The published estimator of EFAS on a real network: short texts, differences along positions, selected values."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from energylens.energy.reading import Reading
from energylens.metrics import as_published_efas
from energylens.metrics.as_published_efas import PublishedLevel

LENGTHS = (10, 11, 13, 15, 19)
"""Tokens of the texts, one after the other, as the published sentences had words; shorter in shorter windows."""


def published_level(
    acts: Float[Tensor, "tokens d_sae"], reading: Reading, shuffle: Generator | None = None
) -> PublishedLevel:
    """`as_published_efas.level` of activations over one text from the start of every window.

    shuffle: activations are shuffled over the tokens of each text, so that none belongs to its token any more.
    """
    n_pos, found = reading.text.tokens.shape[1] - 1, []
    for i, start in enumerate(range(0, len(acts), n_pos)):
        length = min(LENGTHS[i % len(LENGTHS)], n_pos)
        part = acts[start : start + length]
        if shuffle is not None:
            part = part[torch.randperm(length, generator=shuffle)]
        scores = as_published_efas.scores(reading.energy[start : start + length], part)
        found.append(as_published_efas.kept(scores[~scores.isnan()]))
    return as_published_efas.level(found)


def following(reading: Reading, d_sae: int, generator: Generator) -> Float[Tensor, "tokens d_sae"]:
    """Activations that do follow the fall of the energy along positions, with as much noise, at every token."""
    energy = reading.energy.unflatten(0, (len(reading.text.tokens), -1))
    falls = -torch.stack([as_published_efas.position_difference(window) for window in energy]).flatten()
    noise = torch.randn(len(falls), d_sae, generator=generator, dtype=falls.dtype)
    return (falls[:, None] / falls.std() + noise).relu().float()
