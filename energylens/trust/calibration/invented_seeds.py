"""Invented seeds whose truth is known, and claims about them, on which the harness is calibrated."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from energylens.harness.declare.claim import Claim, claim, claim_of
from energylens.harness.declare.control import Control, Null
from energylens.harness.declare.measurement import Measurement
from energylens.harness.declare.region import Region
from energylens.harness.declare.statistic import FisherZ, GeometricMean, HitRate, Mean, Pairs, Statistic

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Arrays = Mapping[str, np.ndarray]

POINTS = 8
"""Points behind each invented correlation: as many as a small network has heads."""

DIMENSIONS = 8
"""Length of the vector of numbers that each seed of an invented pair has."""


@dataclass(frozen=True)
class Sample:
    """Outcomes of so many seeds, with weights that add up to 1.

    repetitions: how often they were drawn; None where these are all the outcomes there are, so that rates are exact.
    """

    outcomes: list[list[Measurement]]
    weights: np.ndarray
    repetitions: int | None

    def rate(self, flags: Sequence[bool]) -> dict[str, float]:
        """Rate at which the flag of an outcome is set, and its Monte Carlo error.

        sqrt(p (1 - p) / m) of k in m, with p = (k + 1) / (m + 2): not 0 where k is.
        """
        rate = min(float(self.weights @ np.array(flags, dtype=float)), 1.0)
        if self.repetitions is None:
            return {"rate": rate, "monte_carlo_error": 0.0}
        p = (rate * self.repetitions + 1) / (self.repetitions + 2)
        return {"rate": rate, "monte_carlo_error": math.sqrt(p * (1 - p) / self.repetitions)}


@dataclass(frozen=True)
class Population:
    """Invented seeds with a known truth.

    truth: the claim's statistic over infinitely many seeds. step: about the standard deviation of a seed.
    draw: (rng, (repetitions, seeds)) -> one value per seed, or one row of numbers for `Pairs`. Hit rates need none.
    keeps_level: whether wrong verdicts at a boundary are promised to stay below 5 %.
    coverage: least and largest share of 90 % intervals that contain the truth, as promised.
    """

    name: str
    statistic: Statistic
    truth: float
    step: float
    draw: Draw | None = None
    keeps_level: bool = False
    coverage: tuple[float, float] | None = None

    def sample(self, seeds: int, repetitions: int, rng: np.random.Generator) -> Sample:
        """So many draws of so many seeds; for hit rates every number of hits, with its binomial probability."""
        if self.draw is None:
            p, counts = self.truth, range(seeds + 1)
            weights = [math.comb(seeds, hits) * p**hits * (1 - p) ** (seeds - hits) for hits in counts]
            outcomes = [[Measurement(float(seed < hits)) for seed in range(seeds)] for hits in counts]
            return Sample(outcomes, np.array(weights), None)
        drawn = self.draw(rng, (repetitions, seeds))
        outcomes = [[self._measured(value) for value in one] for one in drawn]
        return Sample(outcomes, np.full(repetitions, 1 / repetitions), repetitions)

    def _measured(self, value: Any) -> Measurement:
        if isinstance(self.statistic, Pairs):
            return Measurement(arrays={"x": value})
        return Measurement(value, beside={"points": POINTS})


def measure_nothing() -> None:
    """Body of invented claims and controls: their seeds are drawn, never measured."""


NO_CONTROL = Null("none", "not measured", measure=measure_nothing)  # type: ignore[arg-type]


def declared(
    statistic: Statistic,
    regions: Region | Mapping[str, Region],
    seeds: int,
    controls: Sequence[Control] = (NO_CONTROL,),
) -> Claim:
    """A claim about invented seeds, declared as any other."""

    def body() -> None: ...

    claim(
        "trust.invented", says="The truth lies in the region.", source="invented", holds_when=regions,
        models=["invented"], seeds=range(seeds), controls=controls, statistic=statistic,
    )(body)  # fmt: skip
    return claim_of(body)  # type: ignore[return-value]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, variance 1."""
    return rng.normal(size=shape)


