"""The tuned lens: what it has to find, what it must never do, and the gradient of its first step."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from energylens.metrics.lens import Translator
from energylens.metrics.tuned_lens import fit_translator, mean_kl
from energylens.tests.metrics.helpers import D_MODEL, REFUSED, SEEDS, make_lens, normal, rng


def fit(lens, x, x_final, steps=400, lr=0.05, batch=64, seed=0):
    return fit_translator(x, x_final, lens, steps=steps, lr=lr, batch=batch, generator=rng(seed))


def test_an_affine_map_to_the_final_residual_is_recovered():
    """Without a norm, and with more tokens than dimensions, the logits determine the translator."""
    lens, x = make_lens(norm=False), normal(400, D_MODEL, seed=1)
    A, b = normal(D_MODEL, D_MODEL, seed=2) / 4, normal(D_MODEL, seed=3) / 2
    found = fit(lens, x, x + x @ A.mT + b, steps=1500)
    torch.testing.assert_close(found.A, A, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.b, b, rtol=0, atol=1e-3)
    assert found.curve[0] > 0.3
    assert found.curve[-1] < 1e-6
    # And not its transpose, which is the same map only for a symmetric A.
    assert float((found.A - A.mT).abs().max()) > 0.1


def test_under_a_norm_what_the_lens_reads_is_recovered():
    lens, x = make_lens(), normal(400, D_MODEL, seed=1)
    final = x + x @ normal(D_MODEL, D_MODEL, seed=2).mT / 4 + normal(D_MODEL, seed=3) / 2
    found = fit(lens, x, final, steps=800, lr=0.02)
    tuned = dataclasses.replace(lens, translator=Translator(found.A, found.b))
    torch.testing.assert_close(tuned.logits(x).softmax(-1), lens.logits(final).softmax(-1), rtol=0, atol=1e-3)


def slow_kl(lens, translator, x, x_final):
    tuned = dataclasses.replace(lens, translator=translator)
    log_p, final = tuned.logits(x).log_softmax(-1), lens.logits(x_final).log_softmax(-1)
    return float(functional.kl_div(log_p, final, log_target=True, reduction="batchmean"))


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 9), batch=st.integers(1, 12), norm=st.booleans())
def test_the_mean_kl_is_torchs_in_any_batches_and_order_never_negative_and_0_for_equals(seed, n, batch, norm):
    lens, tuned = make_lens(seed, norm), make_lens(seed, norm, tuned=True)
    x, x_final = normal(n, D_MODEL, seed=seed + 1), normal(n, D_MODEL, seed=seed + 2)
    found = mean_kl(lens, tuned, x, x_final, batch)
    assert found == pytest.approx(slow_kl(lens, tuned.translator, x, x_final))
    assert mean_kl(lens, tuned, x.flip(0), x_final.flip(0), batch) == pytest.approx(found)
    assert found >= 0
    assert mean_kl(lens, tuned, x, tuned.translator(x), batch) == pytest.approx(0, abs=1e-12)
    assert mean_kl(lens, lens, x, x, batch) == 0
    louder = dataclasses.replace(lens, b_U=lens.b_U + 7), dataclasses.replace(tuned, b_U=tuned.b_U - 3)
    assert mean_kl(*louder, x, x_final, batch) == pytest.approx(found)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, lr=st.sampled_from([1e-3, 0.1, 30.0]), steps=st.sampled_from([1, 3, 40]))
def test_never_worse_than_the_logit_lens_on_the_training_tokens(seed, lr, steps):
    lens, x = make_lens(seed), normal(83, D_MODEL, seed=seed + 1)
    x_final = x + normal(83, D_MODEL, seed=seed + 2)
    found = fit(lens, x, x_final, steps=steps, lr=lr, batch=16, seed=seed)
    reached, before = slow_kl(lens, Translator(found.A, found.b), x, x_final), slow_kl(lens, None, x, x_final)
    assert len(found.curve) == min(steps, 4) + 1
    assert float(found.curve[0]) == pytest.approx(before)
    assert float(found.curve.min()) == pytest.approx(reached)
    assert reached <= before


def test_the_translator_is_that_of_the_lowest_point_of_the_curve():
    lens, x = make_lens(2), normal(83, D_MODEL, seed=3)
    x_final = x + 0.1 * normal(83, D_MODEL, seed=4)
    found = fit(lens, x, x_final, steps=4, lr=0.01, batch=16, seed=2)
    assert int(found.curve.argmin()) == 1
    assert slow_kl(lens, Translator(found.A, found.b), x, x_final) == pytest.approx(float(found.curve[1]))


def test_a_step_too_large_falls_back_to_the_logit_lens_and_the_curve_says_so():
    lens, x = make_lens(), normal(80, D_MODEL, seed=1)
    found = fit(lens, x, x + 0.01 * normal(80, D_MODEL, seed=2), steps=4, lr=30.0)
    assert (found.curve[1:] > found.curve[0]).all()
    assert not found.A.any()
    assert not found.b.any()


def test_one_token_one_step_and_one_token_a_step_are_enough():
    lens, x = make_lens(), normal(1, D_MODEL, seed=1)
    found = fit(lens, x, x + normal(1, D_MODEL, seed=2), steps=1, lr=1e-3, batch=1)
    assert found.curve[1] < found.curve[0]
    assert found.A.any()


def test_at_the_last_layer_the_translator_stays_zero():
    x = normal(50, D_MODEL, seed=1)
    found = fit(make_lens(), x, x, steps=5)
    assert found.curve.tolist() == [0] * 5
    assert not found.A.any()


def test_the_fit_is_a_function_of_its_generator_and_leaves_its_inputs_alone():
    lens, x = make_lens(), normal(50, D_MODEL, seed=1)
    x_final, before = x + normal(50, D_MODEL, seed=2), x.clone()
    first, again, other = (fit(lens, x, x_final, steps=8, batch=8, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.A, again.A)
    assert not torch.equal(first.A, other.A)
    assert torch.equal(x, before)
    assert lens.translator is None


def test_the_first_step_follows_the_gradient_of_the_kl():
    """By autograd: Adam's first step is lr times the sign of the gradient."""
    lens, x = make_lens(), normal(50, D_MODEL, seed=1)
    x_final = x + normal(50, D_MODEL, seed=2)
    A, b = (torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in ((6, 6), (6,)))
    rows = torch.randint(50, (30,), generator=rng(5))
    log_p = dataclasses.replace(lens, translator=Translator(A, b)).logits(x[rows]).log_softmax(-1)
    target = lens.logits(x_final[rows]).softmax(-1)
    functional.kl_div(log_p, target, reduction="batchmean").backward()
    found = fit(lens, x, x_final, steps=1, lr=1e-3, batch=30, seed=5)
    assert torch.equal(found.A.sign(), -A.grad.sign())
    assert torch.equal(found.b.sign(), -b.grad.sign())


def test_fits_that_cannot_be_made_are_refused():
    lens, x = make_lens(), normal(20, D_MODEL, seed=1)
    for changed, message in [
        (dict(lens=make_lens(tuned=True)), "already has a translator"),
        (dict(x_final=x[:5]), "x_final"),
        (dict(x=x[:0], x_final=x[:0]), "nothing to fit: 0 tokens"),
        (dict(steps=0), "steps=0"),
        (dict(lr=-1.0), "lr=-1.0"),
        (dict(lr=0.0), "lr=0.0"),
        (dict(batch=0), "batch=0"),
        (dict(x_final=x / 0), "x_final .* NaN or infinity"),
        (dict(lens=make_lens(norm=False), lr=1e308), "the KL over 20 training tokens is (nan|inf)"),
    ]:
        with pytest.raises(REFUSED, match=message):
            fit(**{"lens": lens, "x": x, "x_final": x.flip(0), "steps": 4, "batch": 8, **changed})
