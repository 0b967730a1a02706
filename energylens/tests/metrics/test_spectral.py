import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.metrics import spectral
from energylens.metrics.spectral import (
    GAPS,
    Gap,
    HeadInputs,
    attention_entropy,
    core_gap,
    gap_table,
    induction_score,
    key_gap,
    key_singular_values,
    ov_copying,
    ov_output_norm,
    pattern_gap,
    pooled,
    score_gap,
)
from energylens.metrics.stability import random_rotation

SEEDS = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def everything(*shape):
    return torch.ones(shape, dtype=torch.bool)


def with_singular_values(values, rows, columns, seed=0, centred=True):
    """A matrix with these singular values; its columns have mean 0 if `centred`."""
    left = normal(rows, len(values), seed=seed)
    left = torch.linalg.qr(left - left.mean(0) if centred else left).Q
    right = torch.linalg.qr(normal(columns, len(values), seed=seed + 1)).Q
    return left * torch.tensor(values, dtype=torch.float64) @ right.mT


def causal_pattern(*shape, seed=0):
    n = shape[-1]
    future = torch.ones(n, n, dtype=torch.bool).triu(1)
    return (2 * normal(*shape, n, seed=seed)).masked_fill(future, -torch.inf).softmax(-1)


def layer(seed=0, prompts=3, heads=2, pos=7, d_head=4, d_model=9, d_vocab=11):
    """All inputs of a layer with a random mask that counts at least three positions per prompt."""
    mask = torch.rand(prompts, pos, generator=rng(seed)) < 0.7
    mask[:, :3] = True
    return HeadInputs(
        q=normal(prompts, heads, pos, d_head, seed=seed),
        k=normal(prompts, heads, pos, d_head, seed=seed + 1) + 1,
        pattern=causal_pattern(prompts, heads, pos, seed=seed + 2),
        mask=mask,
        W_Q=normal(heads, d_model, d_head, seed=seed + 3),
        W_K=normal(heads, d_model, d_head, seed=seed + 4),
        W_V=normal(heads, d_model, d_head, seed=seed + 5),
        W_O=normal(heads, d_head, d_model, seed=seed + 6),
        W_E=normal(d_vocab, d_model, seed=seed + 7),
        W_U=normal(d_model, d_vocab, seed=seed + 8),
    )


def slow_ratio(matrix):
    values = np.linalg.svd(np.asarray(matrix), compute_uv=False)
    return values[1] / values[0]


