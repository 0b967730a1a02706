"""Seeds to decide and power: against slow searches, scipy, statsmodels, simulation; honest where there is no answer."""

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from energylens.errors import InputError
from energylens.stats import (
    Interval,
    clopper_pearson,
    decidable,
    fisher_z_interval,
    geometric_interval,
    jackknife_pairs,
    mean_power,
    power_at,
    rate_power,
    seeds_for_power,
    seeds_to_decide,
    spread_range,
    t_interval,
)


def _slow_search(estimate, spread, boundary, cap=1000):
    for n in range(2, cap + 1):
        if stats.t.ppf(0.95, n - 1) * spread / math.sqrt(n) < abs(estimate - boundary):
            return n
    return None


@settings(deadline=None)  # the slow search is slow
@given(st.floats(0.05, 3.0), st.floats(0.1, 3.0), st.integers(3, 12))
def test_means_agree_with_a_slow_search(distance, spread, n):
    interval = Interval(0.0, -1.0, 1.0, n, spread / math.sqrt(n), n - 1)
    assert seeds_to_decide(interval, [distance]) == _slow_search(0.0, spread, distance)


def test_more_data_of_the_same_kind_is_decided_then_and_not_before():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    needed = seeds_to_decide(t_interval(values), [2.5])
    spread = values.std(ddof=1)
    for n, decided in ((needed, True), (needed - 1, False)):
        half = stats.t.ppf(0.95, n - 1) * spread / math.sqrt(n)
        assert (3.0 - half > 2.5) == decided


def test_rates_agree_with_statsmodels_where_counts_are_whole():
    # 4 of 5 against .5: every n that is a multiple of 5 has a whole count.
    needed = seeds_to_decide(clopper_pearson(4, 5), [0.5])
    for n in (5, 10, 15, 20):
        low, _ = proportion_confint(round(0.8 * n), n, alpha=0.10, method="beta")
        assert (low > 0.5) == (n >= needed)


def test_rates_of_nought_and_one():
    assert seeds_to_decide(clopper_pearson(3, 3), [0.5]) == 5  # .05^(1/5) = .549, .05^(1/4) = .473
    assert seeds_to_decide(clopper_pearson(0, 3), [0.5]) == 5


@given(st.floats(0.1, 2.0), st.floats(0.1, 2.0))
def test_the_nearest_boundary_decides(a, b):
    interval = t_interval([-1.0, 0.0, 1.0])
    assert seeds_to_decide(interval, [-a, b]) == seeds_to_decide(interval, [min(a, b)])


def test_no_answer():
    assert seeds_to_decide(t_interval([1.0]), [0.0]) is None
    assert seeds_to_decide(jackknife_pairs([[1.0, 0.4], [0.4, 1.0]]), [0.0]) is None
    assert seeds_to_decide(t_interval([-1.0, 1.0]), [0.0]) is None
    assert seeds_to_decide(t_interval([-1.0, 1.001]), [0.0]) is None
    assert seeds_to_decide(t_interval([-1.0, 1.2]), [0.0], cap=10) is None
    assert seeds_to_decide(t_interval([0.3, 0.3]), [0.3]) is None


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0, 5.0], 4])
def test_the_cap_is_the_last_number_that_is_tried(values):
    is_rate = values == 4
    interval, boundary = (clopper_pearson(4, 5), 0.5) if is_rate else (t_interval(values), 2.5)
    needed = seeds_to_decide(interval, [boundary])
    assert seeds_to_decide(interval, [boundary], cap=needed) == needed
    assert seeds_to_decide(interval, [boundary], cap=needed - 1) is None
    powered = seeds_for_power(interval, boundary, math.inf)
    assert seeds_for_power(interval, boundary, math.inf, cap=powered) == powered
    assert seeds_for_power(interval, boundary, math.inf, cap=powered - 1) is None


