"""The harness: claims, regions, controls, judging, the ledger and results. It knows no neural networks."""

from energylens.harness.declare.claim import Claim, claim, claim_of, gate
from energylens.harness.declare.control import Ceiling, Gate, Null
from energylens.harness.declare.decidable import UndecidableClaimWarning
from energylens.harness.declare.figure import Figure
from energylens.harness.declare.in_full import in_full
from energylens.harness.declare.measurement import Measurement, Unavailable
from energylens.harness.declare.question import Question
from energylens.harness.declare.reach import Reach
from energylens.harness.declare.region import AtLeast, AtMost, Equivalent, Region, Within
from energylens.harness.declare.statistic import FisherZ, GeometricMean, HitRate, Mean, Pairs
from energylens.harness.verdict import Verdict, Word

__all__ = [
    "AtLeast", "AtMost", "Ceiling", "Claim", "Equivalent", "Figure", "FisherZ", "Gate", "GeometricMean",
    "HitRate", "Mean", "Measurement", "Null", "Pairs", "Question", "Reach", "Region", "Unavailable",
    "UndecidableClaimWarning", "Verdict", "Within", "Word", "claim", "claim_of", "gate", "in_full",
]  # fmt: skip