def slow_gaps(inputs, head):
    """Every definition by a loop over prompts and full-size matrices, without any of the shortcuts."""
    keys = [k[head][m] for k, m in zip(inputs.k, inputs.mask, strict=True)]
    queries = [q[head][m] for q, m in zip(inputs.q, inputs.mask, strict=True)]
    patterns = [p[head][m][:, m] for p, m in zip(inputs.pattern, inputs.mask, strict=True)]
    together = torch.cat(keys)
    centred = together - together.mean(0)
    gram, gram_raw = np.linalg.eigvalsh(centred @ centred.mT), np.linalg.eigvalsh(together @ together.mT)
    scores = [q @ (k - k.mean(0)).mT / 2 for q, k in zip(queries, keys, strict=True)]
    circuit = inputs.W_E @ inputs.W_V[head] @ inputs.W_O[head] @ inputs.W_U
    eigenvalues = np.linalg.eigvals(np.asarray(circuit))
    return {
        "a-raw": 1 - gram_raw[-2] / gram_raw[-1],
        "a": 1 - gram[-2] / gram[-1],
        "a-prime": np.mean([1 - slow_ratio(s) for s in scores]),
        "b": np.mean([1 - slow_ratio(p) for p in patterns]),
        "c": 1 - slow_ratio(inputs.W_Q[head] @ inputs.W_K[head].mT),
        "d": eigenvalues.sum().real / np.abs(eigenvalues).sum(),
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_definition_agrees_with_slow_loops(seed):
    inputs = layer(10 * seed)
    assert list(GAPS) == ["a-raw", "a", "a-prime", "b", "c", "d"]
    for head in range(2):
        for name, expected in slow_gaps(inputs, head).items():
            assert float(GAPS[name].compute(inputs)[head]) == pytest.approx(expected, abs=1e-12), name


@given(SEEDS, st.integers(1, 6), st.integers(1, 5), st.booleans())
@settings(max_examples=20, deadline=None)
def test_singular_values_are_numpys_turn_with_nothing_and_scale(seed, pos, d_head, centred):
    K, mask = normal(pos, d_head, seed=seed), torch.rand(pos, generator=rng(seed)) < 0.7
    rows = K[mask] - (K[mask].mean(0) if centred and mask.any() else 0)
    expected = [*np.linalg.svd(rows.numpy(), compute_uv=False), 0.0, 0.0][:2] if mask.any() else [0.0, 0.0]
    found = key_singular_values(K, mask, centred)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    assert found[0] >= found[1] >= 0
    moved = 3 * (K + (5 if centred else 0)) @ random_rotation(d_head, rng(seed))
    assert key_singular_values(moved, mask, centred).tolist() == pytest.approx((3 * found).tolist(), abs=1e-8)
    gap = key_gap(K, mask, centred)
    assert gap.isnan() or 0 <= gap <= 1


@given(SEEDS, st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_gaps_of_matrices_turn_with_no_order_and_know_no_unit_or_side(seed, scale):
    """Singular values are those of the transpose; queries and keys may be ordered each in their own way."""
    pattern, everywhere = causal_pattern(2, 6, seed=seed), everything(6)
    found = pattern_gap(pattern, everywhere)
    assert ((found >= 0) & (found <= 1)).all()
    rows, columns = (torch.randperm(6, generator=rng(seed + i)) for i in (0, 1))
    assert torch.allclose(pattern_gap(scale * pattern.mT, everywhere), found, atol=1e-9)
    assert torch.allclose(pattern_gap(pattern[:, rows][..., columns], everywhere), found, atol=1e-9)
    W_Q, W_K, rotation = normal(7, 3, seed=seed), normal(7, 3, seed=seed + 1), random_rotation(7, rng(seed))
    core = core_gap(W_Q, W_K)
    assert 0 <= core <= 1
    assert core_gap(-scale * rotation @ W_K, rotation @ W_Q) == pytest.approx(float(core), abs=1e-9)
    left, keys = normal(5, 3, seed=seed), normal(5, 3, seed=seed + 1)
    score = score_gap(left, keys, everything(5))
    assert 0 <= score <= 1
    assert score_gap(-scale * left, scale * keys + 7, everything(5)) == pytest.approx(float(score), abs=1e-7)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_ov_copying_is_a_share_with_a_sign_that_no_gauge_changes(seed):
    inputs = layer(seed)
    W_V, W_O, W_E, W_U = inputs.W_V, inputs.W_O, inputs.W_E, inputs.W_U
    found = ov_copying(W_V, W_O, W_E, W_U)
    assert (found.abs() <= 1 + 1e-12).all()
    M = normal(4, 4, seed=seed) + 3 * torch.eye(4)
    assert torch.allclose(ov_copying(W_V @ M, torch.linalg.inv(M) @ W_O, W_E, W_U), found, atol=1e-8)
    assert torch.allclose(ov_copying(-3 * W_V, W_O, W_E, W_U), -found, atol=1e-9)
    vocabulary, rotation = torch.randperm(11, generator=rng(seed)), random_rotation(9, rng(seed))
    turned = (
        rotation.mT @ W_V,
        W_O @ rotation,
        (W_E @ rotation)[vocabulary],
        (rotation.mT @ W_U)[:, vocabulary],
    )
    assert torch.allclose(ov_copying(*turned), found, atol=1e-8)
    full = W_E @ W_V @ W_O @ W_U
    assert torch.allclose(
        found * torch.linalg.eigvals(full).abs().sum(-1), full.diagonal(dim1=-2, dim2=-1).sum(-1)
    )


def test_key_gap_of_known_singular_values():
    K = with_singular_values([3, 2, 1], rows=10, columns=5)
    assert float(key_gap(K, everything(10), centred=True)) == pytest.approx(1 - 4 / 9)
    assert float(key_gap(K, everything(10), centred=False)) == pytest.approx(1 - 4 / 9)
    assert key_singular_values(K, everything(10), centred=True).tolist() == pytest.approx([3, 2])
    # A common shift of the keys is one strong direction to the raw gap, and nothing to the centred one.
    shifted = K + 100 * normal(5, seed=5)
    assert float(key_gap(shifted, everything(10), centred=False)) > 0.999
    assert float(key_gap(shifted, everything(10), centred=True)) == pytest.approx(1 - 4 / 9)


def test_score_gap_of_known_singular_values():
    left, keys = with_singular_values([1, 1, 1], 10, 3), with_singular_values([6, 3, 1], 10, 3, seed=7)
    # left has orthonormal rows and columns up to padding, so the scores have the singular values of the keys.
    assert float(score_gap(left, keys, everything(10))) == pytest.approx(0.5)


def test_pattern_gap_of_known_patterns():
    identity, to_first = torch.eye(6), torch.zeros(6, 6)
    to_first[:, 0] = 1
    assert float(pattern_gap(identity, everything(6))) == 0
    assert float(pattern_gap(to_first, everything(6))) == pytest.approx(1)
    # Without the first position nothing is left of the second pattern, and half of a mixture is the identity.
    but_first = torch.arange(6) > 0
    assert pattern_gap(to_first, but_first).isnan()
    assert float(pattern_gap((to_first + identity) / 2, but_first)) == pytest.approx(0)


def test_core_gap_and_ov_copying_of_known_weights():
    W_Q = with_singular_values([4, 1, 1], 8, 3, centred=False)
    W_K = torch.linalg.qr(normal(8, 3, seed=3)).Q
    assert float(core_gap(W_Q, W_K)) == pytest.approx(0.75)
    one, turn = torch.eye(4, dtype=torch.float64), torch.tensor([[0.0, 1], [-1, 0]], dtype=torch.float64)
    assert float(ov_copying(one, one, one, one)) == 1
    assert float(ov_copying(one, -one, one, one)) == -1
    assert float(ov_copying(one, torch.diag(torch.tensor([3.0, -1, 0, 0])).double(), one, one)) == 0.5
    assert float(ov_copying(one, torch.block_diag(turn, turn), one, one)) == pytest.approx(0)
    assert ov_copying(one, 0 * one, one, one).isnan()


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_score_and_core_gaps_are_gauge_and_shift_invariant_and_the_key_gap_is_not(seed):
    q, k, mask = normal(2, 9, 4, seed=seed), normal(2, 9, 4, seed=seed + 1), everything(9)
    stretch = torch.tensor([0.3, 0.5, 1.0, 3.0], dtype=torch.float64)
    M = random_rotation(4, rng(seed)) * stretch @ random_rotation(4, rng(seed + 1))
    moved = (k + 5 * normal(4, seed=seed)) @ M
    queries = q @ torch.linalg.inv(M).mT
    assert torch.allclose(score_gap(queries, moved, mask), score_gap(q, k, mask), rtol=0, atol=1e-12)
    W_Q, W_K = normal(6, 4, seed=seed), normal(6, 4, seed=seed + 2)
    gauged = core_gap(W_Q @ torch.linalg.inv(M).mT, W_K @ M)
    assert torch.allclose(gauged, core_gap(W_Q, W_K), rtol=0, atol=1e-12)
    assert (key_gap(k @ M, mask, centred=True) - key_gap(k, mask, centred=True)).abs().max() > 1e-4
    # The transposed map is no gauge, and the score gap sees it.
    assert (score_gap(q @ M, moved, mask) - score_gap(q, k, mask)).abs().max() > 1e-4


@given(SEEDS, st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_order_scale_and_padding_change_no_definition(seed, scale):
    inputs = layer(seed)
    order = torch.randperm(7, generator=rng(seed))
    moved = {name: getattr(inputs, name)[:, :, order] * scale for name in ("q", "k")}
    moved["pattern"] = inputs.pattern[:, :, order][..., order]
    # Padding on the left, NaN and all.
    padded = {
        name: torch.nn.functional.pad(tensor, (0, 0, 2, 0), value=math.nan) for name, tensor in moved.items()
    }
    padded["pattern"] = torch.nn.functional.pad(padded["pattern"], (2, 0), value=math.nan)
    mask = torch.nn.functional.pad(inputs.mask[:, order], (2, 0), value=False)
    other = dataclasses.replace(inputs, **padded, mask=mask)
    for name, gap in GAPS.items():
        assert torch.allclose(gap.compute(other), gap.compute(inputs), rtol=0, atol=1e-10), name


def test_leading_axes_are_batches():
    q, k = normal(2, 3, 4, 8, 5), normal(2, 3, 4, 8, 5, seed=1)
    mask = torch.rand(2, 1, 4, 8, generator=rng()) < 0.6
    mask[..., :2] = True
    together, pattern = score_gap(q, k, mask), causal_pattern(2, 3, 4, 8)
    assert together.shape == (2, 3, 4)
    one = mask[1, 0, 3]
    assert float(together[1, 2, 3]) == pytest.approx(float(score_gap(q[1, 2, 3], k[1, 2, 3], one)))
    keys = key_gap(k, mask, centred=True)
    assert float(keys[1, 2, 3]) == pytest.approx(float(key_gap(k[1, 2, 3], one, centred=True)))
    assert float(pattern_gap(pattern, mask)[1, 2, 3]) == pytest.approx(
        float(pattern_gap(pattern[1, 2, 3], one))
    )


@given(SEEDS, st.integers(1, 4), st.sampled_from([(), (2,), (2, 3)]), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_pooling_puts_the_prompts_one_after_the_other(seed, prompts, batch, pos):
    k, mask = normal(prompts, *batch, pos, 5, seed=seed), torch.rand(prompts, pos, generator=rng(seed)) < 0.5
    tokens, counts = pooled(k, mask)
    assert torch.equal(tokens, torch.cat(list(k), dim=len(batch)))
    assert torch.equal(counts, torch.cat(list(mask)))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_two_counted_positions_have_no_gap(count):
    q, k, mask = normal(3, 6, 4), normal(3, 6, 4, seed=1), torch.arange(6) < count
    gaps = [key_gap(k, mask, True), key_gap(k, mask, False), score_gap(q, k, mask)]
    gaps.append(pattern_gap(causal_pattern(3, 6), mask))
    for gap in gaps:
        assert gap.isnan().all() == (count < 2)
    # Two centred positions lie on one line.
    assert count < 2 or torch.allclose(gaps[0], torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_no_unit_is_so_small_or_large_that_it_changes_a_gap(unit):
    inputs = layer()
    moved = dataclasses.replace(
        inputs, q=unit * inputs.q, k=unit * inputs.k, W_Q=unit * inputs.W_Q, W_K=unit * inputs.W_K
    )
    for name in ("a", "a-prime", "b", "c"):
        found, expected = GAPS[name].compute(moved), GAPS[name].compute(inputs)
        assert torch.allclose(found, expected, rtol=1e-9), name


def test_a_prompt_of_one_position_has_no_gap_beside_others_that_have():
    mask = torch.tensor([[True] + 5 * [False], 6 * [True]])
    assert key_gap(normal(2, 6, 4), mask, centred=False).isnan().tolist() == [True, False]


def test_an_empty_prompt_does_not_spoil_the_others():
    inputs = layer()
    emptied = dataclasses.replace(inputs, mask=inputs.mask & (torch.arange(3) > 0)[:, None])
    two = {name: getattr(inputs, name)[1:] for name in ("q", "k", "pattern", "mask")}
    rest = dataclasses.replace(inputs, **two)
    for name, gap in GAPS.items():
        assert torch.allclose(gap.compute(emptied), gap.compute(rest), rtol=0, atol=1e-12), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_not_a_gap(dtype):
    K = torch.full((9, 4), 0.1, dtype=dtype) * torch.arange(1, 5, dtype=dtype)
    assert key_gap(K, everything(9), centred=True).isnan()
    assert score_gap(normal(9, 4).to(dtype), K, everything(9)).isnan()
    assert core_gap(torch.zeros(6, 3, dtype=dtype), normal(6, 3).to(dtype)).isnan()
    assert float(key_gap(K, everything(9), centred=False)) == pytest.approx(1)


def test_one_dimensional_heads_have_one_direction():
    assert float(key_gap(normal(5, 1), everything(5), centred=True)) == 1
    assert float(core_gap(normal(5, 1), normal(5, 1, seed=1))) == 1


def test_entropy_of_known_patterns_in_nats():
    n = 8
    uniform = torch.full((2, 1, n, n), 1 / n, dtype=torch.float64)
    one_hot = torch.eye(n, dtype=torch.float64).expand(2, 1, n, n)
    pattern = torch.cat([uniform, one_hot, (uniform + one_hot) / 2], dim=1)
    mixture = -(7 / 16 * math.log(1 / 16) + 9 / 16 * math.log(9 / 16))
    expected = [math.log(8), 0, mixture]
    assert attention_entropy(pattern, everything(2, n)).tolist() == pytest.approx(expected, abs=1e-12)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_entropy_and_output_norm_agree_with_slow_means_over_counted_positions(seed):
    inputs = layer(seed)
    entropies, norms = [[], []], [[], []]
    for prompt, pos in inputs.mask.nonzero().tolist():
        for head in range(2):
            row = inputs.pattern[prompt, head, pos]
            entropies[head].append(-sum(float(p) * math.log(p) for p in row if p > 0))
            norms[head].append(float((inputs.q[prompt, head, pos] @ inputs.W_O[head]).norm()))
    assert attention_entropy(inputs.pattern, inputs.mask).tolist() == pytest.approx(np.mean(entropies, 1))
    written = ov_output_norm(inputs.q, inputs.W_O, inputs.mask)
    assert written.tolist() == pytest.approx(np.mean(norms, 1))
    # Per prompt first, then over prompts, is another number: prompts count different positions.
    per_prompt = [attention_entropy(inputs.pattern[[i]], inputs.mask[[i]]) for i in range(3)]
    equal_sizes = len(set(inputs.mask.sum(1).tolist())) == 1
    assert equal_sizes or not torch.allclose(
        torch.stack(per_prompt).mean(0), attention_entropy(inputs.pattern, inputs.mask), rtol=1e-9
    )


def test_covariates_ignore_what_does_not_count_and_are_nan_without_anything():
    inputs, nothing = layer(), torch.zeros(3, 7, dtype=torch.bool)
    spoilt = inputs.q.masked_fill(~inputs.mask[:, None, :, None], math.nan)
    expected = ov_output_norm(inputs.q, inputs.W_O, inputs.mask)
    assert torch.equal(ov_output_norm(spoilt, inputs.W_O, inputs.mask), expected)
    assert ov_output_norm(inputs.q, inputs.W_O, nothing).isnan().all()
    assert attention_entropy(inputs.pattern, nothing).isnan().all()


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_entropy_is_bounded_asks_no_order_and_the_norm_follows_scale_and_no_rotation(seed, scale):
    inputs = layer(seed)
    entropies, order = attention_entropy(inputs.pattern, inputs.mask), torch.randperm(7, generator=rng(seed))
    assert (entropies >= 0).all()
    assert (entropies <= math.log(7)).all()
    reordered = attention_entropy(inputs.pattern[..., order], inputs.mask)
    assert torch.allclose(reordered, entropies)
    norms, rotation = ov_output_norm(inputs.q, inputs.W_O, inputs.mask), random_rotation(9, rng(seed))
    assert torch.allclose(
        ov_output_norm(-scale * inputs.q, inputs.W_O @ rotation, inputs.mask), scale * norms
    )
    M = normal(4, 4, seed=seed) + 3 * torch.eye(4)
    gauged = ov_output_norm(inputs.q @ M, torch.linalg.inv(M) @ inputs.W_O, inputs.mask)
    assert torch.allclose(gauged, norms, rtol=1e-7)


@given(SEEDS, st.lists(st.integers(2, 7), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_induction_scores_are_means_over_all_queries_whatever_the_order_of_prompts(seed, period):
    pattern, period = causal_pattern(len(period), 1, 14, seed=seed), torch.tensor(period)
    found = induction_score(pattern, period)
    assert float(found) == pytest.approx(slow_induction(pattern, period))
    order = torch.randperm(len(period), generator=rng(seed))
    assert torch.allclose(induction_score(pattern[order], period[order]), found)
    assert torch.allclose(induction_score(0.5 * pattern, period), 0.5 * found)


def induction_pattern(n, period):
    """A head that attends to the token after the previous occurrence, and to itself where there is none."""
    pattern = torch.zeros(len(period), 1, n, n)
    for prompt, length in enumerate(period.tolist()):
        for query in range(n):
            key = query - length + 1 if query >= length else query
            pattern[prompt, 0, query, key] = 1
    return pattern


def test_induction_score_of_known_heads():
    n, period = 12, torch.tensor([3, 6, 4])
    uniform = torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
    flat = uniform.expand(3, 1, n, n)
    scores = induction_score(torch.cat([induction_pattern(n, period), flat], dim=1), period)
    expected = sum(1 / (q + 1) for length in period.tolist() for q in range(length, 2 * length)) / 13
    assert scores.tolist() == pytest.approx([1, expected])


def slow_induction(pattern, period, shift=1, last=2):
    weights = [
        float(pattern[prompt, 0, query, query - length + shift])
        for prompt, length in enumerate(period.tolist())
        for query in range(length, min(last * length, pattern.shape[-1]))
    ]
    return sum(weights) / len(weights)


@pytest.mark.parametrize(("shift", "last"), [(0, 2), (1, 5)], ids=["the token itself", "later repeats too"])
def test_corrupted_induction_scores_are_told_apart(shift, last):
    pattern, period = causal_pattern(3, 1, 14), torch.tensor([3, 7, 5])
    # As in trained networks, later occurrences share their attention over the earlier ones.
    pattern[0, 0, 6:] = 1 / 14
    right = float(induction_score(pattern, period)[0])
    assert right == pytest.approx(slow_induction(pattern, period))
    assert abs(slow_induction(pattern, period, shift, last) - right) > 0.01


@pytest.mark.parametrize("period", [[1, 3], [3, 8], []])
def test_periods_that_do_not_fit_are_refused(period):
    pattern = causal_pattern(len(period), 1, 14)
    with pytest.raises(InputError, match=r"2 \.\. 7"):
        induction_score(pattern, torch.tensor(period, dtype=torch.long))


@pytest.mark.parametrize(
    ("name", "corrupted"),
    [
        ("a", lambda i: 1 - ratio(key_singular_values(*pooled(i.k, i.mask), centred=True))),
        ("a", lambda i: key_gap(*pooled(i.k, torch.ones_like(i.mask)), centred=True)),
        ("a", lambda i: key_gap(i.k, i.mask[:, None], centred=True).mean(0)),
        ("a", lambda i: GAPS["a-raw"].compute(i)),
        ("a-prime", lambda i: key_gap(i.q @ i.k.mT, i.mask[:, None], centred=False).mean(0)),
        ("a-prime", lambda i: score_gap(i.k, i.q, i.mask[:, None]).mean(0)),
        ("b", lambda i: pattern_gap(i.pattern, torch.ones_like(i.mask)[:, None]).mean(0)),
        ("b", lambda i: eigenvalue_gap(i.pattern)),
        ("c", lambda i: core_gap(i.W_Q, i.W_Q)),
        ("d", lambda i: ov_copying(i.W_Q, i.W_O, i.W_E, i.W_U)),
        ("d", lambda i: ov_copying(i.W_V, i.W_O, i.W_U.mT, i.W_E.mT)),
    ],
    ids=[
        "not squared",
        "mask ignored",
        "averaged, not pooled",
        "not centred",
        "whole scores, not centred",
        "queries centred instead",
        "mask ignored",
        "eigenvalues",
        "one matrix twice",
        "wrong value matrix",
        "embeddings swapped",
    ],
)
def test_corrupted_gaps_are_told_apart(name, corrupted):
    inputs = layer(4)
    right = [slow_gaps(inputs, head)[name] for head in range(2)]
    assert GAPS[name].compute(inputs).tolist() == pytest.approx(right, abs=1e-12)
    assert not np.allclose(corrupted(inputs), right, rtol=0, atol=1e-3)


def ratio(values):
    return values[..., 1] / values[..., 0]


def eigenvalue_gap(pattern):
    """What the eigenvalues of a causal matrix give: the order of its diagonal."""
    return (1 - ratio(torch.linalg.eigvals(pattern).abs().sort(-1, descending=True).values)).mean(0)


def test_values_that_are_no_numbers_are_refused_where_they_count():
    k, mask = normal(2, 5, 3), everything(5)
    k[1, 2, 0] = math.nan
    with pytest.raises(InputError, match=r"\(2, 5, 3\)"):
        key_gap(k, mask, centred=True)
    assert key_gap(k, torch.arange(5) != 2, centred=True).isfinite().all()
    with pytest.raises(InputError, match="infinity"):
        core_gap(k[0], k[1])


def test_a_definition_says_what_it_lacks():
    assert GAPS["c"].compute(HeadInputs(W_Q=normal(1, 4, 2), W_K=normal(1, 4, 2))).shape == (1,)
    with pytest.raises(InputError, match=r"'a-prime' needs q, mask"):
        GAPS["a-prime"].compute(HeadInputs(k=normal(1, 1, 4, 2)))
    for name, gap in GAPS.items():
        with pytest.raises(InputError, match=rf"'{name}' needs {', '.join(gap.needs)}, which"):
            gap.compute(HeadInputs())


@given(st.permutations(list(GAPS.values())))
@settings(max_examples=10, deadline=None)
def test_a_table_keeps_its_order_and_cannot_be_changed(gaps):
    table = gap_table(gaps)
    assert list(table.values()) == gaps
    assert list(table) == [gap.name for gap in gaps]
    with pytest.raises(TypeError):
        table["new"] = gaps[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_direction_above_rounding_is_a_gap_and_one_below_is_none(dtype):
    """The largest singular value against 8 rounding errors of the size of the numbers."""
    eps = torch.finfo(dtype).eps
    wave = torch.tensor([1.0, -1, 1, -1, 1, -1, 1, -1], dtype=torch.float64)[:, None]
    for factor, defined in ((64, True), (1, False)):
        K = (1 + factor * eps * wave).to(dtype)
        assert key_gap(K, everything(8), centred=True).isnan() == (not defined)
        assert score_gap(torch.ones_like(K), K, everything(8)).isnan() == (not defined)


def test_definitions_given_twice_or_with_unknown_inputs_are_refused():
    c = GAPS["c"]
    with pytest.raises(InputError, match="'c' is defined twice"):
        gap_table([c, c])
    with pytest.raises(InputError, match="W_Z"):
        gap_table([Gap("e", "of nothing", ("W_Z",), spectral.core_gap)])
