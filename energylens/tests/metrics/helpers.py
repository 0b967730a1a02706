"""Lenses and residuals for the tests of whatever reads a residual."""

import torch
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from energylens.errors import InputError
from energylens.metrics.lens import LayerNorm, Lens, Translator

SEEDS = st.integers(0, 2**32 - 1)
D_MODEL, D_VOCAB = 6, 11
REFUSED = (InputError, TypeCheckError)  # the declared shapes are checked only in tests


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def tokens(*shape, seed=0):
    return torch.randint(D_VOCAB, shape, generator=rng(seed))


def layer_norm(seed=0, eps=1e-2):
    return LayerNorm(1 + normal(D_MODEL, seed=seed + 1) / 3, normal(D_MODEL, seed=seed + 2) / 3, eps)


def make_lens(seed=0, norm=True, tuned=False):
    """A float64 lens; its columns of W_U are far from centred, and eps is large enough to be seen."""
    W_U = normal(D_MODEL, D_VOCAB, seed=seed) + normal(D_MODEL, 1, seed=seed + 3)
    A, b = normal(D_MODEL, D_MODEL, seed=seed + 5) / 3, normal(D_MODEL, seed=seed + 6)
    return Lens(
        layer_norm(seed) if norm else None,
        W_U,
        normal(D_VOCAB, seed=seed + 4),
        Translator(A, b) if tuned else None,
    )
