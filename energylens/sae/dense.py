"""Train SAEs by dense products, in which all latents take part.

The gradient is written out (and tested against autograd): it needs no graph, and the decoder's bias costs no sixth
product.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.sae.latents import latent_acts
from energylens.sae.weights import BETA_1, BETA_2, EPSILON, Settings, Trainer, Weights


def loss_and_gradients(
    weights: Weights,
    x: Float[Tensor, "n_seeds batch d_in"],
    k: int | None,
    l1: Float[Tensor, " n_seeds"],
    dtype: torch.dtype,
) -> tuple[Float[Tensor, " n_seeds"], Weights]:
    """Reconstruction loss per seed, the batch mean of |x_hat - x|^2 / d_in, and gradients (as `Weights`).

    The gradients are those of this loss plus the mean over the batch of l1 |latent_acts|_1 / sqrt(d_in). For
    x with mean |x - mean|^2 = d_in the loss is the fraction of variance unexplained, and l1 means the same at
    every d_in.
    """
    n_samples, d_in = x.shape[1:]
    centred = (x - weights.b_dec.unsqueeze(1)).to(dtype)
    W_enc, W_dec = weights.W_enc.to(dtype), weights.W_dec.to(dtype)
    acts = latent_acts(torch.baddbmm(weights.b_enc.unsqueeze(1).to(dtype), centred, W_enc), k)
    sae_error = torch.baddbmm(centred, acts, W_dec, beta=-1)
    master = weights.W_enc.dtype
    loss = sae_error.to(master).square().mean((1, 2))

    grad_x_hat = sae_error * (2 / (n_samples * d_in))
    grad_l1 = (l1 / (n_samples * d_in**0.5)).reshape(-1, 1, 1).to(dtype)
    # relu's own backward, zero where acts <= 0: three times as fast as a product with the sign
    grad_pre = torch.ops.aten.threshold_backward(torch.baddbmm(grad_l1, grad_x_hat, W_dec.mT), acts, 0)
    grad_b_enc = grad_pre.sum(1).to(master)
    gradients = Weights(
        W_enc=torch.bmm(centred.mT, grad_pre).to(master),
        b_enc=grad_b_enc,
        W_dec=torch.bmm(acts.mT, grad_x_hat).to(master),
        b_dec=grad_x_hat.sum(1).to(master) - (weights.W_enc @ grad_b_enc.unsqueeze(-1)).squeeze(-1),
    )
    return loss, gradients


class Dense(Trainer):
    """Trainer of n_seeds SAEs by dense products, in which all latents take part."""

    def __init__(
        self, initial: Weights, settings: Settings, k: int | None, l1: Float[Tensor, " n_seeds"]
    ) -> None:
        self.settings, self.k, self.l1 = settings, k, l1
        self._weights = Weights(**{name: tensor.clone() for name, tensor in vars(initial).items()})
        trained = [self._weights.W_enc, self._weights.b_enc, self._weights.b_dec]
        trained += [self._weights.W_dec] * settings.train_decoder
        self._optimiser = torch.optim.Adam(
            trained, lr=settings.lr, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )

    @property
    def weights(self) -> Weights:
        """See `Trainer`."""
        return self._weights

    def step(self, x: Float[Tensor, "n_seeds batch d_in"]) -> Float[Tensor, " n_seeds"]:
        """See `Trainer`."""
        weights = self._weights
        losses, gradients = loss_and_gradients(weights, x, self.k, self.l1, self.settings.dtype)
        if self.settings.train_decoder:
            gradients = replace(gradients, W_dec=along_sphere(gradients.W_dec, weights.W_dec))
        for name, gradient in vars(gradients).items():
            getattr(weights, name).grad = gradient
        self._optimiser.step()
        if self.settings.train_decoder:
            weights.W_dec.div_(torch.linalg.vector_norm(weights.W_dec, dim=-1, keepdim=True))
        return losses


def along_sphere(
    gradient: Float[Tensor, "n_seeds d_sae d_in"], rows: Float[Tensor, "n_seeds d_sae d_in"]
) -> Float[Tensor, "n_seeds d_sae d_in"]:
    """The gradient without its component along each unit row: what changes a direction and not a length."""
    return gradient - (gradient * rows).sum(-1, keepdim=True) * rows
