"""Judging of ceilings: whether a perfect effect, measured with this instrument, would reach the claim's region."""

from collections.abc import Mapping, Sequence

from energylens.errors import InputError
from energylens.harness.declare.claim import Claim
from energylens.harness.declare.control import Ceiling
from energylens.harness.declare.measurement import SINGLE
from energylens.harness.declare.statistic import HitRate
from energylens.harness.parts import Judged, Measured, judge_part
from energylens.harness.verdict import CeilingResult, Word


def judge_ceiling(
    claim: Claim, ceiling: Ceiling, by_seed: Measured, measured: Measured, judged: Mapping[str, Judged]
) -> CeilingResult:
    """Judge a ceiling by the claim's own rule, in the parts that it measures and on the seeds of the claim's part.

    A ceiling is refuted where its whole interval lies outside: a perfect effect does not reach the region. Constants
    are taken as exact. measured, judged: the claim's own. Raises InputError for a ceiling that measures no part.
    """
    parts = [part for part in claim.parts if _has(part, by_seed, measured)]
    if not parts:
        given = sorted({name for m in by_seed.values() for name in m.value})  # type: ignore[union-attr]
        raise InputError(
            f"ceiling {ceiling.name!r} of {claim.id} measured {given}, but the claim judges "
            f"{list(claim.parts)}: measure one of them"
        )
    results = []
    for part in parts:
        of = {seed: by_seed[seed] for seed in judged[part].seeds}
        results.append(judge_part(claim, part, of, constants=True, exact=_is_share(claim, part, of)).result)
    beyond = tuple(result.part for result in results if result.word is Word.REFUTED)
    return CeilingResult(ceiling.name, ceiling.why, tuple(results), beyond)


def out_of_reach(ceilings: Sequence[CeilingResult]) -> str:
    """The reason why no effect could reach the claim's region, or the empty string."""
    return "; ".join(
        f"out of reach: even {ceiling.name} scores {part.estimate:.3g} [{part.low:.3g}, {part.high:.3g}]"
        f"{f' in {part.part}' if part.part != SINGLE else ''}, region {part.region}"
        for ceiling in ceilings for part in ceiling.parts if part.part in ceiling.out_of_reach
    )  # fmt: skip


def _has(part: str, by_seed: Measured, measured: Measured) -> bool:
    """Whether the ceiling states the part, or brings arrays for a part that the claim takes from arrays."""
    from_arrays = not any(part in m.value for m in measured.values())  # type: ignore[operator]
    return any(part in m.value or (from_arrays and m.arrays) for m in by_seed.values())  # type: ignore[operator]


def _is_share(claim: Claim, part: str, by_seed: Measured) -> bool:
    """Whether a ceiling of a hit rate gives the share of hits of each seed instead of a hit or a miss."""
    values = {m.value.get(part) for m in by_seed.values()}  # type: ignore[union-attr]
    return isinstance(claim.statistics[part], HitRate) and not values <= {0.0, 1.0}
