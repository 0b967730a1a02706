"""Energy-feature alignment (EFAS), which tells whether a latent fires where its direction lowers the energy.

EFAS_f = corr over tokens of a_f, the activation of latent f, and g_f = -<grad_x E, d_f>, what the energy falls by
per unit of its decoder direction d_f at that token. Not the published estimator, which takes the difference of E
along token positions for its gradient (`energylens.families.energy.as_published`).

All latents at once, in one pass, without the [tokens d_sae] matrix of g. Its mean and variance over all tokens
follow from those of the gradient, mean g_f = -<mean grad, d_f>, var g_f = d_f^T cov(grad) d_f; and where a latent
does not fire a_f = 0 exactly, so what a_f and g_f have in common is decided at its firing tokens. g is computed
there only: of T tokens with k firing latents T k d_model multiplications instead of T d_sae d_model. Memory
O(d_sae (1 + n_covariates) + (d_model + n_covariates)^2) in float64, whatever the number of tokens.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.metrics.comoments import (
    CoMoments,
    Covariation,
    Firing,
    FiringMoments,
    Products,
    over_all_tokens,
    root_mean_square,
)

LEAST_FIRING = 50
"""Firing tokens below which `efas_firing` is not reported."""

ENTRIES_AT_ONCE = 2**21
"""Entries of [tokens d_sae] per chunk: temporaries are 2 MB and some 64 bytes for every entry that is not 0."""


EXPLAINED = 1e-10
"""Share of the variance of a or g left by the covariates that is no more than the cancellation of float64."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Alignments of all latents, float64; undefined is NaN, and `undefined` counts why.

    - efas_all: over all tokens. efas_firing: over the tokens where the latent fires, a_f != 0, at least
      LEAST_FIRING of them.
    - efas_partial: over all tokens, after least squares (with intercept) of a_f and of g_f on `covariates`;
      without covariates it is efas_all. Constant and redundant covariates explain nothing further.
    - gradient_times_activation: mean over all tokens of a_f g_f, in units of the energy: to first order, what the
      energy rises by where a_f d_f is taken out of x. 0, exactly, for a latent that never fires.
    - undefined: {"efas_all" | "efas_firing" | "efas_partial": {reason: latents}}; each NaN has one reason, the
      first that applies: "never fires", "fewer than 50 firing tokens", "constant" (a_f or g_f varies no more than
      rounding), "explained by the covariates" (what is left of either is no more than rounding).
    """

    efas_all: Float[Tensor, " d_sae"]
    efas_firing: Float[Tensor, " d_sae"]
    efas_partial: Float[Tensor, " d_sae"]
    gradient_times_activation: Float[Tensor, " d_sae"]
    firing_counts: Int[Tensor, " d_sae"]
    n_tokens: int
    covariates: tuple[str, ...]
    undefined: Mapping[str, Mapping[str, int]]


class AlignmentStatistics:
    """Streams batches of (latent_acts, gradients, covariates); `compute` gives the Alignment of all of them.

    Two of them over different documents add up to that of both, so documents can be left out or drawn again.
    """

    def __init__(self, W_dec: Float[Tensor, "d_sae d_model"], covariates: Sequence[str] = ()) -> None:
        """`W_dec`: decoder directions, rows of length 1. `covariates`: names, in the order of their columns."""
        self.W_dec = unit_directions(W_dec)
        self.covariates = tuple(covariates)
        d_sae, d_model = W_dec.shape
        self._tokens = CoMoments.none(d_model + len(self.covariates))
        self._firing = FiringMoments.none(d_sae, len(self.covariates))
        self._eps = torch.finfo(self.W_dec.dtype).eps

    @torch.no_grad()
    def update(
        self,
        latent_acts: Float[Tensor, "tokens d_sae"],
        gradients: Float[Tensor, "tokens d_model"],
        covariates: Float[Tensor, "tokens n_covariates"] | None = None,
    ) -> None:
        """Add a batch; `gradients` is grad_x E, `covariates` numbers of each token (position, norm, frequency).

        Errors: InputError for no tokens, shapes that do not fit, NaN or infinity; then nothing was added.
        """
        if covariates is None:
            covariates = gradients.new_empty(len(gradients), 0)
        self._check(latent_acts, gradients, covariates)
        at_once = max(1, ENTRIES_AT_ONCE // latent_acts.shape[1])
        parts = (each.split(at_once) for each in (latent_acts, gradients, covariates))
        tokens, firing = self._tokens, self._firing
        for acts, gradient, z in zip(*parts, strict=True):
            rows = torch.cat([gradient.cpu().double(), z.cpu().double()], dim=1)
            entries = Firing.of(acts)
            if not (np.isfinite(entries.a).all() and torch.isfinite(rows).all()):
                raise InputError("activations, gradients or covariates have NaN or infinite values")
            g = entries.projected(gradient, self.W_dec)
            tokens = tokens + CoMoments.of(rows)
            firing = firing + FiringMoments.of(entries, g, rows[:, gradient.shape[1] :])
        self._tokens, self._firing = tokens, firing
        if {latent_acts.dtype, gradients.dtype} != {torch.float64}:
            self._eps = torch.finfo(torch.float32).eps

    def __add__(self, other: "AlignmentStatistics") -> "AlignmentStatistics":
        if self.covariates != other.covariates or not torch.equal(self.W_dec, other.W_dec):
            raise InputError(
                f"statistics of different decoders or covariates do not add up: {tuple(self.W_dec.shape)} with "
                f"{self.covariates} and {tuple(other.W_dec.shape)} with {other.covariates}"
            )
        both = AlignmentStatistics(self.W_dec, self.covariates)
        both._tokens, both._firing = self._tokens + other._tokens, self._firing + other._firing
        both._eps = max(self._eps, other._eps)
        return both

    def compute(self) -> Alignment:
        """The alignments over everything added so far. Errors: InputError where there were no tokens."""
        if self._tokens.n == 0:
            raise InputError("no tokens were added: there is nothing to align")
        over_all = over_all_tokens(self._tokens, self._firing, self.W_dec.double())
        values, reasons = _correlations(self._tokens, self._firing, over_all, max(4 * self._eps, 1e-12))
        total = self._firing.a_products[:, 1] + self._firing.count * self._firing.mean[:, :2].prod(1)
        return Alignment(
            **values,
            gradient_times_activation=total / self._tokens.n,
            firing_counts=self._firing.count.long(),
            n_tokens=self._tokens.n,
            covariates=self.covariates,
            undefined=MappingProxyType(reasons),
        )

    def _check(self, latent_acts: Tensor, gradients: Tensor, covariates: Tensor) -> None:
        n, (d_sae, d_model) = len(latent_acts), self.W_dec.shape
        expected = [(n, d_sae), (n, d_model), (n, len(self.covariates))]
        received = [tuple(each.shape) for each in (latent_acts, gradients, covariates)]
        if n == 0 or received != expected:
            raise InputError(
                f"expected activations [tokens {d_sae}], gradients [tokens {d_model}] and covariates [tokens "
                f"{len(self.covariates)}] of at least one token, received {received}"
            )


def unit_directions(W_dec: Float[Tensor, "d_sae d_model"]) -> Float[Tensor, "d_sae d_model"]:
    """`W_dec` on the CPU, float32 unless float64. Errors: InputError for a row whose length is not 1."""
    W_dec = W_dec.detach().cpu().to(torch.float64 if W_dec.dtype == torch.float64 else torch.float32)
    lengths = torch.linalg.vector_norm(W_dec, dim=1)
    off = ~((lengths - 1).abs() < 1e-2)
    if off.any():
        row = int(off.nonzero()[0])
        raise InputError(
            f"decoder directions have length 1, row {row} of {tuple(W_dec.shape)} has {float(lengths[row])}: "
            "divide each row by its length and multiply its activations by it"
        )
    return W_dec


def _correlations(
    tokens: CoMoments, firing: FiringMoments, over_all: Covariation, rounding: float
) -> tuple[dict[str, Float[Tensor, " d_sae"]], dict[str, Mapping[str, int]]]:
    """The three alignments and why latents lack them; `rounding` is relative to the size of a and of the gradient."""
    n, d_model = tokens.n, len(tokens.mean) - len(over_all.zz)
    a_squares = firing.a_products[:, 0] + firing.count * firing.mean[:, 0].square()
    g_square = root_mean_square(tokens, d_model) ** 2
    spread = (over_all.zz.diagonal() / n).sqrt()
    everywhere, left = over_all.products, over_all.partial(spread > 1e-12 * tokens.mean[d_model:].abs())
    where_firing = Products(firing.a_products[:, 0], firing.a_products[:, 1], firing.gg)

    little = (left.aa <= EXPLAINED * everywhere.aa) | (left.gg <= EXPLAINED * everywhere.gg)
    never = {"never fires": firing.count == 0}
    few = {f"fewer than {LEAST_FIRING} firing tokens": firing.count < LEAST_FIRING}
    constant = {"constant": _rounding(everywhere, a_squares, n * g_square, rounding)}
    alike = {"constant": _rounding(where_firing, a_squares, firing.count * g_square, rounding)}
    explained = {"explained by the covariates": _rounding(left, a_squares, n * g_square, rounding) | little}
    found = {
        "efas_all": (everywhere, never | constant),
        "efas_firing": (where_firing, never | few | alike),
        "efas_partial": (left, never | constant | explained),
    }
    values = {
        name: products.correlation.masked_fill(_any(reasons), math.nan)
        for name, (products, reasons) in found.items()
    }
    return values, {name: _first_reasons(reasons) for name, (_, reasons) in found.items()}


def _rounding(
    products: Products, a_squares: Tensor, g_squares: float | Tensor, rounding: float
) -> Bool[Tensor, " d_sae"]:
    """Where the squares of a or of g about the mean are no more than rounding of the squares given."""
    return (products.aa <= rounding**2 * a_squares) | (products.gg <= rounding**2 * g_squares)


def _any(reasons: Mapping[str, Bool[Tensor, " d_sae"]]) -> Bool[Tensor, " d_sae"]:
    return torch.stack(list(reasons.values())).any(0)


def _first_reasons(reasons: Mapping[str, Bool[Tensor, " d_sae"]]) -> Mapping[str, int]:
    """How many latents each reason is the first to apply to, reasons that apply to none left out."""
    applies = torch.stack(list(reasons.values()))
    first = (applies & (applies.cumsum(0) == 1)).sum(1).tolist()
    return MappingProxyType({reason: n for reason, n in zip(reasons, first, strict=True) if n})
