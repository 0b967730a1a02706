"""Power: numbers of seeds that would decide a claim, the probability of that, and the values a number can decide."""

import math
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache

import numpy as np

from energylens.errors import InputError
from energylens.stats.checks import checked_confidence
from energylens.stats.interval import CONFIDENCE, Interval, binomial_bounds, t_quantile
from energylens.stats.scale import SCALES, scaled

_NODES = 200
_FARTHEST = 1e4
"""Largest distance of true values from a boundary, in standard deviations of a seed, that is searched."""


def seeds_to_decide(interval: Interval, boundaries: Iterable[float], cap: int = 1000) -> int | None:
    """Smallest n whose interval, at the same estimate and spread, would contain none of the boundaries.

    For a mean: t_{n-1} s / sqrt(n) < distance to the nearest boundary, s = se sqrt(n), on the interval's scale.
    For a rate: the Clopper-Pearson interval at the same rate. None when more than `cap` seeds are needed, the
    estimate sits on a boundary, or one run gave no spread. It is an estimate from few seeds: say "about".
    New seeds give another estimate, so that about every second such n decides nothing: see `seeds_for_power`.
    """
    ends = np.array([float(end) for end in boundaries])
    if ends.size == 0 or not np.all(np.isfinite(ends)):
        raise InputError(f"boundaries must be finite and at least one, got {ends.tolist()}")
    if interval.hits is not None:
        seeds = np.arange(1, cap + 1)
        low, high = binomial_bounds(interval.estimate * seeds, seeds, interval.confidence)
    elif math.isinf(interval.se):
        return None
    else:
        seeds = np.arange(2, cap + 1)
        half = _half_widths(interval.confidence, cap) * (interval.se * math.sqrt(interval.n))
        estimate, *on_scale = scaled(interval, interval.estimate, *ends)
        ends = np.array(on_scale)
        low, high = estimate - half, estimate + half
    outside = (ends[:, None] < low) | (ends[:, None] > high)
    decided = np.flatnonzero(outside.all(axis=0))
    return int(seeds[decided[0]]) if decided.size else None


@cache
def _half_widths(confidence: float, cap: int) -> np.ndarray:
    """t_{n-1} / sqrt(n) for n = 2 ... cap. Kept: a thousand quantiles took most of the time of a verdict."""
    seeds = np.arange(2, cap + 1)
    widths = t_quantile(seeds - 1, confidence) / np.sqrt(seeds)
    widths.setflags(write=False)
    return widths


