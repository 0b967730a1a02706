"""Train SAEs on the latents that fire: the encoder is a dense product, all else costs the firing latents only.

One step takes 2 d_in d_sae FLOPs a sample for the encoder and 8 d_in L0 for the rest (decoder, and three backward
products), where dense products take five times the encoder. Compiled by numba; importing this module compiles nothing.
Sums run in a fixed order in one thread, so that the same step has the same bits. Compiled functions are excepted from
type checks at runtime, which would wrap them; numbers that they use are arguments, since compiled code is kept on disk
and knows of no edit in another file.
"""

import math
from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor

from energylens.sae.dense import loss_and_gradients
from energylens.sae.latents import check_k
from energylens.sae.weights import BETA_1, BETA_2, EPSILON, Settings, Trainer, Weights

MOST_FIRING = 1 / 8
"""Share of latents up to which a ReLU SAE trains on those that fire; above it dense products are faster in float32."""

RECOUNT_EVERY = 10
"""Steps of dense products after which the latents that fire are counted, at the price of one product more."""


class Sparse(Trainer):
    """Trainer of n_seeds SAEs that holds the encoder transposed, so that what belongs to one latent is one row.

    ReLU SAEs train on the latents that fire where few did when they were last counted, and by dense products otherwise,
    each SAE by its own count. TopK SAEs fire few by definition.
    """

    def __init__(
        self, initial: Weights, settings: Settings, k: int | None, l1: Float[Tensor, " n_seeds"]
    ) -> None:
        n_seeds, d_sae = initial.W_dec.shape[:2]
        if k is not None:
            check_k(k, d_sae)
        self.settings, self.k, self.l1, self.steps = settings, k, l1, 0
        arrays = (initial.W_enc.mT.contiguous(), initial.b_enc, initial.W_dec, initial.b_dec)
        self.tensors = tuple(tensor.clone() for tensor in arrays)
        self.gradients, self._mean, self._square = (
            tuple(torch.zeros_like(tensor) for tensor in self.tensors) for _ in range(3)
        )
        self._firing = [float(d_sae)] * n_seeds

    @property
    def weights(self) -> Weights:
        """See `Trainer`."""
        W_enc_T, b_enc, W_dec, b_dec = self.tensors
        return Weights(W_enc_T.mT.contiguous(), b_enc, W_dec, b_dec)

    def step(self, x: Float[Tensor, "n_seeds batch d_in"]) -> Float[Tensor, " n_seeds"]:
        """See `Trainer`."""
        losses = self.backward(x)
        self.steps += 1
        for seed in range(len(losses)):
            for i, on_sphere in enumerate((False, False, True, False)):
                if not on_sphere or self.settings.train_decoder:
                    held = (self.tensors, self.gradients, self._mean, self._square)
                    rows = [each[i][seed].numpy() for each in held]
                    rows = [row.reshape(-1, row.shape[-1]) for row in rows]
                    _adam(*rows, self.settings.lr, BETA_1, BETA_2, EPSILON, self.steps, on_sphere)
        return losses

    def backward(self, x: Float[Tensor, "n_seeds batch d_in"]) -> Float[Tensor, " n_seeds"]:
        """Compute the gradients; the losses are those of `loss_and_gradients`."""
        losses = torch.empty(len(x))
        few = MOST_FIRING * self.tensors[2].shape[1]
        for seed, samples in enumerate(x):
            on_firing = self.k is not None or self._firing[seed] <= few
            losses[seed] = (self._on_firing if on_firing else self._dense)(seed, samples)
        return losses

    def _on_firing(self, seed: int, samples: Float[Tensor, "batch d_in"]) -> float:
        """Loss of one SAE, NaN where a pre-activation is not finite."""
        W_enc_T, _, W_dec, b_dec = (tensor[seed] for tensor in self.tensors)
        pre, centred = self._pre_acts(seed, samples), samples - b_dec
        if not torch.isfinite(pre.sum()):
            return math.nan
        arrays = [tensor.numpy() for tensor in (pre, centred, W_enc_T, W_dec)]
        gradients = [tensor[seed].numpy() for tensor in self.gradients]
        k = len(W_dec) if self.k is None else self.k
        penalty = float(self.l1[seed]) / (len(samples) * samples.shape[1] ** 0.5)
        loss, firing = _loss_and_gradients(*arrays, k, penalty, *gradients)
        self._firing[seed] = firing / len(samples)
        return float(loss)

    def _dense(self, seed: int, samples: Float[Tensor, "batch d_in"]) -> float:
        """Loss of one SAE by dense products."""
        one = slice(seed, seed + 1)
        W_enc_T, b_enc, W_dec, b_dec = (tensor[one] for tensor in self.tensors)
        weights = Weights(W_enc_T.mT, b_enc, W_dec, b_dec)
        loss, found = loss_and_gradients(weights, samples[None], self.k, self.l1[one], self.settings.dtype)
        of_rows = (found.W_enc.mT, found.b_enc, found.W_dec, found.b_dec)
        for held, gradient in zip(self.gradients, of_rows, strict=True):
            held[one] = gradient
        if self.steps % RECOUNT_EVERY == 0:
            self._firing[seed] = float((self._pre_acts(seed, samples) > 0).sum()) / len(samples)
        return float(loss)

    def _pre_acts(self, seed: int, samples: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_sae"]:
        W_enc_T, b_enc, _, b_dec = (tensor[seed] for tensor in self.tensors)
        dtype = self.settings.dtype
        return torch.addmm(b_enc.to(dtype), (samples - b_dec).to(dtype), W_enc_T.to(dtype).T).float()


def _compiled(**flags: Any) -> Callable[[Any], Any]:
    """Compile a function by numba and keep the code on disk, where there is a folder that can be written."""

    def compiled(function: Any) -> Any:
        try:
            return njit(cache=True, error_model="numpy", nogil=True, **flags)(function)
        except RuntimeError:
            return njit(error_model="numpy", nogil=True, **flags)(function)

    return compiled


@no_type_check
@_compiled(fastmath={"reassoc", "contract", "nsz", "nnan"})
def _bound(values, k):
    """The least of the maxima of k groups, or 0: at most the k-th largest value, for each group holds one as large."""
    size, least = len(values) // k, np.float32(np.inf)
    for group in range(k):
        largest = np.float32(0)
        for i in range(group * size, (group + 1) * size):
            largest = values[i] if values[i] > largest else largest
        least = largest if largest < least else least
    return least


@no_type_check
@_compiled(fastmath={"reassoc", "contract", "nsz"})
def _largest(values, k, candidates, indices):
    """The k largest positive values and their indices, unordered, at the start of both arrays; how many there are.

    What is smaller than `_bound` is no candidate; among the candidates Hoare's selection decides. Values are finite.
    """
    n = len(values)
    least = _bound(values, k) if k < n else np.float32(0)
    found = 0
    for i in range(n):
        value = values[i]
        indices[found] = i
        candidates[found] = value
        found += (value >= least) & (value > 0)
    low, high = 0, found - 1
    while found > k and low < high:
        pivot = candidates[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while candidates[i] > pivot:
                i += 1
            while candidates[j] < pivot:
                j -= 1
            if i <= j:
                candidates[i], candidates[j] = candidates[j], candidates[i]
                indices[i], indices[j] = indices[j], indices[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    return min(k, found)


@no_type_check
@_compiled(fastmath={"reassoc", "contract", "nsz"})
def _loss_and_gradients(pre, centred, W_enc_T, W_dec, k, penalty, g_enc, g_b_enc, g_dec, g_b_dec):
    """Loss of one SAE, and how many latents fired on all samples; its gradients are written into the last four.

    penalty: what the loss gains with the activation of any latent on any sample.
    """
    batch, d_in = centred.shape
    g_enc[:], g_b_enc[:], g_dec[:], g_b_dec[:] = 0, 0, 0, 0
    candidates = np.empty(pre.shape[1] + 1, dtype=np.float32)
    indices = np.empty(pre.shape[1] + 1, dtype=np.int64)
    error = np.empty(d_in, dtype=np.float32)
    scale, slope = np.float32(2 / (batch * d_in)), np.float32(penalty)
    loss, fired = 0.0, 0
    for b in range(batch):
        firing = _largest(pre[b], k, candidates, indices)
        fired += firing
        x = centred[b]
        for d in range(d_in):
            error[d] = -x[d]
        for i in range(firing):
            act, row = candidates[i], W_dec[indices[i]]
            for d in range(d_in):
                error[d] += act * row[d]
        total = np.float32(0)
        for d in range(d_in):
            total += error[d] * error[d]
            error[d] *= scale
            g_b_dec[d] += error[d]
        loss += total
        for i in range(firing):
            act, j = candidates[i], indices[i]
            row, g_row, g_column = W_dec[j], g_dec[j], g_enc[j]
            g_act = np.float32(0)
            for d in range(d_in):
                g_act += row[d] * error[d]
            g_act += slope
            for d in range(d_in):
                g_row[d] += act * error[d]
                g_column[d] += g_act * x[d]
            g_b_enc[j] += g_act
    for j in range(len(g_b_enc)):
        column = W_enc_T[j]
        for d in range(d_in):
            g_b_dec[d] -= g_b_enc[j] * column[d]
    return loss / (batch * d_in), fired


@no_type_check
@_compiled(fastmath={"reassoc", "contract", "nsz"})
def _adam(rows, gradient, mean, square, lr, beta_1, beta_2, epsilon, steps, on_sphere):
    """Adam in place; on the sphere the gradient loses its part along each unit row, and rows end at length 1."""
    b_1, b_2, e = np.float32(beta_1), np.float32(beta_2), np.float32(epsilon)
    step = np.float32(lr / (1 - beta_1**steps))
    correction = np.float32(1 / math.sqrt(1 - beta_2**steps))
    for i in range(len(rows)):
        row, g, m, v = rows[i], gradient[i], mean[i], square[i]
        along = np.float32(0)
        if on_sphere:
            for d in range(len(row)):
                along += g[d] * row[d]
        length = np.float32(0)
        for d in range(len(row)):
            slope = g[d] - along * row[d]
            m[d] = b_1 * m[d] + (1 - b_1) * slope
            v[d] = b_2 * v[d] + (1 - b_2) * slope * slope
            row[d] -= step * m[d] / (np.sqrt(v[d]) * correction + e)
            length += row[d] * row[d]
        if on_sphere:
            inverse = np.float32(1) / np.sqrt(length)
            for d in range(len(row)):
                row[d] *= inverse
