import math
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import special_ortho_group
from sklearn.metrics import jaccard_score

from energylens.errors import InputError
from energylens.metrics import stability
from energylens.metrics.stability import (
    chance_max_abs_cos,
    covariance_matched,
    effective_rank,
    excess,
    ground_truth_mcc,
    jaccard,
    jaccard_chance,
    matching,
    max_abs_cosines,
    mean_pairwise_jaccard,
    mmcs,
    pairwise,
    principal_directions,
    pw_mcc,
    pwmcc,
    random_rotation,
    random_unit_rows,
    shared_fraction,
    unit_rows,
)

SIMILARITIES = [pwmcc, mmcs, pw_mcc, ground_truth_mcc]
SIGN_INVARIANT = [pwmcc, mmcs, ground_truth_mcc]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def two_dictionaries(seed=0, n=12, d=5):
    generator = rng(seed)
    return torch.randn(n, d, generator=generator), torch.randn(n, d, generator=generator)


def slow_maxima(d1, d2):
    """Largest |cosine| per row of d1, by two loops in Python floats."""
    return [
        max(abs(float(a @ b)) / math.sqrt(float(a @ a) * float(b @ b)) for b in d2.double())
        for a in d1.double()
    ]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 10))
@settings(max_examples=20, deadline=None)
def test_maxima_are_bounded_exchange_with_the_dictionaries_and_agree_with_loops(seed, n1, n2, d, block):
    d1, d2 = two_dictionaries(seed, n1, d)[0], two_dictionaries(seed, n2, d)[1]
    best1, best2 = max_abs_cosines(d1, d2, block)
    assert best1.tolist() == pytest.approx(slow_maxima(d1, d2), abs=1e-6)
    assert best2.tolist() == pytest.approx(slow_maxima(d2, d1), abs=1e-6)
    for first, second in zip(max_abs_cosines(d2, d1, block), (best2, best1), strict=True):
        assert torch.allclose(first, second, atol=1e-6)
    assert float(best1.max()) <= 1 + 1e-6
    assert float(best1.min()) >= 0
    assert pwmcc(d1, d2) == pytest.approx(pwmcc(d2, d1), abs=1e-6)
    assert d > 1 or torch.allclose(best1, torch.ones(n1))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4), st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_unit_rows_have_length_one_and_the_old_direction_whatever_the_precision(seed, n, d, scale):
    rows = scale * torch.randn(n, d, dtype=torch.float64, generator=rng(seed))
    found = unit_rows(rows)
    assert torch.allclose(found.norm(dim=1), torch.ones(n, dtype=torch.float64))
    assert torch.allclose(found * rows.norm(dim=1, keepdim=True), rows)
    assert torch.allclose(unit_rows(found), found, atol=1e-15)
    assert torch.allclose(unit_rows(-rows), -found)
    assert unit_rows(rows.float()).dtype == torch.float32
    assert unit_rows(rows.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_rows_without_a_direction_are_refused_by_place(bad):
    rows = torch.ones(4, 2)
    rows[2] = bad
    with pytest.raises(InputError, match=rf"row 2 of \(4, 2\) has length {bad}, no direction"):
        unit_rows(rows)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_a_matching_is_one_to_one_ascending_and_the_best(seed, n1, n2):
    cosines = torch.rand(n1, n2, generator=rng(seed))
    rows, columns = matching(cosines)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(set(columns.tolist())) == len(rows) == min(n1, n2)
    small, large = (cosines, n2) if n1 <= n2 else (cosines.mT, n1)
    best = max(
        sum(float(small[i, j]) for i, j in enumerate(p)) for p in permutations(range(large), len(small))
    )
    assert float(cosines[rows, columns].sum()) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("block", [1, 5, 7, 1024])
def test_maxima_agree_with_two_loops_for_every_block_size(block):
    d1, _ = two_dictionaries(n=12)
    _, d2 = two_dictionaries(n=17)
    best1, best2 = max_abs_cosines(d1, d2, block)
    assert best1.tolist() == pytest.approx(slow_maxima(d1, d2), abs=1e-6)
    assert best2.tolist() == pytest.approx(slow_maxima(d2, d1), abs=1e-6)
    both = (sum(slow_maxima(d1, d2)) / 12 + sum(slow_maxima(d2, d1)) / 17) / 2
    assert pwmcc(d1, d2, block) == pytest.approx(both, abs=1e-6)
    assert mmcs(d1, d2, block) == pytest.approx(sum(slow_maxima(d1, d2)) / 12, abs=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_dictionary_is_identical_to_itself(similarity):
    assert similarity(two_dictionaries()[0], two_dictionaries()[0]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_order_length_and_rotation_do_not_matter(similarity, seed, scale):
    d1, d2 = two_dictionaries(seed)
    rotation = torch.from_numpy(special_ortho_group.rvs(5, random_state=seed)).float()
    moved = scale * d1[torch.randperm(len(d1), generator=rng(seed))]
    assert similarity(moved @ rotation, d2 @ rotation) == pytest.approx(similarity(d1, d2), abs=1e-5)


@pytest.mark.parametrize("similarity", SIGN_INVARIANT)
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_signs_do_not_matter_to_absolute_similarities(similarity, seed):
    d1, d2 = two_dictionaries(seed)
    signs = torch.randn(len(d1), 1, generator=rng(seed)).sign()
    assert similarity(d1 * signs, d2) == pytest.approx(similarity(d1, d2), abs=1e-6)


def test_only_the_signed_matching_sees_a_sign():
    d1 = torch.eye(4)
    assert pwmcc(d1, -d1) == 1
    assert pw_mcc(d1, -d1) == 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_pw_mcc_is_the_best_of_all_permutations(seed):
    d1, d2 = two_dictionaries(seed, n=5, d=3)
    cosines = unit_rows(d1.double()) @ unit_rows(d2.double()).mT
    best = max(sum(float(cosines[i, j]) for i, j in enumerate(order)) for order in permutations(range(5)))
    assert pw_mcc(d1, d2) == pytest.approx(best / 5, abs=1e-6)


def test_pwmcc_is_not_one_to_one_but_the_matchings_are():
    """Every latent copies the first true atom: max cosine is fooled in one direction, matching is not."""
    truth, copies = torch.eye(4), torch.eye(4)[:1].expand(4, 4)
    assert mmcs(copies, truth) == 1
    assert ground_truth_mcc(truth, copies) == 0.25
    assert pw_mcc(truth, copies) == 0.25


def test_true_atoms_without_a_latent_count_as_zero_and_spare_latents_cost_nothing():
    truth = torch.eye(6)
    assert ground_truth_mcc(truth, truth[:3]) == 0.5
    assert ground_truth_mcc(truth, torch.cat([-truth, torch.ones(2, 6)])) == 1


def test_shared_needs_the_same_counterpart_in_encoder_and_decoder_and_both_close():
    decoder = torch.eye(4)
    swapped = decoder[[1, 0, 2, 3]]
    tilted = torch.eye(4)
    tilted[3] = torch.tensor([0.8, 0, 0, 0.6])
    assert shared_fraction(decoder, decoder.mT, decoder, decoder.mT) == 1
    assert shared_fraction(decoder, decoder.mT, swapped, swapped.mT) == 1
    assert shared_fraction(decoder, decoder.mT, swapped, decoder.mT) == 0.5
    assert shared_fraction(decoder, decoder.mT, tilted, decoder.mT) == 0.75
    assert shared_fraction(decoder, decoder.mT, decoder, tilted.mT) == 0.75
    assert shared_fraction(decoder, decoder.mT, -decoder, -decoder.mT) == 0


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-1, 1))
@settings(max_examples=15, deadline=None)
def test_the_shared_fraction_asks_no_order_length_or_coordinates_and_falls_with_the_threshold(seed, scale, t):
    d1, d2 = two_dictionaries(seed)
    e1, e2 = (each.mT for each in two_dictionaries(seed + 1))
    found, order = shared_fraction(d1, e1, d2, e2, t), torch.randperm(12, generator=rng(seed))
    rotation = torch.from_numpy(special_ortho_group.rvs(5, random_state=seed)).float()
    moved = shared_fraction(
        scale * d1[order] @ rotation, rotation.mT @ e1[:, order], d2 @ rotation, rotation.mT @ e2, t
    )
    assert moved == pytest.approx(found)
    assert shared_fraction(d2, e2, d1, e1, t) == pytest.approx(found)
    assert shared_fraction(d1, e1, d2, e2, min(t + 0.2, 1.0)) <= found
    assert shared_fraction(d1, e1, d1[order], e1[:, order], 0.99) == 1
    assert shared_fraction(d1, e1, d2, e2) == shared_fraction(d1, e1, d2, e2, 0.7)


def test_a_cosine_at_the_threshold_is_not_above_it():
    eye, tilted = torch.eye(2, dtype=torch.float64), torch.tensor([[1.0, 0.0], [0.6, 0.8]]).double()
    close = float(unit_rows(tilted)[1, 1])
    for threshold, shared in ((close, 0.5), (close - 1e-9, 1.0)):
        assert shared_fraction(eye, eye, tilted, eye, threshold) == shared
        assert shared_fraction(eye, eye, eye, tilted.mT, threshold) == shared


@pytest.mark.parametrize(
    ("n", "d", "expected"),
    [(1024, 128, 0.2988), (1024, 80, 0.3739), (4096, 512, 0.1671), (128, 128, 0.2473)],
)
def test_chance_level_of_known_dictionaries(n, d, expected):
    assert chance_max_abs_cos(n, d) == pytest.approx(expected, abs=5e-5)


def test_chance_level_in_closed_form():
    """On a sphere in 3 dimensions |cos| is uniform on [0, 1], so the largest of n has mean n / (n + 1)."""
    for n in (1, 2, 10, 1000):
        assert chance_max_abs_cos(n, 3) == pytest.approx(n / (n + 1), abs=1e-9)
    assert chance_max_abs_cos(1, 2) == pytest.approx(2 / math.pi, abs=1e-9)
    for d in (5, 64):
        mean = math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
        assert chance_max_abs_cos(1, d) == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize(("n", "d"), [(64, 16), (1024, 128), (300, 40)])
def test_pwmcc_of_random_dictionaries_is_chance(n, d):
    generator = rng(1)
    draws = [pwmcc(random_unit_rows(n, d, generator), random_unit_rows(n, d, generator)) for _ in range(30)]
    assert sum(draws) / 30 == pytest.approx(chance_max_abs_cos(n, d), abs=0.003)
    # The loose bound that is often quoted, and the swapped arguments, are not chance.
    assert abs(math.sqrt(2 * math.log(n) / d) - sum(draws) / 30) > 0.02
    assert abs(chance_max_abs_cos(d, n) - sum(draws) / 30) > 0.02


@given(st.integers(1, 10**6), st.integers(2, 5000))
@settings(max_examples=40, deadline=None)
def test_chance_grows_with_candidates_and_falls_with_dimensions(n, d):
    chance = chance_max_abs_cos(n, d)
    assert 0 < chance <= 1
    assert chance <= chance_max_abs_cos(2 * n, d) + 1e-9
    assert chance >= chance_max_abs_cos(n, d + 1) - 1e-9


def test_excess_is_zero_at_chance_and_one_at_identity():
    assert excess(0.3, 0.3) == 0
    assert excess(1.0, 0.3) == 1
    assert excess(0.1, 0.2) == pytest.approx(-0.125)
    with pytest.raises(InputError, match=r"1\.0"):
        excess(0.5, 1.0)


@given(st.floats(-1, 1), st.floats(-1, 0.99))
@settings(max_examples=30, deadline=None)
def test_excess_is_linear_and_undone(measured, chance):
    found = excess(measured, chance)
    assert chance + found * (1 - chance) == pytest.approx(measured, abs=1e-9)
    assert excess(chance, chance) == 0
    assert excess(1.0, chance) == pytest.approx(1)
    assert (found > 0) == (measured > chance)
    for no_chance in (1.0, 1.5, math.nan):
        with pytest.raises(InputError, match="must be below 1"):
            excess(measured, no_chance)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_random_rows_and_rotations_are_of_length_one_and_a_function_of_their_generator(seed, n, d):
    rows, rotation = random_unit_rows(n, d, rng(seed)), random_rotation(d, rng(seed))
    assert rows.shape == (n, d)
    assert rows.dtype == rotation.dtype == torch.float64
    assert torch.allclose(rows.norm(dim=1), torch.ones(n, dtype=torch.float64))
    assert torch.allclose(rotation @ rotation.mT, torch.eye(d, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(rotation.mT @ rotation, torch.eye(d, dtype=torch.float64), atol=1e-12)
    torch.manual_seed(seed % 1000)  # the global generator plays no part
    assert torch.equal(random_unit_rows(n, d, rng(seed)), rows)
    assert torch.equal(random_rotation(d, rng(seed)), rotation)
    assert d == 1 or not torch.equal(random_rotation(d, rng(seed + 1)), rotation)


def test_random_rows_are_uniform_on_the_sphere():
    rows = random_unit_rows(20000, 3, rng())
    assert rows.mean(0).abs().max() < 5 / math.sqrt(3 * 20000)
    assert (rows.mT @ rows / 20000 - torch.eye(3) / 3).abs().max() < 0.01


def test_a_random_rotation_is_orthogonal_and_uniform():
    rotations = torch.stack([random_rotation(3, generator) for generator in [rng(2)] for _ in range(2000)])
    identity = torch.einsum("nij,nkj->nik", rotations, rotations)
    assert torch.allclose(identity, torch.eye(3, dtype=torch.float64).expand_as(identity), atol=1e-12)
    # Haar: every entry has mean 0 and variance 1/3; QR without the sign correction has a one-signed diagonal.
    assert rotations.mean(0).abs().max() < 0.06
    assert (rotations.square().mean(0) - 1 / 3).abs().max() < 0.03


def test_covariance_matched_rows_stay_in_the_span_of_low_rank_activations():
    generator = rng(3)
    # A plane in five dimensions, and a large mean that must not matter.
    x = (
        torch.randn(4000, 2, generator=generator).double() @ torch.randn(2, 5, generator=generator).double()
        + 50
    )
    rows = covariance_matched(x, 3000, generator)
    plane = principal_directions(x)
    assert plane.shape == (2, 5)
    assert rows.norm(dim=1).allclose(torch.ones(3000, dtype=torch.float64))
    assert torch.allclose(rows @ plane.mT @ plane, rows, atol=1e-9)
    small = [covariance_matched(x, 40, generator) for _ in range(2)]
    assert pwmcc(*small) > 0.95 > chance_max_abs_cos(40, 5) + 0.05


def test_covariance_matched_spread_follows_the_variances():
    x = torch.randn(5000, 3, generator=rng(4)) * torch.tensor([1.0, 1.0, 10.0])
    shares = covariance_matched(x, 5000, rng(5)).square().mean(0)
    normal = torch.randn(200000, 3, generator=rng(6)) * torch.tensor([1.0, 1.0, 10.0])
    expected = unit_rows(normal.double()).square().mean(0)
    assert torch.allclose(shares, expected, atol=0.02)


def test_principal_directions_are_the_axes_by_variance():
    x = torch.randn(2000, 3, generator=rng(7)) * torch.tensor([1.0, 5.0, 0.2]) + 9
    axes = principal_directions(x).abs()
    assert axes.argmax(1).tolist() == [1, 0, 2]
    reference = torch.linalg.svd(x.double() - x.double().mean(0), full_matrices=False).Vh
    assert torch.allclose(axes, reference.abs(), atol=1e-8)


def low_rank(seed, tokens=40, d=5, rank=3):
    generator = rng(seed)
    strengths = torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)[:rank]
    axes = torch.linalg.qr(torch.randn(d, rank, dtype=torch.float64, generator=generator)).Q.mT
    scores = torch.linalg.qr(centred(torch.randn(tokens, rank, dtype=torch.float64, generator=generator))).Q
    return scores * strengths @ axes, axes, strengths


def centred(x):
    return x - x.mean(0)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_principal_axes_are_known_ones_whatever_the_unit_mean_and_order(seed, scale, shift):
    x, axes, strengths = low_rank(seed)
    moved = scale * x[torch.randperm(40, generator=rng(seed))] + shift
    found = principal_directions(moved)
    assert torch.allclose((found @ axes.mT).abs(), torch.eye(3, dtype=torch.float64), atol=1e-6)
    rotation = torch.from_numpy(special_ortho_group.rvs(5, random_state=seed))
    turned = principal_directions(x @ rotation)
    assert torch.allclose((turned @ (axes @ rotation).mT).abs(), torch.eye(3, dtype=torch.float64), atol=1e-6)
    shares = strengths.square() / strengths.square().sum()
    expected = math.exp(-sum(float(p) * math.log(float(p)) for p in shares))
    for same in (x, moved, x @ rotation):
        assert effective_rank(same) == pytest.approx(expected, rel=1e-6)
    assert 1 <= effective_rank(torch.rand(9, 4, generator=rng(seed))) <= 4


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_matched_rows_lie_in_the_span_and_know_no_unit_or_mean(seed, n, scale):
    x, axes, _ = low_rank(seed)
    rows = covariance_matched(x, n, rng(seed))
    assert rows.shape == (n, 5)
    assert torch.allclose(rows.norm(dim=1), torch.ones(n, dtype=torch.float64))
    assert torch.allclose(rows @ axes.mT @ axes, rows, atol=1e-7)
    moved = covariance_matched(scale * x + 9, n, rng(seed))
    assert torch.allclose((moved @ axes.mT).abs(), (rows @ axes.mT).abs(), atol=1e-4)  # axes have no sign


def test_two_tokens_have_one_axis_and_one_has_none():
    two = torch.tensor([[1.0, 2.0, 3.0], [4.0, 6.0, 3.0]])
    assert principal_directions(two).abs().tolist() == [pytest.approx([0.6, 0.8, 0.0])]
    assert effective_rank(two) == pytest.approx(1)
    for nothing in (two[:1], two[[0, 0]]):
        with pytest.raises(InputError, match=r"\(., 3\) have no"):
            effective_rank(nothing)


def test_effective_rank_counts_equal_variances_and_ignores_the_mean():
    corners = torch.cat([torch.eye(6), -torch.eye(6)])
    assert effective_rank(corners + 30) == pytest.approx(6, abs=1e-5)
    unequal = corners * torch.tensor([1.0, 1, 0, 0, 0, 0])
    assert effective_rank(unequal) == pytest.approx(2)
    # Variances 4 : 1; the participation ratio, another measure of the same name, would be 1.47.
    entropy = -0.8 * math.log(0.8) - 0.2 * math.log(0.2)
    assert effective_rank(corners[:, :2] * torch.tensor([2.0, 1.0])) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (0, 2), (10, 10)])