@pytest.mark.parametrize(("n", "found"), [(1000, 1000), (1001, None)])
def test_a_thousand_seeds_are_tried_by_default(n, found):
    """The distance is that which n seeds, and no fewer, can tell."""
    unit = Interval(0.0, -1.0, 1.0, 4, 0.5, 3)
    assert seeds_to_decide(unit, [stats.t.ppf(0.95, n - 1) / math.sqrt(n) * (1 + 1e-9)]) == found
    low, high = (stats.nct.sf(stats.t.ppf(0.95, n - 1), n - 1, x * math.sqrt(n)) for x in (0.07, 0.09))
    assert low < 0.8 < high
    distance = brentq(lambda x: mean_power(x, math.inf, n) - 0.8, 0.07, 0.09, xtol=1e-14) * (1 + 1e-9)
    assert seeds_for_power(unit, -distance, math.inf) == found


def test_one_seed_may_decide_a_rate_and_two_a_mean():
    certain, tight = clopper_pearson(1, 1), t_interval([1.0, 1.0 + 1e-9])
    assert seeds_to_decide(certain, [0.01]) == seeds_for_power(certain, 0.01, math.inf) == 1
    assert seeds_to_decide(tight, [0.5]) == seeds_for_power(tight, 0.5, math.inf) == 2


def test_the_intervals_own_confidence_is_planned_with():
    surer = Interval(3.0, 1.0, 5.0, 5, 0.7, 4, confidence=0.99)
    sd = 0.7 * math.sqrt(5)
    assert power_at(3.0, surer, 2.0, 5.0, 9) == mean_power(1 / sd, 2 / sd, 9, 0.99)
    assert power_at(3.0, surer, 4.0, 5.0, 9) == mean_power(1 / sd, math.inf, 9, 0.99)
    rate = clopper_pearson(4, 5, confidence=0.99)
    assert power_at(0.8, rate, 0.5, 1.0, 30) == rate_power(0.8, 0.5, 1.0, 30, 0.99)


@pytest.mark.parametrize("value", [2.0, 5.0])
def test_a_true_value_on_the_boundary_lies_inside(value):
    interval, sd = Interval(3.0, 1.0, 5.0, 5, 0.7, 4), 0.7 * math.sqrt(5)
    assert power_at(value, interval, 2.0, 5.0, 9) == pytest.approx(mean_power(0.0, 3 / sd, 9))
    assert power_at(value, interval, 2.0, 5.0, 9) < mean_power(0.0, math.inf, 9)


def test_no_spread_needs_no_more():
    assert seeds_to_decide(t_interval([0.3, 0.3, 0.3]), [0.2]) == 2


@pytest.mark.parametrize("boundaries", [[], [math.inf], [math.nan, 0.0]])
def test_boundaries_are_finite(boundaries):
    with pytest.raises(InputError, match="boundaries"):
        seeds_to_decide(t_interval([1.0, 2.0]), boundaries)


DRAWS = 20_000


def _simulated(below, above, n, rng):
    """Share of t intervals of n standard normal seeds that lie between -below and above."""
    seeds = rng.normal(size=(DRAWS, n))
    half = stats.t.ppf(0.95, n - 1) * seeds.std(axis=1, ddof=1) / math.sqrt(n)
    return np.mean((seeds.mean(axis=1) - half > -below) & (seeds.mean(axis=1) + half < above))


@given(st.floats(0.0, 4.0), st.integers(2, 60))
def test_one_boundary_is_the_noncentral_t(distance, n):
    tail = stats.nct.sf(stats.t.ppf(0.95, n - 1), n - 1, distance * math.sqrt(n))
    assert mean_power(distance, math.inf, n) == pytest.approx(tail, abs=1e-5)
    assert mean_power(math.inf, distance, n) == pytest.approx(tail, abs=1e-5)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_one_boundary_agrees_with_statsmodels(n):
    theirs = TTestPower().power(0.9, n, alpha=0.05, alternative="larger")
    assert mean_power(0.9, math.inf, n) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("below", "above", "n"), [(1, 1, 5), (2, 2, 3), (0.5, 3, 8), (0.3, 0.3, 60), (1, 9, 2)]
)
def test_two_boundaries_agree_with_simulation(below, above, n):
    chance = mean_power(below, above, n)
    error = math.sqrt(chance * (1 - chance) / DRAWS)
    assert abs(_simulated(below, above, n, np.random.default_rng(n)) - chance) < 4 * error
    # Both boundaries as if they were independent, or the nearer one alone, are other numbers.
    assert chance < min(mean_power(below, math.inf, n), mean_power(math.inf, above, n)) + 1e-4


