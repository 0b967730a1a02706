import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.families.fourier import as_published
from energylens.metrics import fourier
from energylens.metrics.stability import random_rotation, random_unit_rows

P = 113
FREQUENCIES = (3, 14, 35, 41, 52)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def pure_embedding(seed=0):
    """Five frequencies of different strength and nothing else."""
    x = torch.arange(P).double()
    waves = [f(2 * math.pi * k / P * x) for k in FREQUENCIES for f in (torch.cos, torch.sin)]
    strength = torch.tensor([5.0, 4, 3, 2, 1]).repeat_interleave(2)
    return torch.stack(waves, dim=1).double() * strength @ torch.linalg.qr(normal(128, 10, seed=seed)).Q.mT


@pytest.mark.parametrize("n_frequencies", [2, 4, 10])
def test_an_even_number_of_bins_gives_zero_for_a_perfect_embedding(n_frequencies):
    assert fourier.embedding_r2(pure_embedding()) == pytest.approx(1)
    assert as_published.embedding_r2(pure_embedding(), n_frequencies) == pytest.approx(0, abs=1e-9)


def test_five_bins_unless_said_otherwise_in_any_unit():
    W_E = pure_embedding()
    five = as_published.embedding_r2(W_E, 5)
    assert as_published.embedding_r2(W_E) == five
    for unit in (1e-15, 1e15):
        assert as_published.embedding_r2(unit * W_E) == pytest.approx(five)


def test_an_odd_number_of_bins_gives_the_one_unpaired_frequency():
    share = fourier.frequency_power(pure_embedding(), 0) / fourier.frequency_power(pure_embedding(), 0).sum()
    assert as_published.embedding_r2(pure_embedding(), 5) == pytest.approx(float(share.sort().values[-3]))