def test_jaccard_chance_is_the_mean_over_all_subsets(size):
    subsets_a = list(combinations(range(10), size[0]))
    fixed = set(range(size[1]))
    mean = sum(jaccard(set(a), fixed) for a in subsets_a) / len(subsets_a)
    assert jaccard_chance(10, *size) == pytest.approx(mean, abs=1e-12)


SETS = st.sets(st.integers(0, 9))


@given(SETS, SETS)
@settings(max_examples=40, deadline=None)
def test_jaccard_is_symmetric_bounded_one_for_equals_and_sklearns(first, second):
    found = jaccard(first, second)
    assert found == pytest.approx(jaccard(second, first), nan_ok=True)
    if first | second:
        assert found == pytest.approx(
            jaccard_score([i in first for i in range(10)], [i in second for i in range(10)])
        )
        assert (found == 1) == (first == second)
        assert jaccard([*first, *first], sorted(second)) == found  # each element counts once
    else:
        assert math.isnan(found)
    assert mean_pairwise_jaccard([first, second]) == pytest.approx(found, nan_ok=True)


@given(st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=2, max_size=5), st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_mean_over_pairs_knows_no_order_and_takes_each_pair_once(sets, random):
    found = mean_pairwise_jaccard(sets)
    slow = [jaccard(a, b) for i, a in enumerate(sets) for b in sets[:i]]
    assert found == pytest.approx(sum(slow) / len(slow))
    assert mean_pairwise_jaccard(random.sample(sets, len(sets))) == pytest.approx(found)
    assert mean_pairwise_jaccard([sets[0]] * 3) == 1