@given(st.floats(0.01, 3.0), st.floats(0.01, 3.0), st.integers(2, 30))
def test_power_grows_with_seeds_and_distance(below, above, n):
    chance = mean_power(below, above, n)
    assert 0 <= chance <= 1 + 1e-12
    assert chance < 0.05 or mean_power(below, above, n + 1) >= chance - 1e-4
    assert mean_power(below * 1.1, above, n) >= chance - 1e-4
    assert mean_power(above, below, n) == pytest.approx(chance, abs=1e-12)


def test_on_the_boundary_it_is_the_level():
    assert mean_power(0.0, math.inf, 7) == pytest.approx(0.05, abs=1e-5)
    assert mean_power(0.0, math.inf, 7, confidence=0.8) == pytest.approx(0.10, abs=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0.5, math.inf), (-math.inf, 0.5), (0.2, 0.8)])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.5, 0.77, 0.8, 1.0])
def test_rates_are_the_sum_over_all_outcomes(rate, low, high):
    for n in (1, 3, 5, 8, 20):
        right = 0.0
        for hits in range(n + 1):
            found = clopper_pearson(hits, n)
            inside = low <= found.low and found.high <= high
            outside = found.high < low or found.low > high
            right += stats.binom.pmf(hits, n, rate) * (inside if low <= rate <= high else outside)
        assert rate_power(rate, low, high, n) == pytest.approx(right, abs=1e-12)


SHARES = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(SHARES, SHARES, SHARES, st.integers(1, 25))
def test_rate_power_mirrors_and_never_exceeds_what_is_certain(rate, a, b, n):
    low, high = min(a, b), max(a, b)
    chance = rate_power(rate, low, high, n)
    assert 0 <= chance <= 1 + 1e-12
    assume(min(abs(rate - low), abs(rate - high)) > 1e-9)  # or 1 - rate falls on the other side
    assert rate_power(1 - rate, 1 - high, 1 - low, n) == pytest.approx(chance, abs=1e-9)
    surer = rate_power(rate, low, high, n, confidence=0.99)
    assert surer <= chance + 1e-12


def test_rates_by_hand():
    assert rate_power(0.9, 0.5, math.inf, 5) == pytest.approx(0.9**5)  # only 5 of 5 exclude .5
    assert rate_power(0.9, 0.5, math.inf, 3) == 0  # 3 of 3 don't: .05^(1/3) = .37
    assert rate_power(0.1, 0.5, math.inf, 5) == pytest.approx(0.9**5)


@given(st.floats(0.2, 2.0), st.sampled_from([0.5, 0.8, 0.95]))
def test_seeds_for_power_are_the_fewest(distance, power):
    interval = t_interval([-1.0, 0.0, 1.0, 0.5, -0.5])
    low = interval.estimate - distance
    n = seeds_for_power(interval, low, math.inf, power)
    assert power_at(interval.estimate, interval, low, math.inf, n) >= power
    assert n == 2 or power_at(interval.estimate, interval, low, math.inf, n - 1) < power


def test_seeds_for_power_agree_with_statsmodels():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    effect = 0.5 / np.std(values, ddof=1)
    theirs = TTestPower().solve_power(effect, alpha=0.05, power=0.8, alternative="larger")
    assert seeds_for_power(t_interval(values), 2.5, math.inf) == math.ceil(theirs)


