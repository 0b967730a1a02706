"""Intervals of a mean, and of a rate, over training seeds.

The unit is the seed. Few seeds call for Student's t (at n = 5 a bootstrap covers .85 where it says .95) and
for the exact binomial. scipy is imported where it is used: declaring claims must stay fast.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from energylens.errors import InputError
from energylens.stats.checks import checked_confidence, finite_array

CONFIDENCE = 0.90
"""Confidence of intervals: each end is a one-sided test at 5 %, so comparing with a two-ended region is TOST."""


@dataclass(frozen=True)
class Interval:
    """Two-sided confidence interval [low, high] of `estimate`, from n seeds; all three in the claim's units.

    se: standard error of the estimate on `scale`; inf when n is too small to tell; of a rate see `clopper_pearson`.
    df: degrees of freedom of Student's t; 0 when n is too small; None for an exact binomial interval.
    hits: number of successes of a binomial interval; None otherwise.
    scale: where the t interval was taken, a name in `energylens.stats.scale.SCALES`.
    """

    estimate: float
    low: float
    high: float
    n: int
    se: float
    df: int | None
    confidence: float = CONFIDENCE
    hits: int | None = None
    scale: str = "linear"


def t_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean of one value per seed, mean +- t_{n-1} s / sqrt(n), with s the sample standard deviation (n - 1).

    One value: [-inf, inf] around it. Equal values: zero width. Raises InputError for NaN, inf, or no value.
    """
    seeds = finite_array(values, "values", ndim=1)
    if seeds.size == 0:
        raise InputError("an interval needs at least one value, got none")
    if np.all(seeds == seeds[0]):
        # The mean of equal floats need not be that float: summing would leave a width of 1e-17.
        se = 0.0 if seeds.size > 1 else math.inf
        return from_se(float(seeds[0]), se, seeds.size, confidence)
    se = float(np.std(seeds, ddof=1)) / math.sqrt(seeds.size)
    return from_se(float(np.mean(seeds)), se, seeds.size, confidence)


def from_se(estimate: float, se: float, n: int, confidence: float) -> Interval:
    """estimate +- t_{n-1} se; an infinite `se` means that the spread is unknown."""
    checked_confidence(confidence)
    if math.isinf(se):
        return Interval(estimate, -math.inf, math.inf, n, se, 0, confidence)
    half = float(t_quantile(n - 1, confidence)) * se
    return Interval(estimate, estimate - half, estimate + half, n, se, n - 1, confidence)


def t_quantile(df: ArrayLike, confidence: float) -> np.ndarray:
    """Half-width of a two-sided t interval in standard errors: the (1 + confidence) / 2 quantile."""
    from scipy.special import stdtrit

    return stdtrit(df, (1 + confidence) / 2)


def clopper_pearson(hits: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Rate hits / n with its exact binomial interval (Clopper & Pearson, Biometrika 1934).

    low solves P(X >= hits | low) = (1 - confidence) / 2, high solves P(X <= hits | high) = the same.
    se^2 = p (1 - p) / (n + 4) with p = (hits + 2) / (n + 4): two hits and two misses added (Agresti & Coull, Am. Stat.
    1998), so that it is not 0 where all seeds agree. The interval does not come from it.
    Raises InputError unless 0 <= hits <= n and n >= 1, all whole numbers.
    """
    checked_confidence(confidence)
    if n != int(n) or hits != int(hits) or not 0 <= hits <= n or n < 1:
        raise InputError(f"a rate needs whole numbers 0 <= hits <= n, n >= 1; got hits={hits!r}, n={n!r}")
    low, high = binomial_bounds(hits, n, confidence)
    rate, added = hits / n, (hits + 2) / (n + 4)
    se = math.sqrt(added * (1 - added) / (n + 4))
    return Interval(rate, float(low), float(high), int(n), se, None, confidence, hits=int(hits))


def binomial_bounds(hits: ArrayLike, n: ArrayLike, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Clopper-Pearson bounds, elementwise; `hits` need not be whole, which interpolates between counts."""
    from scipy.special import betaincinv

    x, m = np.asarray(hits, float), np.asarray(n, float)
    tail = (1 - confidence) / 2
    low = np.where(x > 0, betaincinv(np.maximum(x, 1e-300), m - x + 1, tail), 0.0)
    high = np.where(x < m, betaincinv(x + 1, np.maximum(m - x, 1e-300), 1 - tail), 1.0)
    return low, high
