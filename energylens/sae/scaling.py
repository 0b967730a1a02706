"""Bring activations to the units in which SAEs are trained, and trained weights back to their own."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.errors import InputError
from energylens.sae.weights import Weights


@dataclass(frozen=True)
class Scaling:
    """x -> factor (x - mean). One scalar for all dimensions, so that decoder directions stay what they are.

    After it the mean of |x|^2 is d_in, so that a learning rate and an L1 coefficient mean the same on every
    network. Centring starts b_dec at the mean activation, and keeps bf16's digits for what varies.
    """

    mean: Float[Tensor, " d_in"]
    factor: float

    @classmethod
    def of(cls, x: Float[Tensor, "n d_in"]) -> "Scaling":
        """From the training activations. Errors: InputError for NaN, infinite or constant activations."""
        if not torch.isfinite(x).all():
            bad = (~torch.isfinite(x)).any(1).sum().item()
            raise InputError(f"{bad} of {len(x)} activations have NaN or infinite values")
        mean = x.double().mean(0)
        variance = (x.double() - mean).square().sum(1).mean().item()
        # float32 rounding alone leaves about 1e-14 of the squared norm
        if variance <= 1e-12 * mean.square().sum().item():
            raise InputError(
                f"{len(x)} activations do not vary: variance {variance:.3g}, norm of mean {mean.norm():.3g}"
            )
        return cls(mean.float(), (x.shape[1] / variance) ** 0.5)

    def apply(self, x: Float[Tensor, "n d_in"]) -> Float[Tensor, "n d_in"]:
        """Activations in training units."""
        return (x - self.mean) * self.factor

    def undo(self, weights: Weights) -> Weights:
        """The same SAEs for the activations themselves.

        ReLU and TopK commute with a positive factor, so only the biases change, and latent activations are
        divided by the factor: they are in the units of x.
        """
        b_enc, b_dec = weights.b_enc / self.factor, weights.b_dec / self.factor + self.mean
        return Weights(weights.W_enc, b_enc, weights.W_dec, b_dec)
