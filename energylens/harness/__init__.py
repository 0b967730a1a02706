"""Claims, regions, controls, judging, the ledger and results. Knows no neural networks."""

from energylens.harness.claim import Claim, claim, claim_of, gate
from energylens.harness.control import Ceiling, Gate, Null
from energylens.harness.decidable import UndecidableClaimWarning
from energylens.harness.figure import Figure
from energylens.harness.measurement import Measurement, Unavailable
from energylens.harness.question import Question
from energylens.harness.reach import Reach
from energylens.harness.region import AtLeast, AtMost, Equivalent, Region, Within
from energylens.harness.statistic import FisherZ, GeometricMean, HitRate, Mean, Pairs
from energylens.harness.verdict import Verdict, Word

__all__ = [
    "AtLeast", "AtMost", "Ceiling", "Claim", "Equivalent", "Figure", "FisherZ", "Gate", "GeometricMean",
    "HitRate", "Mean", "Measurement", "Null", "Pairs", "Question", "Reach", "Region", "Unavailable",
    "UndecidableClaimWarning", "Verdict", "Within", "Word", "claim", "claim_of", "gate",
]  # fmt: skip
