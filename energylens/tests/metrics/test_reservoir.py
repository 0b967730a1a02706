import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from energylens.errors import InputError
from energylens.metrics.reservoir import TokenReservoir, TokenSample, mutual_information, spearman
from energylens.metrics.stability import random_unit_rows

SEEDS = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed))


def sampled(tokens=300, d_sae=7, d_model=5, density=0.3, seed=0):
    """A sample whose latents fire the more strongly the higher g, and the directions."""
    W_dec = random_unit_rows(d_sae, d_model, rng(seed)).float()
    gradients = normal(tokens, d_model, seed=seed)
    strength = -(gradients @ W_dec.mT) + normal(tokens, d_sae, seed=seed + 1) + 5
    acts = torch.where(torch.rand(tokens, d_sae, generator=rng(seed)) < density, strength.relu(), 0.0)
    return TokenSample(acts, gradients, tokens), W_dec


def stream(tokens, batch, size, seed=0):
    """The reservoir after tokens 0, 1, 2 .., each of which carries its number as activation and gradient."""
    kept, numbers = TokenReservoir(size, rng(seed)), torch.arange(tokens, dtype=torch.float32)[:, None]
    for rows in numbers.split(batch):
        kept.update(rows, -rows)
    return kept


# Sampling


@given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, 30))
@settings(max_examples=25, deadline=None)
def test_the_sample_does_not_depend_on_the_batches(seed, batch, size):
    cut, whole = stream(50, batch, size, seed).sample(), stream(50, 50, size, seed).sample()
    assert sorted(cut.latent_acts.flatten().tolist()) == sorted(whole.latent_acts.flatten().tolist())
    assert len(set(cut.latent_acts.flatten().tolist())) == min(size, 50)
    assert torch.equal(cut.gradients, -cut.latent_acts)  # rows stay together
    assert cut.n_tokens == 50


def test_every_token_is_equally_likely_to_be_kept_and_every_pair():
    """4 of 9 tokens, 3000 times: each kept in 4/9 of them, each pair in (4 * 3) / (9 * 8)."""
    counts, pairs = np.zeros(9), np.zeros((9, 9))
    for seed in range(3000):
        kept = np.zeros(9)
        kept[stream(9, 4, 4, seed).sample().latent_acts.flatten().long().numpy()] = 1
        counts, pairs = counts + kept, pairs + np.outer(kept, kept)
    off_diagonal = pairs[np.triu_indices(9, 1)]
    assert np.abs(counts / 3000 - 4 / 9).max() < 5 * math.sqrt(4 / 9 * 5 / 9 / 3000)
    assert np.abs(off_diagonal / 3000 - 1 / 6).max() < 5 * math.sqrt(1 / 6 * 5 / 6 / 3000)


def test_a_version_that_keeps_the_first_tokens_is_rejected_by_the_counts():
    first = np.arange(9) < 4
    assert np.abs(first - 4 / 9).max() > 5 * math.sqrt(4 / 9 * 5 / 9 / 3000)


def test_fewer_tokens_than_the_reservoir_holds_are_all_kept():
    sample = stream(7, 3, 20).sample()
    assert sorted(sample.latent_acts.flatten().tolist()) == list(range(7))


def test_a_sample_does_not_change_when_the_stream_goes_on():
    kept = stream(50, 7, 10)
    before = kept.sample()
    values = before.latent_acts.clone()
    for _ in range(20):
        kept.update(torch.full((5, 1), -1.0), torch.zeros(5, 1))
    assert torch.equal(before.latent_acts, values)
    assert (kept.sample().latent_acts == -1).any()


def test_memory_is_that_of_the_reservoir():
    kept = TokenReservoir(16, rng())
    for seed in range(20):
        kept.update(normal(100, 8, seed=seed), normal(100, 3, seed=seed))
    assert [rows.shape for rows in kept._kept] == [(16, 8), (16, 3)]
    assert all(rows.dtype == torch.float32 for rows in kept._kept)


