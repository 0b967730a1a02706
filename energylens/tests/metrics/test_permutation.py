import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from energylens.errors import InputError
from energylens.metrics.alignment import AlignmentStatistics
from energylens.metrics.permutation import document_null, document_permutations, max_t_p, permuted_documents
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


def test_the_table_in_float32_rounds_by_less_than_a_tie():
    data, permutations = documents(dtype=torch.float32), document_permutations(8, 20, rng())
    exact = slow_null(*(each.double() for each in data), permutations)
    assert (document_null(*data, permutations) - exact).abs().max() < 1e-6


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
