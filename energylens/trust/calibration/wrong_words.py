"""Rates of wrong verdicts: claims about invented seeds, whose truth is known, are judged by the real judge.

A claim whose truth lies on its boundary may be decided, either way, in 5 % of cases. The harness promises this for
seeds that are normal, or hits and misses. For skewed seeds it can't; their rates are reported without a limit.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from energylens.harness.declare.claim import Claim
from energylens.harness.declare.region import AtLeast, AtMost, Equivalent, Region, Within
from energylens.harness.declare.statistic import HitRate
from energylens.harness.judge import judge
from energylens.harness.verdict import Verdict, Word
from energylens.stats import mean_power, rate_power
from energylens.trust.calibration import comparisons
from energylens.trust.calibration.invented_seeds import NORMAL, POPULATIONS, Population, Sample, declared

SEEDS = (3, 5, 8, 10)
REPETITIONS = 4000
LEVEL = 0.05
"""Largest rate of HOLDS, and of REFUTED, where the truth lies on the boundary."""

MC_ERRORS = 3
"""Number of Monte Carlo errors by which a rate must exceed its promise to break it."""

GOOD_POWER = 0.8

AT, INSIDE, OUTSIDE = "at the boundary", "inside", "outside"

REGIONS: Mapping[tuple[str, str], Callable[[float, float], Region]] = {
    ("at least", AT): lambda truth, step: AtLeast(truth),
    ("at most", AT): lambda truth, step: AtMost(truth),
    ("within", AT): lambda truth, step: Within(truth, truth + 4 * step),
    ("equivalent", AT): lambda truth, step: Equivalent(truth - step, step),
    ("at least", INSIDE): lambda truth, step: AtLeast(truth - step),
    ("equivalent", INSIDE): lambda truth, step: Equivalent(truth, 2 * step),
    ("at least", OUTSIDE): lambda truth, step: AtLeast(truth + step),
    ("equivalent", OUTSIDE): lambda truth, step: Equivalent(truth - 2 * step, step),
}
"""(truth, step) -> region, by the region's name and by where the truth lies."""


@dataclass(frozen=True)
class Effect:
    """Effects x whose probability of a right decision is known by a formula of (x, seeds), and claims to test it."""

    title: str
    x_label: str
    x: Sequence[float]
    formula: Callable[[float, int], float]
    population: Callable[[float], Population]
    region: Callable[[float], Region]


_AWAY = "distance to the boundary (SD of a seed)"
_DISTANCES = tuple(i / 8 for i in range(33))

EFFECTS = (
    Effect("one boundary", _AWAY, _DISTANCES, lambda x, n: mean_power(x, math.inf, n),
           lambda x: NORMAL, lambda x: AtLeast(-x)),
    Effect("a boundary on either side", _AWAY, _DISTANCES, lambda x, n: mean_power(x, x, n),
           lambda x: NORMAL, lambda x: Within(-x, x)),
    Effect("hit rate, boundary .5", "true hit rate", tuple(0.5 + i / 80 for i in range(41)),
           lambda x, n: rate_power(x, 0.5, 1.0, n),
           lambda x: Population("hits", HitRate(), x, 0.1), lambda x: AtLeast(0.5)),
)  # fmt: skip


