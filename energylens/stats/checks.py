"""Checks of the inputs of statistics."""

import numpy as np
from numpy.typing import ArrayLike

from energylens.errors import InputError


def finite_array(values: ArrayLike, name: str, ndim: int) -> np.ndarray:
    """`values` as a float array. Raises InputError, naming the first place, for NaN, inf or a wrong rank."""
    array = np.asarray(values, dtype=float)
    if array.ndim != ndim:
        raise InputError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(map(str, bad[0]))
        raise InputError(f"{name} must be finite, got {name}[{place}] = {array[tuple(bad[0])]}")
    return array


def checked_confidence(confidence: float) -> None:
    """Raise InputError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence!r}")
