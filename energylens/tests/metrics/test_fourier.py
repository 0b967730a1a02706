import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from energylens.errors import InputError
from energylens.metrics.fourier import (
    decoder_one_frequency,
    embedding_r2,
    embedding_r2_chance,
    excluded_logits,
    fourier_basis,
    fourier_overlap,
    fourier_overlap_chance,
    frequency_power,
    key_frequencies,
    logit_fve,
    logit_shares,
    loss_nats,
    mlp_fve,
    one_frequency_fve,
    one_frequency_share,
    random_frequency_sets,
    restricted_logits,
    shuffled_grid,
    strongest_frequencies,
    w_l_residual,
    worst_mlp_fve,
)
from energylens.metrics.stability import chance_max_abs_cos, random_rotation, unit_rows

P = 13
A, B = (grid.flatten().double() for grid in torch.meshgrid(torch.arange(P), torch.arange(P), indexing="ij"))
C = torch.arange(P).double()
LABELS = ((A + B) % P).long()


def wave(function, k, x, p=P):
    return function(2 * math.pi * k / p * x)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def circuit(frequencies=(2, 5), width=6, seed=0):
    """Neurons and W_L of the algorithm itself: cos and sin of w_k(a+b), read out as cos w_k(a+b-c)."""
    mixing = torch.linalg.qr(normal(width, width, seed=seed)).Q[: 2 * len(frequencies)]
    features = torch.stack([wave(f, k, A + B) for k in frequencies for f in (torch.cos, torch.sin)], dim=1)
    readout = torch.stack([wave(f, k, C) for k in frequencies for f in (torch.cos, torch.sin)])
    return features @ mixing, mixing.mT @ readout


def least_squares_share(y, regressors):
    """Independent reference: variance of y explained by the regressors and an intercept, by lstsq."""
    design = torch.stack([*regressors, torch.ones_like(y)], dim=1)
    fit = design @ torch.linalg.lstsq(design, y[:, None], driver="gelsd").solution
    return float(1 - (y - fit[:, 0]).square().sum() / (y - y.mean()).square().sum())


# --- basis, power, sets of frequencies