def run(progress: Callable[[str], None]) -> dict[str, Any]:
    """Every population at every number of seeds, the power curves, and which promises are broken (none should be)."""
    cells = []
    for i, population in enumerate(POPULATIONS):
        for n in SEEDS:
            progress(f"calibration: {population.name}, {n} seeds")
            cells.append(calibrate(population, n, REPETITIONS, np.random.default_rng([i, n])))
    progress("calibration: nulls, ceilings, several parts")
    compared = comparisons.cells(SEEDS, REPETITIONS // 2)
    progress("calibration: power")
    return {
        "level": LEVEL,
        "cells": cells,
        "comparisons": compared,
        "power": power(SEEDS, REPETITIONS, np.random.default_rng(1)),
        "broken_promises": [
            *broken_promises(cells),
            *comparisons.broken_promises(compared, LEVEL, MC_ERRORS),
        ],
    }


def calibrate(
    population: Population, seeds: int, repetitions: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Coverage of the 90 % interval and, by region, rates of HOLDS and REFUTED, each with its Monte Carlo error.

    Hit rates go through every outcome with its binomial probability: `repetitions` is None then, the errors are 0.
    """
    truth, sample = population.truth, population.sample(seeds, repetitions, rng)
    decisions = []
    for (name, where), region in REGIONS.items():
        verdicts = _verdicts(declared(population.statistic, region(truth, population.step), seeds), sample)
        decisions.append({"region": name, "truth": where, **_decided(sample, verdicts)})
    parts = [verdict.parts[0] for verdict in verdicts]
    return {
        "population": population.name, "statistic": population.statistic.describes,
        "seeds": seeds, "repetitions": sample.repetitions,
        "keeps_level": population.keeps_level, "promised_coverage": population.coverage,
        "coverage": sample.rate([part.low <= truth <= part.high for part in parts]),
        "interval_below_truth": sample.rate([part.high < truth for part in parts]),
        "interval_above_truth": sample.rate([part.low > truth for part in parts]),
        "decisions": decisions,
    }  # fmt: skip


def broken_promises(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rates in the cells of `calibrate` that exceed their promise by more than MC_ERRORS, in words."""
    return [
        f"{cell['population']}, {cell['seeds']} seeds: {text}" for cell in cells for text in _broken(cell)
    ]


def power(seeds: Sequence[int], repetitions: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Power curves: rate of right decisions by size of effect and number of seeds, by formula and by the judge.

    One panel of curves per kind of effect. x_at_80_percent: the smallest effect of the curve that is decided in 80 % of
    cases, None if there is none. simulated: the same through the judge, at some effects.
    """
    return [
        {
            "title": effect.title, "x_label": effect.x_label, "x": list(effect.x),
            "curves": [_curve(effect, n) for n in seeds],
            "simulated": [
                {"seeds": n, "x": x, **_simulated(effect, x, n, repetitions, rng)}
                for n in seeds for x in effect.x[6::6]
            ],
        }
        for effect in EFFECTS
    ]  # fmt: skip


def _verdicts(claimed: Claim, sample: Sample) -> list[Verdict]:
    return [judge(claimed, "invented", "", dict(enumerate(one))) for one in sample.outcomes]


def _decided(sample: Sample, verdicts: Sequence[Verdict]) -> dict[str, dict[str, float]]:
    return {
        "holds": sample.rate([verdict.word is Word.HOLDS for verdict in verdicts]),
        "refuted": sample.rate([verdict.word is Word.REFUTED for verdict in verdicts]),
    }


def _curve(effect: Effect, seeds: int) -> dict[str, Any]:
    from scipy.optimize import brentq

    decided = [effect.formula(x, seeds) for x in effect.x]
    at_80 = None
    if decided[-1] >= GOOD_POWER:
        at_80 = brentq(lambda x: effect.formula(x, seeds) - GOOD_POWER, effect.x[0], effect.x[-1])
    return {"seeds": seeds, "decided": decided, "x_at_80_percent": at_80}


def _simulated(
    effect: Effect, x: float, seeds: int, repetitions: int, rng: np.random.Generator
) -> dict[str, float]:
    population = effect.population(x)
    sample = population.sample(seeds, repetitions, rng)
    return _decided(sample, _verdicts(declared(population.statistic, effect.region(x), seeds), sample))[
        "holds"
    ]


def _broken(cell: Mapping[str, Any]) -> Iterator[str]:
    """Broken promises of a cell: coverage out of its range, or a wrong HOLDS or REFUTED too often."""
    m = cell["repetitions"] or math.inf

    def slack(promised: float) -> float:
        return MC_ERRORS * math.sqrt(promised * (1 - promised) / m)

    if cell["promised_coverage"]:
        covered, (least, most) = cell["coverage"]["rate"], cell["promised_coverage"]
        if not least - slack(least) <= covered <= most + slack(most):
            yield f"the interval covers {covered:.3f}, promised {least} to {most}"
    for decision in cell["decisions"] if cell["keeps_level"] else ():
        for word in _WRONG[decision["truth"]]:
            rate = decision[word]["rate"]
            if rate > LEVEL + slack(LEVEL):
                where = f"with its truth {decision['truth']}"
                yield f"'{decision['region']}' {where}: {word} in {rate:.3f}, promised {LEVEL} at most"


_WRONG = {AT: ("holds", "refuted"), INSIDE: ("refuted",), OUTSIDE: ("holds",)}
