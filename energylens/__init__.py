"""Executable claims for mechanistic interpretability.

Declare a finding with `claim`, measure it in the decorated function, run `pytest`: the harness trains or loads
the networks it speaks about, measures every seed and control, and judges.
"""

from importlib.metadata import version

from energylens.harness import (
    AtLeast,
    AtMost,
    Ceiling,
    Equivalent,
    Figure,
    FisherZ,
    Gate,
    GeometricMean,
    HitRate,
    Mean,
    Measurement,
    Null,
    Pairs,
    Question,
    Unavailable,
    UndecidableClaimWarning,
    Within,
    claim,
    gate,
)

__version__ = version("energylens")

__all__ = [
    "AtLeast", "AtMost", "Ceiling", "Equivalent", "Figure", "FisherZ", "Gate", "GeometricMean", "HitRate", "Mean",
    "Measurement", "Null", "Pairs", "Question", "Unavailable", "UndecidableClaimWarning", "Within",
    "claim", "gate",
]  # fmt: skip
