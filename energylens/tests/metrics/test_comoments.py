"""Sums about the mean: against numpy and slow loops over tokens, merged in any way, with nothing in them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from energylens.metrics.comoments import (
    CoMoments,
    Covariation,
    Firing,
    FiringMoments,
    Products,
    over_all_tokens,
    root_mean_square,
)
from energylens.metrics.stability import random_unit_rows
from energylens.tests.metrics.helpers import SEEDS, normal, rng

FEW = settings(max_examples=15, deadline=None)
D_SAE, D_MODEL = 5, 3


def sparse(seed, tokens=20, dtype=torch.float64):
    """Activations with latents that never and always fire, gradients, two covariates far from 0, directions."""
    fires = torch.rand(tokens, D_SAE, generator=rng(seed)) < 0.4
    fires[:, 1], fires[:, 2] = False, True
    acts = torch.where(fires, normal(tokens, D_SAE, seed=seed), 0.0)
    gradients, z = normal(tokens, D_MODEL, seed=seed + 1), normal(tokens, 2, seed=seed + 2) + 30
    W_dec = random_unit_rows(D_SAE, D_MODEL, rng(seed))
    return tuple(each.to(dtype) for each in (acts, gradients, z, W_dec))


def moments(acts, gradients, z, W_dec):
    firing = Firing.of(acts)
    return FiringMoments.of(firing, firing.projected(gradients, W_dec), z)


def slow_moments(acts, gradients, z, W_dec):
    """Latent by latent over its firing tokens: number, means of (a, g, z), products of a with each, squares of g."""
    rows = []
    for f in range(acts.shape[1]):
        there = acts[:, f] != 0
        a, g = acts[there, f], -gradients[there] @ W_dec[f]
        variables = torch.cat([a[:, None], g[:, None], z[there]], dim=1)
        left = variables - variables.mean(0)
        rows.append((len(a), variables.mean(0), left[:, 0] @ left, left[:, 1] @ left[:, 1]))
    return rows


def close(found, expected):
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-9, atol=1e-9)


def same(first, second):
    for name in first.__dataclass_fields__:
        close(getattr(first, name), getattr(second, name))


# Of dense rows


@given(SEEDS, st.integers(1, 12), st.integers(1, 4), st.floats(-1e3, 1e3))
@FEW
def test_moments_of_rows_are_numpys(seed, n, d, shift):
    rows = normal(n, d, seed=seed) + shift
    found = CoMoments.of(rows)
    assert found.n == n
    close(found.mean, rows.mean(0))
    covariance = np.cov(rows.numpy().T, bias=True).reshape(d, d) if n > 1 else np.zeros((d, d))
    close(found.products, n * covariance)
    close(CoMoments.of(rows.float()).mean, rows.float().double().mean(0))
    assert CoMoments.of(rows.float()).products.dtype == torch.float64


@given(SEEDS, st.integers(1, 9), st.integers(1, 9))
@FEW
def test_moments_add_up_in_any_order_and_nothing_is_their_zero(seed, n, m):
    first, second = normal(n, 3, seed=seed) + 7, normal(m, 3, seed=seed + 1)
    a, b, nothing = CoMoments.of(first), CoMoments.of(second), CoMoments.none(3)
    together = CoMoments.of(torch.cat([first, second]))
    for found in (a + b, b + a, (a + nothing) + b, nothing + (b + a)):
        assert found.n == n + m
        close(found.mean, together.mean)
        close(found.products, together.products)
    empty = nothing + nothing
    assert (empty.n, empty.mean.tolist(), empty.products.any().item()) == (0, [0, 0, 0], False)
    assert empty.mean.dtype == empty.products.dtype == torch.float64


@given(SEEDS, st.integers(1, 5))
@FEW
def test_products_turn_with_the_rows_and_the_mean_square_does_not(seed, d):
    rows = normal(8, 5, seed=seed) + 2
    rotation = torch.from_numpy(stats.special_ortho_group.rvs(5, random_state=seed))
    plain, turned = CoMoments.of(rows), CoMoments.of(rows @ rotation)
    close(turned.products, rotation.mT @ plain.products @ rotation)
    assert root_mean_square(turned, 5) == pytest.approx(root_mean_square(plain, 5))
    assert root_mean_square(plain, d) == pytest.approx(float(rows[:, :d].square().sum(1).mean().sqrt()))
    assert root_mean_square(CoMoments.of(-3 * rows), d) == pytest.approx(3 * root_mean_square(plain, d))


def test_one_row_has_no_products():
    found = CoMoments.of(torch.tensor([[3.0, 4.0]]))
    assert (found.n, found.mean.tolist(), found.products.tolist()) == (1, [3, 4], [[0, 0], [0, 0]])
    assert root_mean_square(found, 2) == 5


# Of what fires


@given(SEEDS, st.sampled_from([torch.float32, torch.float64]))
@FEW
def test_entries_are_those_that_are_not_0_row_by_row(seed, dtype):
    acts, gradients, z, W_dec = sparse(seed, dtype=dtype)
    firing, (token, latent) = Firing.of(acts), acts.nonzero(as_tuple=True)
    assert firing.latent.tolist() == latent.tolist()
    assert firing.a.tolist() == acts[token, latent].tolist()
    assert np.repeat(np.arange(20), np.diff(firing.row_starts)).tolist() == token.tolist()
    close(firing.sums(), (acts != 0).sum(0).double())
    close(firing.sums(firing.a), acts.double().sum(0))
    close(firing.products(firing.a, z.double().numpy()), acts.double().mT @ z.double())
    projected = -(gradients @ W_dec.mT)[token, latent]
    assert firing.projected(gradients, W_dec).tolist() == pytest.approx(projected.tolist(), abs=1e-6)
    assert firing.projected(gradients, W_dec).dtype == np.float64


def test_entries_of_half_precision_transposed_and_of_nan():
    """NaN is not 0; a matrix stored by columns is read by rows; half precision keeps its values."""
    acts = torch.tensor([[0.0, math.nan], [0.5, 0.0]])
    firing = Firing.of(acts)
    assert (firing.latent.tolist(), firing.row_starts.tolist()) == ([1, 0], [0, 1, 2])
    assert math.isnan(firing.a[0])
    stored_by_columns = Firing.of(torch.tensor([[0.0, 1.0], [2.0, 0.0]]).mT)
    assert (stored_by_columns.latent.tolist(), stored_by_columns.a.tolist()) == ([1, 0], [2, 1])
    for dtype in (torch.float16, torch.bfloat16):
        assert Firing.of(torch.tensor([[0.1]], dtype=dtype)).a[0] == pytest.approx(0.1, abs=1e-3)
    assert Firing.of(torch.tensor([[0.1]], dtype=torch.float64)).a[0] == 0.1
    assert Firing.of(torch.zeros(3, 2)).sums().tolist() == [0, 0]


@given(SEEDS)
@FEW
def test_moments_of_what_fires_agree_with_a_loop_over_latents(seed):
    data = sparse(seed)
    found = moments(*data)
    for f, (count, mean, a_products, gg) in enumerate(slow_moments(*data)):
        assert found.count[f] == count
        close(found.a_products[f], a_products)
        close(found.gg[f], gg)
        if count:
            close(found.mean[f], mean)
    assert found.count[1] == found.gg[1] == found.a_products[1].abs().sum() == 0


@given(SEEDS, st.integers(0, 20))
@FEW
def test_moments_of_what_fires_add_up_whatever_fires_where(seed, cut):
    """Also where a latent fires in one part only, or in none."""
    acts, gradients, z, W_dec = sparse(seed)
    acts[:cut, 0], acts[cut:, 3] = 0, 0
    whole, nothing = moments(acts, gradients, z, W_dec), FiringMoments.none(D_SAE, 2)
    parts = [
        moments(acts[rows], gradients[rows], z[rows], W_dec) if len(acts[rows]) else nothing
        for rows in (slice(0, cut), slice(cut, 20))
    ]
    there = whole.count > 0
    for found in (parts[0] + parts[1], parts[1] + parts[0], nothing + parts[0] + parts[1]):
        close(found.count, whole.count)
        close(found.a_products, whole.a_products)
        close(found.gg, whole.gg)
        close(found.mean[there], whole.mean[there])
    assert nothing.a_products.shape == nothing.mean.shape == (D_SAE, 4)
    assert nothing.count.dtype == nothing.mean.dtype == torch.float64


def test_a_covariate_far_from_0_costs_no_digits():
    acts, gradients, z, W_dec = sparse(0)
    near, far = moments(acts, gradients, z, W_dec), moments(acts, gradients, z + 1e9, W_dec)
    assert torch.allclose(far.a_products, near.a_products, atol=1e-5)
    assert torch.allclose(far.mean[0, 2:], near.mean[0, 2:] + 1e9, rtol=1e-14)


# Over all tokens


def all_tokens(acts, gradients, z, W_dec):
    tokens = CoMoments.of(torch.cat([gradients, z], dim=1))
    return over_all_tokens(tokens, moments(acts, gradients, z, W_dec), W_dec)


@given(SEEDS)
@FEW
def test_moments_over_all_tokens_are_those_of_the_dense_matrices(seed):
    acts, gradients, z, W_dec = sparse(seed)
    found, g = all_tokens(acts, gradients, z, W_dec), -gradients @ W_dec.mT
    a, g, z = (values - values.mean(0) for values in (acts, g, z))
    close(found.products.aa, a.square().sum(0))
    close(found.products.ag, (a * g).sum(0))
    close(found.products.gg, g.square().sum(0))
    close(found.az, a.mT @ z)
    close(found.gz, g.mT @ z)
    close(found.zz, z.mT @ z)
    expected = [0.0 if f == 1 else np.corrcoef(a[:, f], g[:, f])[0, 1] for f in range(D_SAE)]
    assert found.products.correlation.nan_to_num().tolist() == pytest.approx(expected)


@given(SEEDS)
@FEW
def test_what_covariates_explain_is_what_least_squares_explains(seed):
    acts, gradients, z, W_dec = sparse(seed)
    found = all_tokens(acts, gradients, z, W_dec)
    design = np.column_stack([np.ones(20), z.numpy()])

    def left(values):
        return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]

    a, g = left(acts.numpy()), left(-(gradients @ W_dec.mT).numpy())
    partial = found.partial(torch.tensor([True, True]))
    for part, expected in zip(partial, ((a * a), (a * g), (g * g)), strict=True):
        assert np.allclose(part, expected.sum(0), rtol=1e-7, atol=1e-9)
    # A covariate said not to vary explains nothing, and no covariate none at all.
    without = found.partial(torch.tensor([False, False]))
    for part, expected in zip(without, found.products, strict=True):
        assert torch.equal(part, expected)


@given(SEEDS, st.floats(1e-3, 1e3))
@FEW
def test_a_repeated_covariate_explains_nothing_further_whatever_its_unit(seed, unit):
    acts, gradients, z, W_dec = sparse(seed)
    once = all_tokens(acts, gradients, z[:, :1], W_dec).partial(torch.tensor([True]))
    twice = torch.cat([z[:, :1], unit * z[:, :1]], dim=1)
    both = all_tokens(acts, gradients, twice, W_dec).partial(torch.tensor([True, True]))
    for first, second in zip(once, both, strict=True):
        assert torch.allclose(first, second, rtol=1e-6, atol=1e-8)


@given(SEEDS, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
@FEW
def test_the_correlation_knows_no_units_and_stays_within_one(seed, a, g):
    x, y = normal(2, 4, 9, seed=seed)
    aa, ag, gg = (x * x).sum(1), (x * y).sum(1), (y * y).sum(1)
    plain = Products(aa, ag, gg).correlation
    close(Products(a * a * aa, a * g * ag, g * g * gg).correlation, plain)
    close(Products(aa, -ag, gg).correlation, -plain)
    close(Products(gg, ag, aa).correlation, plain)
    assert (plain.abs() <= 1).all()
    assert Products(aa, aa * (1 + 1e-15), aa).correlation.tolist() == [1] * 4
    assert Products(0 * aa, 0 * ag, gg).correlation.isnan().all()


def test_a_version_without_the_tokens_that_do_not_fire_is_told_apart():
    data = sparse(0)
    everywhere, firing = all_tokens(*data).products, moments(*data)
    assert torch.allclose(everywhere.aa[2], firing.a_products[2, 0])  # this one fires everywhere
    assert not torch.allclose(everywhere.aa[[0, 3, 4]], firing.a_products[[0, 3, 4], 0], rtol=0.01)


def test_nothing_varies_in_a_covariation_of_one_token():
    one = tuple(each[:1] if len(each) == 20 else each for each in sparse(3))
    found = all_tokens(*one)
    assert isinstance(found, Covariation)
    assert max(float(part.abs().max()) for part in (*found.products, found.az, found.gz, found.zz)) < 1e-12


def test_gradients_may_be_more_precise_than_the_decoder():
    gradients = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    firing = Firing.of(torch.ones(3, 2))
    found = firing.projected(gradients, torch.eye(2, dtype=torch.float32))
    assert found.tolist() == pytest.approx((-gradients).flatten().tolist(), abs=1e-6)
