"""The judge: it turns measurements into a verdict, by one rule for every claim, without exceptions by name.

All parts must hold for the claim to hold; one refuted part refutes it (`energylens.harness.parts`). Nulls qualify a
claim that holds (`chance`); ceilings and gates can make a claim INVALID.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from energylens.harness.ceiling import judge_ceiling, out_of_reach
from energylens.harness.chance import by_chance_too, judge_null, not_compared
from energylens.harness.declare.claim import Claim
from energylens.harness.declare.control import Null
from energylens.harness.declare.region import Region
from energylens.harness.one_network import exactly
from energylens.harness.parts import Judged, Measured, combine, judge_part
from energylens.harness.verdict import (
    AS_IT_MUST,
    BY_CHANCE_TOO,
    NOT_COMPARED,
    CeilingResult,
    GateResult,
    NullResult,
    PartResult,
    Unit,
    Verdict,
    Word,
)

COMPETENT_SHARE = 4 / 5
"""Smallest share of seeds that must pass a competence gate."""


def judge(
    claim: Claim,
    model: str,
    variant: str,
    measured: Measured,
    nulls: Mapping[str, Measured] | None = None,
    gates: Sequence[GateResult] = (),
    partial: bool = False,
    ceilings: Mapping[str, Measured] | None = None,
    unit: Unit = Unit.NETWORK,
) -> Verdict:
    """Judge one (claim, model, variant) from its measurements by seed.

    measured: measurements by seed, in the claim's order. nulls, ceilings: the same, by name of the control. gates:
    checked gates. partial: whether fewer seeds were taken than declared; the verdict says so. unit: for a single
    network, seeds are samples of its data, or one seed stands for all inputs: then its value is exact and decides.
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
    judged = {part: judge_part(claim, part, kept, constants=exact) for part in claim.parts} if kept else {}
    parts = tuple(each.result for each in judged.values())
    if broken:
        return replace(verdict, reason=broken, parts=parts)
    word, undecided = combine(parts)
    verdict = replace(
        verdict,
        parts=parts,
        as_published=_judge_published(claim, kept, judged),
        nulls=_judge_nulls(claim, nulls or {}, judged),
        ceilings=_judge_ceilings(claim, ceilings or {}, kept, judged),
    )
    if beyond := out_of_reach(verdict.ceilings):
        return replace(verdict, reason=beyond)
    return replace(
        verdict,
        word=word,
        reason="; ".join(filter(None, [undecided, *(part.reason for part in parts)])),
        qualifiers=_qualifiers(word, verdict),
    )


def _judge_published(
    claim: Claim, measured: Measured, judged: Mapping[str, Judged]
) -> tuple[PartResult, ...]:
    """Judge the original estimator against the same region, for parts that have it on every seed."""
    results = []
    for part, ours in judged.items():
        originals = {seed: measured[seed].as_published or {} for seed in ours.seeds}
        if all(part in values for values in originals.values()):  # type: ignore[operator]
            swapped = {
                seed: replace(measured[seed], value=values, as_published=None)
                for seed, values in originals.items()
            }
            results.append(judge_part(claim, part, swapped, constants=True).result)
    return tuple(results)


def _judge_nulls(
    claim: Claim, nulls: Mapping[str, Measured], judged: Mapping[str, Judged]
) -> tuple[NullResult, ...]:
    return tuple(
        judge_null(claim, null, nulls[null.name], judged) for null in claim.nulls if null.name in nulls
    )


def _judge_ceilings(
    claim: Claim, ceilings: Mapping[str, Measured], measured: Measured, judged: Mapping[str, Judged]
) -> tuple[CeilingResult, ...]:
    return tuple(
        judge_ceiling(claim, ceiling, ceilings[ceiling.name], measured, judged)
        for ceiling in claim.ceilings if ceiling.name in ceilings
    )  # fmt: skip


def _qualifiers(word: Word, verdict: Verdict) -> tuple[str, ...]:
    found = []
    if word is Word.HOLDS and by_chance_too(verdict.nulls):
        found.append(BY_CHANCE_TOO)
    elif word is Word.HOLDS and not_compared(verdict.nulls):
        found.append(NOT_COMPARED)
    as_published = {part.part: part for part in (*verdict.parts, *verdict.as_published)}
    published_word = combine(list(as_published.values()))[0] if verdict.as_published else word
    if published_word is not word:
        found.append(f"as published: {published_word}")
    return tuple(found)


def _broken_gate(gates: Sequence[GateResult], declared: int, excluded: Sequence[int]) -> str:
    """Why the gates forbid a verdict, or the empty string. Other gates are not checked on incompetent seeds."""
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
    """Judge a gate: a plain predicate on every seed.

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
    """Mean and range over seeds, which a gate shows in place of an interval."""
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