@given(st.integers(1, 60), st.data())
@settings(max_examples=30, deadline=None)
def test_jaccard_chance_is_symmetric_bounded_and_grows_with_the_smaller_set(population, data):
    a, b = sorted(data.draw(st.tuples(st.integers(0, population), st.integers(1, population))))
    chance = jaccard_chance(population, a, b)
    assert chance == pytest.approx(jaccard_chance(population, b, a))
    assert 0 <= chance <= a / b + 1e-12
    assert jaccard_chance(population, population, population) == pytest.approx(1)
    assert jaccard_chance(population, b, population) == pytest.approx(b / population)
    assert a == b or chance <= jaccard_chance(population, a + 1, b) + 1e-12


@pytest.mark.parametrize("sizes", [(-1, 3), (3, -1), (11, 3), (3, 11), (0, 0)])
def test_sizes_of_no_subsets_are_refused(sizes):
    with pytest.raises(InputError, match="of sizes {} and {} of 10 elements".format(*sizes)):
        jaccard_chance(10, *sizes)


def test_pairs_come_once_each_in_the_order_of_their_items():
    assert pairwise(lambda first, second: 10.0 * first + second, [1, 2, 3, 4]) == [12, 13, 14, 23, 24, 34]


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=8))
def test_as_many_pairs_as_there_are_and_the_mean_is_of_each_item_alike(items):
    found = pairwise(lambda first, second: float(first + second), items)
    assert len(found) == len(items) * (len(items) - 1) // 2
    assert sum(found) == (len(items) - 1) * sum(items)


