"""The null of alignment: activations of one document against the gradients of another, position by position.

Documents (windows of equal length, one or more from each text, in the order of the tokens) are the exchangeable
units: within one, tokens depend on each other, and shuffling single tokens would call that dependence a finding.
What a latent and a gradient owe to their position alone stays in the null.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from energylens.errors import InputError

TABLE_ENTRIES = 2**22
"""Entries of the table [latents documents documents], or of g, made at once: 16 MB in float32."""


def document_permutations(
    n_documents: int, draws: int, generator: Generator
) -> Int[Tensor, "draws documents"]:
    """Uniform permutations pi of the documents, one a row. A draw may leave a document, or all, in place."""
    if n_documents < 2 or draws < 1:
        raise InputError(f"need two documents and one draw at least, got {n_documents} and {draws}")
    return torch.rand(draws, n_documents, generator=generator, dtype=torch.float64).argsort(1)


def permuted_documents(permutation: Int[Tensor, " documents"], n_positions: int) -> Int[Tensor, " tokens"]:
    """Index of tokens, document by document: position i of document d is paired with position i of pi(d).

    `latent_acts[permuted_documents(pi, n_positions)]` stands against the gradients in their own order.
    """
    return (permutation[:, None] * n_positions + torch.arange(n_positions)).flatten()


@torch.no_grad()
def document_null(
    latent_acts: Float[Tensor, "documents positions latents"],
    gradients: Float[Tensor, "documents positions d_model"],
    W_dec: Float[Tensor, "latents d_model"],
    permutations: Int[Tensor, "draws documents"],
) -> Float[Tensor, "draws latents"]:
    """`efas_all` of every latent for every permutation, NaN for a latent that has none (constant, never fires).

    A permutation leaves the means and variances of a and g as they are. Their products are looked up: of every
    pair of documents once, sum over positions of a[d] g[e], so that a draw costs a sum over documents. Time
    O(documents^2 positions latents) in one batched product, memory O(latents draws) and TABLE_ENTRIES.
    """
    null, home = [], torch.arange(len(latent_acts))
    for table, scale in _tables(latent_acts, gradients, W_dec):
        sums = torch.stack([table[:, pi, home].sum(1, dtype=torch.float64) for pi in permutations])
        null.append((sums / scale).clamp(-1, 1))
    return torch.cat(null, dim=1)


@torch.no_grad()
def document_t(
    latent_acts: Float[Tensor, "documents positions latents"],
    gradients: Float[Tensor, "documents positions d_model"],
    W_dec: Float[Tensor, "latents d_model"],
    permutations: Int[Tensor, "draws documents"],
) -> Float[Tensor, "draws latents"]:
    """Studentised alignment of every latent for every permutation: t = sum_d S_d / sqrt(sum_d S_d^2).

    S_d = sum over positions of document d of (a - mean a)(g - mean g), a from document pi(d). The identity as a
    permutation gives the observed t. Where activations say nothing of the mean of g but something of its spread,
    permuted correlations spread too little and reject too often; t does not, for many documents (Janssen 1997;
    DiCiccio & Romano 2017). NaN, time and memory as of `document_null`.
    """
    found, home = [], torch.arange(len(latent_acts))
    for table, scale in _tables(latent_acts, gradients, W_dec):
        parts = (table[:, pi, home].double() for pi in permutations)
        t = torch.stack([part.sum(1) / part.square().sum(1).sqrt() for part in parts])
        found.append(t.masked_fill(scale.isnan(), math.nan))
    return torch.cat(found, dim=1)


def _tables(
    latent_acts: Float[Tensor, "documents positions latents"],
    gradients: Float[Tensor, "documents positions d_model"],
    W_dec: Float[Tensor, "latents d_model"],
) -> Iterator[tuple[Float[Tensor, "some documents documents"], Float[Tensor, " some"]]]:
    """For some latents at a time sum over positions of a[d] g[e], about their means, and sqrt(sum a^2 sum g^2).

    The latter is NaN for a latent that is constant, or whose g is.
    """
    n_documents, n_positions, _ = latent_acts.shape
    per_latent = n_documents * max(n_documents, n_positions)
    g_size = gradients.double().square().sum()
    rounding = 8 * max(torch.finfo(each.dtype).eps for each in (latent_acts, gradients, W_dec))
    for part in torch.arange(len(W_dec)).split(max(1, TABLE_ENTRIES // per_latent)):
        a = latent_acts[:, :, part].to(W_dec.dtype)
        g = -torch.einsum("ptd,fd->ptf", gradients.to(W_dec.dtype), W_dec[part])
        a_left, g_left = (values - values.double().mean((0, 1)).to(values.dtype) for values in (a, g))
        aa, gg = (values.double().square().sum((0, 1)) for values in (a_left, g_left))
        constant = (aa <= rounding**2 * a.double().square().sum((0, 1))) | (gg <= rounding**2 * g_size)
        table = torch.einsum("ptf,qtf->fpq", a_left, g_left)
        yield table, (aa * gg).sqrt().masked_fill(constant, math.nan)


def max_t_p(
    observed: Float[Tensor, " latents"], null: Float[Tensor, "draws latents"]
) -> Float[Tensor, " latents"]:
    """p of each latent, corrected for having looked at all: (b + 1) / (m + 1), two-sided.

    b of m draws have max over latents |null| >= |observed| (Westfall & Young 1993, single step); the observation
    counts as a draw (Phipson & Smyth 2010), so p is never below 1 / (m + 1). Values within 1e-6 are ties: float32
    projections round by less. A latent whose observed value is NaN gets NaN and takes no part in the maximum.
    Errors: InputError for no draws, or NaN among the draws of a latent that has a value.
    """
    defined = ~observed.isnan()
    if len(null) == 0 or null[:, defined].isnan().any():
        raise InputError(
            f"max-T needs draws without NaN for the {int(defined.sum())} latents that have a value, received "
            f"{tuple(null.shape)} with {int(null[:, defined].isnan().sum())} NaN among them"
        )
    p = torch.full_like(observed, math.nan, dtype=torch.float64)
    if defined.any():
        largest = null[:, defined].abs().amax(1)
        above = (largest[:, None] >= observed[defined].abs() - 1e-6).sum(0)
        p[defined] = (above.double() + 1) / (len(null) + 1)
    return p
