"""Verdicts and all that they rest on, as plain data that goes into results.json as it is."""

from dataclasses import dataclass, field
from enum import StrEnum

BY_CHANCE_TOO = "by chance too"
NOT_COMPARED = "not compared with chance"
AS_IT_MUST = "as it must"

ERROR = "ERROR"
"""Entry of a verdict case that raised an exception, in place of a word; it is no verdict."""


class Word(StrEnum):
    """Words of a verdict. An exception is none of these."""

    HOLDS = "HOLDS"
    REFUTED = "REFUTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    NOT_RUN = "NOT RUN"


class Unit(StrEnum):
    """Unit of a verdict's measurements, over which its interval is taken.

    With SAMPLE and ALL_INPUTS the verdict is about one network alone; the value over ALL_INPUTS is exact.
    """

    NETWORK = "network"
    SAMPLE = "sample of data"
    ALL_INPUTS = "all inputs"


@dataclass(frozen=True)
class PartResult:
    """One part of a claim: estimate and interval against its region.

    low, high: the 90 % interval; for a gate the smallest and largest value over seeds.
    p_value: one-sided, of the boundary that decides the word (NaN when undecided or for gates).
    seeds_to_decide: smallest number of seeds at which the same estimate and spread would decide; None
    when decided, or when no number up to the cap would.
    pairs: seed-by-seed matrix of a pairwise statistic, NaN on the diagonal.
    se: standard error of the estimate on `scale`; of a hit rate Agresti and Coull's, never 0 (`stats.clopper_pearson`).
    undefined: seeds whose value is NaN; they are left out of everything else here.
    """

    part: str
    word: Word
    estimate: float
    low: float
    high: float
    n: int
    region: str
    region_low: float
    region_high: float
    p_value: float = float("nan")
    seeds_to_decide: int | None = None
    reason: str = ""
    pairs: list[list[float]] | None = None
    se: float = float("nan")
    scale: str = "linear"
    undefined: tuple[int, ...] = ()


@dataclass(frozen=True)
class ChanceResult:
    """How much better than a null one part of a claim is: the paired difference over seeds, in the region's direction.

    estimate, low, high: the difference on `scale` and its 90 % interval; NaN where the statistic has no differences.
    better: whether the whole interval lies above 0; None where the claim or the null is undefined, or on too few seeds.
    reason: how `better` was decided where the interval did not decide it, or why it is None.
    """

    part: str
    estimate: float
    low: float
    high: float
    better: bool | None
    scale: str = "linear"
    reason: str = ""


@dataclass(frozen=True)
class NullResult:
    """One null control, judged by the claim's own rule, and how much better than it each part of the claim is."""

    name: str
    why: str
    word: Word
    parts: tuple[PartResult, ...]
    qualifies: bool
    exact: bool = False
    chance: tuple[ChanceResult, ...] = ()


@dataclass(frozen=True)
class CeilingResult:
    """The score of a perfect effect in the parts that a ceiling measures; `out_of_reach` names parts it can't reach."""

    name: str
    why: str
    parts: tuple[PartResult, ...]
    out_of_reach: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateResult:
    """One gate of a claim: the value of every seed and whether it passed.

    unnoticed: broken instruments, by name, that the gate lets pass; if there are any, its results mean nothing.
    """

    claim: str
    model: str
    region: str
    competence: bool
    values: dict[str, float]
    failed: tuple[int, ...] = ()
    unnoticed: str = ""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one (claim, model, variant), with all that it rests on."""

    claim: str
    model: str
    variant: str
    word: Word
    reason: str = ""
    qualifiers: tuple[str, ...] = ()
    parts: tuple[PartResult, ...] = ()
    as_published: tuple[PartResult, ...] = ()
    nulls: tuple[NullResult, ...] = ()
    ceilings: tuple[CeilingResult, ...] = ()
    gates: tuple[GateResult, ...] = ()
    seeds: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    partial: bool = False
    own_checkpoint: bool = False
    unit: Unit = Unit.NETWORK
    data: str = ""
    """Fingerprint of what the model was trained on, where that can differ from machine to machine."""
    artifacts: str = ""
    """Digest of the bits of all artifacts that the measurements rest on; empty where there are none."""
    machine: str = ""
    """What decides the bits that a recipe gives; see `provenance.machine_of`."""
    beside: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The row of the ledger: claim, model and variant."""
        return row_key(self.claim, self.model, self.variant)


def row_key(claim: str, model: str, variant: str = "") -> str:
    """`claim/model` or `claim/model/variant`."""
    return "/".join(part for part in (claim, model, variant) if part)
