"""How many seeds would settle an inconclusive claim."""

import math
from collections.abc import Iterable

import numpy as np

from energylens.errors import InputError
from energylens.stats.interval import Interval, binomial_bounds, t_quantile
from energylens.stats.scale import scaled


def seeds_to_decide(interval: Interval, boundaries: Iterable[float], cap: int = 1000) -> int | None:
    """Smallest n whose interval, at the same estimate and spread, would contain none of the boundaries.

    For a mean: t_{n-1} s / sqrt(n) < distance to the nearest boundary, s = se sqrt(n), on the interval's scale.
    For a rate: the Clopper-Pearson interval at the same rate. None when more than `cap` seeds are needed, the
    estimate sits on a boundary, or one run gave no spread. It is an estimate from few seeds: say "about".
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
        spread = interval.se * math.sqrt(interval.n)
        half = t_quantile(seeds - 1, interval.confidence) * spread / np.sqrt(seeds)
        estimate, *on_scale = scaled(interval, interval.estimate, *ends)
        ends = np.array(on_scale)
        low, high = estimate - half, estimate + half
    outside = (ends[:, None] < low) | (ends[:, None] > high)
    decided = np.flatnonzero(outside.all(axis=0))
    return int(seeds[decided[0]]) if decided.size else None
