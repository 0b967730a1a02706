"""Executable claims for mechanistic interpretability.

Declare a finding with `claim`, measure it in the decorated function, run `pytest`: the harness trains or loads
the networks that the claim is about, measures every seed and control, and judges.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

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
    in_full,
)

if TYPE_CHECKING:
    from energylens.notebook import check

__version__ = version("energylens")

__all__ = [
    "AtLeast", "AtMost", "Ceiling", "Equivalent", "Figure", "FisherZ", "Gate", "GeometricMean", "HitRate", "Mean",
    "Measurement", "Null", "Pairs", "Question", "Unavailable", "UndecidableClaimWarning", "Within",
    "check", "claim", "gate", "in_full",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import `check` on first use: declaring claims needs no run."""
    if name == "check":
        from energylens.notebook import check

        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
