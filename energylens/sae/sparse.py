"""Train TopK SAEs on the k rows that fire: the encoder is a dense product, all else costs k of n latents.

One step takes 2 d_in d_sae FLOPs a sample for the encoder and 8 d_in k for the rest (decoder, and three backward
products), where dense products take five times the encoder. Compiled by numba; importing this module compiles nothing.
Sums run in a fixed order in one thread, so that the same step has the same bits. Compiled functions are excepted from
type checks at runtime, which would wrap them.
"""

import math
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor

from energylens.sae.latents import check_k
from energylens.sae.weights import BETA_1, BETA_2, EPSILON, Settings, Trainer, Weights

# Sums may be reordered and fused, which is what lets them use vectors; NaN and infinities keep their meaning.
_compiled = njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy", nogil=True)


class SparseTopK(Trainer):
    """Weights of n_seeds TopK SAEs in training, with the encoder transposed, gradients and Adam's sums."""

    def __init__(self, initial: Weights, settings: Settings, k: int) -> None:
        check_k(k, initial.W_dec.shape[1])
        self.settings, self.k, self.steps = settings, k, 0
        arrays = (initial.W_enc.mT.contiguous(), initial.b_enc, initial.W_dec, initial.b_dec)
        self.tensors = tuple(tensor.clone() for tensor in arrays)
        self._w = tuple(tensor.numpy() for tensor in self.tensors)
        self._gradients, self._mean, self._square = (
            tuple(np.zeros_like(array) for array in self._w) for _ in range(3)
        )

    @property
    def weights(self) -> Weights:
        """See `Trainer`."""
        W_enc_T, b_enc, W_dec, b_dec = self.tensors
        return Weights(W_enc_T.mT.contiguous(), b_enc, W_dec, b_dec)

    def step(self, x: Float[Tensor, "n_seeds batch d_in"]) -> Float[Tensor, " n_seeds"]:
        """See `Trainer`."""
        losses = self._backward(x)
        self.steps += 1
        for seed in range(len(losses)):
            for i, along_sphere in enumerate((False, False, True, False)):
                if not along_sphere or self.settings.train_decoder:
                    rows = [each[i][seed] for each in (self._w, self._gradients, self._mean, self._square)]
                    rows = [row.reshape(-1, row.shape[-1]) for row in rows]
                    _adam(*rows, self.settings.lr, self.steps, along_sphere)
        return losses

    def _backward(self, x: Float[Tensor, "n_seeds batch d_in"]) -> Float[Tensor, " n_seeds"]:
        """Losses; fills the gradients."""
        W_enc_T, b_enc, _, b_dec = self.tensors
        dtype, losses = self.settings.dtype, torch.empty(len(x))
        pre = torch.empty(x.shape[1], W_enc_T.shape[1], dtype=dtype)
        for seed, samples in enumerate(x):
            centred = samples - b_dec[seed]
            torch.addmm(b_enc[seed].to(dtype), centred.to(dtype), W_enc_T[seed].to(dtype).T, out=pre)
            weights, gradients = ([array[seed] for array in arrays] for arrays in (self._w, self._gradients))
            losses[seed] = _loss_and_gradients(
                pre.float().numpy(), centred.numpy(), self.k, weights[0], weights[2], *gradients
            )
        return losses


@no_type_check
@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "nnan"}, error_model="numpy", nogil=True)
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
@_compiled
def _largest(values, k, candidates, indices):
    """The k largest positive values and their indices, unordered, at the start of both arrays; how many there are.

    What is smaller than `_bound` is no candidate; among the candidates Hoare's selection decides.
    """
    least = _bound(values, k)
    found = 0
    for i in range(len(values)):
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
@_compiled
def _loss_and_gradients(pre, centred, k, W_enc_T, W_dec, g_enc, g_b_enc, g_dec, g_b_dec):
    """Loss of one SAE; its gradients are written into the last four."""
    batch, d_in = centred.shape
    g_enc[:], g_b_enc[:], g_dec[:], g_b_dec[:] = 0, 0, 0, 0
    candidates = np.empty(pre.shape[1] + 1, dtype=np.float32)
    indices = np.empty(pre.shape[1] + 1, dtype=np.int64)
    error = np.empty(d_in, dtype=np.float32)
    scale = np.float32(2 / (batch * d_in))
    loss = 0.0
    for b in range(batch):
        firing = _largest(pre[b], k, candidates, indices)
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
            for d in range(d_in):
                g_row[d] += act * error[d]
                g_column[d] += g_act * x[d]
            g_b_enc[j] += g_act
    for j in range(len(g_b_enc)):
        column = W_enc_T[j]
        for d in range(d_in):
            g_b_dec[d] -= g_b_enc[j] * column[d]
    return loss / (batch * d_in)


@no_type_check
@_compiled
def _adam(rows, gradient, mean, square, lr, steps, along_sphere):
    """Adam in place; along the sphere the gradient loses its part along each unit row, and rows end at length 1."""
    beta_1, beta_2, epsilon = np.float32(BETA_1), np.float32(BETA_2), np.float32(EPSILON)
    step = np.float32(lr / (1 - BETA_1**steps))
    correction = np.float32(1 / math.sqrt(1 - BETA_2**steps))
    for i in range(len(rows)):
        row, g, m, v = rows[i], gradient[i], mean[i], square[i]
        along = np.float32(0)
        if along_sphere:
            for d in range(len(row)):
                along += g[d] * row[d]
        length = np.float32(0)
        for d in range(len(row)):
            slope = g[d] - along * row[d]
            m[d] = beta_1 * m[d] + (1 - beta_1) * slope
            v[d] = beta_2 * v[d] + (1 - beta_2) * slope * slope
            row[d] -= step * m[d] / (np.sqrt(v[d]) * correction + epsilon)
            length += row[d] * row[d]
        if along_sphere:
            inverse = np.float32(1) / np.sqrt(length)
            for d in range(len(row)):
                row[d] *= inverse