def test_seeds_for_power_are_more_than_at_the_same_estimate():
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert seeds_for_power(interval, 2.5, math.inf) > seeds_to_decide(interval, [2.5])
    assert seeds_for_power(interval, 2.5, 3.5) > seeds_for_power(interval, 2.5, math.inf)
    assert seeds_for_power(interval, 3.0, math.inf) is None
    assert seeds_for_power(interval, 2.5, math.inf, cap=10) is None


def test_seeds_for_the_power_of_a_rate():
    interval = clopper_pearson(4, 5)
    n = seeds_for_power(interval, 0.5, math.inf)
    assert rate_power(0.8, 0.5, math.inf, n) >= 0.8
    assert all(rate_power(0.8, 0.5, math.inf, fewer) < 0.8 for fewer in range(1, n))


def test_scales_are_planned_where_they_are_tested():
    r = fisher_z_interval([0.8, 0.9, 0.95, 0.7])
    z = t_interval(np.arctanh([0.8, 0.9, 0.95, 0.7]))
    assert seeds_for_power(r, 0.8, math.inf) == seeds_for_power(z, math.atanh(0.8), math.inf)
    (_, below), (above, _) = decidable(z, math.atanh(0.8), math.inf, 6)
    carried_back = [-math.inf, math.tanh(below), math.tanh(above), math.inf]
    assert list(chain(*decidable(r, 0.8, math.inf, 6))) == pytest.approx(carried_back)
    ratio = geometric_interval([0.5, 1.0, 3.0])
    assert decidable(ratio, 0.0, 2.0, 6)[0][0] == -math.inf


@pytest.mark.parametrize(("low", "high"), [(2.0, math.inf), (-math.inf, 2.0), (0.0, 9.0), (2.0, 3.0)])
def test_decidable_values_are_where_the_power_is_reached(low, high):
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    ranges = decidable(interval, low, high, 5)
    assert len(ranges) == {(0.0, 9.0): 3}.get((low, high), 2)  # 1 wide is too narrow for this spread
    for end in (end for pair in ranges for end in pair if math.isfinite(end)):
        assert power_at(end, interval, low, high, 5) == pytest.approx(0.8, abs=1e-3)
    for start, end in ranges:
        inside = start + 0.1 if math.isfinite(start) else end - 0.1
        assert power_at(inside, interval, low, high, 5) > 0.8


@given(st.floats(-3, 3), st.floats(0.2, 3), st.integers(3, 12), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=15)
def test_decidable_ranges_are_apart_ascending_and_follow_shift_and_scale(low, spread, n, scale, shift):
    interval = Interval(0.0, -1.0, 1.0, 4, spread, 3)
    ranges = decidable(interval, low, math.inf, n)
    ends = list(chain(*ranges))
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == (-math.inf, math.inf)
    assert ends[1] < low < ends[2]
    assert low - ends[1] == pytest.approx(ends[2] - low, rel=1e-3)
    moved = Interval(shift, shift - 1, shift + 1, 4, scale * spread, 3)
    expected = [scale * end + shift for end in ends]
    found = list(chain(*decidable(moved, scale * low + shift, math.inf, n)))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("width", [2.5, 3.0, 5.0, 9.0, 30.0, 300.0])
@pytest.mark.parametrize(("shift", "unit"), [(0.0, 1.0), (40.0, 1.0), (0.0, 1e4), (0.0, 1e-4)])
def test_between_two_boundaries_a_range_lies_in_the_middle_and_one_beyond_each(width, shift, unit):
    interval = Interval(shift, shift - 1, shift + 1, 4, unit / 2, 3)  # a seed's standard deviation is `unit`
    low, high = shift - width * unit / 2, shift + width * unit / 2
    ranges = decidable(interval, low, high, 8)
    assert len(ranges) == 3
    (_, below), (start, end), (above, _) = ranges
    assert below < low < start < shift < end < high < above
    assert shift - start == pytest.approx(end - shift, rel=1e-6, abs=1e-6 * unit)
    for inside in np.linspace(start, end, 7)[1:-1]:
        assert power_at(inside, interval, low, high, 8) > 0.8


