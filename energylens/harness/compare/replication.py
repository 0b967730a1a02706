"""Comparison of runs on several machines, where the same recipe trains other networks: each run is a replication.

The difference of two estimates is counted in standard errors, z = (there - here) / sqrt(se_there^2 + se_here^2), on
the scale on which the statistic takes its interval (Fisher's z of correlations, logarithm of ratios). Networks of the
same seed start from the same weights and see the same data, so that z may spread less than over independent seeds.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import StatisticsError, correlation, median
from typing import Any

from energylens.errors import InputError
from energylens.harness.provenance import machine_of
from energylens.harness.verdict import Word, row_key

FAR = 3.3
"""Largest |z| of an estimate that replicates: two-sided p = .001 for a normal z, .01 for errors from five seeds."""

NOTABLE = 2.0
"""A notable |z|: 4.6 % of normal z lie beyond it, 8 % where both errors are estimated from five independent seeds."""

CORRELATED = 5
"""Smallest number of seeds, shared by both runs, with which an estimate has a correlation between the runs."""

_JUDGED = {str(word) for word in Word} - {str(Word.NOT_RUN)}

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """One part of a verdict: its estimate, and its standard error on `scale`."""

    value: float
    se: float
    scale: str = "linear"


@dataclass(frozen=True)
class PartPair:
    """One part of one verdict in two runs. z: NaN where either run gives no estimate or no standard error."""

    claim: str
    model: str
    variant: str
    part: str
    here: tuple[float, float, float]
    there: tuple[float, float, float]
    words: tuple[str, str]
    z: float

    @property
    def row(self) -> str:
        """`claim/model/variant`, and the part where the claim names its parts."""
        key = row_key(self.claim, self.model, self.variant)
        return key if self.part == "value" else f"{key}: {self.part}"


@dataclass(frozen=True)
class Replication:
    """One run against the run of record. verdicts: rows judged in both; same: those with the same word.

    correlation: median over estimates of Pearson's r between the values of the same seeds in the two runs; NaN where no
    estimate has CORRELATED seeds that vary. At r the z of a mean has the standard deviation sqrt(1 - r).
    """

    machine: str
    against: str
    at: str
    commit: str
    verdicts: int
    same: int
    parts: tuple[PartPair, ...]
    correlation: float = math.nan

    @property
    def z(self) -> tuple[float, ...]:
        """Those that are defined."""
        return tuple(part.z for part in self.parts if not math.isnan(part.z))

    @property
    def not_replicated(self) -> tuple[PartPair, ...]:
        """Parts with |z| beyond FAR, the largest first."""
        far = [part for part in self.parts if abs(part.z) > FAR]
        return tuple(sorted(far, key=lambda part: -abs(part.z)))

    @property
    def differs(self) -> tuple[PartPair, ...]:
        """Parts of verdicts whose word is another one."""
        return tuple(part for part in self.parts if part.words[0] != part.words[1])


def z_value(here: Estimate, there: Estimate) -> float:
    """z = (there - here) / sqrt(se_there^2 + se_here^2) on the scale of both.

    0 for equal estimates, whatever their errors; +-inf where they differ and neither has any spread; NaN where an
    estimate is undefined, a standard error unknown, or the scales are not the same.
    """
    from energylens.stats.scale import SCALES

    if here.scale != there.scale or any(math.isnan(x) for x in (here.value, there.value, here.se, there.se)):
        return math.nan
    forward = SCALES[here.scale].forward
    difference = float(forward(there.value)) - float(forward(here.value))
    if here.value == there.value:
        return 0.0
    se = math.hypot(here.se, there.se)
    if math.isinf(se) or math.isnan(difference):
        return math.nan
    return difference / se if se > 0 else math.copysign(math.inf, difference)


def estimate_of(part: JSON) -> Estimate:
    """The estimate of one part as results.json holds it; in older files se comes from the interval, taken as linear."""
    value = float(part["estimate"])
    if "se" in part:
        return Estimate(value, float(part["se"]), part.get("scale", "linear"))
    n = int(part["n"])
    if n < 2:
        return Estimate(value, math.inf)
    from energylens.stats.interval import CONFIDENCE, t_quantile

    half = (float(part["high"]) - float(part["low"])) / 2
    return Estimate(value, half / float(t_quantile(n - 1, CONFIDENCE)))


def replicate(here: JSON, there: JSON) -> Replication:
    """Compare a run with the run of record, verdict by verdict, on claims that both judged on the same declaration.

    Raises InputError where the two runs share no such verdict.
    """
    pairs = list(_shared(here, there))
    if not pairs:
        raise InputError(
            "the two runs share no verdict that both judged on the same declaration; name runs of the same claims"
        )
    return Replication(
        machine=machine_of(there["provenance"]),
        against=machine_of(here["provenance"]),
        at=there.get("started", ""),
        commit=there["provenance"]["commit"],
        verdicts=len(pairs),
        same=sum(first["word"] == second["word"] for first, second in pairs),
        parts=tuple(part for pair in pairs for part in _parts(*pair)),
        correlation=_correlation(here, there, {_key(verdict) for verdict, _ in pairs}),
    )


def _correlation(here: JSON, there: JSON, rows: Collection[str]) -> float:
    """Median of Pearson's r between values of the same seeds, over the parts of these rows."""
    first, second = (dict(_values(run, rows)) for run in (here, there))
    by_part: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for (row, part, seed), value in first.items():
        other = second.get((row, part, seed), math.nan)
        if math.isfinite(value) and math.isfinite(other):
            by_part.setdefault((row, part), []).append((value, other))
    found = [_r(pairs) for pairs in by_part.values() if len(pairs) >= CORRELATED]
    known = [r for r in found if not math.isnan(r)]
    return median(known) if known else math.nan


