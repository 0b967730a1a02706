import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from energylens.errors import InputError
from energylens.metrics.association import (
    auroc,
    correlations,
    cross_validated_gain,
    group_ratio,
    pearson,
    permuted_within,
    ranks,
    spearman,
    transferred_gain,
    within_group_correlation,
    within_groups,
    youden_cut,
)

SEEDS = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def floats(*values):
    return torch.tensor(values, dtype=torch.float64)


def two_tables(seed=0, n=12):
    x = normal(n, seed=seed)
    return x, 0.5 * x + normal(n, seed=seed + 1)


def classes(seed=0, n=20):
    """Scores with ties, lower for the true, and labels of both classes."""
    labels = torch.rand(n, generator=rng(seed)) < 0.4
    labels[:2] = torch.tensor([True, False])
    return (4 * normal(n, seed=seed) - 4 * labels).round() / 4, labels


# Correlations


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_correlations_agree_with_scipy(seed):
    x, y = two_tables(seed)
    tied = (2 * x).round()
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert spearman(tied, y) == pytest.approx(stats.spearmanr(tied, y).statistic, abs=1e-12)


@given(SEEDS, st.floats(0.01, 100), st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_correlations_ignore_scale_and_shift_and_ranks_any_monotone_map(seed, scale, shift):
    x, y = two_tables(seed)
    assert pearson(scale * x + shift, y) == pytest.approx(pearson(x, y), abs=1e-9)
    assert pearson(-x, y) == pytest.approx(-pearson(x, y), abs=1e-12)
    assert spearman(x.exp(), y**3) == pytest.approx(spearman(x, y), abs=1e-12)


def test_known_correlations():
    x = floats(1, 2, 3, 4)
    assert pearson(x, 3 * x + 1) == pytest.approx(1)
    assert spearman(x, floats(1, 10, 100, 90)) == pytest.approx(0.8)
    assert pearson(x, floats(1, -1, -1, 1)) == pytest.approx(0)


def test_a_row_is_constant_by_its_own_size_and_not_by_that_of_others():
    x, y = two_tables()
    assert correlations(x, torch.stack([y, 1e16 * y])).tolist() == pytest.approx([pearson(x, y)] * 2)


@pytest.mark.parametrize("unit", [1e-14, 1e14])
def test_no_unit_is_so_small_or_large_that_it_changes_a_correlation_or_a_gain(unit):
    x, y = two_tables()
    assert pearson(unit * x, y) == pytest.approx(pearson(x, y))
    base, extra = normal(3, 20, 1), normal(3, 20, 1, seed=1)
    target = (base + 2 * extra)[..., 0] + normal(3, 20, seed=2)
    gain = transferred_gain(target, base, extra, 0)
    assert gain > 0.1
    assert transferred_gain(target, base, unit * extra, 0) == pytest.approx(gain)


def test_the_smallest_classes_that_have_a_cut():
    assert youden_cut(floats(1, 2), torch.tensor([True, False])) == 1.5
    assert youden_cut(floats(1, 2, 3), torch.tensor([True, True, False])) == 2.5


def test_no_ratio_to_a_mean_of_nought():
    assert math.isnan(group_ratio(floats(1, 1, -1), floats(0, 1, 1), cut=0.5))


@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_a_constant_or_missing_value_has_no_correlation_and_no_warning(correlation):
    x, y = two_tables()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(correlation(torch.full_like(x, 0.1), y))
        assert math.isnan(correlation(x, torch.full_like(y, 0.1)))
        assert math.isnan(correlation(x.clone().index_fill_(0, torch.tensor(3), math.nan), y))
        assert math.isnan(correlation(x[:1], y[:1]))
        assert math.isnan(correlation(x[:0], y[:0]))
        assert math.isnan(correlation(torch.full((9,), 1 / 3), normal(9).float()))


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.inf) | st.just(-math.inf), max_size=12), SEEDS)
@settings(max_examples=30, deadline=None)
def test_ranks_are_scipys_follow_the_order_and_take_infinities(values, seed):
    x, order = torch.tensor(values, dtype=torch.float64), torch.randperm(len(values), generator=rng(seed))
    found = ranks(x)
    assert found.tolist() == stats.rankdata(values).tolist()
    assert torch.equal(ranks(x[order]), found[order])
    assert torch.equal(ranks(-x), len(values) + 1 - found)
    assert torch.equal(ranks(found), found)
    assert float(found.sum()) == len(values) * (len(values) + 1) / 2