def test_jaccard_of_known_sets():
    assert jaccard([1, 2, 3], [2, 3, 4]) == 0.5
    assert math.isnan(jaccard([], []))
    assert mean_pairwise_jaccard([[1, 2], [1, 2], [3]]) == pytest.approx(1 / 3)


def test_values_without_a_meaning_are_refused_by_name():
    good = torch.ones(3, 2)
    zero = good.clone()
    zero[1] = 0
    with pytest.raises(InputError, match=r"row 1 of \(3, 2\)"):
        pwmcc(good, zero)
    with pytest.raises(InputError, match="nan"):
        pw_mcc(good * torch.nan, good)
    for n, d in ((4, 1), (0, 2)):
        with pytest.raises(InputError, match=f"received n={n}, d={d}"):
            chance_max_abs_cos(n, d)
    with pytest.raises(InputError, match="covariance"):
        covariance_matched(good, 2, rng())
    with pytest.raises(InputError, match="at least two items, received 1"):
        mean_pairwise_jaccard([[1]])
    with pytest.raises(InputError, match="12"):
        jaccard_chance(10, 12, 3)


@pytest.mark.parametrize(
    "corrupted",
    [
        lambda d1, d2: (d1 @ d2.mT).amax(1).mean().item(),
        lambda d1, d2: (unit_rows(d1) @ unit_rows(d2).mT).amax(1).mean().item(),
        lambda d1, d2: (unit_rows(d1.mT) @ unit_rows(d2.mT).mT).abs().amax(1).mean().item(),
        lambda d1, d2: mmcs(d1, d2),
    ],
    ids=["not normalised", "signed", "columns for rows", "one direction only"],
)
def test_corrupted_pwmcc_is_told_apart(corrupted):
    d1, d2 = two_dictionaries(n=8, d=5)
    right = (sum(slow_maxima(d1, d2)) + sum(slow_maxima(d2, d1))) / 16
    assert stability.pwmcc(d1, d2) == pytest.approx(right, abs=1e-6)
    assert abs(corrupted(d1, d2) - right) > 1e-3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_activations_that_are_not_finite_have_no_covariance(value):
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    x[2, 1] = value
    with pytest.raises(InputError, match="no \\(finite\\) covariance"):
        effective_rank(x)
