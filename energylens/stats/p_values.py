"""p values that agree with the intervals, permutation p values, and Holm's correction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from energylens.errors import InputError
from energylens.stats.checks import finite_array
from energylens.stats.interval import Interval
from energylens.stats.scale import scaled

MOST_FLIPPED = 16
"""Largest number of seeds whose sign patterns (65,536) are all counted."""

Side: TypeAlias = Literal["above", "below"]


@dataclass(frozen=True)
class Holm:
    """Holm's step-down correction: which hypotheses survive, and adjusted p values, in the order given."""

    survives: tuple[bool, ...]
    adjusted: tuple[float, ...]


def one_sided_p(interval: Interval, boundary: float, side: Side) -> float:
    """p value of the one-sided test whose alternative is "the true value lies `side` the boundary".

    Consistent with the interval: p < (1 - confidence) / 2 exactly if the whole interval lies on that side.
    t distribution for means, on the interval's own scale; exact binomial for rates. 1 when n was too small for an
    interval; 0.5 when the spread is zero and the estimate sits on the boundary.
    """
    if side not in ("above", "below") or not math.isfinite(boundary):
        raise InputError(f"side is 'above' or 'below' a finite boundary, got {side!r}, {boundary!r}")
    if interval.hits is not None:
        return _binomial_p(interval.hits, interval.n, boundary, side)
    if math.isinf(interval.se):
        return 1.0
    estimate, end = scaled(interval, interval.estimate, boundary)
    distance = estimate - end if side == "above" else end - estimate
    if interval.se == 0:
        return 0.5 if distance == 0 else float(distance < 0)
    from scipy.special import stdtr

    return float(stdtr(interval.df, -distance / interval.se))


def _binomial_p(hits: int, n: int, boundary: float, side: Side) -> float:
    """P(X >= hits) for "above", P(X <= hits) for "below", under the rate `boundary`."""
    from scipy.special import betainc

    if not 0 <= boundary <= 1:
        return float((boundary > 1) == (side == "above"))
    extreme, rate = (hits, boundary) if side == "above" else (n - hits, 1 - boundary)
    return 1.0 if extreme == 0 else float(betainc(extreme, n - extreme + 1, rate))


def permutation_p(observed: float, draws: ArrayLike) -> float:
    """(b + 1) / (m + 1), b of m null draws being at least as large as `observed` (Phipson & Smyth 2010).

    Never 0: the observation is one of its own permutations. Draws that differ from it by rounding count as
    ties. Raises InputError for NaN, inf, or no draws.
    """
    null = finite_array(draws, "draws", ndim=1)
    finite_array([observed], "observed", ndim=1)
    if null.size == 0:
        raise InputError("a permutation p value needs draws, got none")
    slack = 100 * np.finfo(float).eps * abs(observed)
    return (int(np.sum(null >= observed - slack)) + 1) / (null.size + 1)


def sign_p(n: int) -> float:
    """2^-n: the exact one-sided sign test of n seeds that all lie on one side of a boundary.

    Its hypothesis is about the median, which is the mean where seeds are symmetric.
    """
    if n < 1:
        raise InputError(f"a sign test needs at least one seed, got {n!r}")
    return 2.0**-n


def smallest_sign_flip_p(n: int) -> float:
    """2^(1 - n): the smallest two-sided p value that flipping the signs of n seeds can give."""
    if n < 1:
        raise InputError(f"a sign-flip test needs at least one seed, got {n!r}")
    return 2.0 ** (1 - n)


def sign_flip_p(values: ArrayLike, boundary: float) -> float:
    """Two-sided p value of "the values are symmetric about `boundary`", by flipping the signs of their distances.

    Share of all 2^n sign patterns s for which |mean s_i (v_i - boundary)| is at least as large as observed (Fisher
    1935): exact, at least `smallest_sign_flip_p(n)`. Distances that differ by rounding count as ties. Raises InputError
    for NaN or inf, no value, or more than MOST_FLIPPED of them.
    """
    distances = finite_array(values, "values", ndim=1) - finite_array([boundary], "boundary", ndim=1)
    n = distances.size
    if not 1 <= n <= MOST_FLIPPED:
        raise InputError(f"all sign patterns are counted for 1 to {MOST_FLIPPED} seeds, got {n}")
    signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    sums = np.abs(signs @ distances)
    slack = 100 * np.finfo(float).eps * np.abs(distances).sum()
    return float(np.mean(sums >= abs(distances.sum()) - slack))


def holm(p_values: Sequence[float], alpha: float = 0.05) -> Holm:
    """Holm's correction (Scand. J. Stat. 1979): the chance of any false survivor is at most alpha."""
    given = finite_array(p_values, "p_values", ndim=1)
    outside = given[(given < 0) | (given > 1)]
    if outside.size:
        raise InputError(f"p values lie between 0 and 1, got {outside[0]}")
    if given.size == 0:
        return Holm((), ())
    from statsmodels.stats.multitest import multipletests

    survives, adjusted, *_ = multipletests(given, alpha=alpha, method="holm")
    return Holm(tuple(map(bool, survives)), tuple(map(float, adjusted)))
