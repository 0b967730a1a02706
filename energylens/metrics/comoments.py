"""Sums about the mean that stream and merge (Chan, Golub & LeVeque 1983), float64.

`of` a batch is computed about the batch's own means; `+` merges two batches, or two documents, exactly as if
their rows had been one sample, up to rounding. So order and batch size do not matter, and a large mean costs no
digits: a sum of squares about a common origin would lose them.
"""

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CoMoments:
    """n rows u: `mean` and `products` = sum over rows of (u - mean)(u - mean)^T."""

    n: int
    mean: Float[Tensor, " d"]
    products: Float[Tensor, "d d"]

    @classmethod
    def none(cls, d: int) -> "CoMoments":
        """The moments of no rows."""
        return cls(0, torch.zeros(d, dtype=torch.float64), torch.zeros(d, d, dtype=torch.float64))

    @classmethod
    def of(cls, rows: Float[Tensor, "n d"]) -> "CoMoments":
        """The moments of one batch with at least one row."""
        rows = rows.double()
        mean = rows.mean(0)
        centred = rows - mean
        return cls(len(rows), mean, torch.einsum("ni,nj->ij", centred, centred))

    def __add__(self, other: "CoMoments") -> "CoMoments":
        n = self.n + other.n
        share = other.n / n if n else 0.0
        shift = other.mean - self.mean
        between = torch.outer(shift, shift) * (self.n * share)
        return CoMoments(n, self.mean + shift * share, self.products + other.products + between)