def spread_range(sd: float, df: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Confidence interval of a standard deviation measured with df degrees of freedom, for normal data.

    [s sqrt(df / chi2_{df, (1 + confidence) / 2}), s sqrt(df / chi2_{df, (1 - confidence) / 2})]
    """
    from scipy.special import chdtri

    checked_confidence(confidence)
    if df < 1:
        raise InputError(f"a standard deviation needs at least one degree of freedom, got {df!r}")
    tail = (1 - confidence) / 2
    return sd * math.sqrt(df / chdtri(df, tail)), sd * math.sqrt(df / chdtri(df, 1 - tail))


def mean_power(below: float, above: float, n: int, confidence: float = CONFIDENCE) -> float:
    """Chance that the t interval of n normal seeds lies between a boundary on either side of the true mean.

    below, above: distances of the true mean to the boundaries, in standard deviations of a seed; inf for no boundary.
    E_s max(0, Phi(sqrt(n) above - t s) - Phi(t s - sqrt(n) below)), s^2 ~ chi2_{n-1} / (n - 1), t = t_{n-1, .95}: for
    one boundary the tail of the noncentral t distribution, for two Owen's Q (the power of TOST; Phillips 1990).
    Gauss-Legendre over the quantiles of s, within 1e-4.
    """
    from scipy.special import chdtri, ndtr

    if n < 2:
        raise InputError(f"an interval needs at least two seeds, got {n!r}")
    quantiles, weights = _gauss_legendre()
    reach = t_quantile(n - 1, confidence) * np.sqrt(chdtri(n - 1, 1 - quantiles) / (n - 1))
    between = ndtr(math.sqrt(n) * above - reach) - ndtr(reach - math.sqrt(n) * below)
    return float(weights @ np.maximum(between, 0.0))


def rate_power(rate: float, low: float, high: float, n: int, confidence: float = CONFIDENCE) -> float:
    """Chance that n seeds, each a hit with probability `rate`, decide rightly whether it lies in [low, high].

    The binomial probability of all hit counts whose Clopper-Pearson interval lies on the right side. Exact.
    """
    from scipy.special import bdtr

    if not 0 <= rate <= 1 or n < 1:
        raise InputError(f"a rate lies between 0 and 1 and needs a seed, got rate={rate!r}, n={n!r}")
    hits = np.arange(n + 1)
    bottom, top = binomial_bounds(hits, n, confidence)
    right = (bottom >= low) & (top <= high) if low <= rate <= high else (top < low) | (bottom > high)
    return float(np.diff(bdtr(hits, n, rate), prepend=0.0) @ right)


def power_at(value: float, interval: Interval, low: float, high: float, n: int) -> float:
    """Chance that n seeds decide rightly whether a true `value` lies in [low, high], spread as in `interval`.

    Raises InputError for an interval without spread (one seed, or equal seeds).
    """
    at, bottom, top = scaled(interval, value, low, high)
    return _power_on_scale(at, bottom, top, interval, n)


def _power_on_scale(at: float, bottom: float, top: float, interval: Interval, n: int) -> float:
    if interval.hits is not None:
        return rate_power(at, bottom, top, n, interval.confidence)
    sd = _spread(interval)
    if bottom <= at <= top:
        return mean_power((at - bottom) / sd, (top - at) / sd, n, interval.confidence)
    return mean_power(max(bottom - at, at - top) / sd, math.inf, n, interval.confidence)


def seeds_for_power(
    interval: Interval, low: float, high: float, power: float = 0.8, cap: int = 1000
) -> int | None:
    """Smallest n that decides rightly with chance `power`, were the interval's estimate and spread the truth.

    None when `cap` seeds don't. A rate's power rises in teeth: a somewhat larger n may fall short again.
    """
    level = _checked(power, interval.confidence)

    def enough(n: int) -> bool:
        return power_at(interval.estimate, interval, low, high, n) >= level

    if interval.hits is not None:
        return next(filter(enough, range(1, cap + 1)), None)
    seeds = range(2, cap + 1)
    # Power grows with n wherever it is above the level; below, between two boundaries far too near, it can fall first.
    found = bisect_left(seeds, True, key=enough)
    return seeds[found] if found < len(seeds) else None


def decidable(
    interval: Interval, low: float, high: float, n: int, power: float = 0.8
) -> list[tuple[float, float]]:
    """Ranges of true values, ascending, that n seeds decide rightly with chance `power`, spread as in `interval`.

    Outer ends are infinite, also where a value can't be (a rate above 1).
    """
    from scipy.optimize import brentq

    level = _checked(power, interval.confidence)
    is_rate = interval.hits is not None
    bottom, top = scaled(interval, low, high)
    least, most = (0.0, 1.0) if is_rate else (-math.inf, math.inf)
    reach = 1.0 if is_rate else _FARTHEST * _spread(interval)

    def missing(x: float) -> float:
        return _power_on_scale(x, bottom, top, interval, n) - level

    def first(end: float, limit: float) -> float:
        """The value nearest to a boundary, on the way to `limit`, that is decided; NaN (no range) if none is."""
        limit = min(max(limit, end - reach), end + reach)
        return float(brentq(missing, end, limit)) if missing(limit) >= 0 else math.nan

    has_bottom, has_top = bottom > least, top < most
    middle = (bottom + top) / 2
    ranges = [
        (least, first(bottom, least) if has_bottom else math.nan),
        (
            first(bottom, middle if has_top else most) if has_bottom else least,
            first(top, middle if has_bottom else least) if has_top else most,
        ),
        (first(top, most) if has_top else math.nan, most),
    ]
    back = SCALES[interval.scale].back
    return [
        (float(back(start)) if start > least else -math.inf, float(back(end)) if end < most else math.inf)
        for start, end in ranges
        if start <= end
    ]


def _spread(interval: Interval) -> float:
    """Standard deviation of a seed on the interval's scale."""
    if not 0 < interval.se < math.inf:
        raise InputError(
            f"the power of more seeds needs a spread over seeds, got standard error {interval.se}"
        )
    return interval.se * math.sqrt(interval.n)


def _checked(power: float, confidence: float) -> float:
    """A power above the level of the test, and below certainty."""
    if not (1 - confidence) / 2 < power < 1:
        raise InputError(f"power must lie between {(1 - confidence) / 2:.2g} and 1, got {power!r}")
    return power


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2
