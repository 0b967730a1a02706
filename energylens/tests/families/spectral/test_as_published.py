import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens.families.spectral import as_published
from energylens.metrics import spectral
from energylens.metrics.stability import random_rotation


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def keys(seed=0, prompts=3, pos=6, scale=1.0):
    mask = torch.rand(prompts, pos, generator=rng(seed)) < 0.8
    mask[:, 0] = True
    return scale * normal(prompts, 2, pos, 4, seed=seed) + normal(4, seed=seed + 1), mask


def slow_published_gap(K, mask, head):
    """The published steps one by one: pooled, centred, the [tokens tokens] Gram matrix, its ridge, eigenvalues."""
    rows = torch.cat([prompt[head][counts] for prompt, counts in zip(K, mask, strict=True)])
    rows = rows - rows.mean(0)
    gram = rows @ rows.mT / rows.shape[-1] + 1e-2 * torch.eye(len(rows)).double()
    values = torch.linalg.eigvalsh(gram).flip(0)
    return float((values[0] - values[1]) / (values[0] + 1e-8))


@given(st.integers(0, 2**31), st.sampled_from([0.01, 0.3, 10]))
@settings(max_examples=15, deadline=None)
def test_the_key_gap_agrees_with_the_published_steps_one_by_one(seed, scale):
    K, mask = keys(seed, scale=scale)
    expected = [slow_published_gap(K, mask, head) for head in range(2)]
    assert as_published.key_gap(K, mask).tolist() == pytest.approx(expected, abs=1e-9)
    order = torch.randperm(6, generator=rng(seed))
    moved = as_published.key_gap(K[:, :, order] @ random_rotation(4, rng(seed)) + 9, mask[:, order])
    assert moved.tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_published_key_gap_needs_two_positions(count):
    K, _ = keys(prompts=1)
    assert as_published.key_gap(K, torch.arange(6)[None] < count).isnan().all() == (count < 2)


@given(st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_the_published_key_gap_is_the_gap_times_the_share_that_is_not_ridge(seed):
    K, mask = keys(seed)
    tokens, counts = spectral.pooled(K, mask)
    top = spectral.key_singular_values(tokens, counts, centred=True)[:, 0].square() / 4
    gap = spectral.key_gap(tokens, counts, centred=True)
    published = as_published.key_gap(K, mask)
    assert torch.allclose(published, gap * top / (top + 1e-2), rtol=0, atol=1e-5)
    assert (published < gap).all()


def test_the_published_key_gap_depends_on_the_scale_of_the_keys_and_calls_dead_heads_unstable():
    K, mask = keys()
    gap = [spectral.GAPS["a"].compute(spectral.HeadInputs(k=s * K, mask=mask)) for s in (1, 0.01)]
    assert torch.allclose(gap[0], gap[1])
    assert (as_published.key_gap(0.01 * K, mask) < 0.1 * as_published.key_gap(K, mask)).all()
    constant = torch.ones(3, 2, 6, 4)
    assert as_published.key_gap(constant, mask).tolist() == [0, 0]
    assert spectral.key_gap(constant, mask[:, None], centred=True).isnan().all()
    assert as_published.key_gap(K, torch.zeros_like(mask)).isnan().all()
