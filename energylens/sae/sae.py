"""Trained sparse autoencoders as claims see them: one dictionary per seed, in the activations' units."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.errors import InputError
from energylens.sae.latents import latent_acts
from energylens.sae.methods.base import Method
from energylens.sae.methods.table import method_from_json
from energylens.sae.weights import Weights
from energylens.store.recipe import Artifact


def pre_acts(weights: Weights, i: int, x: Float[Tensor, "n d_in"]) -> Float[Tensor, "n d_sae"]:
    """What a method makes latent activations of: (x - b_dec) W_enc + b_enc of the i-th SAE."""
    return (x - weights.b_dec[i]) @ weights.W_enc[i] + weights.b_enc[i]


def encode(weights: Weights, i: int, x: Float[Tensor, "n d_in"], k: int | None) -> Float[Tensor, "n d_sae"]:
    """Latent activations of the i-th SAE: relu((x - b_dec) W_enc + b_enc), the k largest where k is given."""
    return latent_acts(pre_acts(weights, i, x), k)


def decode(weights: Weights, i: int, acts: Float[Tensor, "n d_sae"]) -> Float[Tensor, "n d_in"]:
    """Reconstruction by the i-th SAE: latent_acts W_dec + b_dec."""
    return acts @ weights.W_dec[i] + weights.b_dec[i]


@dataclass(frozen=True)
class SAEs:
    """The SAEs of one recipe, and the method that trained them; `meta` is what the build measured."""

    seeds: tuple[int, ...]
    method: Method
    weights: Weights
    W_dec_init: Float[Tensor, "n_seeds d_sae d_in"]
    meta: Mapping[str, Any]

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> "SAEs":
        """The SAEs that TrainSAEs stored."""
        tensors = {name: torch.tensor(array) for name, array in artifact.tensors.items()}
        weights = Weights(**{field.name: tensors[field.name] for field in fields(Weights)})
        meta = artifact.meta
        method = method_from_json(meta["method"])
        return cls(tuple(meta["seeds"]), method, weights, tensors["W_dec_init"], meta)

    def decoder(self, seed: int) -> Float[Tensor, "d_sae d_in"]:
        """Unit-norm decoder directions."""
        return self.weights.W_dec[self._index(seed)]

    def initial_decoder(self, seed: int) -> Float[Tensor, "d_sae d_in"]:
        """Decoder directions at step 0: the control that knows no data."""
        return self.W_dec_init[self._index(seed)]

    def encoder(self, seed: int) -> Float[Tensor, "d_in d_sae"]:
        """Encoder directions, one per column."""
        return self.weights.W_enc[self._index(seed)]

    def encode(self, x: Float[Tensor, "n d_in"], seed: int) -> Float[Tensor, "n d_sae"]:
        """Latent activations."""
        return self.method.latent_acts(pre_acts(self.weights, self._index(seed), x))

    def reconstruct(self, x: Float[Tensor, "n d_in"], seed: int) -> Float[Tensor, "n d_in"]:
        """x_hat."""
        return decode(self.weights, self._index(seed), self.encode(x, seed))

    def _index(self, seed: int) -> int:
        if seed not in self.seeds:
            raise InputError(f"there is no SAE of seed {seed}; seeds are {', '.join(map(str, self.seeds))}")
        return self.seeds.index(seed)
