"""Fisher z and geometric means: known answers, invariances, scipy, coverage, and versions that must fail."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from energylens.errors import InputError
from energylens.stats import (
    Interval,
    fisher_z_interval,
    geometric_interval,
    one_sided_p,
    seeds_to_decide,
    t_interval,
)
from energylens.stats.interval import t_quantile
from energylens.stats.scale import LARGEST_R, SCALES, fisher_z, scaled

CORRELATIONS = st.lists(st.floats(-0.999, 0.999).map(lambda r: round(r, 6)), min_size=2, max_size=10)
RATIOS = st.lists(st.floats(0.01, 100).map(lambda x: round(x, 6)), min_size=2, max_size=10)
TRIALS = 20_000


def ends(interval):
    return np.array([interval.estimate, interval.low, interval.high])


def test_known_answers():
    # atanh .5 = .549306; two seeds -.5 and .5 cancel; log 2 and log 8 meet at log 4.
    assert fisher_z_interval([0.5, 0.5 + 1e-12]).estimate == pytest.approx(0.5)
    assert fisher_z_interval([-0.5, 0.5]).estimate == pytest.approx(0.0)
    assert geometric_interval([2.0, 8.0]).estimate == pytest.approx(4.0)
    assert geometric_interval([2.0, 8.0]).se == pytest.approx(math.log(4) / 2)


@given(CORRELATIONS)
def test_fisher_z_agrees_with_scipy_on_z(r):
    assume(len(set(r)) > 1)
    z = np.arctanh(r)
    low, high = stats.t.interval(0.90, len(r) - 1, z.mean(), stats.sem(z))
    np.testing.assert_allclose(ends(fisher_z_interval(r)), np.tanh([z.mean(), low, high]), atol=1e-9)


@given(CORRELATIONS)
def test_the_interval_stands_about_the_mean_of_z(r):
    assert np.tanh(fisher_z(r).mean()) == pytest.approx(fisher_z_interval(r).estimate, abs=1e-9)
    np.testing.assert_allclose(fisher_z([-x for x in r]), -fisher_z(r))


@given(RATIOS)
def test_geometric_means_agree_with_scipy(ratios):
    assume(len(set(ratios)) > 1)
    low, high = stats.t.interval(0.90, len(ratios) - 1, np.log(ratios).mean(), stats.sem(np.log(ratios)))
    expected = [stats.gmean(ratios), *np.exp([low, high])]
    np.testing.assert_allclose(ends(geometric_interval(ratios)), expected, rtol=1e-8)


@given(CORRELATIONS, st.randoms(use_true_random=False))
def test_fisher_z_mirrors_ignores_order_and_stays_in_range(r, random):
    found = fisher_z_interval(r)
    mirrored = fisher_z_interval([-x for x in random.sample(r, len(r))])
    np.testing.assert_allclose(ends(mirrored), -ends(found)[[0, 2, 1]], atol=1e-9)
    assert -1 <= found.low <= found.estimate <= found.high <= 1


@given(RATIOS, st.floats(0.1, 10))
def test_geometric_means_follow_the_unit_and_the_reciprocal(ratios, unit):
    found = geometric_interval(ratios)
    np.testing.assert_allclose(
        ends(geometric_interval([unit * x for x in ratios])), unit * ends(found), rtol=1e-7
    )
    reciprocal = ends(geometric_interval([1 / x for x in ratios]))[[0, 2, 1]]
    np.testing.assert_allclose(reciprocal, 1 / ends(found), rtol=1e-7)


@given(st.one_of(CORRELATIONS.map(fisher_z_interval), RATIOS.map(geometric_interval)), st.floats(-0.99, 5))
def test_p_values_and_seeds_to_decide_agree_with_the_interval(interval, boundary):
    for side, end in (("above", interval.low), ("below", interval.high)):
        assume(abs(end - boundary) > 1e-6)
        excluded = end > boundary if side == "above" else end < boundary
        assert (one_sided_p(interval, boundary, side) < 0.05) == excluded
    needed = seeds_to_decide(interval, [boundary])
    if interval.low > boundary or interval.high < boundary:
        assert needed is not None
        assert needed <= interval.n
    elif needed is not None:
        assert needed > interval.n


def test_the_p_value_is_that_of_z_not_of_r():
    r = [0.97, 0.6, 0.9, 0.8, 0.95]
    on_z = stats.ttest_1samp(np.arctanh(r), np.arctanh(0.7), alternative="greater").pvalue
    assert one_sided_p(fisher_z_interval(r), 0.7, "above") == pytest.approx(on_z)
    assert one_sided_p(t_interval(r), 0.7, "above") != pytest.approx(on_z, rel=0.05)


def test_boundaries_beyond_the_range_are_certain():
    assert one_sided_p(fisher_z_interval([0.5, 0.7]), 1.0, "below") == 0.0
    assert one_sided_p(fisher_z_interval([0.5, 0.7]), -2.0, "above") == 0.0
    assert one_sided_p(geometric_interval([0.5, 0.7]), -1.0, "above") == 0.0
    assert one_sided_p(geometric_interval([0.5, 0.7]), 0.0, "below") == 1.0


def test_exact_correlations_are_limited_and_decide_little():
    found = fisher_z_interval([1.0, 0.2, 0.1, 0.3, 0.2])
    assert found.low < 0 < 0.99 < found.high
    assert fisher_z_interval([1.0] * 3).estimate == pytest.approx(LARGEST_R)
    assert fisher_z_interval([1.0] * 3).se == 0.0
    assert fisher_z_interval([-1.0, -1.0]).estimate == pytest.approx(-LARGEST_R)


def test_one_seed_has_the_whole_range():
    assert ends(fisher_z_interval([0.3])).tolist() == pytest.approx([0.3, -1, 1])
    assert ends(geometric_interval([3.0])).tolist() == pytest.approx([3.0, 0, math.inf])
    assert math.isinf(geometric_interval([3.0]).se)


@pytest.mark.parametrize(
    ("make", "values", "message"),
    [
        (fisher_z_interval, [0.1, 1.2], r"correlations\[1\] = 1\.2"),
        (fisher_z_interval, [math.nan], r"correlations\[0\] = nan"),
        (fisher_z_interval, [], "at least one"),
        (geometric_interval, [2.0, 0.0], r"ratios\[1\] = 0"),
        (geometric_interval, [-0.5], r"ratios\[0\] = -0\.5"),
        (geometric_interval, [math.inf], r"ratios\[0\] = inf"),
    ],
)
def test_what_has_no_place_on_the_scale_is_named(make, values, message):
    with pytest.raises(InputError, match=message):
        make(values)


@pytest.mark.parametrize(("points", "message"), [([8, 3], r"points\[1\] = 3"), ([8], "shapes")])
def test_points_are_enough_and_one_per_seed(points, message):
    with pytest.raises(InputError, match=message):
        fisher_z_interval([0.1, 0.2], points)


@given(st.sampled_from(sorted(SCALES)), st.floats(-0.9, 0.9))
def test_scales_are_monotone_and_undone_by_their_inverse(name, x):
    scale = SCALES[name]
    value = float(scale.back(x))
    assert scale.forward(value) == pytest.approx(x, abs=1e-9)
    assert scale.back(x + 0.01) > value
    assert scale.forward(1).dtype == float


# Simulated seeds, each a correlation over `m` heads from a bivariate normal. The standard error of a rate of .05 over
# 20 000 trials is .0015.


def simulated_r(rho, m, n=5):
    rng = np.random.default_rng([m, round(100 * rho)])
    x, noise = rng.normal(size=(2, TRIALS, n, m))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    return (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))


def miscoverage(values, truth):
    """Shares of trials whose t interval lies wholly above, and wholly below, the truth."""
    half = t_quantile(values.shape[1] - 1, 0.90) * values.std(axis=1, ddof=1) / math.sqrt(values.shape[1])
    centre = values.mean(axis=1)
    return np.array([np.mean(centre - half > truth), np.mean(centre + half < truth)])


@given(st.sampled_from(sorted(SCALES)), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4))
def test_values_are_carried_to_the_scale_of_the_interval_one_by_one(name, values):
    forward = {"linear": float, "fisher z": math.atanh, "log": math.log}[name]
    interval = Interval(0.5, 0.4, 0.6, 5, 0.1, 4, scale=name)
    assert scaled(interval, *values) == pytest.approx(tuple(forward(value) for value in values))
    assert all(type(value) is float for value in scaled(interval, *values))
    assert scaled(interval) == ()


@given(CORRELATIONS, RATIOS, st.floats(0.5, 0.99))
def test_intervals_keep_their_level_and_name_their_scale(r, ratios, confidence):
    for found, raw in (
        (fisher_z_interval(r, confidence=confidence), np.arctanh(r)),
        (geometric_interval(ratios, confidence), np.log(ratios)),
    ):
        on_scale = t_interval(raw, confidence)
        assert (found.n, found.df, found.confidence) == (len(raw), len(raw) - 1, confidence)
        assert found.se == pytest.approx(on_scale.se)
        assert (
            scaled(found, found.high)[0] == pytest.approx(on_scale.high, rel=1e-5, abs=1e-6)
            or found.high == 1
        )
    assert fisher_z_interval(r).scale == "fisher z"
    assert geometric_interval(ratios).scale == "log"


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(5, 40)), min_size=1, max_size=6), st.booleans())
def test_each_correlation_loses_the_bias_of_its_own_points_and_mirrors(seeds, ranks):
    r, points = zip(*seeds, strict=True)
    expected = []
    for one, m in seeds:
        limit = 1 - 6 / (m * (m * m - 1)) if ranks else LARGEST_R
        expected.append(math.atanh(max(-limit, min(limit, one))) - one / (2 * (m - 1)))
    found = fisher_z_interval(r, points, ranks=ranks)
    assert found.estimate == pytest.approx(math.tanh(np.mean(expected)), abs=1e-9)
    mirrored = fisher_z_interval([-one for one in r], points, ranks=ranks)
    assert ends(mirrored) == pytest.approx(-ends(found)[[0, 2, 1]], abs=1e-9)


def test_four_points_are_enough_and_ratios_too_large_for_a_float_are_no_warning():
    assert fisher_z_interval([0.1, 0.2], [4, 4]).n == 2
    with pytest.raises(InputError, match=r"at least 4 points, got points\[1\] = 3"):
        fisher_z_interval([0.1, 0.2], [4, 3])
    with pytest.raises(InputError, match=r"points must be finite, got points\[0\] = nan"):
        fisher_z_interval([0.1, 0.2], [math.nan, 8])
    assert geometric_interval([1e-300, 1e300]).high == math.inf


@pytest.mark.parametrize("m", [8, 16])
@pytest.mark.parametrize("rho", [0.0, 0.7, 0.9])
def test_coverage_of_a_correlation_is_nominal_on_either_side(rho, m):
    r = simulated_r(rho, m)
    sides = miscoverage(np.arctanh(r) - r / (2 * (m - 1)), np.arctanh(rho))
    assert abs(sides.sum() - 0.10) <= 0.02
    assert sides.max() <= 0.06
    if rho:  # the corrupted versions, t on the raw r and z without its bias, must fail the same test
        assert miscoverage(r, rho).max() > 0.06
        assert miscoverage(np.arctanh(r), np.arctanh(rho)).max() > 0.06


def test_coverage_of_a_skewed_ratio_is_nominal_and_that_of_its_raw_mean_is_not():
    ratios = np.random.default_rng(0).lognormal(math.log(2), 1.0, size=(TRIALS, 10))
    assert abs(miscoverage(np.log(ratios), math.log(2)).sum() - 0.10) <= 0.02
    assert miscoverage(ratios, 2).max() > 0.06


def test_the_vectorised_coverage_speaks_of_the_functions():
    r = simulated_r(0.7, 8)[:50]
    z = np.arctanh(r) - r / 14
    halves = t_quantile(4, 0.90) * z.std(axis=1, ddof=1) / math.sqrt(5)
    found = [fisher_z_interval(seeds, [8] * 5) for seeds in r]
    np.testing.assert_allclose([one.high for one in found], np.tanh(z.mean(axis=1) + halves), rtol=1e-12)
    np.testing.assert_allclose([scaled(one, one.estimate)[0] for one in found], z.mean(axis=1), rtol=1e-9)


def largest_below_one(m):
    return 1 - 12 / (m * (m**2 - 1))


@pytest.mark.parametrize("m", [5, 8, 16])
def test_a_perfect_ranking_counts_as_halfway_to_the_next_one(m):
    points = [m, m]
    perfect = fisher_z_interval([1.0, 1.0], points, ranks=True).estimate
    halfway = fisher_z_interval([1 - 6 / (m * (m**2 - 1))] * 2, points).estimate
    assert perfect == pytest.approx(halfway, abs=2e-3)  # the bias is taken at r itself
    swapped = stats.spearmanr(np.arange(m), np.r_[1, 0, np.arange(2, m)]).statistic
    assert swapped == pytest.approx(largest_below_one(m))


def test_a_better_ranking_does_not_make_a_claim_worse():
    """Five seeds on eight heads: raising one to a perfect 1 once moved the lower end from .948 to .651."""
    good = [0.976, 0.952, 0.976, 0.976, 0.952]
    better = [0.976, 0.952, 1.0, 0.976, 0.952]
    points = [8] * 5
    before, after = (fisher_z_interval(r, points, ranks=True) for r in (good, better))
    assert after.estimate > before.estimate
    assert after.low > 0.94
    assert fisher_z_interval(better, points).low < 0.7


def test_rank_correlations_need_the_number_of_points():
    with pytest.raises(InputError, match="number of points"):
        fisher_z_interval([0.5, 0.6], ranks=True)
