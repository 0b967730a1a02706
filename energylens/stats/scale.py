"""Scales on which seeds are averaged: the mean and its t interval are taken there and carried back.

A correlation near 1 and a ratio of effects are skewed over seeds, so that a t interval of the raw numbers errs on
one side and may leave the possible range. The map is monotone: an interval excludes a boundary on the scale exactly
when it does in the claim's own units.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from energylens.errors import InputError
from energylens.stats.checks import finite_array
from energylens.stats.interval import CONFIDENCE, Interval, t_interval

LARGEST_R = 1 - 1e-6
"""Largest |r| (z = 7.25), to which correlations are limited, so that r = 1 has a finite z; float32 activations
can't tell it from 1. One such seed among others widens the interval rather than deciding; its estimate is not to be
trusted."""

FEWEST_POINTS = 4
"""Fewest points of Fisher's z, whose variance is 1 / (m - 3); two points are always at r = +-1."""


@dataclass(frozen=True)
class Scale:
    """A monotone map and its inverse. What lies beyond the domain maps to +-inf."""

    forward: Callable[[ArrayLike], np.ndarray]
    back: Callable[[ArrayLike], np.ndarray]


def _atanh(r: ArrayLike) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.arctanh(np.clip(r, -1.0, 1.0))


def _log(ratio: ArrayLike) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(ratio, 0.0))


def _same(x: ArrayLike) -> np.ndarray:
    return np.asarray(x, float)


SCALES = {
    "linear": Scale(_same, _same),
    "fisher z": Scale(_atanh, np.tanh),
    "log": Scale(_log, np.exp),
}
"""By the name that an `Interval` carries."""


def fisher_z_interval(
    correlations: ArrayLike,
    points: ArrayLike | None = None,
    confidence: float = CONFIDENCE,
    ranks: bool = False,
) -> Interval:
    """tanh of the mean of `fisher_z` over seeds, one r per seed, with the t interval of z carried back.

    Raises InputError for what `fisher_z` refuses, and for no value.
    """
    return _carried_back(t_interval(fisher_z(correlations, points, ranks), confidence), "fisher z")


def fisher_z(correlations: ArrayLike, points: ArrayLike | None = None, ranks: bool = False) -> np.ndarray:
    """z = atanh r of every r.

    points: m, the number of points behind each r; each z then loses its bias r / (2 (m - 1)) (Hotelling, JRSS B
    1953). Without it, at the boundary r = .9 over 8 heads and 5 seeds, the lower end lies too high in 9 % of cases
    instead of 5 %; at 32 heads in 7 %. |r| is limited to LARGEST_R.
    ranks: r is Spearman's, where 1 is one of few values: |r| is limited to 1 - 6 / (m (m^2 - 1)), halfway between 1
    and the largest value below it (two neighbours exchanged); needs points.
    Raises InputError for NaN, |r| > 1, or fewer than FEWEST_POINTS points.
    """
    r = finite_array(correlations, "correlations", ndim=1)
    _refuse(r, np.abs(r) > 1, "a correlation lies between -1 and 1, got correlations")
    if ranks and points is None:
        raise InputError("Fisher's z of rank correlations needs the number of points, got none")
    limit = np.full(r.shape, LARGEST_R)
    if points is not None:
        m = finite_array(points, "points", ndim=1)
        _refuse(m, m < FEWEST_POINTS, f"a correlation needs at least {FEWEST_POINTS} points, got points")
        if m.shape != r.shape:
            raise InputError(f"one number of points per correlation, got shapes {m.shape} and {r.shape}")
        limit = 1 - 6 / (m * (m**2 - 1)) if ranks else limit
    z = np.arctanh(np.clip(r, -limit, limit))
    if points is not None:
        z = z - r / (2 * (m - 1))
    return z


def geometric_interval(ratios: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """exp of the mean of log ratios over seeds, with the t interval of the logs carried back.

    Raises InputError for a ratio of 0 or less, which has no logarithm, for NaN, inf, or no value.
    """
    x = finite_array(ratios, "ratios", ndim=1)
    _refuse(x, x <= 0, "a geometric mean needs ratios above 0, got ratios")
    return _carried_back(t_interval(np.log(x), confidence), "log")


def scaled(interval: Interval, *values: float) -> tuple[float, ...]:
    """The values on the interval's own scale, where its `se` counts."""
    forward = SCALES[interval.scale].forward
    return tuple(float(forward(value)) for value in values)


def _carried_back(found: Interval, scale: str) -> Interval:
    """The interval in the claim's units; `se` and `df` stay on the scale. Equal seeds keep exactly no width."""
    back = SCALES[scale].back
    with np.errstate(over="ignore"):
        estimate, low, high = (float(back(x)) for x in (found.estimate, found.low, found.high))
    return replace(found, estimate=estimate, low=low, high=high, scale=scale)


def _refuse(values: np.ndarray, bad: np.ndarray, message: str) -> None:
    if bad.any():
        place = int(np.argmax(bad))
        raise InputError(f"{message}[{place}] = {values[place]:g}")
