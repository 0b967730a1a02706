"""Words that the judge's rule can reach for one part of a claim with a number of seeds, whatever is measured."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

from energylens.harness.declare.region import Region

if TYPE_CHECKING:
    import numpy as np

RATE = 0.8
"""True hit rate for which the probability of a decision is told."""


@dataclass(frozen=True)
class Reach:
    """Whether a part can be HOLDS, and can be REFUTED, with a number of seeds; None where that is not known.

    note: the outcomes that reach a word, or why none does. least_p: smallest p that a refutation can have, or 0.
    chance: probability that a true hit rate of RATE is decided rightly; None for other statistics, which depend on a
    spread.
    """

    holds: bool | None
    refutes: bool | None
    note: str = ""
    least_p: float = 0.0
    chance: float | None = None

    @property
    def text(self) -> str:
        """The note; without a note the words that can be reached."""
        return self.note or words(self.holds, self.refutes)


UNKNOWN = Reach(None, None, "unknown: its statistic has no `reaches`")


def words(holds: bool | None, refutes: bool | None) -> str:
    """`both`, `HOLDS only`, `REFUTED only`, `neither` or `unknown`."""
    if holds is None or refutes is None:
        return "unknown"
    if holds and refutes:
        return "both"
    return "HOLDS only" if holds else "REFUTED only" if refutes else "neither"


def by_interval(
    region: Region, n: int, fewest: int, low: float = -math.inf, high: float = math.inf, why: str = ""
) -> Reach:
    """Reach of a t interval over n seeds, as narrow as may be, anywhere in the open range (low, high) of estimates.

    The interval can lie inside a region that shares a part of the range, and outside a region that does not cover it.
    Values are taken as continuous, so never all equal. fewest: seeds that an interval needs. why: the range in words.
    """
    if n < fewest:
        return Reach(False, False, f"neither: an interval needs {fewest} seeds")
    holds = max(region.low, low) < min(region.high, high)
    refutes = low < region.low or region.high < high
    if holds and refutes:
        return Reach(True, True, "HOLDS and REFUTED")
    return Reach(holds, refutes, f"{words(holds, refutes)}: {why}")


def by_correlation(region: Region, n: int, ranked: str = "") -> Reach:
    """`by_interval` on Fisher's z. ranked: items that r is a rank correlation over ("heads"); "" for Pearson's r.

    A perfect rank correlation of few points counts for less than 1, so that a region near 1 needs enough points too.
    """
    from energylens.stats.scale import FEWEST_POINTS, LARGEST_R

    most = 1.0 if ranked else LARGEST_R
    found = by_interval(region, n, fewest=2, low=-most, high=most, why="correlations lie between -1 and 1")
    if not ranked or not found.holds:
        return found
    points = _fewest_ranks(max(region.low, -region.high))
    told = f"{found.note} (HOLDS with at least {points} {ranked})"
    return found if points == FEWEST_POINTS else replace(found, note=told)


def _fewest_ranks(r: float) -> int:
    """Smallest number of points whose perfect rank correlation counts for more than r < 1."""
    from energylens.stats import fisher_z_interval
    from energylens.stats.scale import FEWEST_POINTS

    def most(points: int) -> float:
        return fisher_z_interval([1.0], [points], ranks=True).estimate

    return next(points for points in count(FEWEST_POINTS) if most(points) > r)


@lru_cache(maxsize=4096)
def by_hits(region: Region, n: int) -> Reach:
    """Reach of a hit rate: the Clopper-Pearson intervals of all hit counts 0 ... n against the region."""
    if n < 1:
        return Reach(False, False, "neither: a rate needs a seed")
    import numpy as np

    from energylens.stats import CONFIDENCE, clopper_pearson, one_sided_p, rate_power
    from energylens.stats.interval import binomial_bounds

    low, high = binomial_bounds(np.arange(n + 1), n, CONFIDENCE)
    inside = (low >= region.low) & (high <= region.high)
    below, above = high < region.low, low > region.high
    floors = []
    if below[0]:
        floors.append(one_sided_p(clopper_pearson(0, n), region.low, "below"))
    if above[n]:
        floors.append(one_sided_p(clopper_pearson(n, n), region.high, "above"))
    told = [f"HOLDS {_counts(inside)}" if inside.any() else "never HOLDS"]
    told += [f"REFUTED {_counts(below | above)}" if floors else "never REFUTED"]
    return Reach(
        holds=bool(inside.any()),
        refutes=bool(floors),
        note=", ".join(told) if inside.any() or floors else "neither",
        least_p=min(floors, default=0.0),
        chance=rate_power(RATE, region.low, region.high, n),
    )


def _counts(reached: "np.ndarray") -> str:
    """`from 9 of 10`, `up to 1 of 10`, `at 0 of 5`, `at 2 to 3 of 5`: the runs of hit counts that are reached."""
    n = len(reached) - 1
    runs: list[list[int]] = []
    for hits in range(n + 1):
        if reached[hits]:
            if runs and runs[-1][-1] == hits - 1:
                runs[-1].append(hits)
            else:
                runs.append([hits])
    return f"{' or '.join(_run(run[0], run[-1], n) for run in runs)} of {n}"


def _run(first: int, last: int, n: int) -> str:
    if first == last:
        return f"at {first}"
    if last == n:
        return f"from {first}"
    return f"up to {last}" if first == 0 else f"at {first} to {last}"
