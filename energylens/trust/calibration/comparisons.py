"""Error rates of controls and of Holm's correction, where the truth lies exactly between two answers.

In 5 % of cases a claim that is in truth as good as its null may be called better, a claim whose ceiling lies on the
boundary of its region may be called out of reach, and a claim of several parts that all lie on their boundaries may be
refuted.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from energylens.harness.declare.claim import Claim
from energylens.harness.declare.control import Ceiling, Null
from energylens.harness.declare.measurement import Measurement
from energylens.harness.declare.region import AtLeast, AtMost, Region, Within
from energylens.harness.declare.statistic import HitRate, Mean, Pairs
from energylens.harness.judge import judge
from energylens.harness.verdict import Verdict, Word
from energylens.trust.calibration.invented_seeds import (
    POPULATIONS,
    Population,
    Sample,
    declared,
    measure_nothing,
    normal,
)

NULL = Null("null", "as good as the claim", measure=measure_nothing)  # type: ignore[arg-type]
EXACT = Null("null", "as good as the claim", measure=measure_nothing, exact=True)  # type: ignore[arg-type]
CEILING = Ceiling("ceiling", "on the boundary", measure=measure_nothing)  # type: ignore[arg-type]

BETTER, OUT_OF_REACH, REFUTED = "better than chance", "out of reach", "refuted"

Judged = tuple[Sample, list[Verdict]]


def coins(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Seeds that are 0 or 1 with equal probability."""
    return (rng.random(size=shape) < 0.5).astype(float)


HITS = Population("hits, rate .5", HitRate(), 0.5, 0.5, coins, keeps_level=True)
_BY_NAME = {population.name: population for population in POPULATIONS}
_DRAWN = (
    "normal", "saturated on either side", "tied at the boundary", "exponential", "a fifth undefined", "ratios",
    "correlations over 8 points", "pairs, normal", "pairs by chance",
)  # fmt: skip
_SYMMETRIC = ("exponential", "correlations over 8 points")
"""Skewed populations; the difference of two draws is symmetric, so that the promise holds for it."""


@dataclass(frozen=True)
class Comparison:
    """A word that may be wrong (`wrong`), the invented seeds it is said of, and whether at most 5 % is promised."""

    wrong: str
    case: str
    promised: bool
    judged: Callable[[int, int, np.random.Generator], Judged]
    says: Callable[[Verdict], bool]


def cells(seeds: Sequence[int], repetitions: int) -> list[dict[str, Any]]:
    """For every comparison and number of seeds, the rate of the wrong word, with its Monte Carlo error."""
    found = []
    for i, one in enumerate(COMPARISONS):
        for n in seeds:
            sample, verdicts = one.judged(n, repetitions, np.random.default_rng([2, i, n]))
            rate = sample.rate([one.says(verdict) for verdict in verdicts])
            found.append({
                "wrong": one.wrong, "case": one.case, "seeds": n, "repetitions": sample.repetitions,
                "promised": one.promised, **rate,
            })  # fmt: skip
    return found


def broken_promises(found: Sequence[Mapping[str, Any]], level: float, errors: float) -> list[str]:
    """Cells where the rate of the wrong word exceeds `level` by more than a number of Monte Carlo errors."""
    return [
        f"{cell['case']}, {cell['seeds']} seeds: {cell['wrong']} in {cell['rate']:.3f}, promised {level} at most"
        for cell in found
        if cell["promised"]
        and cell["rate"] > level + errors * math.sqrt(level * (1 - level) / (cell["repetitions"] or math.inf))
    ]


def _against_drawn(population: Population, region: Region) -> Callable[..., Judged]:
    """Outcomes of a claim and a null whose seeds are drawn alike."""

    def judged(n: int, repetitions: int, rng: np.random.Generator) -> Judged:
        claimed = declared(population.statistic, region, n, [NULL])
        ours, theirs = (population.sample(n, repetitions, rng) for _ in range(2))
        return ours, _with_nulls(claimed, ours, theirs.outcomes)

    return judged


