"""Measurements: what a claim's body returns, and the judge receives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energylens.errors import InputError

if TYPE_CHECKING:
    import numpy as np

Numbers = float | Mapping[str, float] | None

SINGLE = "value"
"""Name of the single part of a claim that does not name its parts."""


class Unavailable(Exception):
    """Raised by a claim's body when weights or hardware are missing: the case is NOT RUN, with this reason."""


@dataclass(frozen=True)
class Measurement:
    """Numbers measured for one (model, variant, seed).

    value: one number, or one per part of the claim; parts judged over pairs of seeds are left out.
    unit: what the number counts ("fraction of variance", "cosine").
    arrays: inputs of a statistic over several seeds at once; kept in a sidecar file, not in results.json.
    as_published: the same quantity by the original, uncorrected estimator.
    beside: further numbers to print next to the verdict; they are not judged.
    series: small arrays for the claim's figure; kept in results.json.
    note: why a number is NaN, or what else a reader has to know about this seed.
    """

    value: Numbers = None
    unit: str = ""
    arrays: Mapping[str, "np.ndarray"] = field(default_factory=dict)
    as_published: Numbers = None
    beside: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is None and not self.arrays:
            raise InputError("a Measurement needs a value or arrays, got neither")
        object.__setattr__(self, "value", by_part(self.value))
        object.__setattr__(self, "as_published", by_part(self.as_published))
        object.__setattr__(self, "beside", by_part(dict(self.beside)))


def by_part(numbers: Numbers) -> dict[str, float]:
    """Numbers as {part: float}: a bare number becomes the part `value`, None no part; numpy and torch scalars work."""
    if numbers is None:
        return {}
    named = numbers if isinstance(numbers, Mapping) else {SINGLE: numbers}
    return {str(name): _as_float(name, number) for name, number in named.items()}


def _as_float(name: str, number: Any) -> float:
    try:
        return float(number)
    except (TypeError, ValueError) as error:
        raise InputError(f"part {name!r} of a measurement must be one number, got {number!r}") from error
