from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, truncnorm

from energylens.families.energy.planted_alignment import (
    FIRING,
    LATENTS,
    PLANTED,
    as_it_fires,
    perfect_latents,
    planted_latents,
)
from energylens.metrics.alignment import AlignmentStatistics
from energylens.metrics.association import pearson


def test_planted_latents_align_and_no_others(readings):
    reading = readings["confirmation"]
    acts, directions, planted = planted_latents(reading, torch.Generator().manual_seed(0))
    assert acts.shape == (len(reading.x), LATENTS)
    assert int(planted.sum()) == PLANTED
    assert torch.allclose(directions.norm(dim=1), torch.ones(LATENTS))
    fires = (acts != 0).double().mean(0)
    assert (fires - FIRING).abs().max() < 2 / len(acts)
    statistics = AlignmentStatistics(directions)
    statistics.update(acts, reading.gradient)
    efas = statistics.compute().efas_all
    assert efas[planted].mean() > 0.08
    assert efas[~planted].mean().abs() < 0.01


def test_the_draw_follows_its_generator(readings):
    reading = readings["confirmation"]
    first, again, other = (planted_latents(reading, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def gaussian(n, latents=1, seed=0):
    return torch.randn(n, latents, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_perfect_latent_that_fires_on_three_percent_reaches_what_the_normal_distribution_says():
    """1 - r^2 = .97 var(g | g < c), c the 97th percentile: r = .40. Text has heavier tails than that."""
    g = gaussian(200_000)
    acts = perfect_latents(g, torch.tensor([6000]))
    expected = (1 - 0.97 * truncnorm.var(-np.inf, norm.ppf(0.97))) ** 0.5
    assert pearson(acts[:, 0], g[:, 0]) == pytest.approx(expected, abs=0.005)
    assert expected == pytest.approx(0.40, abs=0.01)


@given(st.integers(0, 50), st.integers(1, 11))
def test_a_slow_search_finds_no_better_latent(seed, k):
    """Over all sets of k tokens, by least squares on their indicators; activations are not negative."""
    g = gaussian(12, seed=seed)[:, 0].numpy()
    acts = perfect_latents(torch.from_numpy(g)[:, None], torch.tensor([k]))[:, 0]
    assert (acts > 0).sum() == k
    best = 0.0
    for chosen in combinations(range(12), k):
        a = np.zeros(12)
        a[list(chosen)] = g[list(chosen)] - np.delete(g, list(chosen)).mean()
        if (a >= 0).all():
            best = max(best, np.corrcoef(a, g)[0, 1])
    assert pearson(acts, torch.from_numpy(g)) == pytest.approx(best)


@given(st.integers(0, 100), st.integers(1, 29))
def test_no_latent_of_any_activations_does_better(seed, k):
    g = gaussian(30, seed=seed)
    perfect = perfect_latents(g, torch.tensor([k]))[:, 0]
    generator = torch.Generator().manual_seed(seed)
    other = torch.zeros(30, dtype=torch.float64)
    other[torch.randperm(30, generator=generator)[:k]] = torch.rand(k, generator=generator).double() + 0.01
    assert pearson(perfect, g[:, 0]) >= pearson(other, g[:, 0]) - 1e-9
    shifted = perfect_latents(3 * g - 5, torch.tensor([k]))[:, 0]
    assert torch.allclose(shifted, 3 * perfect)


def test_latents_fire_as_often_as_they_are_asked_to():
    counts = torch.tensor([1, 7, 99])
    acts = perfect_latents(gaussian(100, 3), counts)
    assert (acts != 0).sum(0).tolist() == counts.tolist()
    assert acts.min() == 0


def test_what_never_fires_is_0_and_what_always_fires_is_g():
    g = gaussian(100, 2)
    acts = perfect_latents(g, torch.tensor([0, 100]))
    assert acts[:, 0].abs().max() == 0
    assert acts.min() >= 0
    assert pearson(acts[:, 1], g[:, 1]) == pytest.approx(1)


def test_on_given_tokens_the_same_latent_where_they_are_the_best_and_a_worse_one_elsewhere():
    g = gaussian(500, 2)
    best = perfect_latents(g, torch.tensor([40, 40]))
    assert torch.allclose(as_it_fires(g, best != 0), best)
    elsewhere = torch.zeros_like(g, dtype=torch.bool)
    elsewhere[:40] = True
    acts = as_it_fires(g, elsewhere)
    assert acts[40:].abs().max() == 0
    assert acts.min() == 0
    assert 0 < pearson(acts[:, 0], g[:, 0]) < pearson(best[:, 0], g[:, 0])
