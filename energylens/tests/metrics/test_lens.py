"""The lens and its parts: against torch's own layers and autograd, their symmetries, and what fits no lens."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from energylens.errors import InputError
from energylens.metrics.lens import LayerNorm, Lens, Translator, as_rows, as_tokens, check, in_parts
from energylens.tests.metrics.helpers import (
    D_MODEL,
    D_VOCAB,
    REFUSED,
    SEEDS,
    layer_norm,
    make_lens,
    normal,
    tokens,
)

FEW = settings(max_examples=15, deadline=None)


def by_autograd(function, x, gradient):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x), x, gradient)[0]


@given(SEEDS, st.sampled_from([(), (3,), (2, 3)]))
@FEW
def test_each_part_and_the_whole_agree_with_torch_and_autograd(seed, shape):
    x, gradient = normal(*shape, D_MODEL, seed=seed), normal(*shape, D_MODEL, seed=seed + 1)
    norm, lens = layer_norm(seed), make_lens(seed, tuned=True)
    torch.testing.assert_close(
        norm(x), functional.layer_norm(x, (D_MODEL,), norm.gain, norm.bias, norm.eps), rtol=1e-12, atol=1e-12
    )
    translated = x + functional.linear(x, lens.translator.A, lens.translator.b)
    torch.testing.assert_close(lens.translator(x), translated, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(lens.translated(x), translated, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(lens.logits(x), lens.norm(translated) @ lens.W_U + lens.b_U)
    for forward, back in (
        (norm, norm.pull_back(x, gradient)),
        (lens.translator, lens.translator.pull_back(gradient)),
        (lambda at: lens.norm(lens.translator(at)), lens.pull_back(x, gradient)),
    ):
        torch.testing.assert_close(back, by_autograd(forward, x, gradient), rtol=1e-10, atol=1e-11)


@given(SEEDS)
@FEW
def test_a_lens_without_a_part_reads_as_if_that_part_did_nothing(seed):
    x, gradient = normal(4, D_MODEL, seed=seed), normal(4, D_MODEL, seed=seed + 1)
    bare, normed = make_lens(seed, norm=False), make_lens(seed)
    assert torch.equal(bare.translated(x), x)
    assert torch.equal(bare.pull_back(x, gradient), gradient)
    torch.testing.assert_close(bare.logits(x), x @ bare.W_U + bare.b_U)
    torch.testing.assert_close(normed.pull_back(x, gradient), normed.norm.pull_back(x, gradient))


@given(SEEDS, st.floats(0.1, 10), st.floats(-100, 100))
@FEW
def test_a_norm_ignores_shifts_and_scales_and_its_gradient_is_linear_and_across_them(seed, scale, shift):
    norm = layer_norm(seed, eps=1e-12)
    x, gradient = normal(3, D_MODEL, seed=seed), normal(3, D_MODEL, seed=seed + 1)
    torch.testing.assert_close(norm(scale * x + shift), norm(x), rtol=1e-6, atol=1e-6)
    back = norm.pull_back(x, gradient)
    torch.testing.assert_close(norm.pull_back(x, -2 * gradient), -2 * back)
    torch.testing.assert_close(
        norm.pull_back(scale * x + shift, gradient) * scale, back, rtol=1e-5, atol=1e-6
    )
    assert float(back.sum(-1).abs().max()) < 1e-9 * float(back.abs().max())
    assert float((back * x).sum(-1).abs().max()) < 1e-6 * float(back.abs().max())


def test_a_residual_without_variance_or_of_one_dimension_is_normed_to_the_bias():
    """Nothing is left of it but eps, and the gradient is that of a division by sqrt(eps)."""
    norm = layer_norm(eps=1e-2)
    constant = torch.full((D_MODEL,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(norm(constant), norm.bias)
    h = normal(D_MODEL) * norm.gain
    torch.testing.assert_close(norm.pull_back(constant, normal(D_MODEL)), (h - h.mean()) * 10)
    one = LayerNorm(torch.ones(1), torch.ones(1), 1e-5)
    assert one(torch.tensor([7.0])).tolist() == [1]
    assert one.pull_back(torch.tensor([7.0]), torch.ones(1)).tolist() == [0]


@given(st.integers(0, 40), st.integers(1, 50))
@FEW
def test_parts_cover_every_token_once_and_none_is_larger_than_asked(n, at_once):
    parts = [list(range(n))[part] for part in in_parts(n, at_once)]
    assert [token for part in parts for token in part] == list(range(n))
    assert all(0 < len(part) <= at_once for part in parts)
    assert len(parts) == math.ceil(n / at_once)


@pytest.mark.parametrize("at_once", [0, -3])
def test_parts_of_no_token_are_refused(at_once):
    with pytest.raises(InputError, match=f"received {at_once}"):
        in_parts(5, at_once)


@given(SEEDS, st.sampled_from([(), (1,), (3,), (2, 3), (0,), (2, 0)]))
@FEW
def test_rows_and_tokens_are_those_of_the_batch_in_order(seed, shape):
    lens, x, targets = make_lens(), normal(*shape, D_MODEL, seed=seed), tokens(*shape, seed=seed)
    rows, flat = as_rows(lens, x), as_tokens("targets", targets, lens, x)
    assert torch.equal(rows, x.reshape(math.prod(shape), D_MODEL))
    assert torch.equal(flat, targets.flatten())
    assert as_tokens("targets", targets.int(), lens, x).dtype == torch.int64


def test_tokens_at_the_ends_of_the_vocabulary_are_in_it_and_their_neighbours_are_not():
    lens, x = make_lens(), normal(2, D_MODEL)
    assert as_tokens("targets", torch.tensor([0, D_VOCAB - 1]), lens, x).tolist() == [0, D_VOCAB - 1]
    for outside in (-1, D_VOCAB):
        with pytest.raises(InputError, match=f"rivals must be 0 .. 10, received {outside}$"):
            as_tokens("rivals", torch.tensor([0, outside]), lens, x)
    with pytest.raises(InputError, match=r"targets have shape \(1,\), the tokens in x \(2,\)"):
        as_tokens("targets", torch.tensor([0]), lens, x)
    with pytest.raises(InputError, match=r"x must be torch.float64 of shape \(2, 6\)"):
        as_rows(lens, x[:, :5])


@given(st.sampled_from([torch.float16, torch.bfloat16, torch.int64]), st.sampled_from([(), (2,), (0, 3)]))
@FEW
def test_only_finite_floats_of_the_right_shape_pass(dtype, shape):
    for good in (torch.float32, torch.float64):
        assert check("x", torch.zeros(shape, dtype=good), shape, good) is None
        with pytest.raises(InputError, match=f"x must be {good} of shape .* received {dtype}"):
            check("x", torch.zeros(shape, dtype=dtype), shape, good)
    with pytest.raises(InputError, match=f"float32 or float64, x received {dtype}"):
        check("x", torch.zeros(shape, dtype=dtype), shape, dtype)
    with pytest.raises(InputError, match=r"received torch\.float32 of shape"):
        check("x", torch.zeros(*shape, 1), shape, torch.float32)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_single_number_that_is_none_is_refused_with_the_shape(bad):
    with pytest.raises(InputError, match=r"W_U of shape \(2, 2\) has NaN or infinity"):
        check("W_U", torch.tensor([[0.0, 1.0], [bad, 2.0]]), (2, 2), torch.float32)


@pytest.mark.parametrize(
    "part", [layer_norm(), make_lens(tuned=True).translator, make_lens()], ids=["norm", "translator", "lens"]
)
def test_parts_cannot_be_changed_behind_the_checks(part):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(part, dataclasses.fields(part)[0].name, None)


def test_a_lens_that_does_not_fit_together_is_refused():
    lens = make_lens()
    half = lens.W_U.half(), lens.b_U.half()
    for made, message in [
        (lambda: Lens(None, *half), "float32 or float64, W_U received torch.float16"),
        (lambda: Lens(None, lens.W_U, lens.b_U[1:]), "b_U"),
        (lambda: Lens(None, lens.W_U, lens.b_U.float()), "b_U must be torch.float64"),
        (lambda: Lens(lens.norm, lens.W_U, lens.b_U.float()), "b_U must be torch.float64"),
        (
            lambda: dataclasses.replace(make_lens(tuned=True), b_U=lens.b_U.float()),
            "b_U must be torch.float64",
        ),
        (lambda: dataclasses.replace(make_lens(tuned=True), norm=layer_norm(eps=-1.0)), "received -1.0"),
        (lambda: Lens(None, lens.W_U / 0, lens.b_U), "W_U .* NaN or infinity"),
        (lambda: dataclasses.replace(lens, norm=layer_norm(eps=0.0)), "eps must be positive, received 0.0"),
        (lambda: Lens(LayerNorm(lens.b_U, lens.b_U, 1e-5), lens.W_U, lens.b_U), "gain"),
        (
            lambda: dataclasses.replace(lens, translator=Translator(lens.W_U[:, :6], lens.b_U)),
            "A",
        ),
    ]:
        with pytest.raises(REFUSED, match=message):
            made()


def test_gradients_of_a_translator_applied_the_wrong_way_round_are_told_apart():
    """A for its transpose: the same for symmetric maps only."""
    lens, gradient = make_lens(tuned=True), normal(D_MODEL)
    swapped = Translator(lens.translator.A.mT.contiguous(), lens.translator.b)
    right = by_autograd(lens.translator, normal(D_MODEL, seed=1), gradient)
    torch.testing.assert_close(lens.translator.pull_back(gradient), right)
    assert float((swapped.pull_back(gradient) - right).abs().max()) > 0.1
