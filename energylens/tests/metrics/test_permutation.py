import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from energylens.errors import InputError
from energylens.metrics.alignment import AlignmentStatistics
from energylens.metrics.permutation import (
    document_null,
    document_permutations,
    document_t,
    max_t_p,
    permuted_documents,
)
from energylens.metrics.stability import random_unit_rows

SEEDS = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def documents(seed=0, n=8, positions=11, latents=6, d_model=4, dtype=torch.float64):
    """Sparse activations, gradients of one level per document (tokens of a document go together)."""
    acts = normal(n, positions, latents, seed=seed).relu()
    gradients = normal(n, positions, d_model, seed=seed + 1) + normal(n, 1, d_model, seed=seed + 2)
    W_dec = random_unit_rows(latents, d_model, rng(seed))
    return tuple(each.to(dtype) for each in (acts, gradients, W_dec))


def efas_all(acts, gradients, W_dec):
    statistics = AlignmentStatistics(W_dec)
    statistics.update(acts, gradients)
    return statistics.compute().efas_all


def slow_null(acts, gradients, W_dec, permutations):
    """Every draw by moving the activations and aligning them anew."""
    flat, n_positions = acts.flatten(0, 1), acts.shape[1]
    return torch.stack(
        [
            efas_all(flat[permuted_documents(pi, n_positions)], gradients.flatten(0, 1), W_dec)
            for pi in permutations
        ]
    )


# The pairing


