"""The rule that judges one part of a claim against its region, the same for all parts.

A part holds when its whole 90 % interval lies inside its region, is refuted when the whole interval lies outside, and
is inconclusive otherwise: every boundary is tested one-sided at 5 %. Where all seeds agree there is no interval, and
the exact sign test decides: more evidence never gives a worse word.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from energylens.harness.declare.claim import Claim
from energylens.harness.declare.measurement import Measurement
from energylens.harness.declare.region import Region
from energylens.harness.declare.statistic import Summary
from energylens.harness.verdict import PartResult, Word

if TYPE_CHECKING:
    from energylens.stats import Interval

NO_SPREAD = 1e-12
"""Largest width of an interval, relative to its estimate, that is rounding rather than spread over seeds."""

MOST_UNDEFINED = 5
"""One in this many seeds may be NaN."""

ALPHA = 0.05
"""Level of every one-sided test, as of a 90 % interval against an end of its region."""

Measured = Mapping[int, Measurement]


@dataclass(frozen=True)
class Judged:
    """The result of a part, with the seeds that it is judged on and what the statistic made of them.

    summary: None where too many seeds are undefined; `seeds` are then all that were given.
    """

    result: PartResult
    seeds: tuple[int, ...]
    summary: Summary | None = None


def judge_part(
    claim: Claim, part: str, measured: Measured, constants: bool = False, exact: bool = False
) -> Judged:
    """Judge one part. Up to a fifth of the seeds may be NaN: they are left out, counted and named.

    constants: a value without any spread over seeds is taken as exact. exact: values are expectations, not draws.
    """
    region = claim.regions[part]
    undefined = tuple(seed for seed, m in measured.items() if math.isnan(m.value.get(part, 0.0)))  # type: ignore[union-attr]
    why = next((m.note for seed, m in measured.items() if seed in undefined and m.note), "no reason given")
    if MOST_UNDEFINED * len(undefined) > len(measured):
        instead = f"; {claim.undefined_is} says what is found there" if claim.undefined_is else ""
        reason = f"{part} is NaN on {len(undefined)} of {len(measured)} seeds ({listed(undefined)}): {why}{instead}"
        return Judged(_undecided(part, region, len(measured), undefined, reason), tuple(measured))
    kept = {seed: m for seed, m in measured.items() if seed not in undefined}
    statistic = claim.statistics[part]
    summarise = getattr(statistic, "expected", statistic.summarise) if exact else statistic.summarise
    summary = summarise(part, list(kept.values()))
    interval, pairs = summary.interval, summary.pairs
    result = PartResult(
        part=part, word=Word.INCONCLUSIVE, estimate=interval.estimate, low=interval.low, high=interval.high,
        n=len(kept), region=str(region), region_low=region.low, region_high=region.high,
        pairs=None if pairs is None else pairs.tolist(), se=interval.se, scale=interval.scale, undefined=undefined,
    )  # fmt: skip
    result = _decide(result, region, interval, constants)
    reasons = [f"undefined on {_seeds(undefined)}: {why}"] if undefined else []
    reasons += [result.reason] if result.reason else []
    return Judged(replace(result, reason="; ".join(reasons)), tuple(kept), summary)


def combine(parts: Sequence[PartResult]) -> tuple[Word, str]:
    """The word of a claim of these parts: HOLDS if all hold, REFUTED if any is refuted, otherwise INCONCLUSIVE.

    One of k parts is refuted by chance more often than 5 %, so a refuted part refutes the claim only after Holm's
    correction: if the smallest p of refuted parts, times k, is at most 5 %. The second result says so where it is not.
    """
    refuted = [part for part in parts if part.word is Word.REFUTED]
    if refuted:
        first = min(refuted, key=lambda part: part.p_value)
        if len(parts) == 1 or first.p_value * len(parts) <= ALPHA:
            return Word.REFUTED, ""
        told = f"{first.part} alone is refuted (p = {first.p_value:.2g})"
        return Word.INCONCLUSIVE, f"{told}, which does not survive Holm's correction for {len(parts)} parts"
    holds = parts and all(part.word is Word.HOLDS for part in parts)
    return (Word.HOLDS if holds else Word.INCONCLUSIVE), ""


def rounding(*values: float) -> float:
    """Largest width that counts as rounding, and not as spread, for numbers as large as these."""
    return NO_SPREAD * max(1.0, *map(abs, values))


def listed(seeds: Sequence[int]) -> str:
    """`1, 4`."""
    return ", ".join(map(str, seeds))


def _decide(result: PartResult, region: Region, interval: "Interval", constants: bool) -> PartResult:
    part, n = result.part, result.n
    if math.isinf(interval.se):
        if math.isnan(interval.estimate):
            return replace(result, reason="one run makes no pair")
        side = "inside" if region.contains(interval.estimate) else "outside"
        runs = "one run decides" if n == 1 else f"{n} runs decide"
        return replace(result, reason=f"{runs} nothing; {part} lies {side} the region")
    if interval.high - interval.low <= rounding(interval.estimate) and not constants:
        return _sign_test(result, region)
    return _place(result, region, interval)


def _sign_test(result: PartResult, region: Region) -> PartResult:
    """Word of a part whose n seeds are equal and strictly on one side of a boundary: decided if 2^-n is at most 5 %."""
    from energylens.stats import sign_p

    x, p_value, slack = result.estimate, sign_p(result.n), rounding(result.estimate) / 2
    told = f"{result.part} is exactly {x:g} on every seed"
    inside = region.low + slack < x < region.high - slack
    if not inside and region.low - slack <= x <= region.high + slack:
        return replace(result, reason=f"{told}: no spread, on the boundary")
    test = f"sign test of {result.n} seeds, p = {p_value:.2g}"
    if p_value > ALPHA:
        needed = math.ceil(-math.log2(ALPHA))
        return replace(result, seeds_to_decide=needed, reason=f"{told}: no spread to judge by ({test})")
    word = Word.HOLDS if inside else Word.REFUTED
    return replace(result, word=word, p_value=p_value, reason=f"{told}: {test}")


def _place(result: PartResult, region: Region, interval: "Interval") -> PartResult:
    """Word of a part: its interval against the region."""
    from energylens.stats import one_sided_p, seeds_to_decide

    if region.holds(result.low, result.high):
        p_value = max(one_sided_p(interval, end, region.inner_side(end)) for end in region.boundaries)
        return replace(result, word=Word.HOLDS, p_value=p_value)
    if region.refutes(result.low, result.high):
        below = result.high < region.low
        end = region.low if below else region.high
        p_value = one_sided_p(interval, end, "below" if below else "above")
        return replace(result, word=Word.REFUTED, p_value=p_value)
    needed = seeds_to_decide(interval, region.boundaries)
    text = f"about {needed} seeds would decide" if needed else "no feasible number of seeds would decide"
    return replace(result, seeds_to_decide=needed, reason=f"{result.part}: {text}")


def _undecided(part: str, region: Region, n: int, undefined: tuple[int, ...], reason: str) -> PartResult:
    nan = float("nan")
    return PartResult(
        part, Word.INCONCLUSIVE, nan, nan, nan, n, str(region), region.low, region.high, reason=reason,
        undefined=undefined,
    )  # fmt: skip


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {listed(seeds)}"