def _r(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's r; NaN where either side does not vary."""
    try:
        return correlation(*zip(*pairs, strict=True))
    except StatisticsError:
        return math.nan


def _values(run: JSON, rows: Collection[str]) -> Iterator[tuple[tuple[str, str, int], float]]:
    """Values that seeds gave, not those of controls, by row, part and seed."""
    for case in run.get("cases", ()):
        if not case["null"] and _key(case) in rows:
            for part, value in (case.get("value") or {}).items():
                yield (_key(case), part, case["seed"]), float(value)


def _shared(here: JSON, there: JSON) -> Iterator[tuple[JSON, JSON]]:
    """Findings that both runs judged in full on the same declaration; the measuring code may differ.

    Claims that measure time or memory are left out.
    """
    left_out = {c["id"] for c in here["claims"] if c["role"] == "gate" or c.get("timed")}
    first, second = (_declared(run) for run in (here, there))
    others = {_key(verdict): verdict for verdict in there["verdicts"]}
    for verdict in here["verdicts"]:
        other = others.get(_key(verdict))
        if other is None or verdict["claim"] in left_out:
            continue
        same = first[verdict["claim"]] == second.get(verdict["claim"])
        same &= verdict.get("data", "") == other.get("data", "")
        if same and all(_is_judged(each) for each in (verdict, other)):
            yield verdict, other


def _declared(run: JSON) -> dict[str, dict[str, str]]:
    return {
        claim["id"]: {name: text for name, text in claim["declaration"].items() if name != "measure"}
        for claim in run["claims"]
    }


def _is_judged(verdict: JSON) -> bool:
    return verdict["word"] in _JUDGED and not verdict["own_checkpoint"] and not verdict["partial"]


def _key(verdict: JSON) -> str:
    return row_key(verdict["claim"], verdict["model"], verdict["variant"])


def _parts(verdict: JSON, other: JSON) -> Iterator[PartPair]:
    theirs = {part["part"]: part for part in other["parts"]}
    for part in verdict["parts"]:
        if (again := theirs.get(part["part"])) is not None:
            yield PartPair(
                verdict["claim"], verdict["model"], verdict["variant"], part["part"],
                here=_numbers(part), there=_numbers(again), words=(verdict["word"], other["word"]),
                z=z_value(estimate_of(part), estimate_of(again)),
            )  # fmt: skip


def _numbers(part: JSON) -> tuple[float, float, float]:
    return float(part["estimate"]), float(part["low"]), float(part["high"])


def share_beyond(z: Iterable[float], limit: float = NOTABLE) -> float:
    """Share of |z| above the limit; NaN without any z."""
    found = [abs(each) for each in z]
    return sum(each > limit for each in found) / len(found) if found else math.nan


def by_family(parts: Sequence[PartPair]) -> dict[str, list[PartPair]]:
    """Parts by the first word of their claim's id."""
    found: dict[str, list[PartPair]] = {}
    for part in parts:
        found.setdefault(part.claim.partition(".")[0], []).append(part)
    return found