def _against_exact(population: Population, region: Region) -> Callable[..., Judged]:
    """Outcomes of a claim against an exact null that equals the claim's truth."""

    def judged(n: int, repetitions: int, rng: np.random.Generator) -> Judged:
        claimed = declared(population.statistic, region, n, [EXACT])
        ours = population.sample(n, repetitions, rng)
        constant = [Measurement(population.truth) for _ in range(n)]
        return ours, _with_nulls(claimed, ours, [constant] * len(ours.outcomes))

    return judged


def _under(population: Population) -> Callable[..., Judged]:
    """Outcomes of a claim whose ceiling has its truth on the boundary; the claim's own seeds are drawn alike."""

    def judged(n: int, repetitions: int, rng: np.random.Generator) -> Judged:
        region = AtLeast(population.truth)
        claimed = declared(population.statistic, region, n, [NULL, CEILING])
        ours, ceiling = (population.sample(n, repetitions, rng) for _ in range(2))
        by_seed = [dict(enumerate(one)) for one in ceiling.outcomes]
        return ceiling, [
            judge(claimed, "invented", "", dict(enumerate(mine)), ceilings={"ceiling": theirs})
            for mine, theirs in zip(ours.outcomes, by_seed, strict=True)
        ]

    return judged


def _parts(k: int) -> Callable[..., Judged]:
    """Outcomes of a claim of k independent parts, each with its truth on its boundary."""

    def judged(n: int, repetitions: int, rng: np.random.Generator) -> Judged:
        names = [f"part {i}" for i in range(k)]
        outcomes = [
            [Measurement(dict(zip(names, each, strict=True))) for each in one]
            for one in normal(rng, (repetitions, n, k))
        ]
        sample = Sample(outcomes, np.full(repetitions, 1 / repetitions), repetitions)
        claimed = declared(Mean(), {name: AtLeast(0) for name in names}, n, [NULL])
        return sample, [judge(claimed, "invented", "", dict(enumerate(one))) for one in outcomes]

    return judged


def _with_nulls(claimed: Claim, ours: Sample, theirs: Sequence[Sequence[Measurement]]) -> list[Verdict]:
    return [
        judge(claimed, "invented", "", dict(enumerate(mine)), {"null": dict(enumerate(null))})
        for mine, null in zip(ours.outcomes, theirs, strict=True)
    ]


def _better(verdict: Verdict) -> bool:
    return verdict.nulls[0].chance[0].better is True


def _comparisons() -> Iterator[Comparison]:
    drawn = [_BY_NAME[name] for name in _DRAWN]
    for each in (*drawn, HITS):
        kept = each.keeps_level or each.name in _SYMMETRIC
        yield Comparison(
            BETTER, f"{each.name}; null drawn alike", kept, _against_drawn(each, AtLeast(-9)), _better
        )
    both_ways = _against_drawn(_BY_NAME["normal"], Within(-0.5, 0.5))
    yield Comparison(BETTER, "normal, region of two ends; null drawn alike", True, both_ways, _better)
    exact = ("normal", "saturated on either side", "tied at the boundary", "exponential", "ratios")
    for name in (*exact, "hits, rate .5", "hits, rate .8", "pairs by chance"):
        each = _BY_NAME[name]
        region = AtMost(9) if isinstance(each.statistic, Pairs) else AtLeast(-9)
        yield Comparison(
            BETTER, f"{name}; null exact", each.keeps_level, _against_exact(each, region), _better
        )
    for name in (
        "normal",
        "tied at the boundary",
        "exponential",
        "ratios",
        "hits, rate .5",
        "pairs by chance",
    ):
        each = _BY_NAME[name]
        judged = _under(each)
        yield Comparison(OUT_OF_REACH, f"{name}; ceiling", each.keeps_level, judged, _is(Word.INVALID))
    for k in (2, 4):
        yield Comparison(REFUTED, f"normal; {k} parts", True, _parts(k), _is(Word.REFUTED))


def _is(word: Word) -> Callable[[Verdict], bool]:
    return lambda verdict: verdict.word is word


COMPARISONS = tuple(_comparisons())
"""Skewed seeds against an exact number make no promise; against seeds drawn alike they do."""
