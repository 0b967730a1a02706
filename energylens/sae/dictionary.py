"""Dictionaries, which are directions with activations: a trained SAE, or its replacement in a control."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from energylens.metrics.stability import covariance_matched
from energylens.sae.latents import latent_acts
from energylens.sae.sae import SAEs

ROWS_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Unit decoder directions W_dec [d_sae d_model] and `encode`: x [n d_model] to activations [n d_sae]."""

    W_dec: Float[Tensor, "d_sae d_model"]
    encode: Callable[[Tensor], Tensor]

    def acts(self, x: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_sae"]:
        """Activations of all rows; encoded in parts, so that nothing else of their size is made."""
        found = x.new_empty(len(x), len(self.W_dec))
        for part, (acts,) in zip(found.split(ROWS_AT_ONCE), self.in_parts(x), strict=True):
            part.copy_(acts)
        return found

    def in_parts(self, x: Float[Tensor, "n d_model"], *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Activations of some rows at a time, and what `others` have at these rows; nothing of all rows is made."""
        for part, *beside in zip(*(each.split(ROWS_AT_ONCE) for each in (x, *others)), strict=True):
            yield self.encode(part), *beside


def of_saes(saes: SAEs, seed: int) -> Dictionary:
    """The dictionary of one trained SAE."""
    return Dictionary(saes.decoder(seed), lambda x: saes.encode(x, seed))


def random_dictionary(x: Float[Tensor, "n d_model"], d_sae: int, k: int, generator: Generator) -> Dictionary:
    """Random directions with the covariance of x, each read along itself: the k largest of relu <x - mean x, d>."""
    directions, mean = covariance_matched(x, d_sae, generator).float(), x.mean(0)
    return Dictionary(
        directions, lambda rows: latent_acts(torch.einsum("nd,fd->nf", rows - mean, directions), k)
    )
