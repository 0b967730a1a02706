"""ReLU with the L1 coefficient at which SAEs reach a given L0: trial coefficients are the batch dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from energylens.errors import InputError
from energylens.sae.methods.base import Fitted, Method

if TYPE_CHECKING:
    import torch

    from energylens.sae.train import Progress
    from energylens.sae.weights import Settings

GRID = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
REFINEMENT = (0.6, 0.77, 1.0, 1.3, 1.7)
NEAR = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Factors on the coefficient from which a search starts: wider than REFINEMENT, since it belongs to another network."""


@dataclass(frozen=True)
class MatchedReLU(Method):
    """ReLU whose L1 coefficient brings L0 on the training activations near `l0`.

    The coefficient is searched with an SAE of `search_seed`, which must not be one of the seeds that are
    studied. It begins near `start`, if given, and costs less where the coefficient lies within a factor of two of it.
    """

    name: ClassVar[str] = "matched-relu"
    l0: int | float = 32
    search_seed: int = 7
    start: int | float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.l0 < float("inf"):
            raise InputError(f"the L0 to match must be finite and positive, received {self.l0}")
        if self.start is not None and not 0 < self.start < float("inf"):
            raise InputError(f"the L1 to start from must be finite and positive, received {self.start}")

    def label(self) -> str:
        """Short name: "ReLU at L0 32"."""
        return f"ReLU at L0 {self.l0:g}"

    def check(self, d_sae: int, seeds: Sequence[int]) -> None:
        """See `Method`: what is studied had no part in the search."""
        if self.search_seed in seeds:
            raise InputError(f"search_seed {self.search_seed} is one of the seeds {seeds}")

    def fit(self, x: torch.Tensor, seeds: Sequence[int], settings: Settings, progress: Progress) -> Fitted:
        """See `Method`; meta: `search`, the trials."""
        from energylens.sae.train import train

        def searching(step: int, steps: int, numbers: Mapping[str, float]) -> None:
            progress(step, steps + settings.steps, numbers)

        found = matched_l1(x, self.l0, self.search_seed, settings, searching, self.start)
        before, l1 = found.rounds * settings.steps, [found.l1] * len(seeds)

        def training(step: int, steps: int, numbers: Mapping[str, float]) -> None:
            progress(before + step, before + steps, numbers)

        return Fitted(train(x, seeds, settings, None, l1, training), {"l1": l1, "search": found.trials})

    def latent_acts(self, pre_acts: torch.Tensor) -> torch.Tensor:
        """See `Method`."""
        return pre_acts.relu()


@dataclass(frozen=True)
class Matched:
    """The L1 coefficient found, the trials {"l1", "l0"} on the way, and how many rounds of trials there were."""

    l1: float
    trials: list[dict[str, float]]
    rounds: int


class NoCrossing(InputError):
    """No neighbouring pair of trials has the target between."""


def crossing(l1: Sequence[float], l0: Sequence[float], target: int | float) -> float:
    """The coefficient where L0 falls through `target`, log-log between the first trials around it.

    Errors: NoCrossing, naming the L0 that were reached, where no neighbouring pair has the target between.
    """
    for (l1_low, above), (l1_high, below) in pairwise(zip(l1, l0, strict=True)):
        if above >= target > below:
            # an L0 of 0 has no logarithm: one latent in a thousand samples stands for it
            fall = math.log(above / max(below, 1e-3))
            return l1_low * (l1_high / l1_low) ** min(1.0, math.log(above / target) / fall)
    reached = ", ".join(f"{one:.3g} at {coefficient:.3g}" for coefficient, one in zip(l1, l0, strict=True))
    raise NoCrossing(f"no L1 coefficient tried gives L0 {target:g}; L0 is {reached}")


def matched_l1(
    x: torch.Tensor,
    target: int | float,
    search_seed: int,
    settings: Settings,
    progress: Progress,
    start: int | float | None = None,
) -> Matched:
    """L1 coefficient for L0 = `target` on `x` [n, d_in] (in training units).

    All trials are of one seed, with complete training: NEAR the `start`, where there is one; then, or where these miss
    the target, a coarse grid and one refinement around its crossing. `progress` counts the steps of the search.
    """
    from energylens.sae.sae import encode
    from energylens.sae.train import train

    rounds: list[list[dict[str, float]]] = []

    def crossing_among(coefficients: Sequence[float], rounds_left: int) -> float:
        steps_before = len(rounds) * settings.steps

        def searching(step: int, steps: int, numbers: Mapping[str, float]) -> None:
            progress(steps_before + step, steps_before + (1 + rounds_left) * steps, numbers)

        weights = train(x, [search_seed] * len(coefficients), settings, None, coefficients, searching).weights
        l0 = [float((encode(weights, i, x, None) > 0).sum()) / len(x) for i in range(len(coefficients))]
        rounds.append([{"l1": a, "l0": b} for a, b in zip(coefficients, l0, strict=True)])
        return crossing(coefficients, l0, target)

    def search() -> float:
        if start is not None:
            with suppress(NoCrossing):
                return crossing_among([start * factor for factor in NEAR], 0)
        coarse = crossing_among(GRID, 1)
        return crossing_among([coarse * factor for factor in REFINEMENT], 0)

    found = search()
    return Matched(found, [trial for trials in rounds for trial in trials], len(rounds))
