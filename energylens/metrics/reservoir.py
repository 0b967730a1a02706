"""Ranks and mutual information, which one pass of sums can't give, from a uniform sample of tokens of fixed size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import entropy, rankdata
from torch import Generator, Tensor

from energylens.errors import InputError

RANKED_AT_ONCE = 2**20
"""Entries of [tokens latents] ranked at once; 8 bytes each, a few times over."""


@dataclass(frozen=True, eq=False)
class TokenSample:
    """Tokens drawn uniformly without replacement from `n_tokens`, all of them if there were fewer; in no order."""

    latent_acts: Float[Tensor, "sample d_sae"]
    gradients: Float[Tensor, "sample d_model"]
    n_tokens: int


class TokenReservoir:
    """Streams batches and keeps `size` tokens; every set of `size` tokens of the stream is equally likely.

    Each token draws a uniform key from `generator`, those with the smallest keys stay (Fan, Muller & Rezucha 1962),
    so the sample does not depend on how the stream was cut into batches. Memory size (d_sae + d_model) float32:
    19 MB for 4096 tokens at d_sae 1024, d_model 128.
    """

    def __init__(self, size: int, generator: Generator) -> None:
        if size < 2:
            raise InputError(f"a sample of {size} tokens has no correlation")
        self.size, self._generator, self._n = size, generator, 0
        self._keys = torch.empty(0, dtype=torch.float64)
        self._kept: list[Tensor] = []

    @torch.no_grad()
    def update(
        self, latent_acts: Float[Tensor, "tokens d_sae"], gradients: Float[Tensor, "tokens d_model"]
    ) -> None:
        """Offer a batch. Errors: InputError for no tokens, other shapes, NaN or infinity in a token to keep."""
        shapes = [tuple(each.shape) for each in (latent_acts, gradients)]
        widths = [rows.shape[1] for rows in self._kept] or [shape[1] for shape in shapes]
        if len(latent_acts) == 0 or shapes != [(len(latent_acts), width) for width in widths]:
            raise InputError(f"expected at least one token of widths {widths}, received {shapes}")
        keys = torch.rand(len(latent_acts), generator=self._generator, dtype=torch.float64)
        cut = torch.cat([self._keys, keys]).sort().values[: self.size]
        leave, enter = ~torch.isin(self._keys, cut), torch.isin(keys, cut)
        taken = [each[enter].detach().float().cpu() for each in (latent_acts, gradients)]
        if not all(torch.isfinite(each).all() for each in taken):
            raise InputError("activations or gradients have NaN or infinite values")
        self._n += len(keys)
        self._keys = _replaced(self._keys, leave, keys[enter])
        old = self._kept or [each[:0] for each in taken]
        self._kept = [_replaced(rows, leave, new) for rows, new in zip(old, taken, strict=True)]

    def sample(self) -> TokenSample:
        """The tokens kept. Errors: InputError where there were none."""
        if self._n == 0:
            raise InputError("no tokens were offered: there is nothing to sample")
        latent_acts, gradients = (rows.clone() for rows in self._kept)
        return TokenSample(latent_acts, gradients, self._n)


def spearman(sample: TokenSample, W_dec: Float[Tensor, "d_sae d_model"]) -> Float[Tensor, " d_sae"]:
    """Rank correlation over the sample of a_f and g_f = -<grad_x E, d_f>, all tokens, ties at their mean rank.

    NaN where either is constant (a latent that does not fire in the sample). Where most activations are 0 and so
    tied, it says little more than whether g is higher when the latent fires.
    """
    columns = max(1, RANKED_AT_ONCE // len(sample.gradients))
    parts = zip(sample.latent_acts.split(columns, 1), W_dec.float().split(columns), strict=True)
    return torch.cat([_rank_correlation(acts, _projected(sample, part)) for acts, part in parts])


def mutual_information(
    sample: TokenSample,
    W_dec: Float[Tensor, "d_sae d_model"],
    latents: Sequence[int],
    seed: int,
    least: int = 50,
) -> Float[Tensor, " latents"]:
    """I(a_f != 0; g_f) / H(a_f != 0) of the latents named: 0 is independent, 1 is determined by g_f.

    Nearest neighbours, discrete against continuous (Ross 2014), by scikit-learn: its estimate is cut off at 0, so
    independent latents average above 0. `seed` fixes the jitter it adds against ties. NaN where fewer than `least`
    tokens of the sample fire or fewer than `least` do not: there the estimate is one of single tokens.
    """
    from sklearn.feature_selection import mutual_info_classif

    g = _projected(sample, W_dec.float()[list(latents)]).numpy().astype(np.float64)
    firing = (sample.latent_acts[:, list(latents)] != 0).numpy()
    values = np.full(len(latents), math.nan)
    for i, (fires, projection) in enumerate(zip(firing.T, g.T, strict=True)):
        count = int(fires.sum())
        if min(count, len(fires) - count) >= max(least, 1):
            nats = mutual_info_classif(projection[:, None], fires, discrete_features=False, random_state=seed)
            values[i] = nats[0] / entropy([count, len(fires) - count])
    return torch.from_numpy(values)


def _replaced(rows: Tensor, leave: Tensor, new: Tensor) -> Tensor:
    """`rows` with those that leave overwritten, in place, by the first new ones, and the others of them appended."""
    n = int(leave.sum())
    rows[leave] = new[:n]
    return torch.cat([rows, new[n:]]) if len(new) > n else rows


def _projected(sample: TokenSample, W_dec: Tensor) -> Float[Tensor, "sample latents"]:
    return -torch.einsum("td,fd->tf", sample.gradients, W_dec)


def _rank_correlation(a: Tensor, g: Tensor) -> Float[Tensor, " latents"]:
    """Per column the correlation of the ranks; NaN if either column is constant."""
    ranks = (rankdata(values.numpy(), axis=0) - (len(values) + 1) / 2 for values in (a, g))
    x, y = (torch.from_numpy(each) for each in ranks)
    squares = torch.einsum("tf,tf->f", x, x) * torch.einsum("tf,tf->f", y, y)
    return torch.einsum("tf,tf->f", x, y) / squares.sqrt()
