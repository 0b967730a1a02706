"""The tuned lens of one network at one site, trained once and kept in the store. No torch until it is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from energylens.errors import InputError
from energylens.store.recipe import Artifact, Progress, Recipe


@dataclass(frozen=True)
class TuneLens(Recipe):
    """Translator of a tuned lens (see `metrics.tuned_lens`) at `hook_name`, fitted on training documents alone.

    n_train tokens in whole windows, BOS left out, drawn with `seed`. Tensors: A [d_model d_model], b [d_model].
    meta: `curve`, KL in nats per training token from step 0 on; `held_out`, the same on discovery documents, before
    and after; `seconds`.
    """

    kind: ClassVar[str] = "tuned-lens"
    source: Recipe
    data: Recipe
    hook_name: str
    n_train: int = 40_000
    steps: int = 400
    batch: int = 256
    lr: float = 1e-3
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.n_train, self.steps, self.batch, self.threads) < 1 or not self.lr > 0:
            raise InputError(f"n_train, steps, batch, threads, lr must be positive, received {self!r}")

    def label(self) -> str:
        """The short name shown while it is fitted."""
        return f"tuned lens of {self.source.label()} at {self.hook_name}"

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Fit it; see `energylens.lenses.fit`."""
        from energylens.lenses.fit import fit

        return fit(self, inputs, progress)
