"""The tuned lens: an affine translator of the residual, fitted so that the lens predicts the network's output."""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional

from energylens.errors import InputError
from energylens.metrics.lens import Lens, Translator, check, in_parts

QUARTERS = 4
"""Number of equal parts of the fit after which the curve is measured; in all as costly as fitting on three times all
tokens."""


class Fit(NamedTuple):
    """A fitted translator, and the KL in nats per training token at step 0 (logit lens) .. `steps`."""

    A: Float[Tensor, "d_model d_model"]
    b: Float[Tensor, " d_model"]
    curve: Float[Tensor, " points"]


@torch.no_grad()
def fit_translator(
    x: Float[Tensor, "n d_model"],
    x_final: Float[Tensor, "n d_model"],
    lens: Lens,
    *,
    steps: int,
    lr: float,
    batch: int,
    generator: Generator,
) -> Fit:
    """The tuned lens (Belrose et al. 2023, arXiv:2303.08112): A, b that minimise KL(p_final || p_translated).

    x, x_final: residuals at one layer and after the last, of the *training* tokens alone; p_final is what
    `lens` reads in x_final. From zero by Adam (the paper: SGD with momentum and weight decay; as there, the
    rate falls linearly to 0), `batch` tokens a step, drawn with replacement. `curve` is the mean over all n
    tokens at steps 0, 1/4 .. 1; A and b are those of its lowest point, so that the tuned lens is never worse
    on its training data than the logit lens. Under LayerNorm A and b are not unique: it ignores their mean
    over the outputs. Memory: a few [batch d_vocab]. Errors: InputError for a lens that translates already, or
    a KL that is not finite.
    """
    _check_fit(x, x_final, lens, steps, lr, batch)
    A, b = x.new_zeros(x.shape[1], x.shape[1]), x.new_zeros(x.shape[1])
    tuned = replace(lens, translator=Translator(A, b))
    optimiser = torch.optim.Adam([A, b], lr=lr)
    best, curve = (A.clone(), b.clone()), [mean_kl(lens, tuned, x, x_final, batch)]
    for step in range(steps):
        rows = torch.randint(len(x), (batch,), generator=generator, device=generator.device).to(x.device)
        _, by_logits = _kl(lens, tuned, x[rows], x_final[rows])
        slope = lens.pull_back(tuned.translated(x[rows]), functional.linear(by_logits, lens.W_U))
        A.grad, b.grad = torch.einsum("ni,nj->ij", slope, x[rows]) / batch, slope.mean(0)
        optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        optimiser.step()
        if (step + 1) * QUARTERS // steps > step * QUARTERS // steps:
            curve.append(mean_kl(lens, tuned, x, x_final, batch))
            if curve[-1] < min(curve[:-1]):
                best = A.clone(), b.clone()
    return Fit(*best, curve=torch.tensor(curve, dtype=torch.float64))


def _kl(lens: Lens, tuned: Lens, x: Tensor, x_final: Tensor) -> tuple[Tensor, Tensor]:
    """KL(p_final || p_tuned) by token, in nats, and its gradient on the tuned logits, p_tuned - p_final."""
    log_final, log_tuned = lens.logits(x_final).log_softmax(-1), tuned.logits(x).log_softmax(-1)
    final = log_final.exp()
    return (final * (log_final - log_tuned)).sum(-1), log_tuned.exp_() - final


@torch.no_grad()
def mean_kl(
    lens: Lens,
    tuned: Lens,
    x: Float[Tensor, "n d_model"],
    x_final: Float[Tensor, "n d_model"],
    batch: int,
) -> float:
    """Mean over tokens of KL(p_final || p_tuned), nats; p_final is what `lens` reads in x_final, `batch` at a time."""
    parts = (_kl(lens, tuned, x[part], x_final[part])[0] for part in in_parts(len(x), batch))
    mean = sum(float(kl.double().sum()) for kl in parts) / len(x)
    if not math.isfinite(mean):
        raise InputError(f"the KL over {len(x)} training tokens is {mean}; lr may be too large")
    return mean


def _check_fit(x: Tensor, x_final: Tensor, lens: Lens, steps: int, lr: float, batch: int) -> None:
    if lens.translator is not None:
        raise InputError("the lens to be tuned already has a translator; give the logit lens")
    if not (len(x) >= 1 and steps >= 1 and batch >= 1 and lr > 0):
        raise InputError(f"nothing to fit: {len(x)} tokens, steps={steps}, batch={batch}, lr={lr}")
    for name, rows in {"x": x, "x_final": x_final}.items():
        check(name, rows, (len(x), lens.W_U.shape[0]), lens.W_U.dtype)
