"""The sparse kernel computes what the dense products compute."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from energylens.errors import InputError
from energylens.sae.dense import Dense, loss_and_gradients
from energylens.sae.scaling import Scaling
from energylens.sae.train import train
from energylens.sae.weights import Settings, Weights
from energylens.tests.sae.helpers import mixture

pytest.importorskip("numba", reason="the sparse kernel needs numba: pip install 'energylens[fast]'")

from energylens.sae import sparse as module
from energylens.sae.sparse import Sparse, _largest

NO_L1 = torch.zeros(2)
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


def gradients_of(trainer):
    W_enc_T, b_enc, W_dec, b_dec = trainer.gradients
    return Weights(W_enc_T.mT, b_enc, W_dec, b_dec)


def on_unit_sphere(weights):
    rows = weights.W_dec / torch.linalg.vector_norm(weights.W_dec, dim=-1, keepdim=True)
    return dataclasses.replace(weights, W_dec=rows)


@pytest.mark.parametrize("firing", [0.0, math.inf], ids=["on those that fire", "dense"])
@pytest.mark.parametrize(
    ("d_in", "d_sae", "k", "l1"),
    [
        (8, 20, 4, 0),
        (8, 20, 1, 0),
        (8, 20, 20, 0),
        (5, 33, 7, 0),
        (64, 16, 3, 0),
        (8, 20, None, 0),
        (8, 20, None, 2),
    ],
)
def test_loss_and_gradients_are_those_of_the_dense_products(d_in, d_sae, k, l1, firing):
    weights, batch = drawn(d_in=d_in, d_sae=d_sae)
    penalty = torch.tensor([l1, l1 / 2])
    trainer = Sparse(weights, Settings(), k, penalty)
    trainer._firing = [firing, firing]
    losses = trainer.backward(batch)
    expected, gradients = loss_and_gradients(weights, batch, k, penalty, torch.float32)
    torch.testing.assert_close(losses, expected)
    for name, gradient in vars(gradients).items():
        torch.testing.assert_close(getattr(gradients_of(trainer), name), gradient, atol=1e-5, rtol=1e-4)


def test_relu_goes_on_with_the_latents_that_fire_once_they_are_few(monkeypatch):
    weights, batch = drawn(d_sae=80)
    ways = []
    for name in ("_on_firing", "_dense"):
        real = getattr(Sparse, name)
        monkeypatch.setattr(
            Sparse, name, lambda *given, real=real, name=name: ways.append(name) or real(*given)
        )
    few = torch.tensor([[-100.0], [0.0]]).expand(2, 80).clone()
    few[0, :5] = 100
    trainer = Sparse(dataclasses.replace(weights, b_enc=few), Settings(lr=1e-6), None, NO_L1)
    for _ in range(2):
        trainer.step(batch)
    assert ways == ["_dense", "_dense", "_on_firing", "_dense"]
    assert trainer._firing[0] == 5
    assert trainer._firing[1] == pytest.approx(40, abs=10)


def test_a_row_on_which_nothing_fires_is_reconstructed_by_the_bias():
    weights, batch = drawn()
    silent = dataclasses.replace(weights, b_enc=torch.full_like(weights.b_enc, -1e3))
    losses = Sparse(silent, Settings(), 4, NO_L1).backward(batch)
    torch.testing.assert_close(losses, (batch - weights.b_dec[:, None]).square().mean((1, 2)))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["W_enc", "b_enc", "W_dec", "b_dec"])
def test_a_weight_that_is_not_finite_is_seen_in_the_loss_of_its_sae_alone(name, bad):
    weights, batch = drawn()
    getattr(weights, name)[0].view(-1)[3] = bad
    losses = Sparse(weights, Settings(), 20, NO_L1).backward(batch)
    assert torch.isfinite(losses).tolist() == [False, True]


@pytest.mark.parametrize("train_decoder", [True, False])
@pytest.mark.parametrize(("k", "l1"), [(4, 0.0), (None, 0.5)])
def test_steps_are_those_of_the_dense_trainer(train_decoder, k, l1):
    weights, batch = drawn()
    weights = on_unit_sphere(weights)
    settings = Settings(train_decoder=train_decoder, lr=1e-2)
    sparse, dense = (of(weights, settings, k, torch.full((2,), l1)) for of in (Sparse, Dense))
    before = weights.W_dec.clone()
    for _ in range(3):
        torch.testing.assert_close(sparse.step(batch), dense.step(batch), atol=0, rtol=1e-4)
    for name, tensor in vars(dense.weights).items():
        torch.testing.assert_close(getattr(sparse.weights, name), tensor, atol=1e-4, rtol=1e-3)
    assert torch.equal(sparse.weights.W_dec, before) is not train_decoder
    assert torch.equal(weights.W_dec, before)


def test_the_encoder_of_topk_is_rounded_to_bfloat16():
    weights, batch = drawn()
    losses = {
        dtype: Sparse(weights, Settings(dtype=dtype), 20, NO_L1).backward(batch)
        for dtype in (torch.float32, torch.bfloat16)
    }
    rounded = dataclasses.replace(weights, b_enc=weights.b_enc.bfloat16().float())
    assert not torch.equal(losses[torch.float32], losses[torch.bfloat16])
    by_products, _ = loss_and_gradients(rounded, batch, 20, NO_L1, torch.bfloat16)
    torch.testing.assert_close(losses[torch.bfloat16], by_products, atol=0, rtol=0.02)


def test_training_explains_as_much_variance(x):
    settings = dataclasses.replace(SMALL, steps=200, lr=5e-3)
    for k, l1 in ((4, [0.0] * 3), (None, [0.3] * 3)):
        ends = []
        for kernel in ("sparse", "dense"):
            trained = train(x, [1, 2, 3], dataclasses.replace(settings, kernel=kernel), k, l1)
            ends.append(trained.losses[-20:].mean(0))
        torch.testing.assert_close(*ends, atol=0.01, rtol=0.1)
        assert float(ends[0].max()) < 0.5


@pytest.mark.parametrize(("k", "l1"), [(4, 0.0), (None, 0.5)])
def test_the_same_twice_to_the_bit_and_whichever_train_beside(x, k, l1):
    first, again = (train(x, [1, 2], SMALL, k, [l1, l1]) for _ in range(2))
    alone = train(x, [2], SMALL, k, [l1])
    for name, tensor in vars(first.weights).items():
        assert torch.equal(getattr(again.weights, name), tensor)
        assert torch.equal(getattr(alone.weights, name)[0], tensor[1])


def test_more_latents_than_there_are_cannot_fire():
    with pytest.raises(InputError, match=r"k must lie in 1\.\.20 \(the number of latents\), received 21"):
        Sparse(drawn()[0], Settings(), 21, NO_L1)


def test_where_no_folder_can_be_written_code_is_compiled_without_being_kept(monkeypatch):
    def refusing(*, cache=False, **flags):
        def decorate(function):
            if cache:
                raise RuntimeError(f"cannot cache function {function.__name__!r}: no locator available")
            return function, flags

        return decorate

    monkeypatch.setattr(module, "njit", refusing)
    function, flags = module._compiled(fastmath={"nsz"})(len)
    assert function is len
    assert flags["fastmath"] == {"nsz"}