def test_input_that_does_not_fit_is_refused_by_name():
    kept = TokenReservoir(4, rng())
    with pytest.raises(InputError, match="nothing to sample"):
        kept.sample()
    with pytest.raises(InputError, match="at least one token"):
        kept.update(torch.zeros(0, 3), torch.zeros(0, 2))
    with pytest.raises(InputError, match="NaN or infinite"):
        kept.update(torch.full((2, 3), math.nan), torch.zeros(2, 2))
    kept.update(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(InputError, match=r"widths \[3, 2\]"):
        kept.update(torch.zeros(2, 4), torch.zeros(2, 2))
    with pytest.raises(InputError, match="sample of 1"):
        TokenReservoir(1, rng())


# Spearman


@pytest.mark.parametrize("columns", [1, 3, 2**20])
def test_spearman_agrees_with_scipy_ties_included(monkeypatch, columns):
    monkeypatch.setattr("energylens.metrics.reservoir.RANKED_AT_ONCE", columns * 300)
    sample, W_dec = sampled()
    tied = TokenSample(sample.latent_acts.round(), sample.gradients, 300)
    for each in (sample, tied):
        g = -(each.gradients @ W_dec.mT)
        expected = [stats.spearmanr(a, b).statistic for a, b in zip(each.latent_acts.T, g.T, strict=True)]
        assert spearman(each, W_dec).tolist() == pytest.approx(expected, abs=1e-6)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_spearman_ignores_monotone_maps_and_the_order_of_tokens_and_follows_signs(seed):
    sample, W_dec = sampled(seed=seed)
    plain, order = spearman(sample, W_dec), torch.randperm(300, generator=rng(seed))
    mapped = TokenSample((sample.latent_acts**3)[order], sample.gradients[order], 300)
    assert torch.allclose(spearman(mapped, W_dec), plain, atol=1e-6)
    assert torch.allclose(spearman(sample, -W_dec), -plain, atol=1e-12)


def test_spearman_of_a_latent_that_does_not_fire_in_the_sample_is_nan():
    sample, W_dec = sampled()
    sample.latent_acts[:, 2] = 0
    assert spearman(sample, W_dec).isnan().tolist() == [i == 2 for i in range(7)]


def test_ties_broken_by_position_would_be_seen():
    """Ordinal ranks, a common shortcut, give another number where most activations are 0."""
    sample, W_dec = sampled(density=0.05)
    g = -(sample.gradients @ W_dec.mT)
    ordinal = [
        stats.pearsonr(stats.rankdata(a, "ordinal"), stats.rankdata(b)).statistic
        for a, b in zip(sample.latent_acts.T, g.T, strict=True)
    ]
    assert (spearman(sample, W_dec) - torch.tensor(ordinal)).abs().max() > 0.05


# Mutual information


def ross(fires, g, k=3):
    """Ross 2014 by its formula: psi(N) + psi(k) - <psi(N_class)> - <psi(m)>, m within the k-th of its class."""
    from scipy.special import digamma

    total = 0.0
    for i in range(len(g)):
        same = np.abs(g[fires == fires[i]] - g[i])
        radius = np.nextafter(np.sort(same)[k], 0)
        total += digamma(len(same)) + digamma((np.abs(g - g[i]) <= radius).sum())
    return max(0.0, digamma(len(g)) + digamma(k) - total / len(g))


def test_mutual_information_agrees_with_the_formula_over_the_entropy():
    sample, W_dec = sampled(d_sae=2)
    g = -(sample.gradients @ W_dec.mT).numpy()
    sample.latent_acts[:, 0] = torch.from_numpy(np.where(g[:, 0] > 0.5, 1, 0))
    fires = (sample.latent_acts != 0).numpy()
    expected = [
        ross(fires[:, f], g[:, f]) / stats.entropy([fires[:, f].mean(), 1 - fires[:, f].mean()])
        for f in (0, 1)
    ]
    assert mutual_information(sample, W_dec, [0, 1], seed=0).tolist() == pytest.approx(expected, abs=0.01)


def test_a_latent_that_g_decides_has_all_of_its_entropy_and_an_independent_one_has_none():
    sample, W_dec = sampled(tokens=3000, density=0.2)
    g = -(sample.gradients @ W_dec.mT)
    sample.latent_acts[:, 1] = (g[:, 1] > 1).float()
    values = mutual_information(sample, W_dec, [0, 1], seed=0)
    assert values[0] < 0.05
    assert values[1] == pytest.approx(1, abs=0.05)


def test_scale_of_activation_and_gradient_do_not_matter_nor_which_other_latents_are_asked_for():
    sample, W_dec = sampled()
    plain = mutual_information(sample, W_dec, range(7), seed=0)
    scaled = TokenSample(3 * sample.latent_acts, 0.01 * sample.gradients, 300)
    assert torch.allclose(mutual_information(scaled, W_dec, range(7), seed=0), plain, atol=1e-6)
    assert torch.equal(mutual_information(sample, W_dec, [4, 2], seed=0), plain[[4, 2]])


@given(SEEDS, st.integers(20, 60))
@settings(max_examples=6, deadline=None)
def test_mutual_information_knows_no_unit_sign_or_order_of_latents_and_is_a_share(seed, tokens):
    sample, W_dec = sampled(tokens, d_sae=3, density=0.5, seed=seed)
    found = mutual_information(sample, W_dec, [0, 1, 2], seed=0, least=5)
    assert (found.isnan() | (found >= 0)).all()
    moved = TokenSample(-2 * sample.latent_acts.flip(1), 4 * sample.gradients, tokens)
    turned = mutual_information(moved, W_dec.flip(0), [2, 0, 1], seed=0, least=5)
    assert torch.allclose(turned, found[[0, 2, 1]], atol=1e-6, equal_nan=True)
    counts = (sample.latent_acts != 0).sum(0)
    assert found.isnan().tolist() == [min(int(c), tokens - int(c)) < 5 for c in counts]


@given(SEEDS, st.integers(2, 12))
@settings(max_examples=15, deadline=None)
def test_spearman_is_scipys_and_bounded_for_any_number_of_tokens(seed, tokens):
    sample, W_dec = sampled(tokens, seed=seed, density=0.7)
    found, g = spearman(sample, W_dec), -(sample.gradients @ W_dec.mT)
    for f, value in enumerate(found.tolist()):
        a = sample.latent_acts[:, f]
        expected = math.nan if (a == a[0]).all() else stats.spearmanr(a, g[:, f]).statistic
        assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert (found.isnan() | (found.abs() <= 1 + 1e-12)).all()


def test_one_token_has_no_rank_correlation():
    sample, W_dec = sampled(tokens=1, density=1.0)
    assert spearman(sample, W_dec).isnan().all()


@pytest.mark.parametrize(
    ("count", "defined"), [(0, False), (49, False), (50, True), (250, True), (251, False)]
)
def test_too_few_firing_or_silent_tokens_give_nan(count, defined):
    sample, W_dec = sampled(d_sae=1)
    acts = (torch.arange(300)[:, None] < count).float()
    value = mutual_information(TokenSample(acts, sample.gradients, 300), W_dec, [0], seed=0)
    assert value.isnan().item() is not defined


def test_ties_are_broken_by_the_seed_alone():
    sample = TokenSample(
        (torch.rand(300, 1, generator=rng()) < 0.4).float(), torch.arange(300)[:, None] % 4.0, 300
    )
    found = {float(mutual_information(sample, torch.ones(1, 1), [0], seed=3)) for _ in range(6)}
    assert len(found) == 1


def test_one_firing_token_is_enough_where_it_is_said_to_be():
    sample, W_dec = sampled(d_sae=1)
    one = TokenSample((torch.arange(300)[:, None] == 7).float(), sample.gradients, 300)
    assert not mutual_information(one, W_dec, [0], seed=0, least=1).isnan()