@pytest.mark.parametrize("p", [3, 13, 113])
def test_the_basis_is_orthonormal_and_in_the_declared_order(p):
    basis, x = fourier_basis(p), torch.arange(p).double()
    assert torch.allclose(basis @ basis.mT, torch.eye(p, dtype=torch.float64), atol=1e-12)
    assert basis[0].tolist() == pytest.approx([p**-0.5] * p)
    for k in range(1, (p + 1) // 2):
        assert torch.allclose(basis[2 * k - 1], wave(torch.cos, k, x, p) * math.sqrt(2 / p), atol=1e-11)
        assert torch.allclose(basis[2 * k], wave(torch.sin, k, x, p) * math.sqrt(2 / p), atol=1e-11)


@given(st.integers(0, 2**32 - 1), st.integers(1, P - 1), st.booleans())
@settings(max_examples=25, deadline=None)
def test_power_is_that_of_the_basis_and_ignores_shifts_and_rotations(seed, shift, flip):
    W = normal(P, 4, seed=seed % 2**31)
    coefficients = (fourier_basis(P)[1:] @ W).square().sum(1)
    power = frequency_power(W, dim=0)
    assert torch.allclose(power, coefficients[::2] + coefficients[1::2])
    assert power.sum() == pytest.approx(float((W - W.mean(0)).square().sum()))
    moved = W.roll(shift, 0) @ random_rotation(4, rng(seed % 2**31)) + 3
    assert torch.allclose(frequency_power(moved, dim=0), power, atol=1e-9)
    assert torch.allclose(frequency_power((W.flip(0) if flip else W).mT, dim=1), power)


@given(st.integers(1, 60), st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_the_basis_of_any_odd_p_is_orthonormal_and_turns_under_a_shift(half, shift):
    """A shift of x turns each (cos, sin) pair by w_k shift and leaves the constant alone."""
    p = 2 * half + 1
    basis = fourier_basis(p)
    assert torch.allclose(basis @ basis.mT, torch.eye(p, dtype=torch.float64), atol=1e-12)
    turn = basis @ basis.roll(shift, 1).mT
    angles = torch.arange(1, half + 1).double() * (2 * math.pi * (shift % p) / p)
    assert torch.allclose(turn.diagonal()[1::2], angles.cos(), atol=1e-10)
    assert torch.allclose(turn.diagonal(1)[1::2], -angles.sin(), atol=1e-10)
    assert float(turn[0, 0]) == pytest.approx(1)


@pytest.mark.parametrize("p", [-3, 0, 1, 2, 8])
def test_other_p_have_no_basis(p):
    with pytest.raises(InputError, match=f"received {p}"):
        fourier_basis(p)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_no_numbers_have_no_power(bad):
    W = normal(P, 3)
    W[4, 1] = bad
    for dim, weights in ((0, W), (-2, W), (1, W.mT), (-1, W.mT)):
        with pytest.raises(InputError, match="NaN or infinite"):
            frequency_power(weights, dim)


def test_power_along_either_axis_counted_from_either_end():
    W = normal(P, 3)
    assert torch.equal(frequency_power(W, -2), frequency_power(W, 0))
    assert torch.equal(frequency_power(W.mT, -1), frequency_power(W.mT, 1))
    with pytest.raises(InputError, match="received 12"):
        frequency_power(normal(12, 3), 0)


def test_multiplying_the_tokens_permutes_the_frequencies():
    W = normal(P, 4)
    permuted = W[(torch.arange(P) * 3) % P]
    k = torch.arange(1, 7) * 3 % P
    k = torch.minimum(k, P - k)
    assert torch.allclose(frequency_power(permuted, 0)[k - 1], frequency_power(W, 0))


def test_embedding_r2_of_a_pure_embedding_is_one_and_counts_distinct_frequencies():
    x = torch.arange(113).double()
    waves = torch.stack([wave(f, k, x, 113) for k in (3, 14, 35, 41, 52) for f in (torch.cos, torch.sin)])
    W_E = waves.mT @ normal(10, 128) + 7
    assert embedding_r2(W_E, top=5) == pytest.approx(1)
    equal = waves.mT @ torch.linalg.qr(normal(128, 10)).Q.mT
    assert embedding_r2(equal, top=2) == pytest.approx(0.4)
    assert embedding_r2(normal(P, 3), top=6) == pytest.approx(1)


@given(st.integers(0, 2**31), st.integers(1, 6), st.floats(0.01, 100), st.integers(0, P))
@settings(max_examples=20, deadline=None)
def test_embedding_r2_is_the_share_of_the_strongest_and_knows_no_coordinates(seed, top, scale, shift):
    W_E = normal(P, 4, seed=seed)
    power = frequency_power(W_E, 0).sort(descending=True).values
    found = embedding_r2(W_E, top)
    assert found == pytest.approx(float(power[:top].sum() / power.sum()))
    moved = scale * W_E.roll(shift, 0) @ random_rotation(4, rng(seed)) - 3
    assert embedding_r2(moved, top) == pytest.approx(found, abs=1e-9)
    assert top / 6 - 1e-12 <= found <= 1 + 1e-12


@given(st.integers(2, 30), st.integers(1, 50))
@settings(max_examples=10, deadline=None)
def test_chance_grows_with_the_frequencies_selected_and_falls_to_their_share_in_many_dimensions(
    half, d_model
):
    p = 2 * half + 1
    levels = [embedding_r2_chance(p, d_model, top) for top in (1, half - 1, half)]
    assert levels == sorted(levels)
    assert levels[-1] == pytest.approx(1)
    assert 1 / half < levels[0] <= 1
    assert embedding_r2_chance(p, 4 * d_model, 1) < levels[0]


def test_five_frequencies_unless_said_otherwise():
    W_E = normal(P, 4)
    assert embedding_r2(W_E) == embedding_r2(W_E, 5) < embedding_r2(W_E, 6)
    assert embedding_r2_chance(P, 4) == embedding_r2_chance(P, 4, 5)
    for measure in (lambda top: embedding_r2(W_E, top), lambda top: embedding_r2_chance(P, 4, top)):
        for top in (0, 7):
            with pytest.raises(InputError, match=f"{top} frequencies asked for, but there are 6"):
                measure(top)


def test_an_embedding_that_varies_by_more_than_rounding_has_frequencies():
    varying = 1 + 1e-12 * wave(torch.cos, 3, C)[:, None]
    assert embedding_r2(varying, top=1) == pytest.approx(1, abs=0.01)
    assert embedding_r2((1 + 1e-5 * wave(torch.cos, 3, C)[:, None]).float(), top=1) > 0.9
    with pytest.raises(InputError, match="does not vary"):
        embedding_r2((1 + 1e-8 * wave(torch.cos, 3, C)[:, None]).float())


def test_embedding_r2_of_random_embeddings_is_the_chance_level():
    draws = [embedding_r2(normal(113, 128, seed=seed)) for seed in range(60)]
    assert embedding_r2_chance(113, 128) == pytest.approx(sum(draws) / 60, abs=0.0007)
    assert embedding_r2_chance(113, 128) == pytest.approx(0.104, abs=0.0005)
    # Chance without the selection of the strongest is the wrong null.
    assert embedding_r2_chance(113, 128) - 5 / 56 > 0.01
    assert embedding_r2_chance(13, 4, top=6) == pytest.approx(1)
    draws = [embedding_r2(normal(13, 2, seed=seed), top=2) for seed in range(3000)]
    assert embedding_r2_chance(13, 2, top=2) == pytest.approx(sum(draws) / 3000, abs=0.006)


def test_key_frequencies_and_residual_of_the_algorithm_itself():
    _, W_L = circuit((2, 5))
    assert key_frequencies(W_L + 100) == [2, 5]
    assert w_l_residual(W_L, [2, 5]) == pytest.approx(0, abs=1e-9)
    # Each frequency carries half of the squared norm.
    assert w_l_residual(W_L, [2]) == pytest.approx(math.sqrt(0.5))
    assert w_l_residual(W_L, []) == 1
    assert key_frequencies(normal(512, 113)) == []


@given(st.integers(0, 2**31), st.floats(0.01, 100), st.sampled_from([0.05, 0.15, 0.2]))
@settings(max_examples=20, deadline=None)
def test_key_frequencies_know_no_unit_no_constant_and_no_order_of_neurons(seed, scale, share):
    W_L = normal(4, P, seed=seed)
    found, power = key_frequencies(W_L, share), frequency_power(W_L, 1)
    assert found == [k for k in range(1, 7) if power[k - 1] > share * power.sum()]
    turned = scale * random_rotation(4, rng(seed)) @ W_L.roll(3, 1) + normal(4, 1, seed=seed)
    assert key_frequencies(turned, share) == found
    assert key_frequencies(W_L) == key_frequencies(W_L, 0.05)
    assert set(key_frequencies(W_L, 0.2)) <= set(key_frequencies(W_L, 0.05))


@given(st.integers(0, 2**31), st.sets(st.integers(1, 6)))
@settings(max_examples=20, deadline=None)
def test_the_residual_is_what_the_basis_leaves_and_falls_with_every_frequency(seed, frequencies):
    W_L, chosen = normal(4, P, seed=seed), sorted(frequencies)
    power = frequency_power(W_L, 1)
    expected = 1 - float(power[[k - 1 for k in chosen]].sum() / W_L.square().sum())
    found = w_l_residual(W_L, chosen)
    assert found == pytest.approx(math.sqrt(expected), abs=1e-9)
    turned = -5 * random_rotation(4, rng(seed)) @ W_L.roll(2, 1)
    assert w_l_residual(turned, chosen[::-1]) == pytest.approx(found, abs=1e-9)
    assert w_l_residual(W_L, chosen[1:]) >= found - 1e-12


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.data())
@settings(max_examples=30, deadline=None)
def test_the_strongest_left_are_the_first_of_a_sort(power, data):
    exclude = data.draw(st.sets(st.integers(1, len(power))))
    left = [k for k in range(1, len(power) + 1) if k not in exclude]
    if not left:
        return
    size = data.draw(st.integers(1, len(left)))
    found = strongest_frequencies(torch.tensor(power, dtype=torch.float32), size, exclude)
    assert found == sorted(sorted(left, key=lambda k: (-power[k - 1], k))[:size])


@given(st.integers(1, 9), st.data())
@settings(max_examples=30, deadline=None)
def test_random_sets_are_distinct_ascending_allowed_and_a_function_of_the_seed(half, data):
    exclude = data.draw(st.sets(st.integers(1, half), max_size=half - 1))
    size = data.draw(st.integers(1, half - len(exclude)))
    seed, p = data.draw(st.integers(0, 99)), 2 * half + 1
    sets = random_frequency_sets(p, size, 5, exclude, seed)
    assert len(sets) == 5
    for chosen in sets:
        assert chosen == sorted(set(chosen))
        assert len(chosen) == size
        assert set(chosen) <= set(range(1, half + 1)) - exclude
    assert sets == random_frequency_sets(p, size, 5, exclude, seed)
    assert random_frequency_sets(p, size, 5, exclude) == random_frequency_sets(p, size, 5, exclude, 0)


def test_random_sets_are_uniform():
    sets = random_frequency_sets(P, 2, draws=3000, seed=5)
    counts = [sets.count([i, j]) for i in range(1, 7) for j in range(i + 1, 7)]
    assert len(counts) == 15
    assert max(abs(count - 200) for count in counts) < 5 * math.sqrt(200)


def test_frequency_sets_select_from_what_is_left():
    power = torch.tensor([5.0, 1, 4, 3, 2])
    assert strongest_frequencies(power, 2) == [1, 3]
    assert strongest_frequencies(power, 2, exclude=[1]) == [3, 4]
    sets = random_frequency_sets(P, 3, draws=200, exclude=[2], seed=1)
    assert sets == random_frequency_sets(P, 3, draws=200, exclude=[2], seed=1)
    assert {k for chosen in sets for k in chosen} == {1, 3, 4, 5, 6}
    assert all(chosen == sorted(set(chosen)) and len(chosen) == 3 for chosen in sets)
    with pytest.raises(InputError, match="6 frequencies asked for, but there are 5"):
        random_frequency_sets(P, 6, draws=1, exclude=[2])


# --- neurons and logits


def test_mlp_fve_is_one_for_the_algorithm_itself_and_falls_with_noise():
    neurons, W_L = circuit((2, 5))
    assert torch.allclose(mlp_fve(neurons, W_L, [2, 5]), torch.ones(2, 2, dtype=torch.float64))
    assert torch.allclose(mlp_fve(3 * neurons - 8, 5 * W_L, [5]), torch.ones(1, 2, dtype=torch.float64))
    noisy = neurons + 0.3 * normal(P * P, 6, seed=3)
    assert 0.7 < worst_mlp_fve(noisy, W_L, [2, 5]) < 0.97
    assert worst_mlp_fve(noisy, W_L, [2, 5]) == float(mlp_fve(noisy, W_L, [2, 5]).flatten().sort().values[0])
    assert math.isnan(worst_mlp_fve(neurons, W_L, []))
    assert mlp_fve(torch.full_like(neurons, 0.1), W_L, [2]).isnan().all()
    assert math.isnan(worst_mlp_fve(torch.full_like(neurons, 0.1).float(), W_L.float(), [2]))


@given(st.integers(0, 2**31), st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_mlp_fve_is_a_share_that_knows_no_units_and_no_order_of_neurons(seed, scale):
    neurons, W_L = normal(P * P, 4, seed=seed), normal(4, P, seed=seed + 1)
    found = mlp_fve(neurons, W_L, [1, 4, 6])
    assert found.shape == (3, 2)
    assert ((found >= 0) & (found <= 1)).all()
    rotation = random_rotation(4, rng(seed))
    moved = mlp_fve((scale * neurons + 5) @ rotation, -rotation.mT @ W_L + normal(4, 1), [6, 1, 4])
    assert torch.allclose(moved[[1, 2, 0]], found, atol=1e-9)
    # Exchanging a and b changes no sum.
    exchanged = neurons.unflatten(0, (P, P)).transpose(0, 1).flatten(0, 1)
    assert torch.allclose(mlp_fve(exchanged, W_L, [1, 4, 6]), found, atol=1e-9)
    assert worst_mlp_fve(neurons, W_L, [1, 4, 6]) == float(found.min())


def test_mlp_fve_agrees_with_regressions():
    neurons, W_L = normal(P * P, 6) + circuit()[0], normal(6, P, seed=1)
    for (cosine, sine), k in zip(mlp_fve(neurons, W_L, [1, 2, 5]).tolist(), [1, 2, 5], strict=True):
        u, v = neurons @ W_L @ wave(torch.cos, k, C), neurons @ W_L @ wave(torch.sin, k, C)
        assert cosine == pytest.approx(least_squares_share(u, [wave(torch.cos, k, A + B)]))
        assert sine == pytest.approx(least_squares_share(v, [wave(torch.sin, k, A + B)]))


def test_mlp_fve_rejects_the_difference_and_the_wrong_phase():
    """cos w(a-b) is as periodic as cos w(a+b), but it is not the sum; nor is a cosine a sine."""
    _, W_L = circuit((2,), width=2)
    differences = torch.stack([wave(torch.cos, 2, A - B), wave(torch.sin, 2, A - B)], dim=1)
    features = torch.stack([wave(torch.sin, 2, A + B), wave(torch.cos, 2, A + B)], dim=1)
    mixing = W_L @ torch.stack([wave(torch.cos, 2, C), wave(torch.sin, 2, C)], dim=1)
    assert mlp_fve(differences @ torch.linalg.inv(mixing), W_L, [2]).max() < 1e-9
    assert mlp_fve(features @ torch.linalg.inv(mixing), W_L, [2]).max() < 1e-9


def test_the_null_of_the_mlp_selects_as_many_strong_frequencies():
    neurons, W_L = circuit((2, 5))
    neurons, W_L = neurons + 0.1 * normal(P * P, 6), W_L + 0.1 * normal(6, P)
    null = strongest_frequencies(frequency_power(W_L, 1), 2, exclude=[2, 5])
    assert len(null) == 2
    assert not set(null) & {2, 5}
    assert worst_mlp_fve(neurons, W_L, [2, 5]) > 0.9 > 0.5 > worst_mlp_fve(neurons, W_L, null)


def test_logit_fve_of_the_algorithm_and_of_what_softmax_ignores():
    neurons, W_L = circuit((2, 5))
    logits = neurons @ W_L
    assert logit_shares(logits)[[1, 4]].tolist() == pytest.approx([0.5, 0.5])
    assert logit_fve(logits, [2, 5]) == pytest.approx(1)
    shifted = logits + 10 * normal(P * P, 1) + 10 * normal(1, P)
    assert logit_fve(shifted, [2, 5]) == pytest.approx(1)
    assert math.isnan(logit_fve(logits, []))
    assert math.isnan(logit_fve(torch.full_like(logits, 0.1), [2]))
    assert logit_fve(logits.float(), [2, 5]) == pytest.approx(1, abs=1e-6)


@given(st.integers(0, 2**31), st.floats(0.01, 100), st.sets(st.integers(1, 6), min_size=1))
@settings(max_examples=10, deadline=None)
def test_logit_shares_add_up_to_one_at_most_and_know_no_units(seed, scale, frequencies):
    """Nor the mean of an input or of an output, nor which summand came first, nor a shift of a with one of c."""
    logits = normal(P * P, P, seed=seed) + 0.1 * circuit()[0] @ circuit()[1]
    shares, chosen = logit_shares(logits), sorted(frequencies)
    assert (shares >= 0).all()
    assert float(shares.sum()) <= 1
    assert logit_fve(logits, chosen) == pytest.approx(float(shares[[k - 1 for k in chosen]].sum()))
    moved = -scale * logits + normal(P * P, 1, seed=seed) + normal(1, P, seed=seed)
    assert torch.allclose(logit_shares(moved), shares, atol=1e-9)
    grid = logits.unflatten(0, (P, P))
    assert torch.allclose(logit_shares(grid.transpose(0, 1).flatten(0, 1)), shares, atol=1e-9)
    shifted = grid.roll((2, 3), (0, 2)).roll(1, 1).flatten(0, 1)
    assert torch.allclose(logit_shares(shifted), shares, atol=1e-9)


def test_logit_fve_agrees_with_a_regression_over_all_triples():
    logits = normal(P * P, P) + 0.5 * circuit((3,))[0] @ circuit((3,))[1]
    centred = logits - logits.mean(1, keepdim=True)
    centred = (centred - centred.mean(0)).flatten()
    regressors = [wave(torch.cos, k, (A + B)[:, None] - C).flatten() for k in (1, 3)]
    assert logit_fve(logits, [1, 3]) == pytest.approx(least_squares_share(centred, regressors))


def test_logit_fve_rejects_the_wrong_sign_of_c():
    reflected = torch.cos(2 * math.pi * 2 / P * ((A + B)[:, None] + C))
    assert logit_fve(reflected, [2]) < 1e-9


def brute_force_component(logits, frequencies):
    """Projection of every column on explicit unit vectors over the grid."""
    total = torch.zeros_like(logits)
    for k in frequencies:
        for function in (torch.cos, torch.sin):
            direction = wave(function, k, A + B)
            direction = direction / direction.norm()
            total += direction[:, None] * (direction @ logits)
    return total


def test_restricted_and_excluded_logits_agree_with_explicit_projections():
    logits = normal(P * P, P) + 4
    component = brute_force_component(logits, [2, 5])
    assert torch.allclose(restricted_logits(logits, [2, 5]), component + logits.mean(0))
    assert torch.allclose(excluded_logits(logits, [2, 5]), logits - component)


@given(st.integers(0, 2**31), st.sets(st.integers(1, 6), max_size=6))
@settings(max_examples=20, deadline=None)
def test_restricting_is_idempotent_and_complements_excluding(seed, frequencies):
    logits, chosen = normal(P * P, P, seed=seed), sorted(frequencies)
    kept = restricted_logits(logits, chosen)
    assert torch.allclose(restricted_logits(kept, chosen), kept, atol=1e-9)
    assert torch.allclose(kept + excluded_logits(logits, chosen) - logits.mean(0), logits, atol=1e-9)
    removed = excluded_logits(kept, chosen)
    assert torch.allclose(removed, logits.mean(0).expand_as(removed), atol=1e-9)


def test_restricting_does_not_keep_difference_or_cross_frequency_terms():
    """The mask over whole rows and columns of the 2-D transform, a common mistake, keeps all three."""
    for a_wave, b_wave in [((torch.cos, 2), (torch.cos, 5)), ((torch.cos, 2), (torch.cos, 0))]:
        term = (wave(*a_wave, A) * wave(*b_wave, B))[:, None].expand(P * P, P)
        assert restricted_logits(term, [2, 5]).abs().max() < 1e-9
    difference = wave(torch.cos, 2, A - B)[:, None].expand(P * P, P)
    assert restricted_logits(difference, [2, 5]).abs().max() < 1e-9
    assert torch.allclose(excluded_logits(difference, [2, 5]), difference)


def test_a_circuit_needs_its_frequencies_and_no_others():
    neurons, W_L = circuit((2, 5))
    logits = 20 * neurons @ W_L + normal(P * P, P)
    full = loss_nats(logits, LABELS)
    assert loss_nats(restricted_logits(logits, [2, 5]), LABELS) < full
    assert loss_nats(excluded_logits(logits, [2, 5]), LABELS) > math.log(P)
    for chosen in random_frequency_sets(P, 2, draws=5, exclude=[2, 5]):
        assert loss_nats(restricted_logits(logits, chosen), LABELS) > math.log(P) - 0.2
        assert loss_nats(excluded_logits(logits, chosen), LABELS) == pytest.approx(full, abs=0.05)


@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 7), st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_loss_is_scipys_and_knows_no_shift_and_no_order(seed, rows, p, shift):
    logits, labels = 5 * normal(rows, p, seed=seed), torch.randint(p, (rows,), generator=rng(seed))
    expected = -log_softmax(logits.numpy(), axis=1)[range(rows), labels].mean()
    assert loss_nats(logits, labels) == pytest.approx(expected)
    assert loss_nats((logits + shift).flip(0), labels.flip(0).int()) == pytest.approx(expected)
    assert loss_nats(torch.zeros(rows, p), labels) == pytest.approx(math.log(p))


def test_loss_is_in_nats_and_keeps_its_digits_when_it_is_tiny():
    assert loss_nats(torch.zeros(4, 7), torch.tensor([0, 1, 2, 3])) == pytest.approx(math.log(7))
    sure = torch.zeros(1, 3)
    sure[0, 1] = 20
    assert loss_nats(sure, torch.tensor([1])) == pytest.approx(2 * math.exp(-20), rel=1e-6)


# --- one frequency


def test_a_polynomial_of_one_frequency_is_found_whole():
    pure = (
        3 + wave(torch.cos, 4, A) - 2 * wave(torch.sin, 4, B) + wave(torch.sin, 4, A) * wave(torch.cos, 4, B)
    )
    mixed = wave(torch.cos, 4, A) + wave(torch.cos, 2, B)
    product_of_two = wave(torch.cos, 4, A) * wave(torch.cos, 3, B)
    fve, frequency = one_frequency_fve(torch.stack([pure, mixed, product_of_two], dim=1))
    assert fve.tolist() == pytest.approx([1, 0.5, 0], abs=1e-12)
    assert frequency[0] == 4
    assert one_frequency_share(fve) == pytest.approx(1 / 3)


def test_one_frequency_agrees_with_regressions_on_the_eight_products():
    acts = normal(P * P, 3)
    fve, frequency = one_frequency_fve(acts)
    for column in range(3):
        shares = []
        for k in range(1, 7):
            of_a = [torch.ones_like(A), wave(torch.cos, k, A), wave(torch.sin, k, A)]
            of_b = [torch.ones_like(B), wave(torch.cos, k, B), wave(torch.sin, k, B)]
            products = [x * y for i, x in enumerate(of_a) for j, y in enumerate(of_b) if i + j]
            shares.append(least_squares_share(acts[:, column], products))
        assert float(fve[column]) == pytest.approx(max(shares))
        assert int(frequency[column]) == shares.index(max(shares)) + 1


@given(st.integers(0, 2**31), st.floats(0.1, 50), st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_one_frequency_ignores_scale_offset_and_translations_of_the_grid(seed, scale, offset):
    acts = normal(P * P, 2, seed=seed)
    moved = acts.unflatten(0, (P, P)).roll((3, 5), (0, 1)).transpose(0, 1).flatten(0, 1)
    fve, frequency = one_frequency_fve(acts)
    other, same = one_frequency_fve(scale * moved + offset)
    assert torch.allclose(fve, other, atol=1e-9)
    assert torch.equal(frequency, same)


@given(st.integers(0, 2**31), st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_decoder_directions_have_no_length_sign_or_order_and_the_stream_no_origin(seed, scale):
    x, decoder = normal(P * P, 4, seed=seed), normal(3, 4, seed=seed + 1)
    fve, frequency = decoder_one_frequency(x, decoder)
    reference, same = one_frequency_fve(x @ decoder.mT)
    assert torch.allclose(fve, reference, atol=1e-9)
    assert torch.equal(frequency, same)
    rotation = random_rotation(4, rng(seed))
    turned, other = decoder_one_frequency(scale * x @ rotation + 7, -scale * decoder.flip(0) @ rotation)
    assert torch.allclose(turned.flip(0), fve, atol=1e-9)
    assert torch.equal(other.flip(0), frequency)
    assert ((fve > 0) & (fve <= 1)).all()


@given(st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=20), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_the_share_of_columns_counts_those_above_the_threshold(fve, threshold):
    found = one_frequency_share(torch.tensor(fve, dtype=torch.float64), threshold)
    assert found == pytest.approx(sum(value > threshold for value in fve) / len(fve))
    assert one_frequency_share(torch.tensor([0.85, 0.86], dtype=torch.float64)) == 0.5


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_shuffling_moves_whole_rows_by_its_generator(seed):
    acts = torch.arange(20.0)[:, None] * torch.tensor([1.0, -1.0])
    shuffled = shuffled_grid(acts, rng(seed))
    assert torch.equal(shuffled, shuffled_grid(acts, rng(seed)))
    assert torch.equal(shuffled[:, 0], -shuffled[:, 1])
    assert sorted(shuffled[:, 0].tolist()) == acts[:, 0].tolist()
    assert shuffled[:, 0].tolist() != acts[:, 0].tolist()


def test_shuffling_the_grid_destroys_frequencies_and_nothing_else():
    acts = torch.stack([wave(torch.cos, k, A + B) for k in (1, 2, 3)], dim=1).relu()
    shuffled = shuffled_grid(acts, rng())
    assert torch.equal(shuffled.sort(0).values, acts.sort(0).values)
    assert torch.equal(shuffled.sum(1).sort().values, acts.sum(1).sort().values)
    assert one_frequency_fve(acts)[0].min() > 0.6 > 0.3 > one_frequency_fve(shuffled)[0].max()


def test_constant_columns_are_undefined_and_count_as_not_one_frequency():
    acts = torch.stack([torch.full_like(A, 0.1), wave(torch.cos, 2, A), torch.zeros_like(A)], dim=1)
    for dtype in (torch.float32, torch.float64):
        fve, _ = one_frequency_fve(acts.to(dtype))
        assert fve.isnan().tolist() == [True, False, True]
        assert one_frequency_share(fve) == pytest.approx(1 / 3)


def test_float32_activations_are_good_to_six_digits():
    acts = circuit()[0].relu() + 0.2 * normal(P * P, 6).relu() + 5
    single, double = one_frequency_fve(acts.float())[0], one_frequency_fve(acts)[0]
    assert single.dtype == torch.float64
    assert torch.allclose(single, double, atol=1e-6)


def test_decoder_directions_are_judged_by_what_they_read_from_the_activations():
    x, decoder = circuit((2, 5))[0] + 0.1 * normal(P * P, 6) + 4, normal(9, 6, seed=2)
    fve, frequency = decoder_one_frequency(x, decoder)
    reference, same = one_frequency_fve(x @ decoder.mT)
    assert torch.allclose(fve, reference, atol=1e-9)
    assert torch.equal(frequency, same)


def test_rotation_is_a_null_for_aligned_decoders():
    frequencies = (1, 2, 3, 4)
    x = torch.stack([wave(f, k, A + B) for k in frequencies for f in (torch.cos, torch.sin)], dim=1)
    aligned = torch.eye(8, dtype=torch.float64)
    rotated = aligned @ random_rotation(8, rng())
    assert one_frequency_share(decoder_one_frequency(x, aligned)[0]) == 1
    assert one_frequency_share(decoder_one_frequency(x, rotated)[0]) < 0.3
    dead = torch.cat([x, torch.zeros(P * P, 1, dtype=torch.float64)], dim=1)
    assert decoder_one_frequency(dead, torch.eye(9))[0].isnan().tolist() == [False] * 8 + [True]


def test_overlap_of_directions_made_of_the_embedding_is_one():
    W_E = normal(P, 40)
    directions = fourier_basis(P)[1:] @ W_E
    assert fourier_overlap(directions * 3, W_E) == pytest.approx(1)
    chance = fourier_overlap_chance(W_E, rng())
    assert fourier_overlap(normal(3000, 40, seed=5), W_E) == pytest.approx(chance, abs=0.01)
    # An embedding of one frequency has two directions, not p - 1: rounding errors are no candidates.
    pure = torch.stack([wave(torch.cos, 3, C), wave(torch.sin, 3, C)], dim=1) @ normal(2, 40)
    latents, two = unit_rows(normal(50, 40)), unit_rows(fourier_basis(P)[5:7] @ pure)
    assert fourier_overlap(latents, pure) == pytest.approx(float((latents @ two.mT).abs().amax(1).mean()))


@given(st.integers(0, 2**31), st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_overlap_is_a_cosine_that_knows_no_lengths_signs_coordinates_or_mean_embedding(seed, scale):
    W_E, latents = normal(P, 5, seed=seed), normal(6, 5, seed=seed + 1)
    found, rotation = fourier_overlap(latents, W_E), random_rotation(5, rng(seed))
    assert 0 <= found <= 1
    moved = fourier_overlap(-scale * latents.flip(0) @ rotation, scale * W_E @ rotation + 4)
    assert moved == pytest.approx(found, abs=1e-9)
    directions = unit_rows(fourier_basis(P)[1:] @ W_E)
    slow = [max(abs(float(u @ v)) for v in directions) for u in unit_rows(latents)]
    assert found == pytest.approx(sum(slow) / 6)


@given(st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_overlap_chance_lies_between_one_candidate_and_the_isotropic_level(seed):
    W_E = normal(P, 5, seed=seed)
    chance = fourier_overlap_chance(W_E, rng(seed), draws=500)
    assert chance_max_abs_cos(1, 5) < chance < chance_max_abs_cos(12, 5) + 0.03
    assert chance == fourier_overlap_chance(W_E, rng(seed), draws=500)
    assert chance != fourier_overlap_chance(W_E, rng(seed), draws=501)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_no_unit_is_so_small_or_large_that_it_changes_a_share(unit):
    neurons, W_L = circuit()
    neurons = neurons + 0.1 * normal(*neurons.shape)
    decoder, W_E = normal(3, neurons.shape[1]), normal(P, 5)
    for measure in (
        lambda unit: mlp_fve(unit * neurons, W_L, [2, 5]),
        lambda unit: one_frequency_fve(unit * neurons)[0],
        lambda unit: decoder_one_frequency(unit * neurons, decoder)[0],
        lambda unit: torch.tensor(fourier_overlap(normal(4, 5, seed=1), unit * W_E)),
    ):
        found, reference = measure(unit), measure(1.0)
        assert not reference.isnan().any()
        assert torch.allclose(found, reference, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_stay_in_their_precision(dtype):
    logits = normal(P * P, P).to(dtype)
    assert restricted_logits(logits, [2]).dtype == excluded_logits(logits, [2]).dtype == dtype


# --- refusals


def test_values_without_a_meaning_are_refused_by_name():
    with pytest.raises(InputError, match="168 rows"):
        one_frequency_fve(normal(168, 2))
    with pytest.raises(InputError, match="odd p >= 3, received 12"):
        restricted_logits(normal(144, 12), [1])
    with pytest.raises(InputError, match=r"1\.\.6, received \[7\]"):
        logit_fve(normal(P * P, P), [7])
    with pytest.raises(InputError, match=r"received \[2, 2\]"):
        mlp_fve(normal(P * P, 4), normal(4, P), [2, 2])
    with pytest.raises(InputError, match="does not vary"):
        embedding_r2(torch.full((P, 4), 0.1))
    with pytest.raises(InputError, match=r"\(4, 13\) have NaN"):
        key_frequencies(normal(4, P) * math.nan)
    with pytest.raises(InputError, match="7 frequencies asked for"):
        embedding_r2(normal(P, 4), top=7)
    with pytest.raises(InputError, match="received 8"):
        fourier_basis(8)


def test_weights_of_nought_have_no_key_frequencies():
    assert key_frequencies(torch.zeros(4, 7)) == []
