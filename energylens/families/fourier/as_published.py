"""Fourier estimators exactly as published, errors included, so that both numbers can stand side by side.

Source: the HUSAI study of SAE stability on modular addition (github.com/brightlikethelight/HUSAI), scripts
`fourier_validation_literature.py` (Fourier R^2) and `src/analysis/fourier_validation.py` (overlap). Nothing here
measures what its name promises; the corrected measures are in `energylens.metrics.fourier`.
"""

import math

import torch
from jaxtyping import Float
from scipy.integrate import quad
from scipy.special import gammaln
from scipy.stats import norm
from torch import Tensor

from energylens.errors import InputError
from energylens.metrics.stability import unit_rows


def embedding_r2(W_E: Float[Tensor, "p d_model"], n_frequencies: int = 5) -> float:
    """Published Fourier R^2: 1 - |C - B B^T C|^2 / |C|^2 with C the centred W_E; published values 0 to .021.

    B holds unit cosines and sines of the n frequencies with the largest mean |FFT| over *all* p bins. Three
    errors: bins k and p - k are the same frequency, so their columns repeat and B B^T is twice a projection:
    C - B B^T C is a reflection and the pair contributes exactly 0; the constant bin takes part in the
    selection and contributes 0; so an even number of frequencies gives 0 for any embedding, an odd number the
    power of one unpaired frequency. The published script reports n = 2, 5 and 10; .021 is n = 5, about one
    random frequency of 56.
    """
    p = W_E.shape[0]
    W_E = W_E.double()
    if not 1 <= n_frequencies <= p:
        raise InputError(f"n_frequencies must lie in 1..{p}, received {n_frequencies}")
    magnitude = torch.fft.fft(W_E, dim=0).abs().mean(1)
    bins = magnitude.argsort(descending=True, stable=True)[:n_frequencies]
    angles = torch.einsum("x,k->xk", torch.arange(p, dtype=torch.float64), bins.double()) * (2 * math.pi / p)
    # The sine of bin 0 is zero and stays zero, as in the published code, which divides by max(norm, tiny).
    basis = torch.nn.functional.normalize(torch.cat([angles.cos(), angles.sin()], dim=1), dim=0)
    centred = W_E - W_E.mean(0)
    if not centred.square().sum() > 1e-24 * W_E.square().sum():
        raise InputError("W_E does not vary over tokens: its R^2 is undefined")
    rest = centred - torch.einsum("xk,yk,yd->xd", basis, basis, centred)
    return float(1 - rest.square().sum() / centred.square().sum())


def fourier_overlap(decoder: Float[Tensor, "d_sae d_in"], p: int) -> float:
    """Published SAE-Fourier overlap: mean over latents of the largest signed cosine; published value .26.

    The first p coordinates of each decoder row (zeros appended if there are fewer) are compared with cosines
    and sines *along the model's coordinates*, k = 0..p-1, although the Fourier structure lies along the
    tokens. The coordinates of the residual stream have no order, so this is chance for every decoder:
    `fourier_overlap_chance`.
    """
    d_sae, d_in = decoder.shape
    rows = decoder.double()[:, :p]
    if d_in < p:
        rows = torch.cat([rows, rows.new_zeros(d_sae, p - d_in)], dim=1)
    x = torch.arange(p, dtype=torch.float64)
    angles = torch.einsum("k,x->kx", x, x) * (2 * math.pi / p)
    waves = torch.cat([unit_rows(angles.cos()), unit_rows(angles.sin()[1:])])
    return torch.einsum("nx,kx->nk", unit_rows(rows), waves).amax(1).clamp(min=0).mean().item()


def fourier_overlap_chance(p: int) -> float:
    """Expected `fourier_overlap` of isotropic rows (d_in >= p, p odd): .2537 at p = 113.

    The 2p waves are an orthonormal basis of R^p: constant and cosines one-sided, sines two-sided (sin of p -
    k is -sin of k). For Gaussian rows E max = integral of 1 - Phi(t)^((p+1)/2) (2 Phi(t) - 1)^((p-1)/2) over
    t > 0; the direction is independent of the length, so divide by the mean length E chi_p.
    """
    if p < 3 or p % 2 == 0:
        raise InputError(f"p must be odd and at least 3, received {p}")

    def above(t: float) -> float:
        return 1 - norm.cdf(t) ** ((p + 1) / 2) * (2 * norm.cdf(t) - 1) ** ((p - 1) / 2)

    mean_length = math.sqrt(2) * math.exp(gammaln((p + 1) / 2) - gammaln(p / 2))
    return quad(above, 0, 12)[0] / mean_length
