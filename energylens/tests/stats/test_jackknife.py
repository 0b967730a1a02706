"""Jackknife over seeds for pairwise statistics: slow loop, invariances, coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from energylens.errors import InputError
from energylens.stats import jackknife_pairs, t_interval
from energylens.stats.interval import t_quantile

N_SEEDS = st.integers(3, 9)
RNG_SEED = st.integers(0, 2**32 - 1)


def _random_pairs(n: int, seed: int) -> np.ndarray:
    square = np.random.default_rng(seed).normal(size=(n, n))
    return square + square.T


@given(N_SEEDS, RNG_SEED)
def test_agrees_with_a_loop_over_left_out_seeds(n, seed):
    pairs = _random_pairs(n, seed)

    def mean_over_pairs(kept):
        return np.mean([pairs[i, j] for i in kept for j in kept if i < j])

    left_out = [mean_over_pairs([i for i in range(n) if i != gone]) for gone in range(n)]
    found = jackknife_pairs(pairs)
    assert found.estimate == pytest.approx(mean_over_pairs(range(n)))
    assert found.se == pytest.approx(math.sqrt((n - 1) / n * np.sum((left_out - np.mean(left_out)) ** 2)))
    assert found.high == pytest.approx(found.estimate + stats.t.ppf(0.95, n - 1) * found.se)
    assert (found.n, found.df) == (n, n - 1)


@given(st.lists(st.floats(-10, 10).map(lambda x: round(x, 6)), min_size=3, max_size=9))
def test_of_additive_pairs_is_the_t_interval_of_their_seeds(values):
    seeds = np.array(values)
    found = jackknife_pairs((seeds[:, None] + seeds[None, :]) / 2)
    expected = t_interval(seeds)
    np.testing.assert_allclose((found.low, found.high), (expected.low, expected.high), rtol=1e-7, atol=1e-7)


@given(N_SEEDS, RNG_SEED, st.floats(-5, 5), st.floats(0.1, 10))
def test_follows_shift_scale_and_ignores_order(n, seed, shift, scale):
    pairs = _random_pairs(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    found = jackknife_pairs(pairs)
    moved = jackknife_pairs((scale * pairs + shift)[np.ix_(order, order)])
    expected = [scale * number + shift for number in (found.estimate, found.low, found.high)]
    np.testing.assert_allclose([moved.estimate, moved.low, moved.high], expected, rtol=1e-8, atol=1e-8)


def test_never_reads_the_diagonal():
    pairs = _random_pairs(5, 0)
    without = pairs.copy()
    np.fill_diagonal(without, np.nan)
    assert jackknife_pairs(without) == jackknife_pairs(pairs)
    assert np.isnan(without[0, 0])


def test_equal_pairs_give_no_width():
    found = jackknife_pairs(np.full((5, 5), 0.3))
    assert (found.low, found.estimate, found.high, found.se) == (0.3, 0.3, 0.3, 0.0)


@given(st.floats(-1e6, 1e6), st.integers(3, 8), st.floats(0.5, 0.99))
def test_equal_pairs_have_the_degrees_of_freedom_of_their_seeds(value, n, confidence):
    found = jackknife_pairs(np.full((n, n), value), confidence)
    assert (found.estimate, found.low, found.high, found.se) == (value, value, value, 0.0)
    assert (found.n, found.df, found.confidence) == (n, n - 1, confidence)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
def test_small_types_neither_wrap_around_nor_round(dtype):
    pairs = np.array([[0, 250.3, 3.1], [250.3, 0, 7.7], [3.1, 7.7, 0]]).astype(dtype)
    assert jackknife_pairs(pairs) == jackknife_pairs(pairs.astype(float))


def test_pairs_that_differ_by_rounding_are_symmetric():
    pairs = _random_pairs(4, 1)
    rounded = pairs * (1 + 1e-12 * np.triu(np.ones((4, 4))))
    assert jackknife_pairs(rounded).estimate == pytest.approx(jackknife_pairs(pairs).estimate)


def test_two_seeds_make_one_pair_and_no_spread():
    found = jackknife_pairs([[1.0, 0.4], [0.4, 1.0]])
    assert (found.estimate, found.low, found.high, found.n) == (0.4, -math.inf, math.inf, 2)


@pytest.mark.parametrize("shape", [(1, 1), (0, 0), (3, 4), (3,)])
def test_refuses_other_shapes(shape):
    with pytest.raises(InputError, match="n x n"):
        jackknife_pairs(np.ones(shape))


def test_refuses_asymmetry_and_nan_by_place():
    pairs = _random_pairs(4, 1)
    pairs[1, 3] += 1e-3
    with pytest.raises(InputError, match=r"symmetric, got \[1, 3\]"):
        jackknife_pairs(pairs)
    pairs = _random_pairs(4, 1)
    pairs[2, 0] = pairs[0, 2] = np.nan
    with pytest.raises(InputError, match=r"pair_matrix\[0, 2\] = nan"):
        jackknife_pairs(pairs)


KERNELS = {
    "half of the variance in the seeds": lambda x, noise: (x[:, :, None] + x[:, None, :]) / 2 + noise,
    "products": lambda x, noise: (1 + x[:, :, None] / 3) * (1 + x[:, None, :] / 3),
    "pairs of pure noise": lambda x, noise: noise,
}
TRUTH = {"half of the variance in the seeds": 0.0, "products": 1.0, "pairs of pure noise": 0.0}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n", [5, 8])
def test_coverage(kernel, n):
    pairs = _simulated(kernel, n, trials=20_000)
    estimate, se = _vectorised(pairs)
    covered = np.mean(np.abs(estimate - TRUTH[kernel]) <= t_quantile(n - 1, 0.90) * se)
    assert covered >= 0.88
    # The corrupted version, pairs taken as independent, must fail wherever the seeds matter.
    i, j = np.triu_indices(n, k=1)
    naive = pairs[:, i, j].std(axis=1, ddof=1) / math.sqrt(len(i))
    naively = np.mean(np.abs(estimate - TRUTH[kernel]) <= t_quantile(len(i) - 1, 0.90) * naive)
    assert naively < 0.88 or kernel == "pairs of pure noise"


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_vectorised_coverage_speaks_of_the_function(kernel):
    pairs = _simulated(kernel, 6, trials=20)
    estimate, se = _vectorised(pairs)
    found = [jackknife_pairs(one) for one in pairs]
    np.testing.assert_allclose([one.estimate for one in found], estimate, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose([one.se for one in found], se, rtol=1e-9, atol=1e-12)


def _simulated(kernel: str, n: int, trials: int) -> np.ndarray:
    """[trials, n, n] symmetric matrices of pair values whose true mean is TRUTH[kernel]."""
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(trials, n, n))
    return KERNELS[kernel](rng.normal(size=(trials, n)), (noise + noise.swapaxes(1, 2)) / math.sqrt(2))


def _vectorised(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate and jackknife standard error per trial, through row sums."""
    n = pairs.shape[1]
    off_diagonal = pairs * (1 - np.eye(n))
    rows = off_diagonal.sum(axis=2)
    total = rows.sum(axis=1) / 2
    left_out = (total[:, None] - rows) / math.comb(n - 1, 2)
    return total / math.comb(n, 2), math.sqrt((n - 1) / n * n) * left_out.std(axis=1)
