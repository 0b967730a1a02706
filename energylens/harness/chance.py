"""Comparison of a claim with its nulls: their paired difference, seed by seed, in the direction of the region.

Whether a claim and its null reach the region does not tell whether there is anything to find: both may reach it, or the
null may miss it by a hair. A difference above 0 tells it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from energylens.harness.declare.claim import Claim
from energylens.harness.declare.control import Null
from energylens.harness.declare.region import Region
from energylens.harness.parts import ALPHA, Judged, Measured, combine, judge_part, rounding
from energylens.harness.verdict import ChanceResult, NullResult, Word

if TYPE_CHECKING:
    import numpy as np

    from energylens.stats import Interval

Gain: TypeAlias = "Callable[[np.ndarray, np.ndarray], np.ndarray]"
"""Function (claim, null) -> how much better the claim is."""


def judge_null(claim: Claim, null: Null, by_seed: Measured, judged: Mapping[str, Judged]) -> NullResult:
    """Judge a null by the claim's own rule, each part on the seeds of the claim's part, and compare claim and null.

    judged: the claim's parts. A null that does not qualify is no chance level and is not compared.
    """
    theirs = {
        part: judge_part(claim, part, {seed: by_seed[seed] for seed in ours.seeds}, True, null.exact)
        for part, ours in judged.items()
    }
    parts = tuple(each.result for each in theirs.values())
    compared = tuple(
        compare(claim.regions[part], ours, theirs[part], null.exact) for part, ours in judged.items()
    )
    chance = compared if null.qualifies else ()
    return NullResult(null.name, null.why, combine(parts)[0], parts, null.qualifies, null.exact, chance)


def by_chance_too(nulls: Sequence[NullResult]) -> bool:
    """Whether some part is no better than some null."""
    return any(each.better is False for null in nulls for each in null.chance)


def not_compared(nulls: Sequence[NullResult]) -> bool:
    """Whether some part could not be compared with some null: undefined, or on too few seeds."""
    return any(each.better is None for null in nulls for each in null.chance)


def compare(region: Region, ours: Judged, theirs: Judged, exact: bool = False) -> ChanceResult:
    """How much better than its null a part of a claim is, on the scale of its statistic.

    The differences of seeds (of pairs of seeds, for `Pairs`) have the interval that the statistic takes: Student's t,
    or the jackknife. A hit rate minus an exact null has the Clopper-Pearson interval of the rate.
    """
    part, nan = ours.result.part, math.nan
    if ours.summary is None or theirs.summary is None:
        undefined = theirs if ours.summary else ours
        reason = f"not compared: {undefined.result.reason}"
        return ChanceResult(part, nan, nan, nan, None, reason=reason)
    if ours.summary.on_scale is None or theirs.summary.on_scale is None:
        reached = theirs.result.word is Word.HOLDS
        told = f"the null itself {'reaches' if reached else 'does not reach'} the region"
        reason = f"{told}; the statistic has no scale for differences"
        return ChanceResult(part, nan, nan, nan, not reached, reason=reason)
    scale, x = ours.summary.interval.scale, _taken(ours, theirs.seeds)
    gain = _gain_for(region, ours.summary.interval)
    if ours.summary.interval.hits is not None and exact:
        estimate, low, high = _rate_gain(x, theirs.summary.interval.estimate, region, gain)
        return ChanceResult(part, estimate, low, high, low > 0, scale)
    y = theirs.summary.on_scale
    found = _interval_of(gain(*_alike(x, y)))
    numbers = (found.estimate, found.low, found.high)
    if math.isinf(found.se):
        return ChanceResult(part, *numbers, None, scale, "too few seeds to compare")
    better: bool | None = found.low > 0
    reason = ""
    slack = rounding(ours.summary.interval.estimate, theirs.summary.interval.estimate, found.estimate)
    if found.high - found.low <= slack:
        better, reason = _sign_test(found.estimate, slack, len(x))
    return ChanceResult(part, *numbers, better, scale, reason)


def _sign_test(difference: float, slack: float, n: int) -> tuple[bool | None, str]:
    """Whether the same difference on all seeds is above 0, and the reason; None where so few seeds can't decide."""
    from energylens.stats import sign_p

    if difference <= slack:
        return False, ""
    test = f"sign test of {n} seeds, p = {sign_p(n):.2g}"
    if sign_p(n) <= ALPHA:
        return True, f"the same difference on every seed: {test}"
    return None, f"too few to compare: the same difference on every seed, {test}"


def _taken(judged: Judged, seeds: Sequence[int]) -> "np.ndarray":
    """Values of a part on these seeds, or on their pairs."""
    import numpy as np

    values = np.asarray(judged.summary.on_scale, dtype=float)  # type: ignore[union-attr]
    places = [judged.seeds.index(seed) for seed in seeds]
    return values[places] if values.ndim == 1 else values[np.ix_(places, places)]


def _alike(x: "np.ndarray", y: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Both arrays by pairs where one is given by pairs and the other by seed; otherwise both as they are."""
    if x.ndim == y.ndim:
        return x, y
    return tuple(each if each.ndim == 2 else (each[:, None] + each) / 2 for each in (x, y))  # type: ignore[return-value]


def _gain_for(region: Region, interval: "Interval") -> Gain:
    """The gain of x over y: x - y where more is better, y - x where less is; of two ends, how much farther out y is."""
    import numpy as np

    from energylens.stats.scale import scaled

    if math.isinf(region.high):
        return lambda x, y: x - y
    if math.isinf(region.low):
        return lambda x, y: y - x
    low, high = scaled(interval, region.low, region.high)

    def outside(x: "np.ndarray") -> "np.ndarray":
        return np.maximum(0.0, np.maximum(low - x, x - high))

    return lambda x, y: outside(y) - outside(x)


def _interval_of(differences: "np.ndarray") -> "Interval":
    from energylens.stats import jackknife_pairs, t_interval

    return t_interval(differences) if differences.ndim == 1 else jackknife_pairs(differences)


def _rate_gain(hits: "np.ndarray", expected: float, region: Region, gain: Gain) -> tuple[float, float, float]:
    """Gain of a rate over an exact rate: at its estimate, and least and largest over its Clopper-Pearson interval.

    Distance from a region is convex in the rate: the least gain lies at an end, the largest there or inside the region.
    """
    import numpy as np

    from energylens.stats import clopper_pearson

    rate = clopper_pearson(int(hits.sum()), hits.size)
    inner = min(max(region.low, rate.low), rate.high)
    tried = np.array([rate.estimate, rate.low, rate.high, inner])
    gains = gain(tried, np.full(4, expected))
    return float(gains[0]), float(gains.min()), float(gains.max())
