"""Regions: the set of values of a claim's statistic for which the claim is true.

A region is an interval with finite or infinite ends. The judge compares a 90 % interval with it, so each
finite end is tested one-sided at 5 %; for a region with two finite ends that is the two one-sided tests
procedure (TOST; Schuirmann 1987).
"""

import math
from dataclasses import dataclass
from typing import Literal

from energylens.errors import DeclarationError


@dataclass(frozen=True)
class Region:
    """Closed interval [low, high]; either end may be infinite, not both.

    Raises DeclarationError when the ends are NaN, swapped, equal, or both infinite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = float(self.low), float(self.high)
        if math.isnan(low) or math.isnan(high) or not low < high:
            raise DeclarationError(f"a region needs low < high, got low={self.low!r}, high={self.high!r}")
        if math.isinf(low) and math.isinf(high):
            raise DeclarationError("a region that contains every number can't be refuted, got [-inf, inf]")

    @property
    def boundaries(self) -> tuple[float, ...]:
        """The finite ends."""
        return tuple(end for end in (self.low, self.high) if math.isfinite(end))

    def inner_side(self, end: float) -> Literal["above", "below"]:
        """The side of one of its ends on which the region lies."""
        return "above" if end == self.low else "below"

    def contains(self, value: float) -> bool:
        """Whether one exact value lies inside. NaN lies nowhere."""
        return self.low <= value <= self.high

    def holds(self, low: float, high: float) -> bool:
        """Whether the whole interval [low, high] lies inside."""
        return self.low <= low and high <= self.high

    def refutes(self, low: float, high: float) -> bool:
        """Whether the whole interval [low, high] lies outside."""
        return high < self.low or low > self.high

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"≥ {self.low:.10g}"
        if math.isinf(self.low):
            return f"≤ {self.high:.10g}"
        return f"{self.low:.10g} … {self.high:.10g}"


class AtLeast(Region):
    """[bound, inf)."""

    def __init__(self, bound: float) -> None:
        super().__init__(bound, math.inf)


class AtMost(Region):
    """(-inf, bound]."""

    def __init__(self, bound: float) -> None:
        super().__init__(-math.inf, bound)


class Within(Region):
    """[low, high]: a published range, ends included."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(low, high)


class Equivalent(Region):
    """[target - margin, target + margin]: equivalence to `target` (TOST). The margin must be positive."""

    def __init__(self, target: float, margin: float) -> None:
        if not margin > 0:
            raise DeclarationError(f"an equivalence margin must be positive, got {margin!r}")
        super().__init__(target - margin, target + margin)
        object.__setattr__(self, "target", float(target))
        object.__setattr__(self, "margin", float(margin))

    target: float
    margin: float

    def __str__(self) -> str:
        return f"{self.target:.10g} ± {self.margin:.10g}"
