"""Claims on a single network: what their intervals are over, and which claims can't be judged on it.

A claim is about networks, and one network is no sample of networks. A verdict can only tell what is true of this
network: over samples of its data, or exactly, where all its inputs are measured.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from energylens.harness.declare.claim import Claim
from energylens.harness.declare.measurement import Measurement
from energylens.harness.declare.statistic import Mean, Pairs, Summary
from energylens.harness.verdict import Unit, Verdict, Word

SEVERAL = "asks for several networks; one was given"


@dataclass(frozen=True)
class Exact(Mean):
    """The value of a single measurement, which has no error because all inputs were measured."""

    describes: str = "the value itself"

    def summarise(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """See `Statistic`."""
        from energylens.stats import Interval

        ((value),) = (measurement.value[part] for measurement in measurements)  # type: ignore[index]
        return Summary(Interval(value, value, value, n=1, se=0.0, df=0))


def exactly(claim: Claim) -> Claim:
    """The claim with every part judged by the value itself."""
    return replace(claim, statistics=dict.fromkeys(claim.regions, Exact()))


def unanswerable(claim: Claim) -> str:
    """Why a claim can't be judged on one network; empty if it can.

    A statistic over pairs of seeds compares networks, so it can't. A body that compares networks raises by `Lab.seeds`.
    """
    compares = any(isinstance(statistic, Pairs) for statistic in claim.statistics.values())
    return SEVERAL if compares else ""


def told(verdict: Verdict) -> Verdict:
    """The verdict with reasons that fit one network: they name samples where the judge names seeds."""
    if verdict.unit is Unit.NETWORK:
        return verdict
    parts = tuple(replace(part, reason=_of_samples(part.reason, verdict.unit)) for part in verdict.parts)
    incompetent = [gate.claim for gate in verdict.gates if gate.competence and gate.failed]
    reason = f"this network is not competent: {', '.join(incompetent)}" if incompetent else verdict.reason
    return replace(verdict, reason=_of_samples(reason, verdict.unit), parts=parts)


def _of_samples(reason: str, unit: Unit) -> str:
    if unit is Unit.ALL_INPUTS:
        return re.sub(r" (?:on \d+ )?seeds(?: 0)?\b", "", reason)
    return re.sub(r"\bseed(s?)\b", r"sample\1", reason)


def is_one_network(verdict: Mapping[str, Any]) -> bool:
    """Whether a verdict of results.json speaks of one network alone."""
    return verdict.get("unit") in (Unit.SAMPLE, Unit.ALL_INPUTS)


def word_of(verdict: Mapping[str, Any]) -> str:
    """`HOLDS for this network`, or the bare word where several networks were measured."""
    judged = verdict["word"] in set(Word) - {Word.NOT_RUN}
    return (
        f"{verdict['word']} for this network" if judged and is_one_network(verdict) else str(verdict["word"])
    )
