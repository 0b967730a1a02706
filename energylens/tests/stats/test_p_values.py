"""p values: consistent with the intervals, with scipy, statsmodels, and their definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from energylens.errors import InputError
from energylens.stats import (
    clopper_pearson,
    holm,
    jackknife_pairs,
    one_sided_p,
    permutation_p,
    sign_flip_p,
    sign_p,
    smallest_sign_flip_p,
    t_interval,
)

SEEDS = st.lists(st.floats(-10, 10).map(lambda x: round(x, 4)), min_size=2, max_size=10)
COUNTS = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(SEEDS, st.floats(-10, 10))
def test_t_agrees_with_scipy(values, boundary):
    assume(len(set(values)) > 1)
    found = t_interval(values)
    for side, alternative in (("above", "greater"), ("below", "less")):
        expected = stats.ttest_1samp(values, boundary, alternative=alternative).pvalue
        assert one_sided_p(found, boundary, side) == pytest.approx(expected, rel=1e-7, abs=1e-12)


@given(COUNTS, st.floats(0, 1))
def test_binomial_agrees_with_scipy(counts, boundary):
    found = clopper_pearson(*counts)
    for side, alternative in (("above", "greater"), ("below", "less")):
        expected = stats.binomtest(*counts, boundary, alternative=alternative).pvalue
        assert one_sided_p(found, boundary, side) == pytest.approx(expected, rel=1e-7, abs=1e-12)


@given(st.one_of(SEEDS.map(t_interval), COUNTS.map(lambda c: clopper_pearson(*c))), st.floats(-11, 11))
def test_significant_exactly_when_the_interval_excludes_the_boundary(interval, boundary):
    for side, end in (("above", interval.low), ("below", interval.high)):
        assume(abs(end - boundary) > 1e-9)
        excluded = end > boundary if side == "above" else end < boundary
        assert (one_sided_p(interval, boundary, side) < 0.05) == excluded


def test_jackknife_intervals_are_tested_by_their_own_degrees_of_freedom():
    pairs = np.add.outer([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]) / 2
    found = jackknife_pairs(pairs)
    assert one_sided_p(found, found.low, "above") == pytest.approx(0.05)
    assert one_sided_p(found, found.high, "below") == pytest.approx(0.05)


def test_one_run_is_never_significant():
    for side in ("above", "below"):
        assert one_sided_p(t_interval([5.0]), 0.0, side) == 1.0


def test_zero_width_decides_everywhere_but_on_the_boundary():
    constant = t_interval([0.3] * 5)
    assert [one_sided_p(constant, b, "above") for b in (0.2, 0.3, 0.4)] == [0.0, 0.5, 1.0]
    assert [one_sided_p(constant, b, "below") for b in (0.2, 0.3, 0.4)] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("boundary", [-0.5, 1.5])
def test_rates_beyond_zero_and_one_are_impossible(boundary):
    sure = "above" if boundary < 0 else "below"
    for hits in (0, 2, 5):
        found = clopper_pearson(hits, 5)
        assert one_sided_p(found, boundary, sure) == 0.0
        assert one_sided_p(found, boundary, "below" if sure == "above" else "above") == 1.0


@pytest.mark.parametrize(("boundary", "side"), [(math.nan, "above"), (math.inf, "below"), (0.0, "two-sided")])
def test_refuses_other_questions(boundary, side):
    with pytest.raises(InputError, match="side"):
        one_sided_p(t_interval([1.0, 2.0]), boundary, side)


def test_permutation_known_answers():
    assert permutation_p(10.0, np.zeros(99)) == pytest.approx(1 / 100)
    assert permutation_p(0.0, np.zeros(99)) == 1.0
    assert permutation_p(2.0, [1.0, 2.0, 3.0]) == pytest.approx(3 / 4)
    assert permutation_p(0.3, [0.1 + 0.2 - 1e-16] * 3) == 1.0


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=50), st.floats(-10, 10), st.randoms())
def test_permutation_ignores_order_and_is_attainable(draws, observed, random):
    p = permutation_p(observed, draws)
    assert 1 / (len(draws) + 1) <= p <= 1.0
    assert permutation_p(observed, random.sample(draws, len(draws))) == p


def test_permutation_is_valid_under_the_null_and_plain_shares_are_not():
    draws = np.random.default_rng(0).normal(size=(20_000, 20))
    p = np.array([permutation_p(row[0], row[1:]) for row in draws])
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.005)
    # The corrupted version, b / m, rejects a tenth of the time with 9 draws: whenever none is as large.
    shares = np.mean(draws[:, 1:10] >= draws[:, :1], axis=1)
    assert np.mean(shares <= 0.05) > 0.08


@pytest.mark.parametrize(("observed", "draws"), [(1.0, []), (math.nan, [1.0]), (1.0, [math.nan])])
def test_permutation_refuses_the_undefined(observed, draws):
    with pytest.raises(InputError):
        permutation_p(observed, draws)


@given(st.integers(1, 60))
def test_sign_test_agrees_with_scipy(n):
    assert sign_p(n) == pytest.approx(stats.binomtest(n, n, 0.5, alternative="greater").pvalue)


def test_sign_test_needs_a_seed():
    with pytest.raises(InputError, match="got 0"):
        sign_p(0)


@pytest.mark.parametrize("n", range(1, 8))
def test_smallest_sign_flip_p_by_enumeration(n):
    flips = np.array(np.meshgrid(*[[-1, 1]] * n)).reshape(n, -1)
    means = np.abs(flips.sum(axis=0))
    assert smallest_sign_flip_p(n) == np.mean(means >= n)


def test_sign_flips_need_seeds():
    with pytest.raises(InputError):
        smallest_sign_flip_p(0)


def test_holm_known_answer():
    # Step down: .01 <= .05/3, then .03 > .05/2 stops it.
    found = holm([0.01, 0.04, 0.03])
    assert found.survives == (True, False, False)
    assert found.adjusted == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]).survives == ()


@settings(max_examples=15)  # statsmodels collects garbage in every call: 0.1 s
@given(st.lists(st.floats(0, 1).map(lambda p: round(p, 6)), min_size=1, max_size=20))
def test_holm_agrees_with_its_definition(p_values):
    order = np.argsort(p_values, kind="stable")
    m = len(p_values)
    stepped = np.maximum.accumulate([(m - rank) * p_values[i] for rank, i in enumerate(order)])
    expected = np.empty(m)
    expected[order] = np.minimum(stepped, 1.0)
    np.testing.assert_allclose(holm(p_values).adjusted, expected, rtol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_p_value(bad):
    with pytest.raises(InputError):
        holm([0.5, bad])


def by_enumeration(values, boundary):
    distances = np.asarray(values) - boundary
    means = [abs(np.mean(np.array(s) * distances)) for s in itertools.product([1, -1], repeat=len(values))]
    return np.mean(np.array(means) >= abs(distances.mean()) - 1e-12)


THOUSANDTHS = st.integers(-5000, 5000).map(lambda k: k / 1000)


@given(values=st.lists(THOUSANDTHS, min_size=1, max_size=8), boundary=THOUSANDTHS)
def test_sign_flips_agree_with_enumeration(values, boundary):
    found = sign_flip_p(values, boundary)
    assert found == pytest.approx(by_enumeration(values, boundary))
    assert smallest_sign_flip_p(len(values)) <= found <= 1


@given(
    values=st.lists(THOUSANDTHS, min_size=2, max_size=8),
    boundary=THOUSANDTHS,
    scale=st.sampled_from([-4.0, -1.0, 0.5, 8.0]),
)
def test_sign_flips_do_not_depend_on_order_scale_or_side(values, boundary, scale):
    found = sign_flip_p(values, boundary)
    assert sign_flip_p(values[::-1], boundary) == pytest.approx(found)
    assert sign_flip_p(scale * np.array(values), scale * boundary) == pytest.approx(found)


def test_sign_flips_agree_with_scipy():
    from scipy.stats import permutation_test

    values = np.random.default_rng(0).normal(0.4, 1, 8)
    theirs = permutation_test(
        (values,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    assert sign_flip_p(values, 0.0) == pytest.approx(theirs.pvalue)


def test_sign_flips_of_one_side_give_the_smallest_p_and_of_the_boundary_1():
    assert sign_flip_p(np.arange(1, 9), 0) == smallest_sign_flip_p(8) == 2**-7
    assert sign_flip_p(np.full(8, 3.0), 3.0) == 1
    assert sign_flip_p(np.arange(1, 17), 0) == 2**-15


@pytest.mark.parametrize("values", [[], [1.0] * 17, [1.0, np.nan]])
def test_sign_flips_refuse_what_they_cannot_count(values):
    with pytest.raises(InputError):
        sign_flip_p(values, 0.0)


@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize("hits", [0, 2, 5])
@pytest.mark.parametrize("boundary", [0.0, 1.0])
def test_rates_of_nought_and_one_are_possible(side, hits, boundary):
    alternative = {"above": "greater", "below": "less"}[side]
    expected = stats.binomtest(hits, 5, boundary, alternative=alternative).pvalue
    assert one_sided_p(clopper_pearson(hits, 5), boundary, side) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: permutation_p(1.0, [math.nan]), r"draws\[0\] = nan"),
        (lambda: permutation_p(math.inf, [1.0]), r"observed\[0\] = inf"),
        (lambda: sign_flip_p([1.0, math.nan], 0.0), r"values\[1\] = nan"),
        (lambda: sign_flip_p([1.0], math.nan), r"boundary\[0\] = nan"),
        (lambda: holm([math.nan]), r"p_values\[0\] = nan"),
    ],
)
def test_what_is_not_finite_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        wrong()


def test_holm_of_nothing_and_at_another_level():
    assert holm([]).adjusted == ()
    assert holm([0.07, 0.5], alpha=0.2).survives == (True, False)
    assert holm([0.07, 0.5]).survives == (False, False)
