import pytest
import torch

from energylens.errors import InputError
from energylens.sae.sae import decode, encode
from energylens.sae.scaling import Scaling
from energylens.sae.train import train
from energylens.sae.weights import Settings
from energylens.tests.sae.helpers import mixture


def test_training_units_have_mean_zero_and_mean_square_d_in():
    x = mixture(mean=5.0) * 30
    scaled = Scaling.of(x).apply(x)
    assert scaled.mean(0).abs().max() < 1e-4
    assert float(scaled.square().sum(1).mean()) == pytest.approx(16, rel=1e-4)


@pytest.mark.parametrize("k", [None, 4])
def test_undo_gives_the_same_sae_in_the_units_of_the_activations(k):
    x = mixture(mean=2.0) * 7
    scaling = Scaling.of(x)
    weights = train(scaling.apply(x), [1], Settings(d_sae=32, steps=30, batch=64), k).weights
    own = scaling.undo(weights)
    scaled_acts, acts = encode(weights, 0, scaling.apply(x), k), encode(own, 0, x, k)
    torch.testing.assert_close(acts * scaling.factor, scaled_acts, atol=1e-3, rtol=1e-3)
    x_hat = decode(weights, 0, scaled_acts) / scaling.factor + scaling.mean
    torch.testing.assert_close(decode(own, 0, acts), x_hat, atol=1e-2, rtol=1e-3)
    assert torch.equal(own.W_dec, weights.W_dec)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_activations_are_refused(value):
    x = mixture()
    x[3, 2] = value
    with pytest.raises(InputError, match="1 of 600 activations"):
        Scaling.of(x)


@pytest.mark.parametrize("x", [torch.zeros(9, 3), torch.full((1000, 3), 0.1), torch.ones(1, 4) * 3e4])
def test_constant_activations_are_refused(x):
    with pytest.raises(InputError, match="do not vary"):
        Scaling.of(x)


def test_a_small_variation_about_a_large_mean_is_kept():
    x = 100 + 1e-2 * mixture()
    assert float(Scaling.of(x).apply(x).square().sum(1).mean()) == pytest.approx(16, rel=1e-2)