def test_a_range_of_rates_may_begin_at_nought_or_end_at_one():
    (start, end), (above, _) = decidable(clopper_pearson(1, 5), 0.0, 0.5, 30)
    assert start == -math.inf
    assert end < 0.5 < above
    (_, below), (start, end) = decidable(clopper_pearson(1, 5), 0.5, 1.0, 30)
    assert below < 0.5 < start
    assert end == math.inf


@pytest.mark.parametrize("power", [0.04, 0.125])
def test_power_exceeds_the_level_of_the_test(power):
    """On a boundary the power is the level: .05, and .125 at a confidence of .75."""
    interval = Interval(3.0, 1.0, 5.0, 5, 0.7, 4, confidence=0.9 if power == 0.04 else 0.75)
    with pytest.raises(InputError, match=f"got {power}"):
        decidable(interval, 2.0, math.inf, 9, power)
    assert decidable(interval, 2.0, math.inf, 9, power + 0.03)


def test_decidable_rates():
    assert decidable(clopper_pearson(1, 3), 0.5, math.inf, 3) == []
    (_, below), (above, _) = decidable(clopper_pearson(1, 5), 0.5, math.inf, 5)
    assert above == pytest.approx(0.8**0.2)
    assert below == pytest.approx(1 - 0.8**0.2)


@given(st.floats(0.01, 100), st.integers(1, 50), st.floats(0.5, 0.99))
def test_spread_range_agrees_with_scipy_scales_and_narrows_with_data(sd, df, confidence):
    low, high = spread_range(sd, df, confidence)
    quantiles = stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], df)
    assert (low, high) == pytest.approx(tuple(sd * np.sqrt(df / quantiles)), rel=1e-6)
    assert spread_range(3 * sd, df, confidence) == pytest.approx((3 * low, 3 * high))
    tighter = spread_range(sd, 4 * df, confidence)
    assert high / low > tighter[1] / tighter[0]


def test_spread_range_is_the_chi_square_interval():
    rng = np.random.default_rng(0)
    sd = rng.normal(size=(4000, 5)).std(axis=1, ddof=1)
    covered = [low <= 1 <= high for low, high in (spread_range(one, 4) for one in sd)]
    assert np.mean(covered) == pytest.approx(0.90, abs=4 * math.sqrt(0.09 / 4000))
    low, high = spread_range(2.0, 4)
    assert (low, high) == pytest.approx((2 * math.sqrt(4 / 9.4877), 2 * math.sqrt(4 / 0.71072)), rel=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: mean_power(1.0, 1.0, 1), "two seeds, got 1"),
        (lambda: rate_power(1.2, 0.5, 1.0, 5), "rate=1.2"),
        (lambda: seeds_for_power(t_interval([1.0, 2.0]), 0.0, 1.0, power=1.0), "power .* got 1.0"),
        (lambda: decidable(t_interval([1.0, 2.0]), 0.0, 1.0, 5, power=0.01), "power .* got 0.01"),
        (lambda: seeds_for_power(t_interval([1.0]), 0.0, 2.0), "spread .* inf"),
        (lambda: power_at(0.5, t_interval([1.0, 1.0]), 0.0, 2.0, 5), "spread .* 0.0"),
        (lambda: spread_range(1.0, 0), "degree of freedom, got 0"),
        (lambda: spread_range(1.0, 4, confidence=1.5), "confidence .* 1.5"),
    ],
)
def test_bad_input_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        wrong()


def test_rates_are_planned_within_nought_and_one_whatever_the_boundary_and_without_a_spread():
    (_, below), (above, end) = decidable(clopper_pearson(3, 5), -math.inf, 0.5, 20)
    assert below < 0.5 < above
    assert end == math.inf
    assert len(decidable(clopper_pearson(5, 5), 0.6, math.inf, 20)) == 2
    assert seeds_to_decide(clopper_pearson(5, 5), [1.5]) == 1