def exponential(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, variance 1, skewness 2."""
    return rng.exponential(size=shape) - 1


def lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, variance 1, skewness 6.2."""
    return (rng.lognormal(size=shape) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


def saturated(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, variance 1; two in five seeds sit at either end of the range, so that all may agree."""
    return np.clip(4.4 * rng.normal(size=shape), -1.1, 1.1)


def tied(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, variance 1; four in five seeds sit exactly at the mean."""
    return math.sqrt(5) * rng.choice([-1.0, 0.0, 1.0], size=shape, p=[0.1, 0.8, 0.1])


def saturated_above(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, variance 1; nine in ten seeds sit at the upper end, just above the mean."""
    return np.where(rng.random(size=shape) < 0.9, 1 / 3, -3.0)


def a_fifth_undefined(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """`normal`; a fifth of the seeds, whatever their value, is NaN."""
    values = normal(rng, shape)
    values[:, : shape[1] // 5] = np.nan
    return values


def lowest_undefined(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """`normal`; the lowest fifth of the seeds is NaN, as if being small were the same as being undefined."""
    values = np.sort(normal(rng, shape), axis=1)
    values[:, : shape[1] // 5] = np.nan
    return values


def ratios(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Geometric mean 1; the logarithm has standard deviation 1/2."""
    return np.exp(rng.normal(size=shape) / 2)


def correlations(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Pearson's r over POINTS points of a bivariate normal with correlation .9."""
    x, noise = rng.normal(size=(2, *shape, POINTS))
    y = 0.9 * x + math.sqrt(1 - 0.9**2) * noise
    x, y = (each - each.mean(axis=-1, keepdims=True) for each in (x, y))
    return (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))


def rows(values: Draw) -> Draw:
    """DIMENSIONS numbers per seed."""
    return lambda rng, shape: values(rng, (*shape, DIMENSIONS))


def agreement(a: Arrays, b: Arrays) -> float:
    """A pair's value: contributions of both seeds, plus noise of equal variance (Hoeffding's decomposition)."""
    x, y = a["x"], b["x"]
    return float((x[0] + y[0]) / math.sqrt(2) + x[1:] @ y[1:] / math.sqrt(DIMENSIONS - 1))


def product(a: Arrays, b: Arrays) -> float:
    """Product of the strengths 1 + .3 x of a direction that both seeds share: bent, so that the pairs are skewed."""
    return float((1 + 0.3 * a["x"][0]) * (1 + 0.3 * b["x"][0]))


def cosine(a: Arrays, b: Arrays) -> float:
    """A pair's |cosine| of two random directions: agreement by chance, without a contribution of either seed."""
    x, y = a["x"], b["x"]
    return float(abs(x @ y) / math.sqrt((x @ x) * (y @ y)))


CHANCE_COSINE = math.gamma(DIMENSIONS / 2) / (math.sqrt(math.pi) * math.gamma((DIMENSIONS + 1) / 2))
"""E |cosine| of random directions in d dimensions: Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2))."""

NEAR_90, AT_LEAST_88, AT_LEAST_90 = (0.88, 0.92), (0.88, 1.0), (0.90, 1.0)

NORMAL = Population("normal", Mean(), 0.0, 1.0, normal, keeps_level=True, coverage=NEAR_90)

POPULATIONS = (
    NORMAL,
    Population("exponential", Mean(), 0.0, 1.0, exponential),
    Population("log-normal", Mean(), 0.0, 1.0, lognormal),
    Population("saturated on either side", Mean(), 0.0, 1.0, saturated, keeps_level=True),
    Population("tied at the boundary", Mean(), 0.0, 1.0, tied, keeps_level=True),
    Population("saturated just above the boundary", Mean(), 0.0, 1.0, saturated_above),
    Population("a fifth undefined", Mean(), 0.0, 1.0, a_fifth_undefined, keeps_level=True, coverage=NEAR_90),
    Population("the lowest fifth undefined", Mean(), 0.0, 1.0, lowest_undefined),
    Population("ratios", GeometricMean(), 1.0, 0.5, ratios, keeps_level=True, coverage=NEAR_90),
    Population("correlations over 8 points", FisherZ("points"), 0.9, 0.08, correlations),
    Population("hits, rate .5", HitRate(), 0.5, 0.2, keeps_level=True, coverage=AT_LEAST_90),
    Population("hits, rate .8", HitRate(), 0.8, 0.2, keeps_level=True, coverage=AT_LEAST_90),
    Population(
        "pairs, normal", Pairs(agreement), 0.0, 1.4, rows(normal), keeps_level=True, coverage=AT_LEAST_88
    ),
    Population(
        "pairs by chance", Pairs(cosine), CHANCE_COSINE, 0.15, rows(normal), keeps_level=True, coverage=AT_LEAST_88
    ),
    Population("pairs, product", Pairs(product), 1.0, 0.6, rows(normal), coverage=AT_LEAST_88),
    Population("pairs, exponential", Pairs(agreement), 0.0, 1.4, rows(exponential)),
)  # fmt: skip
"""Populations by name. Skewed ones, and those undefined for their value, are promised no limit on wrong verdicts."""
