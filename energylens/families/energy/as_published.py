"""EFAS exactly as published, errors included, so that both numbers can stand side by side.

Source: the Energy-Lens study (github.com/ry2009/Interp-Tool), `energy_lens_minimal.py`, whose report gives 496
alignments, mean .3775, 95th percentile .7388, maximum .8559. Its energies and features are not those of a
network: energies grow with the length of the words of five sentences (10 to 19 words, split at blanks), features
are drawn at random, 2 to 8 of 2048 a word. Drawn anew thirty times it gives 492, .377, .738, .860 on average, and
with the features shuffled over the words 497, .357, .762, .863. Nothing here measures what its name promises; the
corrected measure is in `energylens.metrics.alignment`.

Errors: (a) the "gradient" is a difference of E along token positions; nothing is differentiated by x, and no
decoder takes part. (b) Most features fire on one word of n: their |r| is |z| / sqrt(n - 1), z the standard score
of that word's difference, whatever the feature. (c) What is averaged was selected: |r| > .1, and of each sentence
and layer the 20 largest.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.lenses.reading import Reading

LENGTHS = (10, 11, 13, 15, 19)
"""Tokens of the texts, one after the other, as the published sentences had words; shorter in shorter windows."""

THRESHOLD, MOST = 0.1, 20
INACTIVE = 1e-6
BINS = 5


class PublishedLevel(NamedTuple):
    """Number of alignments kept, and mean, 95th percentile and maximum of their absolute values."""

    n_alignments: int
    mean: float
    percentile_95: float
    maximum: float


def position_difference(energy: Float[Tensor, " tokens"]) -> Float[Tensor, " tokens"]:
    """The published stand-in for dE/dx: (E[t+1] - E[t-1]) / 2 along the tokens of one text, one-sided at both ends."""
    if len(energy) < 2:
        raise InputError(f"a difference along positions needs two tokens, received {len(energy)}")
    return torch.gradient(energy.double())[0]


def scores(
    energy: Float[Tensor, " tokens"], latent_acts: Float[Tensor, "tokens d_sae"]
) -> Float[Tensor, " d_sae"]:
    """Correlation of each activation with -`position_difference` over the tokens of one text.

    NaN where the activations sum to less than 1e-6, which the source skips as inactive, or either is constant.
    """
    falls = -position_difference(energy)
    acts = latent_acts.double()
    a, falls = acts - acts.mean(0), falls - falls.mean()
    squares = a.square().sum(0) * falls.square().sum()
    undefined = (acts.sum(0) < INACTIVE) | (
        squares <= 1e-24 * acts.square().sum(0) * energy.double().square().sum()
    )
    return (torch.einsum("tf,t->f", a, falls) / squares.sqrt()).clamp(-1, 1).masked_fill(undefined, math.nan)


def kept(values: Float[Tensor, " d_sae"], most: int = MOST) -> Float[Tensor, " kept"]:
    """Correlations kept of one text and layer: those with the `most` largest |r| above .1, signed, largest first."""
    above = values[values.abs() > THRESHOLD]
    return above[above.abs().argsort(descending=True, stable=True)][:most]


def level(alignments: Sequence[Float[Tensor, " _"]]) -> PublishedLevel:
    """The published summary of the values `kept` of all texts and layers; NaN where none was kept."""
    pooled = torch.cat([each.double() for each in alignments]).abs() if alignments else torch.empty(0)
    if not len(pooled):
        return PublishedLevel(0, math.nan, math.nan, math.nan)
    return PublishedLevel(
        len(pooled), float(pooled.mean()), float(pooled.quantile(0.95)), float(pooled.max())
    )


def mutual_information_bits(
    energy: Float[Tensor, " tokens"], latent_acts: Float[Tensor, "tokens d_sae"]
) -> Float[Tensor, " d_sae"]:
    """Published mutual information in bits: of 5 bins of the activation with 5 of `position_difference`.

    Bin edges are 5 equal steps from 0 (activation) or the minimum (difference) to the maximum, so the last bin
    holds the maximum alone. Error: it is not over the entropy, and no bias is taken off: a feature that fires
    on the one token of n with the largest difference gets the entropy of 1/n, .4690 at n = 10, .3534 at n = 15.
    """
    differences = position_difference(energy)
    first = torch.zeros(1, latent_acts.shape[1], dtype=torch.float64)
    a_bins = _bins(latent_acts.double(), first, latent_acts.double().amax(0, keepdim=True))
    e_bins = _bins(differences[:, None], differences.min()[None, None], differences.max()[None, None])
    one_hot = torch.nn.functional.one_hot
    joint = torch.einsum("tfi,tj->fij", one_hot(a_bins, BINS).double(), one_hot(e_bins[:, 0], BINS).double())
    shares = joint / len(energy)
    alone = torch.einsum("fi,fj->fij", shares.sum(2), shares.sum(1))
    return torch.special.xlogy(shares, shares / alone.clamp(min=torch.finfo(torch.float64).tiny)).sum(
        (1, 2)
    ) / math.log(2)


def best_one_token(n_tokens: int, draws: int, generator: Generator) -> Float[Tensor, " draws"]:
    """Per draw, the largest |r| that a feature firing on one token of n can reach against n independent normals.

    There are n such features, and r is the standard score of the token over sqrt(n - 1), whatever the strength.
    The medians are .63 at n = 10 and .55 at n = 15 (.65 and .57 if the noise goes through `position_difference`).
    A permutation test of such a feature has n outcomes only, so no p below 1 / n.
    """
    if n_tokens < 3:
        raise InputError(f"one token of {n_tokens} always gives |r| = 1 or nothing; need 3 at least")
    noise = torch.randn(draws, n_tokens, generator=generator, dtype=torch.float64)
    left = noise - noise.mean(1, keepdim=True)
    spread = left.square().mean(1).sqrt()
    return left.abs().amax(1) / (spread * math.sqrt(n_tokens - 1))


def published_level(
    acts: Float[Tensor, "tokens d_sae"], reading: Reading, shuffle: Generator | None = None
) -> PublishedLevel:
    """`level` of activations over one text from the start of every window.

    shuffle: activations are shuffled over the tokens of each text, so that none belongs to its token any more.
    """
    n_pos, found = reading.text.tokens.shape[1] - 1, []
    for i, start in enumerate(range(0, len(acts), n_pos)):
        length = min(LENGTHS[i % len(LENGTHS)], n_pos)
        part = acts[start : start + length]
        if shuffle is not None:
            part = part[torch.randperm(length, generator=shuffle)]
        aligned = scores(reading.energy[start : start + length], part)
        found.append(kept(aligned[~aligned.isnan()]))
    return level(found)


def following(reading: Reading, d_sae: int, generator: Generator) -> Float[Tensor, "tokens d_sae"]:
    """Activations that do follow the fall of the energy along positions, with as much noise, at every token."""
    energy = reading.energy.unflatten(0, (len(reading.text.tokens), -1))
    falls = -torch.stack([position_difference(window) for window in energy]).flatten()
    noise = torch.randn(len(falls), d_sae, generator=generator, dtype=falls.dtype)
    return (falls[:, None] / falls.std() + noise).relu().float()


def _bins(values: Tensor, low: Tensor, high: Tensor) -> Int[Tensor, "tokens columns"]:
    """Index of the last of 5 equally spaced edges from low to high that is not above the value."""
    steps = torch.linspace(0, 1, BINS, dtype=torch.float64)
    edges = low[..., None] + (high - low)[..., None] * steps
    edges[..., -1] = high  # the last bin is the maximum's, however the steps round
    return ((values[..., None] >= edges).sum(-1) - 1).clamp(0, BINS - 1)
