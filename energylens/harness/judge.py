"""The judge: measurements in, verdict out. One rule for every claim, no exceptions by name.

A part holds when its whole 90 % interval lies inside its region, is refuted when the whole interval lies
outside, and is inconclusive otherwise: every boundary is tested one-sided at 5 %. All parts must hold for the
claim to hold; one refuted part refutes it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from energylens.harness.claim import Claim
from energylens.harness.control import Null
from energylens.harness.measurement import Measurement
from energylens.harness.one_network import exactly
from energylens.harness.region import Region
from energylens.harness.verdict import (
    AS_IT_MUST,
    BY_CHANCE_TOO,
    GateResult,
    NullResult,
    PartResult,
    Unit,
    Verdict,
    Word,
)

if TYPE_CHECKING:
    from energylens.stats import Interval

COMPETENT_SHARE = 4 / 5
"""Smallest share of seeds that must pass a competence gate."""

NO_SPREAD = 1e-12
"""Width of an interval, relative to its estimate, that is rounding rather than spread over seeds."""

Measured = Mapping[int, Measurement]


def judge(
    claim: Claim,
    model: str,
    variant: str,
    measured: Measured,
    nulls: Mapping[str, Measured] | None = None,
    gates: Sequence[GateResult] = (),
    partial: bool = False,
    unit: Unit = Unit.NETWORK,
) -> Verdict:
    """Judge one (claim, model, variant) from its measurements by seed.

    measured: by seed, in the claim's order. nulls: the same for each null by name. gates: checked gates.
    partial: fewer seeds were taken than declared; the verdict says so. unit: of one network, seeds are samples of data,
    or a single one stands for all inputs: its value is exact and decides.
    """
    exact = unit is Unit.ALL_INPUTS
    claim = exactly(claim) if exact else claim
    excluded = tuple(seed for seed in measured if any(g.competence and seed in g.failed for g in gates))
    kept = {seed: m for seed, m in measured.items() if seed not in excluded}
    verdict = Verdict(
        claim=claim.id, model=model, variant=variant, word=Word.INVALID, gates=tuple(gates),
        seeds=tuple(measured), excluded=excluded, partial=partial, unit=unit, beside=_mean_beside(kept),
    )  # fmt: skip
    if claim.role == "gate":
        return _judge_gate(claim, verdict, measured, nulls or {})
    broken = _broken_gate(gates, len(measured), excluded)
    parts = judge_parts(claim, list(kept.values()), constants=exact) if kept else ()
    if broken:
        return replace(verdict, reason=broken, parts=parts)
    word = combine([part.word for part in parts])
    published = _judge_published(claim, list(kept.values()))
    judged_nulls = tuple(_judge_null(claim, name, by_seed, kept) for name, by_seed in (nulls or {}).items())
    return replace(
        verdict,
        word=word,
        reason="; ".join(part.reason for part in parts if part.reason),
        parts=parts,
        as_published=published,
        nulls=judged_nulls,
        qualifiers=_qualifiers(word, parts, published, judged_nulls),
    )


def combine(words: Sequence[Word]) -> Word:
    """All hold: HOLDS. Any refuted: REFUTED. Otherwise INCONCLUSIVE."""
    if any(word is Word.REFUTED for word in words):
        return Word.REFUTED
    return Word.HOLDS if words and all(word is Word.HOLDS for word in words) else Word.INCONCLUSIVE


def judge_parts(
    claim: Claim, measurements: Sequence[Measurement], constants: bool = False
) -> tuple[PartResult, ...]:
    """Judge every part. constants: whether a value without any spread over seeds may be taken as exact."""
    return tuple(_judge_part(claim, part, measurements, constants) for part in claim.parts)


def _judge_part(claim: Claim, part: str, measurements: Sequence[Measurement], constants: bool) -> PartResult:
    region = claim.regions[part]
    undefined = [m for m in measurements if math.isnan((m.value or {}).get(part, 0.0))]  # type: ignore[union-attr]
    if undefined:
        why = next((m.note for m in undefined if m.note), "no reason given")
        return _undecided(part, region, len(measurements), f"{part} is NaN on {len(undefined)} seeds: {why}")
    summary = claim.statistics[part].summarise(part, measurements)
    interval, pairs = summary.interval, summary.pairs
    result = PartResult(
        part=part, word=Word.INCONCLUSIVE, estimate=interval.estimate, low=interval.low, high=interval.high,
        n=len(measurements), region=str(region), region_low=region.low, region_high=region.high,
        pairs=None if pairs is None else pairs.tolist(),
    )  # fmt: skip
    if math.isinf(interval.se):
        if math.isnan(interval.estimate):
            return replace(result, reason="one run makes no pair")
        side = "inside" if region.contains(interval.estimate) else "outside"
        runs = "one run decides" if len(measurements) == 1 else f"{len(measurements)} runs decide"
        return replace(result, reason=f"{runs} nothing; {part} lies {side} the region")
    if interval.high - interval.low <= NO_SPREAD * max(1.0, abs(interval.estimate)) and not constants:
        return replace(
            result, reason=f"{part} is exactly {interval.estimate:g} on every seed: no spread to judge by"
        )
    return _place(result, region, interval)


def _place(result: PartResult, region: Region, interval: "Interval") -> PartResult:
    """The rule itself: the interval against the region."""
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


def _undecided(part: str, region: Region, n: int, reason: str) -> PartResult:
    nan = float("nan")
    return PartResult(
        part, Word.INCONCLUSIVE, nan, nan, nan, n, str(region), region.low, region.high, reason=reason
    )


def _judge_published(claim: Claim, measurements: Sequence[Measurement]) -> tuple[PartResult, ...]:
    """The same region on the original estimator, for the parts that have one on every seed."""
    values = [m.as_published for m in measurements]
    if not values or not all(values):
        return ()
    swapped = [replace(m, value=m.as_published, as_published=None) for m in measurements]
    parts = [part for part in claim.parts if all(part in v for v in values)]  # type: ignore[operator]
    return tuple(_judge_part(claim, part, swapped, constants=True) for part in parts)


def _judge_null(claim: Claim, name: str, by_seed: Measured, kept: Measured) -> NullResult:
    """Judge a null on the seeds that the claim itself is judged on."""
    null = next(null for null in claim.nulls if null.name == name)
    parts = judge_parts(claim, [by_seed[seed] for seed in kept], constants=True)
    return NullResult(name, null.why, combine([part.word for part in parts]), parts, null.qualifies)


def _qualifiers(
    word: Word, parts: Sequence[PartResult], published: Sequence[PartResult], nulls: Sequence[NullResult]
) -> tuple[str, ...]:
    found = []
    if word is Word.HOLDS and any(null.qualifies and null.word is Word.HOLDS for null in nulls):
        found.append(BY_CHANCE_TOO)
    as_published = {part.part: part.word for part in (*parts, *published)}
    published_word = combine(list(as_published.values())) if published else word
    if published_word is not word:
        found.append(f"as published: {published_word}")
    return tuple(found)


def _broken_gate(gates: Sequence[GateResult], declared: int, excluded: Sequence[int]) -> str:
    """Why the gates forbid a verdict, or the empty string. Seeds that are not competent are asked for nothing else."""
    kept = declared - len(excluded)
    for gate in gates:
        if gate.unnoticed:
            return f"gate {gate.claim} lets its broken instrument {gate.unnoticed} pass"
        wrong = [seed for seed in gate.failed if seed not in excluded]
        if wrong and not gate.competence:
            return f"gate {gate.claim} failed on {gate.model} seeds {', '.join(map(str, wrong))}"
    if kept < COMPETENT_SHARE * declared:
        failed = ", ".join(gate.claim for gate in gates if gate.competence and gate.failed)
        return f"only {kept} of {declared} seeds are competent ({failed})"
    return ""


def _judge_gate(
    claim: Claim, verdict: Verdict, measured: Measured, broken: Mapping[str, Measured]
) -> Verdict:
    """A gate is a plain predicate on every seed.

    No seed may pass on a model that it must reject, and none with a broken instrument.
    """
    (part, region), *_ = claim.regions.items()
    values = [m.value[part] for m in measured.values()]  # type: ignore[index]
    passed = sum(region.contains(value) for value in values)
    some = claim.competence and verdict.unit is Unit.NETWORK
    enough = passed >= COMPETENT_SHARE * len(values) if some else passed == len(values)
    known_bad = verdict.model in claim.must_fail
    word = Word.HOLDS if enough else Word.REFUTED
    reason = f"{passed} of {len(values)} seeds pass"
    if any(math.isnan(value) for value in values):
        why = next((m.note for m in measured.values() if m.note), "no reason given")
        word, reason = Word.INCONCLUSIVE, f"{part} is NaN: {why}"
    if known_bad and passed:
        word, reason = Word.INVALID, f"{reason}, but this gate must reject every seed of {verdict.model}"
    checks = tuple(
        _judge_broken(claim, null, broken[null.name]) for null in claim.nulls if null.name in broken
    )
    unnoticed = [check.name for check in checks if check.word is not Word.REFUTED]
    if unnoticed:
        word, reason = Word.INVALID, f"{reason}, but so does the broken instrument {', '.join(unnoticed)}"
    result = _range_of(part, region, word, values, reason)
    qualifiers = (AS_IT_MUST,) if known_bad and word is Word.REFUTED else ()
    return replace(verdict, word=word, reason=reason, parts=(result,), nulls=checks, qualifiers=qualifiers)


def _judge_broken(claim: Claim, null: Null, measured: Measured) -> NullResult:
    """A broken instrument is rejected (REFUTED) if no seed passes; NaN does not pass."""
    (part, region), *_ = claim.regions.items()
    values = [m.value[part] for m in measured.values()]  # type: ignore[index]
    passed = sum(region.contains(value) for value in values)
    word = Word.REFUTED if not passed else Word.HOLDS
    result = _range_of(part, region, word, values, f"{passed} of {len(values)} seeds pass")
    return NullResult(null.name, null.why, word, (result,), qualifies=False)


def _range_of(part: str, region: Region, word: Word, values: Sequence[float], reason: str) -> PartResult:
    """A gate shows the mean and the range of its seeds."""
    return PartResult(
        part, word, sum(values) / len(values), min(values), max(values), len(values),
        str(region), region.low, region.high, reason=reason,
    )  # fmt: skip


def _mean_beside(measured: Measured) -> dict[str, float]:
    """Mean over seeds of the numbers printed beside the verdict."""
    names = dict.fromkeys(name for m in measured.values() for name in m.beside)
    means = {}
    for name in names:
        values = [m.beside[name] for m in measured.values() if name in m.beside]
        means[name] = sum(values) / len(values)
    return means