@given(SEEDS, st.integers(2, 9), st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_correlations_are_symmetric_bounded_and_those_of_each_row(seed, n, draws):
    x, y = normal(n, seed=seed), normal(draws, n, seed=seed + 1)
    found = correlations(x, y)
    assert found.tolist() == pytest.approx([pearson(row, x) for row in y], nan_ok=True)
    assert (found.abs() <= 1).all()
    assert correlations(x, torch.stack([x, -x, 1e-8 * x + 1])).tolist() == pytest.approx([1, -1, 1])
    order = torch.randperm(n, generator=rng(seed))
    assert torch.allclose(correlations(x[order], y[:, order]), found, atol=1e-12)


@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_an_infinite_value_has_no_correlation_and_a_rank(bad):
    x, y = two_tables()
    spoilt = x.index_fill(0, torch.tensor(3), bad)
    assert math.isnan(pearson(spoilt, y))
    assert spearman(spoilt, y) == spearman(x.index_fill(0, torch.tensor(3), 1e9 * (1 if bad > 0 else -1)), y)


@pytest.mark.parametrize(("dtype", "wave"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_a_wave_on_a_constant_correlates_unless_it_is_no_more_than_rounding(dtype, wave):
    shape = torch.tensor([1.0, -1, 1, -1, -1, 1], dtype=torch.float64)
    assert pearson((1 + wave * shape).to(dtype), shape.to(dtype)) == pytest.approx(1, abs=0.05)
    assert math.isnan(pearson((1 + wave / 1000 * shape).to(dtype), shape.to(dtype)))


def test_correlations_of_rows_are_those_of_each_row_constant_rows_left_out():
    x, y = normal(9), normal(4, 9, seed=1)
    y[2] = 0.1
    found = correlations(x, y)
    assert found[:2].tolist() == pytest.approx([pearson(x, row) for row in y[:2]])
    assert found.isnan().tolist() == [False, False, True, False]
    assert correlations(torch.ones(9), y).isnan().all()


# Depth


def test_depth_alone_is_a_correlation_that_goes_away():
    groups = torch.arange(4).repeat_interleave(5)
    x, y = normal(20) + 10 * groups, normal(20, seed=1) - 10 * groups
    assert pearson(x, y) < -0.95
    assert abs(within_group_correlation(x, y, groups)) < 0.5
    inside = normal(20, seed=2)
    assert within_group_correlation(inside + groups, 2 * inside - 7 * groups, groups) == pytest.approx(1)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_within_group_correlation_is_that_of_residuals_on_group_indicators(seed):
    x, y = two_tables(seed)
    groups = torch.randint(5, (12,), generator=rng(seed)) * 3 - 4
    indicators = (groups[:, None] == groups.unique()).double().numpy()
    fits = [LinearRegression(fit_intercept=False).fit(indicators, values) for values in (x, y)]
    left = [values.numpy() - fit.predict(indicators) for values, fit in zip((x, y), fits, strict=True)]
    assume(min(np.linalg.norm(values) for values in left) > 1e-6)
    expected = stats.pearsonr(*left).statistic
    assert within_group_correlation(x, y, groups) == pytest.approx(expected, abs=1e-9)
    # A shift per group, however large, changes nothing.
    shifted = within_group_correlation(x + 100 * groups, y, groups)
    assert shifted == pytest.approx(expected, abs=1e-9)


@given(SEEDS, st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_taking_group_means_away_is_done_once_and_asks_no_names(seed, n, n_groups):
    groups, x = torch.randint(n_groups, (n,), generator=rng(seed)), normal(n, seed=seed)
    left = within_groups(x, groups)
    assert torch.equal(within_groups(x, 7 - 3 * groups).isnan(), left.isnan())
    if left.isnan().any():
        assert left.isnan().all()
        assert len(groups.unique()) == n or n == 1
        return
    for group in groups.unique():
        assert float(left[groups == group].sum()) == pytest.approx(0, abs=1e-12)
    assert torch.allclose(within_groups(left, groups), left, atol=1e-12)
    assert torch.allclose(within_groups(x, 7 - 3 * groups), left, atol=1e-12)
    one = within_groups(x, torch.zeros_like(groups))
    assert torch.allclose(one, x - x.mean(), atol=1e-12)


@given(SEEDS, st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_permutations_within_any_groups_move_each_index_at_home(seed, groups, n):
    groups = torch.tensor(groups)
    drawn = permuted_within(groups, rng(seed), n)
    assert torch.equal(drawn.sort(1).values, torch.arange(len(groups)).expand(n, -1))
    assert torch.equal(groups[drawn], groups.expand(n, -1))


def test_nothing_is_left_of_what_depends_on_the_group_alone():
    x, y = two_tables()
    groups = torch.arange(12) % 4
    assert math.isnan(within_group_correlation(0.1 * groups.double(), y, groups))
    assert math.isnan(within_group_correlation(x, y, torch.arange(12)))


def test_permutations_stay_in_their_groups_and_are_uniform():
    groups = torch.tensor([2, 0, 2, 1, 0, 2])
    drawn = permuted_within(groups, rng(), 6000)
    assert drawn.shape == (6000, 6)
    assert torch.equal(drawn.sort(1).values, torch.arange(6).expand(6000, 6))
    assert torch.equal(groups[drawn], groups.expand(6000, 6))
    # 3! 2! 1! orders, each in a twelfth of the draws: 500 +- 5 standard deviations of 21.
    counts = drawn.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 12
    assert (counts - 500).abs().max() < 107
    assert torch.equal(permuted_within(groups, rng(3), 4), permuted_within(groups, rng(3), 4))


def test_what_is_ranked_or_centred_first_may_be_shuffled_afterwards():
    groups = torch.arange(12) % 3
    x, y = two_tables()
    rows = permuted_within(groups, rng(), 5)
    centred = correlations(within_groups(x, groups), within_groups(y, groups)[rows])
    ranked = correlations(ranks(x), ranks(y)[rows])
    assert centred.tolist() == pytest.approx([within_group_correlation(x, y[row], groups) for row in rows])
    assert ranked.tolist() == pytest.approx([spearman(x, y[row]) for row in rows])


# Cuts


def slow_cut(scores, labels):
    """Youden's cut by trying every midpoint."""
    values = sorted(set(scores.tolist()))
    best, chosen = 0.0, math.nan
    for low, high in pairwise(values):
        called = scores <= (low + high) / 2
        index = float(called[labels].double().mean() + (~called)[~labels].double().mean() - 1)
        if index > best + 1e-12:
            best, chosen = index, (low + high) / 2
    return chosen


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_youden_cut_agrees_with_trying_every_midpoint(seed):
    scores, labels = classes(seed)
    assert youden_cut(scores, labels) == pytest.approx(slow_cut(scores, labels), nan_ok=True)
    assert youden_cut(10 * scores - 3, labels) == pytest.approx(
        10 * slow_cut(scores, labels) - 3, nan_ok=True
    )


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_auroc_agrees_with_sklearn_and_with_pairs(seed):
    scores, labels = classes(seed)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, -scores), abs=1e-12)
    pairs = scores[labels][:, None] - scores[~labels]
    by_pairs = ((pairs < 0).double() + (pairs == 0).double() / 2).mean()
    assert auroc(scores, labels) == pytest.approx(float(by_pairs), abs=1e-12)
    assert auroc(-scores, labels) == pytest.approx(1 - auroc(scores, labels), abs=1e-12)


def test_known_cuts():
    scores = floats(0.1, 0.2, 0.6, 0.8)
    labels = torch.tensor([True, True, False, False])
    assert youden_cut(scores, labels) == pytest.approx(0.4)
    assert auroc(scores, labels) == 1
    # The wrong way round there is no cut, and the area says how wrong.
    assert math.isnan(youden_cut(scores, ~labels))
    assert auroc(scores, ~labels) == 0
    # Two cuts are equally good: the lowest.
    assert youden_cut(floats(1, 2, 3, 4), torch.tensor([True, False, True, False])) == 1.5
    assert auroc(floats(1, 1), torch.tensor([True, False])) == 0.5


def test_cuts_of_one_class_equal_scores_or_missing_scores_are_undefined():
    scores, labels = classes()
    for measure in (youden_cut, auroc):
        assert math.isnan(measure(scores, torch.ones_like(labels)))
        assert math.isnan(measure(scores, torch.zeros_like(labels)))
        assert math.isnan(measure(scores.index_fill(0, torch.tensor(0), math.nan), labels))
    assert math.isnan(youden_cut(torch.ones_like(scores), labels))


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_group_ratio_is_that_of_the_means_in_any_unit_and_order(seed, unit):
    values, (scores, _) = normal(20, seed=seed).exp(), classes(seed)
    cut = float(scores[0])
    low = [float(v) for v, s in zip(values, scores, strict=True) if s <= cut]
    high = [float(v) for v, s in zip(values, scores, strict=True) if s > cut]
    expected = np.mean(low) / np.mean(high) if high else math.nan
    assert group_ratio(values, scores, cut) == pytest.approx(expected, nan_ok=True)
    order = torch.randperm(20, generator=rng(seed))
    moved = group_ratio(unit * values[order], 2 * scores[order] + 1, 2 * cut + 1)
    assert moved == pytest.approx(expected, nan_ok=True)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_cuts_do_not_depend_on_the_order_and_follow_monotone_maps(seed):
    scores, labels = classes(seed)
    order, cut = torch.randperm(20, generator=rng(seed)), youden_cut(scores, labels)
    assert youden_cut(scores[order], labels[order]) == pytest.approx(cut, nan_ok=True)
    assert auroc(scores[order], labels[order]) == auroc(scores, labels)
    assert auroc(scores.exp(), labels) == auroc(scores, labels)
    called, again = scores <= cut, scores.exp() <= youden_cut(scores.exp(), labels)
    assert torch.equal(called, again)


def test_infinite_scores_have_no_cut_and_still_an_order():
    scores, labels = floats(-math.inf, 1, 2, math.inf), torch.tensor([True, True, False, False])
    assert math.isnan(youden_cut(scores, labels))
    assert auroc(scores, labels) == 1


def test_group_ratio_of_known_groups():
    values, scores = floats(6, 2, 1, 3), floats(0.1, 0.77, 0.78, 2)
    assert group_ratio(values, scores, cut=0.77) == 2
    assert group_ratio(values, -scores, cut=-0.78) == 0.5
    assert math.isnan(group_ratio(values, scores, cut=0.0))
    assert math.isnan(group_ratio(values, scores, cut=2.0))
    assert math.isnan(group_ratio(-values, scores, cut=0.77))
    assert math.isnan(group_ratio(values, scores * math.nan, cut=0.77))


# Cross-validated gain


def r2_elsewhere(y, columns, held_out):
    """sklearn, fitted on the networks that are not held out."""
    scaled = [StandardScaler().fit_transform(one) for one in columns.numpy()]
    targets = [StandardScaler().fit_transform(one[:, None])[:, 0] for one in y.numpy()]
    others = [i for i in range(len(y)) if i != held_out]
    fitted = LinearRegression(fit_intercept=False).fit(
        np.concatenate([scaled[i] for i in others]), np.concatenate([targets[i] for i in others])
    )
    return fitted.score(scaled[held_out], targets[held_out])


@given(SEEDS, st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_gain_agrees_with_a_fit_on_the_other_networks(seed, held_out):
    y, base, extra = normal(4, 8, seed=seed), normal(4, 8, 2, seed=seed + 1), normal(4, 8, 1, seed=seed + 2)
    both = torch.cat([base, extra], dim=-1)
    expected = r2_elsewhere(y, both, held_out) - max(r2_elsewhere(y, base, held_out), 0)
    assert transferred_gain(y, base, extra, held_out) == pytest.approx(expected, abs=1e-8)


def test_known_gains():
    x, noise = normal(3, 8, 1), normal(3, 8, 1, seed=1)
    assert transferred_gain(x[..., 0], noise[..., :0], x, 0) == pytest.approx(1)
    assert transferred_gain(x[..., 0], x, noise, 0) == pytest.approx(0, abs=1e-12)
    turned = torch.cat([-x[:1], x[1:]])
    assert transferred_gain(turned[..., 0], noise[..., :0], x, 0) == pytest.approx(
        -3
    )  # (1 - (-1))^2 - 1, misled


def test_a_bad_base_is_no_merit_of_the_extra_column():
    x, useless = normal(3, 8, 1), normal(3, 8, 1, seed=4)
    y = torch.cat([-x[:1], x[1:]])[..., 0]  # what holds elsewhere misleads on the held-out network
    assert transferred_gain(y, x, useless, 0) < -1
    base_only = transferred_gain(y, useless[..., :0], x, 0)
    assert base_only == pytest.approx(-3)


@given(SEEDS, st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_gain_ignores_units_repeated_and_constant_columns(seed, scale):
    y, base, extra = normal(3, 8, seed=seed), normal(3, 8, 2, seed=seed + 1), normal(3, 8, 1, seed=seed + 2)
    right = transferred_gain(y, base, extra, 1)
    units = torch.tensor([scale, 1.0, 1 / scale], dtype=torch.float64)[:, None, None]
    assert transferred_gain(units[..., 0] * y - 7, 3 + base, units * extra, 1) == pytest.approx(
        right, abs=1e-7
    )
    again = torch.cat([base, base[..., :1], torch.full_like(extra, 0.1)], dim=-1)
    assert transferred_gain(y, again, extra, 1) == pytest.approx(right, abs=1e-7)


def test_gain_is_undefined_without_other_networks_or_variation():
    y, base, extra = normal(3, 6), normal(3, 6, 1, seed=1), normal(3, 6, 1, seed=2)
    assert math.isnan(transferred_gain(y[:1], base[:1], extra[:1], 0))
    assert math.isnan(transferred_gain(torch.cat([0 * y[:1], y[1:]]), base, extra, 0))
    assert math.isnan(transferred_gain(torch.cat([y[:1], 0 * y[1:]]), base, extra, 0))
    assert math.isfinite(transferred_gain(y, base, extra, 2))


@pytest.mark.parametrize(
    ("right", "corrupted"),
    [
        (lambda x, y, g, b: pearson(x, y), lambda x, y, g, b: float((x * y).sum() / (x.norm() * y.norm()))),
        (
            lambda x, y, g, b: spearman(x, y),
            lambda x, y, g, b: pearson(x.argsort().double(), y.argsort().double()),
        ),
        (lambda x, y, g, b: within_group_correlation(x, y, g), lambda x, y, g, b: pearson(x, y)),
        (lambda x, y, g, b: auroc(x, b), lambda x, y, g, b: auroc(-x, b)),
        (lambda x, y, g, b: auroc(x, b), lambda x, y, g, b: float((x[b][:, None] < x[~b]).double().mean())),
        (lambda x, y, g, b: youden_cut(x, b), lambda x, y, g, b: float(x[b].max())),
        (lambda x, y, g, b: group_ratio(x, y, 0.5), lambda x, y, g, b: float(x[y <= 0.5].mean() / x.mean())),
        (
            lambda x, y, g, b: group_ratio(x, y, 0.5),
            lambda x, y, g, b: float(x[y <= 0.5].sum() / x[y > 0.5].sum()),
        ),
    ],
    ids=[
        "not centred",
        "argsort for ranks",
        "depth left in",
        "orientation",
        "ties for nothing",
        "cut at the last true head",
        "all for the rest",
        "sums for means",
    ],
)
def test_corrupted_versions_are_told_apart(right, corrupted):
    x = floats(1, 2, 2, 3, 7, 4, 2, 6)
    y = floats(0.1, 0.2, 0.9, 0.4, 0.3, 1.5, 0.45, 0.8)
    groups, labels = torch.arange(8) // 4, floats(1, 1, 0, 1, 0, 0, 0, 0).bool()
    assert abs(right(x, y, groups, labels) - corrupted(x, y, groups, labels)) > 0.01


def gain_data(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    base, extra, noise = (torch.randn(n, 1, generator=generator, dtype=torch.float64) for _ in range(3))
    return base, extra, noise[:, 0]


def test_cross_validated_gain_is_what_the_extra_column_explains():
    base, extra, noise = gain_data(2000)
    y = base[:, 0] + extra[:, 0] + noise  # a third of the variance each
    assert cross_validated_gain(y, base, extra, seed=0) == pytest.approx(1 / 3, abs=0.04)
    assert cross_validated_gain(base[:, 0], base, extra, seed=0) == pytest.approx(0, abs=1e-9)


def test_a_useless_column_gains_nothing_and_no_base_counts_as_less_than_nothing():
    base, extra, noise = gain_data()
    assert -0.05 < cross_validated_gain(base[:, 0] + noise, base, extra, seed=0) < 0.01
    # The base alone predicts worse than the mean; what repairs it is not praised for that.
    few = slice(12)
    gain = cross_validated_gain(noise[few], base[few], extra[few], seed=0)
    assert gain < 0.1


@given(SEEDS, st.floats(0.01, 100), st.integers(2, 6))
@settings(max_examples=8, deadline=None)
def test_cross_validated_gain_agrees_with_a_loop_over_folds_and_knows_no_units(seed, unit, folds):
    from sklearn.model_selection import KFold

    base, extra, noise = gain_data(40, seed)
    y = 0.5 * base[:, 0] + extra[:, 0] + noise

    def slow(columns):
        errors = 0.0
        for fit, left_out in KFold(folds, shuffle=True, random_state=3).split(y):
            one = torch.cat([columns, torch.ones(len(columns), 1, dtype=torch.float64)], dim=1)
            solved = torch.linalg.lstsq(one[fit], y[fit, None]).solution
            errors += float(((one[left_out] @ solved)[:, 0] - y[left_out]).square().sum())
        return 1 - errors / float((y - y.mean()).square().sum())

    expected = slow(torch.cat([base, extra], dim=1)) - max(slow(base), 0)
    assert cross_validated_gain(y, base, extra, seed=3, folds=folds) == pytest.approx(expected, abs=1e-9)
    moved = cross_validated_gain(7 - unit * y, unit * base + 1, 5 - extra, seed=3, folds=folds)
    assert moved == pytest.approx(expected, abs=1e-7)


def test_five_folds_unless_said_otherwise():
    base, extra, noise = gain_data(30)
    five = cross_validated_gain(noise, base, extra, seed=3, folds=5)
    assert cross_validated_gain(noise, base, extra, seed=3) == five
    assert cross_validated_gain(noise, base, extra, seed=3, folds=6) != five
    assert cross_validated_gain(noise, base, extra, seed=4) != five


def test_cross_validated_gain_without_an_answer():
    base, extra, _ = gain_data(10)
    assert math.isnan(cross_validated_gain(torch.ones(10), base, extra, seed=0))
    with pytest.raises(InputError, match="5 folds need 2 to n = 3"):
        cross_validated_gain(torch.arange(3.0), base[:3], extra[:3], seed=0)
    with pytest.raises(InputError, match="1 folds"):
        cross_validated_gain(torch.arange(10.0), base, extra, seed=0, folds=1)
    assert math.isfinite(cross_validated_gain(torch.arange(10.0) ** 2, base, extra, seed=0, folds=10))


def test_of_nothing_nothing_is_left():
    assert within_groups(torch.zeros(0), torch.zeros(0, dtype=torch.int64)).shape == (0,)