@given(SEEDS, st.integers(2, 9), st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_every_token_meets_the_same_position_of_another_document_once(seed, n_documents, n_positions):
    (pi,) = document_permutations(n_documents, 1, rng(seed))
    index = permuted_documents(pi, n_positions).unflatten(0, (n_documents, n_positions))
    token = torch.arange(n_documents * n_positions).unflatten(0, (n_documents, n_positions))
    for document in range(n_documents):
        assert torch.equal(index[document], token[pi[document]])
    assert sorted(index.flatten().tolist()) == token.flatten().tolist()


def test_permutations_are_a_function_of_their_generator():
    first, again, other = (document_permutations(9, 20, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_permutations_are_uniform():
    drawn = document_permutations(3, 6000, rng()).tolist()
    counts = [drawn.count(list(each)) for each in set(map(tuple, drawn))]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.001


# The null


@pytest.mark.parametrize("entries", [1, 400, 2**22])
def test_the_table_agrees_with_moving_the_activations(monkeypatch, entries):
    monkeypatch.setattr("energylens.metrics.permutation.TABLE_ENTRIES", entries)
    acts, gradients, W_dec = documents()
    permutations = torch.cat([torch.arange(8)[None], document_permutations(8, 20, rng())])
    null = document_null(acts, gradients, W_dec, permutations)
    assert torch.allclose(null, slow_null(acts, gradients, W_dec, permutations), atol=1e-10)


@given(SEEDS, st.integers(2, 6), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_the_null_is_a_correlation_without_units_that_turns_with_the_decoder(seed, n, positions, d_model):
    acts, gradients, W_dec = documents(seed, n, positions, latents=3, d_model=d_model)
    permutations = torch.cat([torch.arange(n)[None], document_permutations(n, 4, rng(seed))])
    null = document_null(acts, gradients, W_dec, permutations)
    assert torch.allclose(null, slow_null(acts, gradients, W_dec, permutations), atol=1e-9, equal_nan=True)
    scale, shift = normal(2, 3, seed=seed).exp()
    moved = document_null(
        scale * acts + shift, 7 * gradients + normal(d_model, seed=seed), W_dec, permutations
    )
    assert torch.allclose(moved, null, atol=1e-7, equal_nan=True)
    turned = document_null(acts, gradients, -W_dec, permutations)
    assert torch.allclose(turned, -null, atol=1e-12, equal_nan=True)
    assert (null[~null.isnan()].abs() <= 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_activations_that_vary_by_more_than_rounding_have_a_null_and_others_have_none(dtype):
    acts, gradients, W_dec = documents(latents=2)
    eps, permutations = torch.finfo(dtype).eps, document_permutations(8, 5, rng())
    acts[..., 0] = 1 + 100 * eps * normal(8, 11)
    acts[..., 1] = 1 + 0.1 * eps * normal(8, 11)
    for statistic in (document_null, document_t):
        found = statistic(acts.to(dtype), gradients.to(dtype), W_dec.to(dtype), permutations)
        assert found.isnan().all(0).tolist() == [False, True]


def test_the_table_in_float32_rounds_by_less_than_a_tie():
    data, permutations = documents(dtype=torch.float32), document_permutations(8, 20, rng())
    exact = slow_null(*(each.double() for each in data), permutations)
    assert (document_null(*data, permutations) - exact).abs().max() < 1e-6


@pytest.mark.parametrize(("a", "g"), [(1e-17, 1), (1e17, 1), (1, 1e-9), (1, 1e9)])
@pytest.mark.parametrize("statistic", [document_null, document_t])
def test_no_unit_is_so_small_or_large_that_it_changes_a_draw(statistic, a, g):
    acts, gradients, W_dec = documents()
    permutations = document_permutations(len(acts), 5, rng())
    plain = statistic(acts, gradients, W_dec, permutations)
    units = torch.ones(acts.shape[2], dtype=acts.dtype)
    units[::2] = a  # some latents, so that each is judged by its own size
    assert torch.allclose(statistic(units * acts, g * gradients, W_dec, permutations), plain)


def test_the_decoders_precision_is_that_of_the_table():
    acts, gradients, W_dec = documents()
    permutations = document_permutations(len(acts), 5, rng())
    mixed = document_t(acts, gradients.float(), W_dec.float(), permutations)
    assert torch.allclose(mixed, document_t(acts, gradients, W_dec, permutations), atol=1e-4)


def test_latents_without_an_alignment_have_no_null():
    acts, gradients, W_dec = documents()
    acts[..., 1], acts[..., 2] = 0, 0.1
    gradients[..., 0], W_dec[3] = 0.5, torch.tensor([1.0, 0, 0, 0])
    permutations = document_permutations(8, 5, rng())
    null = document_null(acts, gradients, W_dec, permutations)
    assert null.isnan().all(0).tolist() == [False, True, True, True, False, False]
    assert torch.equal(null.isnan(), slow_null(acts, gradients, W_dec, permutations).isnan())


def test_what_position_alone_explains_stays_in_the_null():
    """Activation and gradient both follow the position and nothing else: each draw aligns as well as the text."""
    position = torch.arange(11.0, dtype=torch.float64)
    acts = position[None, :, None].expand(8, 11, 1)
    gradients = -acts.clone()
    null = document_null(acts, gradients, torch.ones(1, 1).double(), document_permutations(8, 10, rng()))
    assert torch.allclose(null, torch.ones(10, 1).double())


def test_the_null_knows_that_tokens_of_a_document_depend_on_each_other():
    """Both constant within documents, independent between: 8 documents spread as 8 tokens, 1 / sqrt(7), not as 88.

    A version that shuffles single tokens has a spread of 1 / sqrt(87), and finds alignments where there are none.
    """
    acts = (normal(8, 1, 40) + 10).expand(8, 11, 40)
    gradients = normal(8, 1, 40, seed=1).expand(8, 11, 40)
    directions = torch.eye(40).double()
    null = document_null(acts, gradients, directions, document_permutations(8, 200, rng()))
    assert null.std().item() == pytest.approx(1 / math.sqrt(7), rel=0.1)
    token = torch.stack(
        [
            efas_all(
                acts.flatten(0, 1)[torch.randperm(88, generator=rng(i))], gradients.flatten(0, 1), directions
            )
            for i in range(50)
        ]
    )
    assert token.std().item() == pytest.approx(1 / math.sqrt(87), rel=0.1)


# The studentised null


def slow_t(acts, gradients, W_dec, permutations):
    """Every draw, latent and document by itself: sum of S_d over the root of the sum of their squares."""
    n_documents, n_positions, _ = acts.shape
    a = acts - acts.mean((0, 1))
    found = []
    for pi in permutations.tolist():
        row = []
        for latent, direction in enumerate(W_dec):
            g = -(gradients @ direction)
            g = g - g.mean()
            parts = [
                sum(float(a[pi[d], i, latent] * g[d, i]) for i in range(n_positions))
                for d in range(n_documents)
            ]
            row.append(sum(parts) / math.sqrt(sum(part**2 for part in parts)))
        found.append(row)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("entries", [1, 400, 2**22])
def test_t_agrees_with_a_loop_over_documents(monkeypatch, entries):
    monkeypatch.setattr("energylens.metrics.permutation.TABLE_ENTRIES", entries)
    data = documents()
    permutations = torch.cat([torch.arange(8)[None], document_permutations(8, 10, rng())])
    expected = slow_t(*data, permutations)
    assert torch.allclose(document_t(*data, permutations), expected, atol=1e-10)
    single = document_t(*(each.float() for each in data), permutations)
    assert (single - expected).abs().max() < 1e-4


def test_t_by_hand():
    """a - mean a = -1, 0, 1 in three documents of one token; g - mean g = -2, -1, 3.

    As observed S = 2, 0, 3 and t = 5 / sqrt(13). With documents 0 and 1 exchanged S = 0, 1, 3 and t = 4 / sqrt(10).
    """
    acts, g = (torch.tensor(values).double()[:, None, None] for values in ([0.0, 1, 2], [1.0, 2, 6]))
    t = document_t(acts, -g, torch.ones(1, 1).double(), torch.tensor([[0, 1, 2], [1, 0, 2]]))
    assert t.flatten().tolist() == pytest.approx([5 / math.sqrt(13), 4 / math.sqrt(10)])


def test_the_identity_is_the_observed_t():
    """Its sum of S_d is, up to the root of the sums of squares, `efas_all` of the tokens as they stand."""
    acts, gradients, W_dec = documents()
    identity = torch.arange(8)[None]
    t, r = (each(acts, gradients, W_dec, identity) for each in (document_t, document_null))
    assert torch.allclose(r[0], efas_all(acts.flatten(0, 1), gradients.flatten(0, 1), W_dec), atol=1e-10)
    assert torch.equal(t.sign(), r.sign())
    drawn = document_permutations(8, 30, rng())
    assert torch.equal(document_t(acts, gradients, W_dec, torch.cat([identity, drawn]))[:1], t)
    moved = torch.stack(
        [
            document_t(acts[pi], gradients, W_dec, identity)[
                0
            ]  # documents moved by hand, none by permutation
            for pi in drawn
        ]
    )
    assert torch.allclose(document_t(acts, gradients, W_dec, drawn), moved, atol=1e-10)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_t_knows_no_unit_and_no_origin_and_turns_with_the_decoder(seed):
    acts, gradients, W_dec = documents(seed % 10_000)
    permutations = document_permutations(8, 5, rng(seed))
    t = document_t(acts, gradients, W_dec, permutations)
    scale, shift = normal(2, 6, seed=seed).exp()
    rescaled = document_t(scale * acts + shift, 7 * gradients + normal(4, seed=seed), W_dec, permutations)
    assert torch.allclose(rescaled, t, atol=1e-9)
    assert torch.allclose(document_t(acts, gradients, -W_dec, permutations), -t, atol=1e-9)
    assert (t.abs() <= math.sqrt(8) + 1e-9).all()


def test_latents_without_an_alignment_have_no_t():
    """The g of latent 3 is constant but for rounding, which has a sum and squares like any other numbers."""
    acts, gradients, W_dec = documents()
    acts[..., 1], acts[..., 2] = 0, 0.1
    gradients[..., 0], W_dec[3] = 0.5 - gradients[..., 1], torch.tensor([0.5, 0.5, 0, 0]).double().sqrt()
    t = document_t(acts, gradients, W_dec, document_permutations(8, 5, rng()))
    assert t.isnan().all(0).tolist() == [False, True, True, True, False, False]
    assert t[:, [0, 4, 5]].isfinite().all()


def rejected(statistic, acts, gradients, draws=99):
    """Share of latents, latent i against dimension i of the gradient, whose own p is at most .05."""
    n = len(acts)
    permutations = torch.cat([torch.arange(n)[None], document_permutations(n, draws, rng())])
    values = statistic(acts, gradients, torch.eye(acts.shape[2]).double(), permutations).abs()
    p = ((values[1:] >= values[0] - 1e-9).sum(0) + 1) / (draws + 1)
    return float((p <= 0.05).double().mean())


@pytest.mark.parametrize("seed", range(3))
def test_t_keeps_its_level_where_activations_tell_the_spread_of_g_and_not_its_mean(seed):
    """1000 latents of 60 documents; in the three in ten where one fires its g spreads five times as wide.

    Correlations reject in .18 to .20, t in .05 to .06, give or take .007. With the same spread everywhere both
    keep to .05.
    """
    fires = torch.rand(60, 1, 1000, dtype=torch.float64, generator=rng(seed)) > 0.7
    acts = fires * (1 + torch.rand(60, 3, 1000, dtype=torch.float64, generator=rng(seed + 10)))
    g = normal(60, 1, 1000, seed=seed + 20) + normal(60, 3, 1000, seed=seed + 30)
    wide = (1 + 4 * fires) * g
    assert rejected(document_null, acts, wide) > 0.15
    assert 0.03 < rejected(document_t, acts, wide) < 0.08
    for statistic in (document_null, document_t):
        assert 0.03 < rejected(statistic, acts, g) < 0.075


def test_t_finds_an_alignment_that_is_there():
    acts = normal(30, 5, 40).relu()
    gradients = normal(30, 5, 40, seed=1) + normal(30, 1, 40, seed=2)
    assert rejected(document_t, acts, gradients) < 0.2
    assert rejected(document_t, acts, gradients - acts) > 0.9


# Max-T


def slow_max_t(observed, null):
    return [
        (1 + sum(max(abs(float(x)) for x in draw) >= abs(float(value)) - 1e-6 for draw in null))
        / (len(null) + 1)
        for value in observed
    ]


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_max_t_agrees_with_a_loop_and_orders_latents_by_size(seed):
    observed, null = 2 * normal(7, seed=seed), normal(30, 7, seed=seed + 1)
    p = max_t_p(observed, null)
    assert p.tolist() == pytest.approx(slow_max_t(observed, null))
    assert torch.equal(p, max_t_p(-observed, null))
    order = observed.abs().argsort(descending=True)
    assert (p[order].diff() >= 0).all()


@given(SEEDS, st.integers(1, 5), st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_max_t_knows_no_order_and_no_sign_and_stays_within_its_steps(seed, latents, draws):
    observed, null = normal(latents, seed=seed), normal(draws, latents, seed=seed + 1)
    p, order = max_t_p(observed, null), torch.randperm(latents, generator=rng(seed))
    assert torch.equal(max_t_p(observed[order], -null[:, order].flip(0)), p[order])
    steps = p * (draws + 1)
    assert torch.allclose(steps, steps.round())
    assert (steps >= 1 - 1e-9).all()
    assert (p <= 1).all()
    assert p.dtype == max_t_p(observed.float(), null.float()).dtype == torch.float64


def test_values_within_rounding_are_ties_and_others_are_not():
    null = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    assert max_t_p(torch.tensor([1 + 9e-7]).double(), null).tolist() == [2 / 3]
    assert max_t_p(torch.tensor([1 + 2e-6], dtype=torch.float64), null).tolist() == [1 / 3]


def test_max_t_by_hand():
    """Largest of the three draws: 3, 5, 1. Beyond all is 1/4, between is 2/4, and ties count against."""
    null = torch.tensor([[3.0, -1, 0], [0, -5, 2], [1, 1, 1]], dtype=torch.float64)
    observed = torch.tensor([6.0, -5, 4], dtype=torch.float64)
    assert max_t_p(observed, null).tolist() == [1 / 4, 2 / 4, 2 / 4]


def test_max_t_keeps_the_family_wise_error_where_single_tests_do_not():
    """20 latents without any effect, 400 repetitions: some p <= .05 in 5 % of them, in 64 % without correction."""
    false, naive = 0, 0
    for seed in range(400):
        draws = normal(60, 20, seed=seed)
        observed, null = draws[0], draws[1:]
        false += bool((max_t_p(observed, null) <= 0.05).any())
        single = torch.cat([max_t_p(observed[i : i + 1], null[:, i : i + 1]) for i in range(20)])
        naive += bool((single <= 0.05).any())
    assert 0.02 < false / 400 < 0.085
    assert naive / 400 > 0.5


def test_an_alignment_that_is_there_is_found_and_the_others_are_not():
    acts, gradients, W_dec = documents(n=30, latents=20, d_model=20, positions=20)
    acts[..., 4] = (1 - torch.einsum("ptd,d->pt", gradients, W_dec[4])).relu()
    observed = efas_all(acts.flatten(0, 1), gradients.flatten(0, 1), W_dec)
    p = max_t_p(observed, document_null(acts, gradients, W_dec, document_permutations(30, 99, rng())))
    assert p[4] == 1 / 100
    assert (p[torch.arange(20) != 4] > 0.05).all()


def test_latents_without_a_value_have_no_p_and_do_not_take_part():
    observed, null = normal(4), 0.1 * normal(9, 4, seed=1)
    observed[2], null[:, 2] = math.nan, math.inf
    p = max_t_p(observed, null)
    assert p.isnan().tolist() == [False, False, True, False]
    assert torch.equal(p[[0, 1, 3]], max_t_p(observed[[0, 1, 3]], null[:, [0, 1, 3]]))
    assert max_t_p(torch.full((2,), math.nan), torch.zeros(3, 2)).isnan().all()


def test_input_without_an_answer_is_refused_by_name():
    observed, null = normal(4), normal(9, 4)
    with pytest.raises(InputError, match="needs draws"):
        max_t_p(observed, null[:0])
    null[3, 1] = math.nan
    with pytest.raises(InputError, match="with 1 NaN"):
        max_t_p(observed, null)
    with pytest.raises(InputError, match="got 1 and 5"):
        document_permutations(1, 5, rng())
    with pytest.raises(InputError, match="got 2 and 0"):
        document_permutations(2, 0, rng())
    assert document_permutations(2, 1, rng()).shape == (1, 2)


def test_gradients_may_be_more_precise_than_the_decoder():
    acts, gradients, W_dec = documents()
    permutations = document_permutations(len(acts), 5, rng())
    for statistic in (document_null, document_t):
        found = statistic(acts.float(), gradients, W_dec.float(), permutations)
        assert torch.allclose(found.double(), statistic(acts, gradients, W_dec, permutations), atol=1e-4)
