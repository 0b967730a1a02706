import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from energylens.errors import InputError
from energylens.metrics.reconstruction import ExplainedVariance, dead_fraction, explained_variance, fvu, l0
from energylens.metrics.stability import random_rotation


def sample(seed=0, n=300, d=7):
    generator = torch.Generator().manual_seed(seed)
    # A mean far from zero and unequal variances: what separates the right denominator from the wrong ones.
    x = 20 + torch.randn(n, d, generator=generator) * torch.arange(1, d + 1)
    return x, x + torch.randn(n, d, generator=generator)


def test_known_answers():
    x, _ = sample()
    assert explained_variance(x, x) == 1
    assert explained_variance(x, x.mean(0).expand_as(x)) == pytest.approx(0, abs=1e-6)
    half = x.mean(0) + (x - x.mean(0)) / 2
    assert fvu(x, half) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
def test_no_unit_is_so_small_or_large_that_it_changes_the_share(unit):
    x, x_hat = sample()
    x, x_hat = x + 1, x_hat + 1
    assert explained_variance(unit * x, unit * x_hat) == pytest.approx(explained_variance(x, x_hat))


def test_agrees_with_sklearn():
    x, x_hat = sample()
    expected = r2_score(x.double(), x_hat.double(), multioutput="variance_weighted")
    assert explained_variance(x, x_hat) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(1, 299), min_size=1, max_size=8), st.floats(-1e4, 1e4))
@settings(max_examples=30, deadline=None)
def test_any_batching_and_any_shift_give_the_same_number(cuts, shift):
    x, x_hat = (part.double() for part in sample())
    fitter = ExplainedVariance()
    edges = [0, *sorted(cuts), 300]
    for low, high in pairwise(edges):
        fitter.update(x[low:high] + shift, x_hat[low:high] + shift)
    assert fitter.compute() == pytest.approx(explained_variance(x, x_hat), abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.integers(1, 5), st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_explained_variance_is_sklearns_and_knows_no_units_order_or_coordinates(seed, n, d, scale):
    x, x_hat = (part.double() for part in sample(seed, n, d))
    found = explained_variance(x, x_hat)
    assert found == pytest.approx(r2_score(x, x_hat, multioutput="variance_weighted"), abs=1e-9)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    rotation = random_rotation(d, torch.Generator().manual_seed(seed))
    moved = [-scale * part[order] @ rotation + 5 for part in (x, x_hat)]
    assert explained_variance(*moved) == pytest.approx(found, abs=1e-8)
    assert fvu(x, x_hat) == pytest.approx(1 - found)
    assert fvu(x, x_hat) >= 0
    assert fvu(x, x) == 0
    # Twice the error is four times the unexplained variance.
    assert fvu(x, x + 2 * (x_hat - x)) == pytest.approx(4 * fvu(x, x_hat))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_a_number_that_is_none_is_refused_and_leaves_the_sums_as_they_were(bad, place):
    fitter, data = ExplainedVariance(), list(sample())
    fitter.update(*data)
    before = fitter.compute()
    data[place] = data[place].clone()
    data[place][3, 2] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        fitter.update(*data)
    assert (fitter.compute(), fitter.n) == (before, 300)


def test_one_row_or_equal_rows_have_no_variance_and_the_least_of_one_has():
    with pytest.raises(InputError, match="1 rows that do not vary"):
        explained_variance(torch.ones(1, 3), torch.zeros(1, 3))
    varying = 1 + 1e-11 * torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert explained_variance(varying, varying) == 1
    with pytest.raises(InputError, match="2 rows that do not vary"):
        explained_variance(1 + 1e-13 * (varying - 1) / 1e-11, varying)


def test_the_usual_mistakes_give_another_number():
    x, x_hat = sample()
    right = explained_variance(x, x_hat)
    about_zero = 1 - float((x - x_hat).square().sum() / x.square().sum())
    averaged = sum(explained_variance(a, b) for a, b in zip(x.split(10), x_hat.split(10), strict=True)) / len(
        x.split(10)
    )
    assert abs(about_zero - right) > 0.02
    assert abs(averaged - right) > 0.002


def test_a_large_mean_costs_no_digits():
    x, x_hat = (part.double() for part in sample())
    assert explained_variance(x + 1e8, x_hat + 1e8) == pytest.approx(explained_variance(x, x_hat), abs=1e-7)


def test_l0_and_dead_fraction_of_a_known_matrix():
    acts = torch.tensor([[1.0, 0, 0, 2], [3, 0, 0, 0]])
    assert l0(acts) == 1.5
    assert dead_fraction(acts) == 0.5


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_l0_and_dead_fraction_ignore_order_and_scale(seed):
    generator = torch.Generator().manual_seed(seed)
    acts = (torch.randn(20, 9, generator=generator) - 1.5).relu()
    other = 3 * acts[torch.randperm(20, generator=generator)][:, torch.randperm(9, generator=generator)]
    assert l0(other) == l0(acts)
    assert dead_fraction(other) == dead_fraction(acts)
    assert l0(acts) == pytest.approx(sum(float(a > 0) for row in acts for a in row) / 20)


def test_undefined_values_are_refused():
    x, x_hat = sample()
    with pytest.raises(InputError, match="undefined"):
        explained_variance(torch.full((7, 3), 0.1), torch.zeros(7, 3))
    with pytest.raises(InputError, match="undefined: 0 rows"):
        ExplainedVariance().compute()
    with pytest.raises(InputError, match="NaN"):
        explained_variance(x, x_hat * torch.nan)
    for measure in (l0, dead_fraction):
        for shape in ((0, 3), (3, 0)):
            with pytest.raises(InputError, match=rf"\({shape[0]}, {shape[1]}\)"):
                measure(torch.empty(shape))