@given(st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_a_random_embedding_gives_the_published_range(seed):
    """Published: 0 for two bins, .021 for five. Any Gaussian embedding gives the same."""
    W_E = normal(P, 128, seed=seed)
    assert abs(as_published.embedding_r2(W_E, 2)) < 1e-9
    assert 0.017 < as_published.embedding_r2(W_E, 5) < 0.028 or abs(as_published.embedding_r2(W_E, 5)) < 1e-9


def slow_published_r2(W_E, n_frequencies):
    """The published steps one by one, the selection over all p bins included."""
    centred = W_E - W_E.mean(0)
    strength = [abs(torch.fft.fft(W_E, dim=0)[k]).mean() for k in range(len(W_E))]
    bins = sorted(range(len(W_E)), key=lambda k: -float(strength[k]))[:n_frequencies]
    projection = torch.zeros_like(centred)
    for k in bins:
        for function in (torch.cos, torch.sin):
            wave = function(2 * math.pi * k / len(W_E) * torch.arange(len(W_E)).double())
            if wave.norm() > 1e-9:
                projection += torch.outer(wave / wave.norm(), wave / wave.norm() @ centred)
    return 1 - float((centred - projection).square().sum() / centred.square().sum())


@given(st.integers(0, 2**31), st.integers(1, 13), st.sampled_from([0.0, 2.0]))
@settings(max_examples=15, deadline=None)
def test_agrees_with_the_published_steps_one_by_one(seed, n_frequencies, shift):
    W_E = normal(13, 3, seed=seed) + shift
    expected = slow_published_r2(W_E, n_frequencies)
    assert as_published.embedding_r2(W_E, n_frequencies) == pytest.approx(expected, abs=1e-9)
    assert as_published.embedding_r2(-7 * W_E, n_frequencies) == pytest.approx(expected, abs=1e-9)


def test_a_wave_on_a_large_mean_is_seen_through_the_rounding_of_the_mean():
    """Its squares are 1e-18 of the whole: far above 1e-24, where the embedding counts as constant."""
    W_E = 1 + 1e-9 * torch.cos(2 * math.pi * 3 / 13 * torch.arange(13.0, dtype=torch.float64))[:, None]
    assert as_published.embedding_r2(W_E, 13) == pytest.approx(0, abs=1e-5)


def slow_published_overlap(decoder, p):
    """Row by row and wave by wave, in Python floats."""
    waves = [[math.cos(2 * math.pi * k * x / p) for x in range(p)] for k in range(p)]
    waves += [[math.sin(2 * math.pi * k * x / p) for x in range(p)] for k in range(1, p)]
    found = []
    for row in decoder.tolist():
        row = (row + [0.0] * p)[:p]
        cosines = [sum(a * b for a, b in zip(row, wave, strict=True)) / math.hypot(*wave) for wave in waves]
        found.append(max(*cosines, 0.0) / math.hypot(*row))
    return sum(found) / len(found)


@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(2, 7), st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_the_overlap_agrees_with_loops_and_ignores_length_and_order_of_latents(seed, d_in, p, scale):
    decoder = normal(4, d_in, seed=seed)
    found = as_published.fourier_overlap(decoder, p)
    assert found == pytest.approx(slow_published_overlap(decoder, p), abs=1e-9)
    assert as_published.fourier_overlap(scale * decoder.flip(0), p) == pytest.approx(found, abs=1e-9)
    assert 0 <= found <= 1 + 1e-12


@given(st.integers(1, 100))
@settings(max_examples=15, deadline=None)
def test_overlap_chance_falls_with_the_dimension(k):
    """2 p candidates in p dimensions: about sqrt(2 log(2 p) / p)."""
    p = 2 * k + 1
    chance = as_published.fourier_overlap_chance(p)
    assert as_published.fourier_overlap_chance(p + 2) < chance < min(1, math.sqrt(2 * math.log(2 * p) / p))


def test_the_published_overlap_is_chance_and_does_not_see_the_fourier_structure():
    chance = as_published.fourier_overlap_chance(P)
    assert chance == pytest.approx(0.2537, abs=5e-5)
    assert as_published.fourier_overlap(random_unit_rows(4096, 128, rng()), P) == pytest.approx(
        chance, abs=0.002
    )
    # Latents that are exactly the Fourier directions of the residual stream score no more than chance.
    W_E = normal(P, 128)
    exact = fourier.fourier_basis(P)[1:] @ W_E
    assert fourier.fourier_overlap(exact, W_E) == pytest.approx(1)
    assert as_published.fourier_overlap(exact, P) == pytest.approx(chance, abs=0.02)


def test_the_published_overlap_depends_on_the_order_of_the_coordinates():
    """Permuting the model's coordinates, which changes nothing, changes a perfect score."""
    waves = fourier.fourier_basis(P)[1::2]
    assert as_published.fourier_overlap(waves, P) == pytest.approx(1)
    assert as_published.fourier_overlap(waves @ random_rotation(P, rng()), P) < 0.35
    assert as_published.fourier_overlap(waves[:, torch.randperm(P, generator=rng())], P) < 0.5


def test_the_published_overlap_is_signed_except_for_sines():
    cosine, sine = fourier.fourier_basis(P)[5:7]
    assert as_published.fourier_overlap(-sine[None], P) == pytest.approx(1)
    assert as_published.fourier_overlap(-cosine[None], P) < 0.1


@pytest.mark.parametrize("p", [5, 31])
def test_overlap_chance_agrees_with_draws(p):
    drawn = as_published.fourier_overlap(random_unit_rows(20000, p + 3, rng(1)), p)
    assert as_published.fourier_overlap_chance(p) == pytest.approx(drawn, abs=0.004)


def test_short_rows_are_padded_as_published():
    rows = random_unit_rows(10, 7, rng())
    padded = torch.cat([rows, torch.zeros(10, 4, dtype=torch.float64)], dim=1)
    assert as_published.fourier_overlap(rows, 11) == pytest.approx(as_published.fourier_overlap(padded, 11))


def test_values_without_a_meaning_are_refused_by_name():
    with pytest.raises(InputError, match="received 14"):
        as_published.embedding_r2(normal(13, 3), 14)
    with pytest.raises(InputError, match="does not vary"):
        as_published.embedding_r2(torch.full((13, 3), 0.1), 2)
    with pytest.raises(InputError, match="received 0"):
        as_published.embedding_r2(normal(13, 3), 0)
    for p in (8, 1):
        with pytest.raises(InputError, match=f"received {p}"):
            as_published.fourier_overlap_chance(p)


def test_an_embedding_of_nought_has_no_r2():
    with pytest.raises(InputError, match="does not vary"):
        as_published.embedding_r2(torch.zeros(7, 3), 2)
