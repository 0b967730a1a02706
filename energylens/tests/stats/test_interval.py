"""t and Clopper-Pearson intervals: known answers, scipy and statsmodels, invariances, coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from energylens.errors import InputError
from energylens.stats import Interval, clopper_pearson, t_interval
from energylens.stats.interval import CONFIDENCE, binomial_bounds, from_se, t_quantile

SEEDS = st.lists(st.floats(-100, 100).map(lambda x: round(x, 6)), min_size=2, max_size=12)


def test_t_known_answer():
    # Student's table: t_{.95, 4} = 2.131847; s / sqrt(n) = sqrt(2.5 / 5).
    found = t_interval([1, 2, 3, 4, 5])
    assert (found.estimate, found.n, found.df, found.confidence) == (3.0, 5, 4, 0.90)
    assert found.se == pytest.approx(math.sqrt(0.5))
    assert found.high - 3.0 == pytest.approx(2.131847 * math.sqrt(0.5), abs=1e-6)


@given(SEEDS, st.floats(0.5, 0.99))
def test_t_agrees_with_scipy(values, confidence):
    found = t_interval(values, confidence)
    if len(set(values)) == 1:
        return
    low, high = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
    np.testing.assert_allclose((found.low, found.high), (low, high), rtol=1e-9, atol=1e-9)


@given(SEEDS, st.floats(-50, 50), st.floats(0.1, 10), st.randoms(use_true_random=False))
def test_t_follows_shift_scale_and_ignores_order(values, shift, scale, random):
    found = t_interval(values)
    moved = t_interval([scale * value + shift for value in random.sample(values, len(values))])
    expected = [scale * number + shift for number in (found.estimate, found.low, found.high)]
    np.testing.assert_allclose([moved.estimate, moved.low, moved.high], expected, rtol=1e-9, atol=1e-7)


@given(st.floats(-1e6, 1e6), st.floats(0.5, 0.99))
def test_one_value_says_nothing_about_the_spread(value, confidence):
    found = t_interval([value], confidence)
    assert found == Interval(value, -math.inf, math.inf, n=1, se=math.inf, df=0, confidence=confidence)


def test_an_interval_is_a_linear_one_of_a_mean_at_90_percent_unless_said_otherwise():
    plain = t_interval([1.0, 2.0])
    assert (plain.confidence, plain.hits, plain.scale) == (CONFIDENCE, None, "linear")
    assert Interval(1.0, 0.0, 2.0, 3, 0.1, 2) == Interval(
        1.0, 0.0, 2.0, 3, 0.1, 2, CONFIDENCE, None, "linear"
    )


@given(st.floats(-10, 10), st.floats(0, 10), st.integers(2, 30), st.floats(0.5, 0.99))
def test_an_interval_from_a_standard_error_is_symmetric_and_grows_with_its_parts(estimate, se, n, confidence):
    found = from_se(estimate, se, n, confidence)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * se
    assert found.high - estimate == pytest.approx(half, rel=1e-8, abs=1e-12)
    assert estimate - found.low == pytest.approx(half, rel=1e-8, abs=1e-12)
    assert (found.estimate, found.n, found.se, found.df) == (estimate, n, se, n - 1)
    assert found.confidence == confidence
    wider = from_se(estimate, se, n, (1 + confidence) / 2)
    assert wider.low <= found.low <= found.high <= wider.high


@given(st.lists(st.integers(1, 200), min_size=1, max_size=5), st.floats(0.01, 0.99))
def test_quantiles_agree_with_scipy_elementwise_and_fall_towards_the_normal(df, confidence):
    found = t_quantile(df, confidence)
    assert found.tolist() == pytest.approx(stats.t.ppf((1 + confidence) / 2, df).tolist(), rel=1e-7, abs=1e-9)
    assert (found >= stats.norm.ppf((1 + confidence) / 2) - 1e-9).all()


@given(st.floats(-1e6, 1e6), st.integers(2, 20))
def test_equal_values_give_exactly_no_width(value, n):
    found = t_interval([value] * n)
    assert found.low == found.estimate == found.high == value
    assert found.se == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_undefined_values_are_named(bad):
    with pytest.raises(InputError, match=r"values\[1\] = -?(nan|inf)"):
        t_interval([1.0, bad])


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], 3.0])
def test_t_refuses_other_shapes(values):
    with pytest.raises(InputError):
        t_interval(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 90, math.nan])
def test_confidence_is_a_share(confidence):
    with pytest.raises(InputError, match="confidence"):
        t_interval([1.0, 2.0], confidence)
    with pytest.raises(InputError, match="confidence"):
        clopper_pearson(1, 2, confidence)


def test_t_coverage_on_normal_data_is_nominal():
    # 40 000 trials: the standard error of a coverage of .90 is .0015, so 2 points are far outside chance.
    trials = np.random.default_rng(0).normal(3.0, 2.0, size=(40_000, 5))
    assert 0.88 <= _coverage(trials, half=t_quantile(4, 0.90)) <= 0.92
    # The corrupted version, normal quantiles for t, must fail the same test.
    assert _coverage(trials, half=stats.norm.ppf(0.95)) < 0.88


def test_the_vectorised_coverage_speaks_of_the_function():
    trials = np.random.default_rng(1).normal(size=(50, 5))
    halves = t_quantile(4, 0.90) * trials.std(axis=1, ddof=1) / math.sqrt(5)
    found = [t_interval(trial) for trial in trials]
    np.testing.assert_allclose([one.high - one.estimate for one in found], halves, rtol=1e-12)


def test_clopper_pearson_known_answers():
    # All of n: low = (alpha / 2)^(1/n), high = 1.
    assert clopper_pearson(5, 5).low == pytest.approx(0.05 ** (1 / 5))
    assert clopper_pearson(5, 5).high == 1.0
    assert (clopper_pearson(0, 5).low, clopper_pearson(0, 5).estimate) == (0.0, 0.0)
    assert clopper_pearson(1, 1).low == pytest.approx(0.05)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_clopper_pearson_agrees_with_statsmodels(counts, confidence):
    hits, n = counts
    found = clopper_pearson(hits, n, confidence)
    expected = proportion_confint(hits, n, alpha=1 - confidence, method="beta")
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-8, atol=1e-12)
    assert (found.n, found.hits, found.df, found.confidence) == (n, hits, None, confidence)
    with_four = [1, 1, 0, 0] + [1] * hits + [0] * (n - hits)
    assert found.se == pytest.approx(np.std(with_four) / math.sqrt(n + 4))
    assert found.se > 0
    mirrored = clopper_pearson(n - hits, n, confidence)
    np.testing.assert_allclose((1 - mirrored.high, 1 - mirrored.low), expected, rtol=1e-8, atol=1e-10)


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.floats(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_binomial_bounds_of_any_share_hold_it_mirror_and_grow_with_it(counts, confidence):
    hits, n = counts
    low, high = binomial_bounds(hits, n, confidence)
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
    mirrored_low, mirrored_high = binomial_bounds(n - hits, n, confidence)
    assert (1 - mirrored_high, 1 - mirrored_low) == pytest.approx((float(low), float(high)), abs=1e-8)
    further_low, further_high = binomial_bounds(min(hits + 0.5, n), n, confidence)
    assert low <= further_low + 1e-12
    assert high <= further_high + 1e-12
    together = binomial_bounds([hits, 0, n], n, confidence)
    assert (float(together[0][0]), float(together[1][0])) == (float(low), float(high))
    assert (together[0][1], together[1][2]) == (0, 1)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("n", [5, 8, 20])
def test_clopper_pearson_covers_at_least_nominally(rate, n):
    # Exact: sum the binomial weights of the counts whose interval contains the rate.
    hits = np.arange(n + 1)
    low, high = binomial_bounds(hits, n, 0.90)
    covered = stats.binom.pmf(hits, n, rate)[(low <= rate) & (rate <= high)].sum()
    assert covered >= 0.90


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5), (0, 0), (0.5, 3), (1, 2.5)])
def test_rates_need_counts(hits, n):
    with pytest.raises(InputError, match="hits"):
        clopper_pearson(hits, n)


def test_bounds_of_single_precision_are_those_of_double():
    hits, n = np.array([1.3, 2.7], dtype=np.float32), np.array([5.3, 9.1], dtype=np.float32)
    np.testing.assert_array_equal(
        binomial_bounds(hits, n, 0.9), binomial_bounds(hits.astype(float), n.astype(float), 0.9)
    )


def test_whole_numbers_of_any_type_are_counts():
    found = clopper_pearson(np.int64(2), 5.0)
    assert found == clopper_pearson(2, 5)
    assert (type(found.hits), type(found.n)) == (int, int)


def _coverage(trials: np.ndarray, half: float) -> float:
    """Share of trials (rows of seeds, true mean 3) whose mean +- half standard errors contains the mean."""
    se = trials.std(axis=1, ddof=1) / math.sqrt(trials.shape[1])
    return float(np.mean(np.abs(trials.mean(axis=1) - 3.0) <= half * se))
