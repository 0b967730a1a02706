import dataclasses

import pytest
import torch

from energylens.errors import InputError
from energylens.sae.dense import along_sphere, loss_and_gradients
from energylens.sae.latents import latent_acts
from energylens.sae.sae import encode
from energylens.sae.scaling import Scaling
from energylens.sae.train import index_batches, train
from energylens.sae.weights import Settings, Weights
from energylens.tests.sae.helpers import mixture

SMALL = Settings(d_sae=32, steps=40, batch=64)


@pytest.fixture(scope="module")
def x():
    raw = mixture()
    return Scaling.of(raw).apply(raw)


@pytest.mark.parametrize(("k", "l1"), [(None, 0.0), (None, 0.3), (4, 0.0)])
def test_gradients_are_those_of_autograd(k, l1):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 8, 20), (2, 20), (2, 20, 8), (2, 8))
    tensors = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    batch = torch.randn(2, 30, 8, generator=generator, dtype=torch.float64)
    leaves = Weights(*(tensor.clone().requires_grad_() for tensor in tensors))
    acts = latent_acts(
        torch.einsum("sbd,sdn->sbn", batch - leaves.b_dec[:, None], leaves.W_enc) + leaves.b_enc[:, None], k
    )
    x_hat = torch.einsum("sbn,snd->sbd", acts, leaves.W_dec) + leaves.b_dec[:, None]
    loss = (x_hat - batch).square().sum(-1).mean(1) / 8
    (loss + l1 * acts.sum(-1).mean(1) / 8**0.5).sum().backward()

    found, gradients = loss_and_gradients(
        Weights(*tensors), batch, k, torch.full((2,), l1, dtype=torch.float64), torch.float64
    )
    torch.testing.assert_close(found, loss.detach())
    for name, gradient in vars(gradients).items():
        torch.testing.assert_close(gradient, getattr(leaves, name).grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("k", [None, 4])
def test_a_seed_does_not_depend_on_the_others(x, k, dtype):
    settings = dataclasses.replace(SMALL, dtype=dtype)
    together, alone = train(x, [3, 1, 2], settings, k), train(x, [1], settings, k)
    torch.testing.assert_close(together.weights.W_dec[1], alone.weights.W_dec[0], atol=1e-4, rtol=1e-3)
    assert torch.equal(together.W_dec_init[1], alone.W_dec_init[0])
    assert not torch.allclose(together.weights.W_dec[0], together.weights.W_dec[1], atol=1e-2)


@pytest.mark.parametrize("k", [None, 4])
def test_the_same_twice_to_the_bit(x, k):
    first = train(x, [1, 2], SMALL, k)
    torch.manual_seed(99)
    again = train(x, [1, 2], SMALL, k)
    assert all(
        torch.equal(value, getattr(again.weights, name)) for name, value in vars(first.weights).items()
    )
    assert torch.equal(first.losses, again.losses)


@pytest.mark.parametrize("train_decoder", [True, False])
def test_decoder_rows_are_unit_norm_and_a_frozen_decoder_stays(x, train_decoder):
    trained = train(x, [1, 2], dataclasses.replace(SMALL, train_decoder=train_decoder), l1=[0.1, 0.1])
    norms = torch.linalg.vector_norm(trained.weights.W_dec, dim=-1)
    torch.testing.assert_close(norms, torch.ones(2, 32), atol=1e-6, rtol=0)
    assert torch.equal(trained.weights.W_dec, trained.W_dec_init) is not train_decoder
    tied = torch.einsum("snd->sdn", trained.W_dec_init)
    assert not torch.allclose(trained.weights.W_enc, tied, atol=1e-3)


def test_the_gradient_along_the_sphere_is_orthogonal_to_each_row():
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(2, 5, 8, generator=generator), dim=-1)
    tangent = along_sphere(torch.randn(2, 5, 8, generator=generator), rows)
    assert (tangent * rows).sum(-1).abs().max() < 1e-6


def test_training_lowers_the_loss_and_l1_lowers_l0(x):
    trained = train(x, [1, 1], dataclasses.replace(SMALL, steps=200, lr=3e-3), l1=[0.0, 0.3])
    assert trained.losses[-1, 0] < 0.3 * trained.losses[0, 0]
    dense, sparse = ((encode(trained.weights, i, x, None) > 0).sum() for i in (0, 1))
    assert sparse < 0.7 * dense


def test_one_feature_is_found():
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(12, generator=generator), dim=0)
    strength = torch.rand(2000, generator=generator) * (torch.rand(2000, generator=generator) < 0.3)
    raw = strength[:, None] * direction
    scaling = Scaling.of(raw)
    trained = train(scaling.apply(raw), [5], Settings(d_sae=8, steps=400, batch=64, lr=1e-2), k=1)
    weights = scaling.undo(trained.weights)
    acts = encode(weights, 0, raw, 1)
    best = acts.square().sum(0).argmax()
    assert float((weights.W_dec[0, best] @ direction).abs()) > 0.99
    assert trained.losses[-1] < 0.01


def test_every_seed_sees_each_row_once_per_pass_in_its_own_order():
    rows = index_batches(10, 4, [torch.Generator().manual_seed(seed) for seed in (0, 1)])
    one_pass = torch.cat([next(rows), next(rows)], dim=1)
    assert [len(set(row.tolist())) for row in one_pass] == [8, 8]
    assert not torch.equal(one_pass[0], one_pass[1])


@pytest.mark.parametrize("batch", [0, 601])
def test_an_impossible_batch_is_refused(x, batch):
    with pytest.raises(InputError, match=f"1 to 600 .*received {batch}"):
        train(x, [1], dataclasses.replace(SMALL, batch=batch))


def test_a_loss_that_explodes_is_an_error(x):
    with pytest.raises(InputError, match="after step"):
        train(x, [1], dataclasses.replace(SMALL, lr=1e30))


def test_progress_ends_at_the_last_step(x):
    seen = []
    train(x, [1], SMALL, progress=lambda step, total, numbers: seen.append((step, total, numbers["loss"])))
    assert [(step, total) for step, total, _ in seen] == [(25, 40), (40, 40)]
