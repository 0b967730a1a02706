"""Similarities of dictionaries (do they hold the same directions?), their chance levels and nulls.

A dictionary is a matrix whose rows are directions (`W_dec` [d_sae d_in]). Every similarity here is invariant
to the order and the length of its rows; `pwmcc`, `mmcs` and `ground_truth_mcc` also to their signs.
"""

import math
from collections.abc import Callable, Collection, Sequence
from itertools import combinations
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment
from scipy.special import betainc
from scipy.stats import hypergeom
from torch import Generator, Tensor

from energylens.errors import InputError

T = TypeVar("T")


def unit_rows(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows divided by their length; half precisions become float32. A zero or non-finite row is an error."""
    rows = rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    bad = ~((norms > 0) & torch.isfinite(norms)).squeeze(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise InputError(f"row {row} of {tuple(rows.shape)} has length {float(norms[row])}, no direction")
    return rows / norms


def max_abs_cosines(
    d1: Float[Tensor, "n1 d"], d2: Float[Tensor, "n2 d"], block: int = 2048
) -> tuple[Float[Tensor, " n1"], Float[Tensor, " n2"]]:
    """For every row of d1 its largest |cosine| to a row of d2, and the other way round.

    One pass over block x block tiles of the product in one reused buffer: memory O(n d + block^2), time that
    of the product. Smaller tiles stay in cache but wait more often for the slowest thread.
    """
    u1, u2 = unit_rows(d1), unit_rows(d2)
    best1, best2 = u1.new_zeros(len(u1)), u2.new_zeros(len(u2))
    buffer = u1.new_empty(min(block, len(u1)) * min(block, len(u2)))
    for rows, row_best in zip(u1.split(block), best1.split(block), strict=True):
        for columns, column_best in zip(u2.split(block), best2.split(block), strict=True):
            tile = buffer[: len(rows) * len(columns)].unflatten(0, (len(rows), len(columns)))
            torch.mm(rows, columns.mT, out=tile).abs_()
            torch.maximum(row_best, tile.amax(1), out=row_best)
            torch.maximum(column_best, tile.amax(0), out=column_best)
    return best1, best2


def pwmcc(d1: Float[Tensor, "n1 d"], d2: Float[Tensor, "n2 d"], block: int = 2048) -> float:
    """Pairwise maximum cosine, as published: mean over both directions of max_j |cos|. Not one-to-one.

    1/2 (mean_i max_j |<d1_i, d2_j>| + mean_j max_i |<d1_i, d2_j>|), rows of unit length.
    """
    best1, best2 = max_abs_cosines(d1, d2, block)
    return (best1.double().mean().item() + best2.double().mean().item()) / 2


def mmcs(d1: Float[Tensor, "n1 d"], d2: Float[Tensor, "n2 d"], block: int = 2048) -> float:
    """Mean maximum cosine similarity (Sharkey et al. 2022), d1 to d2 only: mean_i max_j |<d1_i, d2_j>|."""
    return max_abs_cosines(d1, d2, block)[0].double().mean().item()


def matching(cosines: Float[Tensor, "n1 n2"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """The one-to-one matching with the largest sum (Hungarian), m = min(n1, n2), rows ascending."""
    rows, columns = linear_sum_assignment(cosines.numpy(force=True), maximize=True)
    return torch.from_numpy(rows), torch.from_numpy(columns)


def pw_mcc(d1: Float[Tensor, "n1 d"], d2: Float[Tensor, "n2 d"]) -> float:
    """Mean signed cosine of the best one-to-one matching (PW-MCC of Song et al. 2025, arXiv:2505.20254)."""
    cosines = unit_rows(d1) @ unit_rows(d2).mT
    return cosines[matching(cosines)].double().mean().item()


def ground_truth_mcc(dictionary: Float[Tensor, "n_true d"], decoder: Float[Tensor, "d_sae d"]) -> float:
    """Recovery of a known dictionary: |cosine|, one-to-one, mean over true atoms; unmatched ones count 0."""
    cosines = (unit_rows(dictionary) @ unit_rows(decoder).mT).abs()
    return cosines[matching(cosines)].double().sum().item() / len(dictionary)


def shared_fraction(
    W_dec1: Float[Tensor, "d_sae d_in"],
    W_enc1: Float[Tensor, "d_in d_sae"],
    W_dec2: Float[Tensor, "d_sae d_in"],
    W_enc2: Float[Tensor, "d_in d_sae"],
    threshold: float = 0.7,
) -> float:
    """Fraction of latents that two SAEs share (Paulo & Belrose 2025, arXiv:2501.16615); not a mean cosine.

    Decoders and encoders are matched separately (signed cosine, Hungarian). A latent is shared if both
    matchings give it the same counterpart and both cosines exceed the threshold.
    """
    decoder = unit_rows(W_dec1) @ unit_rows(W_dec2).mT
    encoder = unit_rows(W_enc1.mT) @ unit_rows(W_enc2.mT).mT
    rows, by_decoder = matching(decoder)
    _, by_encoder = matching(encoder)
    close = (decoder[rows, by_decoder] > threshold) & (encoder[rows, by_encoder] > threshold)
    return ((by_decoder == by_encoder) & close).double().mean().item()


def chance_max_abs_cos(n: int, d: int) -> float:
    """Expected largest |cosine| between a direction and n independent uniform directions in d dimensions.

    Integral over t in [0, 1] of 1 - F(t)^n with F(t) = I_{t^2}(1/2, (d - 1)/2), the regularised incomplete
    beta function. It is the exact expectation of `pwmcc` of two isotropic dictionaries of n rows; .2988 at n
    = 1024, d = 128.
    """
    if n < 1 or d < 2:
        raise InputError(f"chance needs n >= 1 directions in d >= 2 dimensions, received n={n}, d={d}")
    edge = min(1.0, math.sqrt(2 * math.log(n + 1) / d))
    parts = [(0.0, edge / 2), (edge / 2, edge), (edge, 1.0)]
    return sum(quad(lambda t: 1 - betainc(0.5, (d - 1) / 2, t * t) ** n, *part)[0] for part in parts)


def excess(measured: float, chance: float) -> float:
    """(m - m0) / (1 - m0): 0 at chance, 1 at identity, negative below chance."""
    if not chance < 1:
        raise InputError(f"excess over a chance level of {chance} is undefined; it must be below 1")
    return (measured - chance) / (1 - chance)


def random_unit_rows(n: int, d: int, generator: Generator) -> Float[Tensor, "n d"]:
    """n independent uniform directions in d dimensions (float64)."""
    return unit_rows(torch.randn(n, d, dtype=torch.float64, generator=generator))


def random_rotation(d: int, generator: Generator) -> Float[Tensor, "d d"]:
    """Orthogonal matrix, uniform (Haar): QR of a Gaussian with the signs of R's diagonal (Mezzadri 2007)."""
    q, r = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))
    return q * r.diagonal().sign()


