"""The sparse kernel computes what the dense products compute."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from energylens.errors import InputError
from energylens.sae import variants
from energylens.sae.scaling import Scaling
from energylens.sae.sparse import SparseTopK, _largest
from energylens.sae.train import Dense, loss_and_gradients, train
from energylens.sae.variants import TopK, fastest_kernel
from energylens.sae.weights import Settings, Weights
from energylens.tests.sae.helpers import mixture

SMALL = Settings(d_sae=32, steps=40, batch=64, kernel="sparse")


def drawn(n_seeds=2, d_in=8, d_sae=20, batch=30):
    generator = torch.Generator().manual_seed(0)
    shapes = ((n_seeds, d_in, d_sae), (n_seeds, d_sae), (n_seeds, d_sae, d_in), (n_seeds, d_in))
    weights = Weights(*(torch.randn(*shape, generator=generator) for shape in shapes))
    return weights, torch.randn(n_seeds, batch, d_in, generator=generator)


@pytest.fixture(scope="module")
def x():
    raw = mixture()
    return Scaling.of(raw).apply(raw)


@given(
    values=arrays(np.float32, st.integers(1, 70), elements=st.floats(-4, 4, width=16)), k=st.integers(1, 70)
)
def test_the_largest_are_those_of_a_sorted_row(values, k):
    k = min(k, len(values))
    candidates, indices = np.zeros(len(values) + 1, np.float32), np.zeros(len(values) + 1, np.int64)
    found = _largest(values, k, candidates, indices)
    expected = np.sort(values[values > 0])[::-1][:k]
    assert found == len(expected)
    assert np.array_equal(np.sort(candidates[:found])[::-1], expected)
    assert np.array_equal(values[indices[:found]], candidates[:found])
    assert len(set(indices[:found])) == found


@pytest.mark.parametrize(
    ("d_in", "d_sae", "k"), [(8, 20, 4), (8, 20, 1), (8, 20, 20), (5, 33, 7), (64, 16, 3)]
)
def test_loss_and_gradients_are_those_of_the_dense_products(d_in, d_sae, k):
    weights, batch = drawn(d_in=d_in, d_sae=d_sae)
    sparse = SparseTopK(weights, Settings(), k)
    losses = sparse._backward(batch)
    expected, gradients = loss_and_gradients(weights, batch, k, torch.zeros(2), torch.float32)
    torch.testing.assert_close(losses, expected)
    W_enc, b_enc, W_dec, b_dec = (torch.tensor(each) for each in sparse._gradients)
    found = Weights(W_enc.mT, b_enc, W_dec, b_dec)
    for name, gradient in vars(gradients).items():
        torch.testing.assert_close(getattr(found, name), gradient, atol=1e-5, rtol=1e-4)


def test_a_row_on_which_nothing_fires_is_reconstructed_by_the_bias():
    weights, batch = drawn()
    silent = dataclasses.replace(weights, b_enc=torch.full_like(weights.b_enc, -1e3))
    losses = SparseTopK(silent, Settings(), 4)._backward(batch)
    torch.testing.assert_close(losses, (batch - weights.b_dec[:, None]).square().mean((1, 2)))


@pytest.mark.parametrize("train_decoder", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_steps_are_those_of_the_dense_trainer(train_decoder, dtype):
    weights, batch = drawn()
    rows = weights.W_dec / torch.linalg.vector_norm(weights.W_dec, dim=-1, keepdim=True)
    weights = dataclasses.replace(weights, W_dec=rows)
    settings = Settings(train_decoder=train_decoder, dtype=dtype, lr=1e-2)
    sparse, dense = SparseTopK(weights, settings, 4), Dense(weights, settings, 4, torch.zeros(2))
    for _ in range(3):
        losses = sparse.step(batch), dense.step(batch)
        torch.testing.assert_close(*losses, atol=0, rtol=1e-4 if dtype is torch.float32 else 0.1)
    if dtype is torch.float32:
        for name, tensor in vars(dense.weights).items():
            torch.testing.assert_close(getattr(sparse.weights, name), tensor, atol=1e-4, rtol=1e-3)
    assert torch.equal(sparse.weights.W_dec, rows) is not train_decoder
    assert torch.equal(weights.W_dec, rows)


def test_training_explains_as_much_variance(x):
    settings = dataclasses.replace(SMALL, steps=200, lr=5e-3)
    ends = []
    for kernel in ("sparse", "dense"):
        trained = train(x, [1, 2, 3], dataclasses.replace(settings, kernel=kernel), 4)
        ends.append(trained.losses[-20:].mean(0))
    torch.testing.assert_close(*ends, atol=0.01, rtol=0.1)
    assert float(ends[0].max()) < 0.5


def test_the_same_twice_to_the_bit_and_whichever_train_beside(x):
    first, again, alone = train(x, [1, 2], SMALL, 4), train(x, [1, 2], SMALL, 4), train(x, [2], SMALL, 4)
    for name, tensor in vars(first.weights).items():
        assert torch.equal(getattr(again.weights, name), tensor)
        assert torch.equal(getattr(alone.weights, name)[0], tensor[1])


def test_more_latents_than_there_are_cannot_fire():
    with pytest.raises(InputError, match=r"k must lie in 1\.\.20 \(the number of latents\), received 21"):
        SparseTopK(drawn()[0], Settings(), 21)


def test_without_numba_the_dense_kernel_is_the_default_and_the_sparse_one_is_refused(monkeypatch, x):
    monkeypatch.setattr(variants, "find_spec", lambda name: None)
    assert fastest_kernel() == TopK().kernel == "dense"
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "energylens.sae.sparse")
    with pytest.raises(
        InputError, match=r"'sparse' needs numba: pip install 'energylens\[fast\]', or ask for 'dense'"
    ):
        train(x, [1], SMALL, 4)


def test_no_other_kernel_is_known():
    topk = TopK(4)
    object.__setattr__(topk, "kernel", "fast")  # past the type checks of the test suite
    with pytest.raises(InputError, match="'sparse' or 'dense', received 'fast'"):
        topk.__post_init__()
