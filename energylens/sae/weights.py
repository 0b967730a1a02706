"""Weights of SAEs in training, how they start, and the settings of a training."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.sae.kernels import Kernel

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Parameters of Adam (Kingma & Ba 2015, arXiv:1412.6980)."""


@dataclass(frozen=True)
class Settings:
    """How to train: latents, steps, samples per step and SAE, learning rate, dtype of the products.

    Both kernels give the same SAEs up to rounding, which hundreds of steps amplify.
    """

    d_sae: int = 1024
    steps: int = 500
    batch: int = 512
    lr: float = 1e-3
    train_decoder: bool = True
    dtype: torch.dtype = torch.float32
    kernel: Kernel = "dense"


@dataclass(frozen=True)
class Weights:
    """Weights of n_seeds SAEs: x_hat = latent_acts((x - b_dec) W_enc + b_enc) W_dec + b_dec."""

    W_enc: Float[Tensor, "n_seeds d_in d_sae"]
    b_enc: Float[Tensor, "n_seeds d_sae"]
    W_dec: Float[Tensor, "n_seeds d_sae d_in"]
    b_dec: Float[Tensor, "n_seeds d_in"]


class Trainer(ABC):
    """Weights of n_seeds SAEs, and what it takes to train them."""

    @property
    @abstractmethod
    def weights(self) -> Weights:
        """Weights after the steps so far."""

    @abstractmethod
    def step(self, x: Float[Tensor, "n_seeds batch d_in"]) -> Float[Tensor, " n_seeds"]:
        """Take one step of Adam, after which trained decoder rows have unit length; return every loss before it."""


def initial_weights(d_in: int, d_sae: int, generators: Sequence[torch.Generator]) -> Weights:
    """Decoder rows uniform on the sphere, encoder its transpose, biases zero; one generator per SAE."""
    rows = torch.stack([torch.randn(d_sae, d_in, generator=generator) for generator in generators])
    W_dec = rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    W_enc = torch.einsum("snd->sdn", W_dec).contiguous()
    return Weights(W_enc, torch.zeros(W_dec.shape[:2]), W_dec, torch.zeros(len(generators), d_in))