def covariance_matched(x: Float[Tensor, "tokens d"], n: int, generator: Generator) -> Float[Tensor, "n d"]:
    """n rows drawn from N(0, cov(x)), scaled to unit length: a dictionary that knows only the covariance.

    On low-rank x two such dictionaries agree far above isotropic chance.
    """
    variances, axes = _principal_axes(x)
    normal = torch.randn(n, len(variances), dtype=torch.float64, generator=generator)
    return unit_rows(torch.einsum("nk,k,kd->nd", normal, variances.sqrt(), axes))


def principal_directions(x: Float[Tensor, "tokens d"]) -> Float[Tensor, "rank d"]:
    """Unit directions of the principal components of x with any variance, largest variance first."""
    return _principal_axes(x)[1]


def effective_rank(x: Float[Tensor, "tokens d"]) -> float:
    """exp of the entropy of the eigenvalue shares of cov(x) (Roy & Vetterli 2007, on the covariance)."""
    variances, _ = _principal_axes(x)
    shares = variances / variances.sum()
    return torch.special.entr(shares).sum().exp().item()


def _principal_axes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Variances (descending) and unit axes of the centred rows, without those that are rounding errors."""
    x = x.double()
    centred = x - x.mean(0)
    covariance = torch.einsum("ni,nj->ij", centred, centred) / max(len(x) - 1, 1)
    # eigh raises an error of its own for what is not finite
    if not (torch.isfinite(covariance).all() and covariance.diagonal().sum() > 0):
        raise InputError(f"activations of shape {tuple(x.shape)} have no (finite) covariance")
    variances, axes = torch.linalg.eigh(covariance)
    kept = variances > variances[-1] * len(variances) * torch.finfo(torch.float64).eps
    return variances[kept].flip(0), axes.mT[kept].flip(0)


def jaccard(first: Collection[int], second: Collection[int]) -> float:
    """|A & B| / |A | B| of two sets; NaN if both are empty."""
    union = set(first) | set(second)
    return len(set(first) & set(second)) / len(union) if union else math.nan


def jaccard_chance(population: int, size_a: int, size_b: int) -> float:
    """Expected Jaccard index of two independent uniform subsets: E i / (a + b - i), i hypergeometric."""
    if not (0 <= size_a <= population and 0 <= size_b <= population and size_a + size_b > 0):
        raise InputError(f"no subsets of sizes {size_a} and {size_b} of {population} elements to compare")
    overlaps = range(min(size_a, size_b) + 1)
    probabilities = hypergeom(population, size_a, size_b).pmf(list(overlaps))
    return float(sum(q * i / (size_a + size_b - i) for i, q in zip(overlaps, probabilities, strict=True)))


def pairwise(similarity: Callable[[T, T], float], items: Sequence[T]) -> list[float]:
    """Similarity of all pairs of items, each pair once, in the order of `itertools.combinations`."""
    if len(items) < 2:
        raise InputError(f"a pairwise measure needs at least two items, received {len(items)}")
    return [similarity(first, second) for first, second in combinations(items, 2)]


def mean_pairwise_jaccard(sets: Sequence[Collection[int]]) -> float:
    """Mean Jaccard index over all pairs of sets (one set per seed)."""
    pairs = pairwise(jaccard, sets)
    return sum(pairs) / len(pairs)