@dataclass(frozen=True, eq=False)
class Firing:
    """The entries of a matrix [tokens d_sae] that are not 0, row by row (compressed sparse rows).

    Entries of token t are those from row_starts[t] to row_starts[t + 1]; `latent` is their column.
    """

    row_starts: Int[np.ndarray, " tokens_and_one"]
    latent: Int[np.ndarray, " entries"]
    a: Float[np.ndarray, " entries"]
    d_sae: int

    @classmethod
    def of(cls, latent_acts: Float[Tensor, "tokens d_sae"]) -> "Firing":
        """Of a dense matrix; the only temporary of its size is a mask of bytes. NaN is not 0."""
        n_tokens, d_sae = latent_acts.shape
        exact = latent_acts if latent_acts.dtype == torch.float64 else latent_acts.float()
        dense = exact.contiguous().numpy(force=True)
        place = np.flatnonzero(dense != 0)
        row_starts = np.searchsorted(place, np.arange(n_tokens + 1) * d_sae)
        return cls(row_starts, place % d_sae, dense.ravel()[place].astype(np.float64), d_sae)

    def sums(self, weights: Float[np.ndarray, " entries"] | None = None) -> Float[Tensor, " d_sae"]:
        """Per latent the sum of the weights of its entries; their number without weights."""
        return torch.from_numpy(np.bincount(self.latent, weights, self.d_sae)).double()

    def products(
        self, weights: Float[np.ndarray, " entries"], rows: Float[np.ndarray, "tokens m"]
    ) -> Float[Tensor, "d_sae m"]:
        """Per latent the sum over its entries of weight times the token's row."""
        shape = (len(rows), self.d_sae)
        return torch.from_numpy(csr_array((weights, self.latent, self.row_starts), shape=shape).T @ rows)

    def projected(
        self, gradients: Float[Tensor, "tokens d_model"], W_dec: Float[Tensor, "d_sae d_model"]
    ) -> Float[np.ndarray, " entries"]:
        """g = -<gradient, d_f> at these entries only, computed in the precision of W_dec."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
            entries = torch.sparse_csr_tensor(
                torch.from_numpy(self.row_starts),
                torch.from_numpy(self.latent),
                W_dec.new_zeros(len(self.latent)),
                (len(gradients), self.d_sae),
                check_invariants=False,
            )
        sampled = torch.sparse.sampled_addmm(
            entries, gradients.cpu().to(W_dec.dtype), W_dec.mT, beta=0, alpha=-1
        )
        return sampled.values().double().numpy()


@dataclass(frozen=True, eq=False)
class FiringMoments:
    """Per latent, over its firing tokens, of the variables v = (a, g, z_1 .. z_m).

    a: activation, g: projection of the gradient, z: covariates of the token. `a_products` = sum of (a - mean a)(v
    - mean v), so its first column is the squares of a; `gg` the squares of g. Of a latent that has not
    fired the products are 0 and the means say nothing. Memory O(d_sae m).
    """

    count: Float[Tensor, " d_sae"]
    mean: Float[Tensor, "d_sae variables"]
    a_products: Float[Tensor, "d_sae variables"]
    gg: Float[Tensor, " d_sae"]

    @classmethod
    def none(cls, d_sae: int, m: int) -> "FiringMoments":
        """The moments of no tokens."""
        zeros = torch.zeros(d_sae, 2 + m, dtype=torch.float64)
        return cls(zeros[:, 0], zeros, zeros, zeros[:, 0])

    @classmethod
    def of(
        cls, firing: Firing, g: Float[np.ndarray, " entries"], covariates: Float[Tensor, "tokens m"]
    ) -> "FiringMoments":
        """Of one batch: `g` at the firing entries, covariates of all its tokens."""
        count, origin = firing.sums(), covariates.mean(0)
        z = (covariates - origin).numpy()
        totals = [
            firing.sums(firing.a)[:, None],
            firing.sums(g)[:, None],
            firing.products(np.ones_like(g), z),
        ]
        mean = torch.cat(totals, dim=1) / count.clamp(min=1)[:, None]
        a_left, g_left = (
            values - mean[:, column].numpy()[firing.latent] for column, values in ((0, firing.a), (1, g))
        )
        squares = [firing.sums(a_left * left)[:, None] for left in (a_left, g_left)]
        a_products = torch.cat([*squares, firing.products(a_left, z)], dim=1)
        mean[:, 2:] += origin
        return cls(count, mean, a_products, firing.sums(g_left * g_left))

    def __add__(self, other: "FiringMoments") -> "FiringMoments":
        count = self.count + other.count
        share = other.count / count.clamp(min=1)
        shift = other.mean - self.mean
        between = (self.count * share)[:, None] * shift
        return FiringMoments(
            count,
            self.mean + shift * share[:, None],
            self.a_products + other.a_products + between * shift[:, :1],
            self.gg + other.gg + between[:, 1] * shift[:, 1],
        )


class Products(NamedTuple):
    """Per latent the sums of squares and products of a and g about their means."""

    aa: Float[Tensor, " d_sae"]
    ag: Float[Tensor, " d_sae"]
    gg: Float[Tensor, " d_sae"]

    @property
    def correlation(self) -> Float[Tensor, " d_sae"]:
        """ag / sqrt(aa gg), kept within -1 .. 1 against rounding; NaN or rounding noise where either is constant."""
        return (self.ag / (self.aa * self.gg).sqrt()).clamp(-1, 1)


class Covariation(NamedTuple):
    """Over all tokens: of a and g (`products`), of each with the covariates, of the covariates themselves."""

    products: Products
    az: Float[Tensor, "d_sae m"]
    gz: Float[Tensor, "d_sae m"]
    zz: Float[Tensor, "m m"]

    def partial(self, varies: Tensor) -> Products:
        """What is left of `products` after least squares on those covariates that vary; redundant ones add nothing."""
        scale = torch.where(varies, self.zz.diagonal().rsqrt(), 0.0)
        correlations = torch.einsum("i,ij,j->ij", scale, self.zz, scale)
        solved = torch.linalg.pinv(correlations, rtol=1e-10, hermitian=True)
        az, gz = self.az * scale, self.gz * scale
        sides = ((az, az), (az, gz), (gz, gz))
        fitted = (torch.einsum("fi,ij,fj->f", left, solved, right) for left, right in sides)
        return Products(*(total - part for total, part in zip(self.products, fitted, strict=True)))


def over_all_tokens(
    tokens: CoMoments, firing: FiringMoments, W_dec: Float[Tensor, "d_sae d_model"]
) -> Covariation:
    """From the moments of (gradient, z) over all tokens and of (a, g, z) where a is not 0, to those over all tokens.

    g = -W_dec gradient is linear, so its products are W_dec products W_dec^T. With a = 0 on all but c of n tokens,
    sum (a - mean a)(v - mean v) = that over the c tokens + c mean_c(a) (mean_c(v) - mean(v)) for v = g, z, and
    sum (a - mean a)^2 = that over the c tokens + c (1 - c / n) mean_c(a)^2.
    """
    d_model, count, a_mean = W_dec.shape[1], firing.count, firing.mean[:, 0]
    z_mean = tokens.mean[d_model:].expand(len(W_dec), -1)
    v_mean = torch.cat([-W_dec @ tokens.mean[:d_model, None], z_mean], dim=1)
    aa = firing.a_products[:, 0] + a_mean.square() * count * (1 - count / tokens.n)
    av = firing.a_products[:, 1:] + (count * a_mean)[:, None] * (firing.mean[:, 1:] - v_mean)
    gradient, cross = tokens.products[:d_model, :d_model], tokens.products[:d_model, d_model:]
    gg = torch.einsum("fd,fd->f", W_dec @ gradient, W_dec)
    zz = tokens.products[d_model:, d_model:]
    return Covariation(Products(aa, av[:, 0], gg), av[:, 1:], -W_dec @ cross, zz)


def root_mean_square(tokens: CoMoments, d: int) -> float:
    """sqrt of the mean over rows of |u|^2, u the first d columns."""
    squares = tokens.products.diagonal()[:d].sum() / tokens.n + tokens.mean[:d].square().sum()
    return math.sqrt(float(squares))
