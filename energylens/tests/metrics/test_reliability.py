import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from energylens.errors import InputError
from energylens.metrics.reliability import Reliability, attenuated, reliability, spearman_brown, split_halves

UNITS, SAMPLES = 2000, 40


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def planted(noise_variance, seed=0, units=UNITS):
    """Units of variance 1, every sample with noise of its own."""
    true = torch.randn(units, 1, generator=rng(seed), dtype=torch.float64)
    noise = torch.randn(units, SAMPLES, generator=rng(seed + 1), dtype=torch.float64)
    return true + noise_variance**0.5 * noise


@pytest.mark.parametrize("noise_variance", [4.0, 40.0, 400.0])
def test_a_planted_reliability_is_found(noise_variance):
    """Var(true) / (Var(true) + Var(noise) / n), of all samples and of half of them."""
    found = reliability(*split_halves(planted(noise_variance), 20, rng()))
    assert found.halves == pytest.approx(1 / (1 + noise_variance / (SAMPLES / 2)), abs=0.05)
    assert found.full == pytest.approx(1 / (1 + noise_variance / SAMPLES), abs=0.05)


def test_full_is_what_as_many_other_samples_show():
    true = torch.randn(UNITS, 1, generator=rng(), dtype=torch.float64)
    other = true + 40.0**0.5 * torch.randn(UNITS, SAMPLES, generator=rng(9), dtype=torch.float64)
    expected = float(pearsonr(planted(40.0).mean(1), other.mean(1)).statistic)
    assert reliability(*split_halves(planted(40.0), 20, rng())).full == pytest.approx(expected, abs=0.05)


def test_no_predictor_without_noise_does_better_than_the_root():
    true = torch.randn(UNITS, 1, generator=rng(), dtype=torch.float64)[:, 0]
    found = reliability(*split_halves(planted(40.0), 20, rng()))
    reached = float(pearsonr(true, planted(40.0).mean(1)).statistic)
    assert reached == pytest.approx(found.noise_free, abs=0.05)
    assert reached > found.full + 0.1


def test_r_is_scipys_split_by_split():
    first, second = split_halves(planted(9.0, units=7), 6, rng())
    expected = [pearsonr(x, y).statistic for x, y in zip(first, second, strict=True)]
    assert reliability(first, second).halves == pytest.approx(sum(expected) / 6)


@given(st.floats(0.1, 100), st.floats(-5, 5), st.integers(0, 20))
def test_neither_unit_nor_origin_nor_order_of_units_matters(scale, shift, seed):
    first, second = split_halves(planted(9.0, units=8), 5, rng())
    order = torch.randperm(8, generator=rng(seed))
    again = reliability(scale * first[:, order] + shift, second[:, order])
    assert again.full == pytest.approx(reliability(first, second).full, abs=1e-9)


@pytest.mark.parametrize("n", [2, 6, 7])
def test_halves_are_disjoint_and_as_large(n):
    first, second = split_halves(torch.eye(n), 30, rng())
    assert first.shape == second.shape == (30, n)
    assert not ((first > 0) & (second > 0)).any()
    for half in (first, second):
        assert torch.allclose(half[half > 0], torch.tensor(1 / (n // 2), dtype=torch.float64))
        assert ((half > 0).sum(1) == n // 2).all()
    assert not torch.equal(first[0], first[1]) or n == 2


def test_halves_that_shared_samples_would_find_what_is_not_there():
    """The corrupted version: noise alone, its halves drawn apart from each other."""
    noise = torch.randn(UNITS, SAMPLES, generator=rng(), dtype=torch.float64)
    first, second = split_halves(noise, 20, rng(1))
    assert abs(reliability(first, second).full) < 0.05
    assert reliability(first, split_halves(noise, 20, rng(2))[0]).full > 0.4


def test_one_sample_has_no_halves():
    with pytest.raises(InputError, match="received 1"):
        split_halves(torch.ones(3, 1), 5, rng())


@given(st.floats(-1, 1))
def test_a_correlation_stays_one(r):
    stepped = spearman_brown(r)
    assert -1 <= r <= stepped <= 1


@given(st.floats(-1, 1), st.floats(0, 1))
def test_what_two_noisy_measures_reach_lies_between_nothing_and_the_noise_of_each(r, other):
    found = Reliability(r, spearman_brown(r))
    reached = attenuated(found.full, other)
    assert reached == attenuated(other, found.full)
    assert 0 <= reached <= min(found.noise_free, other**0.5) + 1e-12
    assert attenuated(found.full, 1.0) == pytest.approx(found.noise_free)
    assert found.named()["reliability"] == found.full <= max(found.noise_free, 0.0)


def test_steps_known_by_heart():
    assert spearman_brown(0.5) == pytest.approx(2 / 3)
    assert spearman_brown(1.0) == 1
    assert spearman_brown(0.0) == 0
    assert spearman_brown(-0.5) == -0.5


def test_without_spread_over_units_nothing_is_known():
    found = reliability(torch.ones(3, 5), torch.ones(3, 5))
    assert math.isnan(found.full)
    assert math.isnan(found.noise_free)
    assert found.named() == {}
    told = {"r between halves": -0.2, "reliability": -0.2, "largest r without noise": 0.0}
    assert Reliability(-0.2, -0.2).named() == told


def test_two_noisy_measures_of_the_same_agree_as_far_as_both_are_reliable():
    true, noise = (torch.randn(200_000, generator=rng(i), dtype=torch.float64) for i in (0, 1))
    other = torch.randn(200_000, generator=rng(2), dtype=torch.float64)
    x, y = true + noise, true + 3**0.5 * other  # reliabilities .5 and .25
    r = float(torch.corrcoef(torch.stack([x, y]))[0, 1])
    assert attenuated(0.5, 0.25) == pytest.approx(r, abs=0.01)
    assert attenuated(-0.1, 0.9) == 0
    assert math.isnan(attenuated(math.nan, 0.5))
