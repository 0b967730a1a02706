"""Statistics of pairs of seeds: n seeds make n (n - 1) / 2 pairs, but only n independent units."""

import math

import numpy as np
from numpy.typing import ArrayLike

from energylens.errors import InputError
from energylens.stats.checks import finite_array
from energylens.stats.interval import CONFIDENCE, Interval, from_se

_SYMMETRY_TOLERANCE = 1e-9


def jackknife_pairs(pair_matrix: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean over pairs i < j of a symmetric n x n matrix, with the leave-one-seed-out jackknife.

    theta = mean_{i<j} m_ij;  theta_(i) = the same without seed i;
    se^2 = (n - 1) / n sum_i (theta_(i) - mean theta_(.))^2;  interval theta +- t_{n-1} se
    (Arvesen, Ann. Math. Stat. 1969, for U-statistics). An interval that took pairs as independent would cover
    .5-.65 at 5-8 seeds; this one is conservative where m_ij is all noise. The diagonal is not read.
    Two seeds: one pair, so [-inf, inf] around it. Raises InputError for fewer, for NaN or inf, or asymmetry.
    """
    pairs = _checked(pair_matrix)
    n = len(pairs)
    values = pairs[np.triu_indices(n, k=1)]
    if n == 2:
        return from_se(float(values[0]), math.inf, n, confidence)
    if np.all(values == values[0]):
        return from_se(float(values[0]), 0.0, n, confidence)
    estimate = float(values.mean())
    leave_one_out = (values.sum() - pairs.sum(axis=1)) / math.comb(n - 1, 2)
    se = math.sqrt((n - 1) / n * float(np.sum((leave_one_out - leave_one_out.mean()) ** 2)))
    return from_se(estimate, se, n, confidence)


def _checked(pair_matrix: ArrayLike) -> np.ndarray:
    """The matrix with a zero diagonal, if it is square, symmetric and finite elsewhere."""
    pairs = np.array(pair_matrix, dtype=float)
    if pairs.ndim != 2 or pairs.shape[0] != pairs.shape[1] or len(pairs) < 2:
        raise InputError(f"pairs of seeds need an n x n matrix, n >= 2 seeds; got shape {pairs.shape}")
    np.fill_diagonal(pairs, 0.0)
    finite_array(pairs, "pair_matrix", ndim=2)
    apart = np.abs(pairs - pairs.T) > _SYMMETRY_TOLERANCE * np.maximum(np.abs(pairs), np.abs(pairs.T))
    if apart.any():
        i, j = np.argwhere(apart)[0]
        raise InputError(f"the matrix must be symmetric, got [{i}, {j}] = {pairs[i, j]}, not {pairs[j, i]}")
    return pairs
