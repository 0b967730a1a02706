import dataclasses
import importlib
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from energylens.errors import InputError
from energylens.metrics.energy import (
    ENERGIES,
    Energy,
    EnergyInputs,
    argmax_energy,
    attention_energy,
    contrast_energy,
    energy_and_gradient,
    energy_table,
    free_energy,
    redrawn_targets,
)
from energylens.metrics.lens import Lens, Translator
from energylens.tests.metrics.helpers import (
    D_MODEL,
    D_VOCAB,
    REFUSED,
    SEEDS,
    layer_norm,
    make_lens,
    normal,
    rng,
    tokens,
)

LENS_ENERGIES = ["gold", "argmax", "contrast", "free", "tuned-gold", "tuned-free"]


def inputs(seed=0, shape=(3, 4), norm=True, keys="causal"):
    return EnergyInputs(
        x=normal(*shape, D_MODEL, seed=seed + 10),
        lens=make_lens(seed, norm),
        tuned_lens=make_lens(seed, norm, tuned=True),
        targets=tokens(*shape, seed=seed + 11),
        rivals=tokens(*shape, seed=seed + 12),
        q=normal(2, 5, 3, seed=seed + 13),
        k=normal(2, 5, 3, seed=seed + 14),
        beta=0.7,
        keys=keys,
    )


def reference(name, given):
    """Every energy by textbook functions of torch, for autograd to differentiate."""
    if name == "attention":
        scores = given.beta * torch.einsum("bqd,bkd->bqk", given.q, given.k)
        seen = torch.ones(scores.shape[-2:]).bool().tril()
        return -scores.masked_fill(~seen, -torch.inf).logsumexp(-1) / given.beta
    lens, x = given.lens, given.x
    if name.startswith("tuned-"):
        lens = given.tuned_lens
        x = x + (lens.translator.A @ x[..., None])[..., 0] + lens.translator.b
    if lens.norm is not None:
        x = functional.layer_norm(x, (D_MODEL,), lens.norm.gain, lens.norm.bias, lens.norm.eps)
    logits = x @ lens.W_U + lens.b_U
    if name == "contrast":
        y, rival = functional.one_hot(given.targets, D_VOCAB), functional.one_hot(given.rivals, D_VOCAB)
        return -(logits * (y - rival)).sum(-1)
    if name.endswith("free"):
        centred = x @ (lens.W_U - lens.W_U.mean(1, keepdim=True)) + lens.b_U - lens.b_U.mean()
        return -centred.exp().sum(-1).log()
    targets = logits.argmax(-1) if name == "argmax" else given.targets
    return functional.cross_entropy(logits.movedim(-1, 1), targets, reduction="none")


@pytest.mark.parametrize("norm", [True, False], ids=["norm", "no-norm"])
@pytest.mark.parametrize("name", ENERGIES)
def test_energies_and_gradients_agree_with_autograd(name, norm):
    given, energy = inputs(norm=norm), ENERGIES[name]
    leaves = {field: getattr(given, field).clone().requires_grad_() for field in energy.wrt}
    expected = reference(name, dataclasses.replace(given, **leaves))
    by_autograd = torch.autograd.grad(expected.sum(), list(leaves.values()))
    value, *gradients = energy.compute(given)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
    for gradient, by_graph in zip(gradients, by_autograd, strict=True):
        assert gradient.shape == by_graph.shape
        assert not gradient.requires_grad
        torch.testing.assert_close(gradient, by_graph, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ENERGIES)
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_gradients_agree_with_finite_differences(name, seed):
    given, energy = inputs(seed % 1000), ENERGIES[name]
    _, *gradients = energy.compute(given)
    for field, gradient in zip(energy.wrt, gradients, strict=True):
        point, step = getattr(given, field), 1e-5 * normal(*gradient.shape, seed=seed)
        after, before = (
            energy.compute(dataclasses.replace(given, **{field: point + sign * step}))[0].sum()
            for sign in (1, -1)
        )
        assert float((after - before) / 2e-5) == pytest.approx(
            float((gradient * step).sum() / 1e-5), abs=1e-6
        )


@pytest.mark.parametrize("name", ENERGIES)
def test_chunks_and_leading_axes_change_nothing(name):
    given = inputs(shape=(3, 4))
    whole = ENERGIES[name].compute(given)
    for at_once in (1, 5, 12, 100):
        for part, expected in zip(ENERGIES[name].compute(given, at_once), whole, strict=True):
            torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-12)
    flat = dataclasses.replace(
        given, x=given.x.flatten(0, 1), targets=given.targets.flatten(), rivals=given.rivals.flatten()
    )
    if name != "attention":
        for part, expected in zip(ENERGIES[name].compute(flat), whole, strict=True):
            torch.testing.assert_close(part, expected.flatten(0, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LENS_ENERGIES)
def test_one_token_alone_and_no_token_at_all(name):
    given = inputs()
    whole = ENERGIES[name].compute(given)

    def of(where):
        cut = {field: getattr(given, field)[where] for field in ("x", "targets", "rivals")}
        return ENERGIES[name].compute(dataclasses.replace(given, **cut))

    for part, expected in zip(of((1, 2)), whole, strict=True):
        torch.testing.assert_close(part, expected[1, 2], rtol=1e-12, atol=1e-12)
    assert [tuple(part.shape) for part in of(slice(0, 0))] == [(0, 4), (0, 4, D_MODEL)]


@pytest.mark.parametrize("name", ENERGIES)
def test_float32_is_float64_up_to_rounding(name):
    given = inputs()

    def single(value):
        if isinstance(value, torch.Tensor):
            return value.float() if value.is_floating_point() else value
        if dataclasses.is_dataclass(value):
            return type(value)(*(single(getattr(value, f.name)) for f in dataclasses.fields(value)))
        return value

    for part, expected in zip(
        ENERGIES[name].compute(single(given)), ENERGIES[name].compute(given), strict=True
    ):
        assert part.dtype == torch.float32
        torch.testing.assert_close(part.double(), expected, rtol=1e-4, atol=1e-5)


def test_a_network_s_own_parameters_are_read_without_a_graph():
    lens, x = make_lens(), normal(3, D_MODEL).requires_grad_()
    trainable = dataclasses.replace(lens, W_U=torch.nn.Parameter(lens.W_U), b_U=torch.nn.Parameter(lens.b_U))
    for energy in ENERGIES.values():
        given = dataclasses.replace(inputs(shape=(3,)), x=x, lens=trainable)
        assert not any(part.requires_grad for part in energy.compute(given))
    assert not redrawn_targets(trainable, x, rng()).requires_grad
    assert trainable.logits(x).requires_grad


def test_energies_of_known_logits():
    """A lens that reads x as logits: W_U is the identity."""
    lens = Lens(None, torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64))
    p = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    x, y = p.log() + 3, torch.tensor(1)
    gold, gradient = energy_and_gradient(lens, x, y)
    assert float(gold) == pytest.approx(math.log(4))
    assert gradient.tolist() == pytest.approx([0.5, -0.75, 0.125, 0.125])
    top, gradient = argmax_energy(lens, x)
    assert float(top) == pytest.approx(math.log(2))
    assert gradient.tolist() == pytest.approx([-0.5, 0.25, 0.125, 0.125])
    contrast, gradient = contrast_energy(lens, x, y, torch.tensor(0))
    assert float(contrast) == pytest.approx(math.log(2))
    assert gradient.tolist() == [1, -1, 0, 0]
    free, gradient = free_energy(lens, x)
    assert float(free) == pytest.approx(-math.log(2) * (1 + 2 + 3 + 3) / 4)
    assert gradient.tolist() == pytest.approx([-0.25, 0, 0.125, 0.125])
    free, gradient = free_energy(lens, torch.full((4,), 7.0, dtype=torch.float64))
    assert float(free) == pytest.approx(-math.log(4))
    assert gradient.tolist() == [0, 0, 0, 0]


def test_sure_predictions_keep_their_digits():
    lens = Lens(None, torch.eye(3), torch.zeros(3))
    gold, gradient = energy_and_gradient(lens, torch.tensor([1000.0, 0, -2000]), torch.tensor(0))
    assert (float(gold), gradient.tolist()) == (0, [0, 0, 0])
    gold, gradient = energy_and_gradient(lens, torch.tensor([1000.0, 0, -2000]), torch.tensor(2))
    assert (float(gold), gradient.tolist()) == (3000, [1, 0, -1])


def test_attention_energy_of_known_scores():
    q = torch.tensor([[1.0], [1.0], [2.0]])
    k = torch.tensor([[0.0], [math.log(3)], [0.0]])
    energy, by_q, by_k = attention_energy(q, k, beta=1.0, keys="causal")
    assert energy.tolist() == pytest.approx([0, -math.log(4), -math.log(1 + 9 + 1)])
    assert by_q.flatten().tolist() == pytest.approx([0, -0.75 * math.log(3), -9 / 11 * math.log(3)])
    assert by_k.flatten().tolist() == pytest.approx([-1 - 0.25 - 2 / 11, -0.75 - 18 / 11, -2 / 11])
    others, *_ = attention_energy(q, k, beta=1.0, keys="others")
    assert others.tolist() == pytest.approx([-math.log(3 + 1), -math.log(2), -math.log(1 + 9)])
    everything, *_ = attention_energy(q, k, beta=1.0, keys="all")
    assert everything.tolist() == pytest.approx([-math.log(5), -math.log(5), -math.log(11)])
    # A large beta leaves the best key: the limit is -max <k, q>.
    hard, *_ = attention_energy(q, k, beta=1e3, keys="all")
    assert hard.tolist() == pytest.approx([-math.log(3), -math.log(3), -2 * math.log(3)], rel=1e-6)


def test_attention_energy_is_pulled_back_to_the_residual():
    """The chain that the docstring describes, against autograd of the sum over heads and queries."""
    x, norm = normal(4, D_MODEL, seed=1), layer_norm()
    W_Q, W_K = normal(2, D_MODEL, 3, seed=2), normal(2, D_MODEL, 3, seed=3)
    x.requires_grad_()
    normed = functional.layer_norm(x, (D_MODEL,), norm.gain, norm.bias, norm.eps)
    q, k = (torch.einsum("pm,hmd->hpd", normed, W) for W in (W_Q, W_K))
    scores = (0.5 * q @ k.mT).masked_fill(torch.ones(4, 4).bool().triu(1), -torch.inf)
    (expected,) = torch.autograd.grad(-(scores.logsumexp(-1) / 0.5).sum(), x)
    _, by_q, by_k = attention_energy(q.detach(), k.detach(), beta=0.5, keys="causal")
    back = torch.einsum("hpd,hmd->pm", by_q, W_Q) + torch.einsum("hpd,hmd->pm", by_k, W_K)
    torch.testing.assert_close(norm.pull_back(x.detach(), back), expected, rtol=1e-11, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, norm=st.booleans(), tuned=st.booleans())
def test_the_gold_gradient_vanishes_in_expectation_over_the_lens(seed, norm, tuned):
    lens, x = make_lens(seed, norm, tuned), normal(3, D_MODEL, seed=seed + 20)
    every = torch.arange(D_VOCAB).expand(3, D_VOCAB)
    E, gradient = energy_and_gradient(lens, x[:, None].expand(3, D_VOCAB, D_MODEL), every)
    torch.testing.assert_close((-E).exp().sum(1), torch.ones(3, dtype=torch.float64))
    mean = torch.einsum("ny,nyd->nd", (-E).exp(), gradient)
    assert float(mean.abs().max()) < 1e-12 * float(gradient.abs().max())
    top, by_top = argmax_energy(lens, x)
    torch.testing.assert_close(top, E.min(1).values)
    torch.testing.assert_close(by_top, gradient[range(3), E.argmin(1)])
    free, by_free = free_energy(lens, x)
    torch.testing.assert_close(free, -E.mean(1))
    torch.testing.assert_close(by_free, -gradient.mean(1))
    assert (free <= -math.log(D_VOCAB) + 1e-12).all()


def along_residual(norm, x, h_at_norm, gradient):
    """(<grad, x - mean x>, what eps leaves of it), the second from the definition."""
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1)
    x_hat = centred / (variance + norm.eps).sqrt()[..., None]
    left = (norm.gain * h_at_norm * x_hat).sum(-1) * norm.eps / (variance + norm.eps)
    return (gradient * centred).sum(-1), left


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, log_eps=st.integers(-12, 0))
def test_under_layer_norm_gradients_ignore_shift_and_scale_up_to_eps(seed, log_eps):
    lens = dataclasses.replace(make_lens(seed), norm=layer_norm(seed, eps=10.0**log_eps))
    x, y = normal(5, D_MODEL, seed=seed + 20), tokens(5, seed=seed)
    _, gradient = energy_and_gradient(lens, x, y)
    size = float(gradient.abs().max())
    assert float(gradient.sum(-1).abs().max()) < 1e-12 * size
    slope = lens.logits(x).softmax(-1) - functional.one_hot(y, D_VOCAB)
    found, left = along_residual(lens.norm, x, slope @ lens.W_U.mT, gradient)
    torch.testing.assert_close(found, left, rtol=1e-9, atol=1e-12 * size)
    assert log_eps > -12 or float(found.abs().max()) < 1e-9 * size


def test_the_identities_reject_a_norm_whose_scale_is_held_constant():
    """The common shortcut, to differentiate as if the norm's scale were a constant, is off by far more."""
    lens, x = make_lens(), normal(5, D_MODEL, seed=20)
    slope = lens.logits(x).softmax(-1) - functional.one_hot(tokens(5), D_VOCAB)
    at_norm = slope @ lens.W_U.mT
    h = lens.norm.gain * at_norm
    shortcut = (h - h.mean(-1, keepdim=True)) * (
        x.var(-1, correction=0, keepdim=True) + lens.norm.eps
    ).rsqrt()
    found, left = along_residual(lens.norm, x, at_norm, shortcut)
    assert float((found - left).abs().min()) > 0.01


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, tuned=st.booleans())
def test_without_a_norm_gold_is_convex_free_concave_contrast_linear(seed, tuned):
    lens = make_lens(seed, norm=False, tuned=tuned)
    line = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None] * normal(D_MODEL, seed=seed + 30)
    x = normal(D_MODEL, seed=seed + 31) + line
    y, rival = tokens(seed=seed).expand(41), tokens(seed=seed + 1).expand(41)
    bends = {
        "gold": energy_and_gradient(lens, x, y)[0].diff(n=2),
        "free": free_energy(lens, x)[0].diff(n=2),
        "contrast": contrast_energy(lens, x, y, rival)[0].diff(n=2),
    }
    assert (bends["gold"] > -1e-12).all()
    assert (bends["free"] < 1e-12).all()
    assert (bends["contrast"].abs() < 1e-11).all()
    torch.testing.assert_close(bends["gold"], -bends["free"], rtol=1e-6, atol=1e-11)


def test_convexity_is_lost_under_a_norm():
    line = torch.linspace(-4, 4, 81, dtype=torch.float64)[:, None] * normal(D_MODEL, seed=1)
    bends = energy_and_gradient(make_lens(), line + normal(D_MODEL, seed=2), tokens(1).expand(81))[0].diff(
        n=2
    )
    assert float(bends.min()) < -1e-3


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(LENS_ENERGIES))
def test_a_common_shift_of_all_logits_changes_no_energy_and_no_gradient(seed, name):
    given = inputs(seed)
    shift, offset = 3 * normal(D_MODEL, 1, seed=seed + 40), 5 * normal(1, seed=seed + 41)

    def shifted(lens):
        return dataclasses.replace(lens, W_U=lens.W_U + shift, b_U=lens.b_U + offset)

    moved = dataclasses.replace(given, lens=shifted(given.lens), tuned_lens=shifted(given.tuned_lens))
    for part, expected in zip(ENERGIES[name].compute(moved), ENERGIES[name].compute(given), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-9, atol=1e-10)


def test_the_shift_invariance_rejects_a_free_energy_that_is_not_centred():
    def uncentred(lens, x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(-lens.logits(x).logsumexp(-1).sum(), x)[0]

    lens, x = make_lens(), normal(4, D_MODEL, seed=20)
    moved = dataclasses.replace(lens, W_U=lens.W_U + 3 * normal(D_MODEL, 1, seed=40))
    assert float((uncentred(moved, x) - uncentred(lens, x)).abs().max()) > 1
    torch.testing.assert_close(free_energy(moved, x)[1], free_energy(lens, x)[1])


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, keys=st.sampled_from(["all", "others", "causal"]))
def test_attention_energy_under_gauge_and_shift_of_the_keys(seed, keys):
    given = inputs(seed)
    M, shift = normal(3, 3, seed=seed + 50) + 3 * torch.eye(3), normal(3, seed=seed + 51)
    energy, by_q, by_k = attention_energy(given.q, given.k, 0.7, keys)
    turned, turned_q, turned_k = attention_energy(given.q @ torch.linalg.inv(M).mT, given.k @ M, 0.7, keys)
    torch.testing.assert_close(turned, energy, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(turned_q, by_q @ M, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(turned_k @ M.mT, by_k, rtol=1e-8, atol=1e-8)
    # The softmax ignores a shift of all keys; the energy moves by -<shift, q>.
    moved, moved_q, moved_k = attention_energy(given.q, given.k + shift, 0.7, keys)
    torch.testing.assert_close(moved, energy - given.q @ shift)
    torch.testing.assert_close(moved_q, by_q - shift)
    torch.testing.assert_close(moved_k, by_k)
    # Each query hands out its whole weight: the gradients on all keys together are minus the queries.
    torch.testing.assert_close(by_k.sum(-2), -given.q.sum(-2))


def test_causal_attention_energy_ignores_later_keys():
    given = inputs()
    later = given.k.clone()
    later[:, 3:] += 100
    energy, by_q, _ = attention_energy(given.q, later, 0.7, "causal")
    expected, expected_q, _ = attention_energy(given.q, given.k, 0.7, "causal")
    assert torch.equal(energy[:, :3], expected[:, :3])
    assert torch.equal(by_q[:, :3], expected_q[:, :3])
    assert not torch.equal(energy[:, 3:], expected[:, 3:])


def test_a_translator_of_zeros_is_the_logit_lens():
    given = inputs()
    zero = Translator(0 * given.tuned_lens.translator.A, 0 * given.tuned_lens.translator.b)
    given = dataclasses.replace(given, tuned_lens=dataclasses.replace(given.lens, translator=zero))
    for name in ("gold", "free"):
        for tuned, plain in zip(
            ENERGIES[f"tuned-{name}"].compute(given), ENERGIES[name].compute(given), strict=True
        ):
            assert torch.equal(tuned, plain)


def test_redrawn_targets_follow_the_lens():
    lens, x = make_lens(), normal(2, D_MODEL, seed=20)
    n = 20_000
    drawn = redrawn_targets(lens, x[:, None].expand(2, n, D_MODEL), rng(1))
    assert drawn.shape == (2, n)
    for row, p in zip(drawn, lens.logits(x).softmax(-1), strict=True):
        counts = torch.bincount(row, minlength=D_VOCAB)
        assert chisquare(counts.numpy(), (n * p).numpy()).pvalue > 1e-3
    # The same counts against another token's distribution: the test can fail.
    other = lens.logits(x[1]).softmax(-1)
    assert chisquare(torch.bincount(drawn[0], minlength=D_VOCAB).numpy(), (n * other).numpy()).pvalue < 1e-6


def z_scores(gradient):
    return gradient.mean(0) / (gradient.std(0) / math.sqrt(len(gradient)))


def test_redrawn_targets_make_every_gradient_statistic_null():
    lens, x = make_lens(), normal(20_000, D_MODEL, seed=20)
    _, null = energy_and_gradient(lens, x, redrawn_targets(lens, x, rng(1)))
    _, uniform = energy_and_gradient(lens, x, tokens(20_000, seed=1))
    # Six directions, and their products with any function of x: |z| below 4 under the null.
    assert float(z_scores(null).abs().max()) < 4
    assert float(z_scores(null * x.relu()).abs().max()) < 4
    assert float(z_scores(uniform).abs().max()) > 10


def test_redrawn_targets_do_not_depend_on_chunks_or_the_global_generator():
    lens, x = make_lens(), normal(3, 4, D_MODEL, seed=20)
    first = redrawn_targets(lens, x, rng(7))
    torch.manual_seed(99)
    assert torch.equal(redrawn_targets(lens, x, rng(7), tokens_at_once=5), first)
    assert not torch.equal(redrawn_targets(lens, x, rng(8)), first)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, shape=st.sampled_from([(), (1,), (2, 3), (0,)]), at_once=st.integers(1, 9))
def test_redrawn_targets_are_the_inverse_of_the_distribution_at_one_uniform_number_each(seed, shape, at_once):
    lens, x = make_lens(seed), normal(*shape, D_MODEL, seed=seed + 20)
    drawn = redrawn_targets(lens, x, rng(seed), at_once)
    assert drawn.shape == shape
    uniform = torch.rand(math.prod(shape), dtype=torch.float64, generator=rng(seed)).reshape(shape)
    upto = lens.logits(x).softmax(-1).cumsum(-1)
    assert torch.equal(drawn, (upto < uniform[..., None]).sum(-1))
    shifted = dataclasses.replace(lens, b_U=lens.b_U + 50)
    assert torch.equal(redrawn_targets(shifted, x, rng(seed)), drawn)


def test_redrawn_targets_never_have_probability_zero(monkeypatch):
    lens = Lens(None, torch.eye(3), torch.tensor([0.0, -1e4, -1e4]))
    assert not redrawn_targets(lens, torch.zeros(1000, 3), rng()).any()
    last = Lens(None, torch.eye(3), torch.tensor([-1e4, -1e4, 0.0]))
    assert (redrawn_targets(last, torch.zeros(1000, 3), rng()) == 2).all()
    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.zeros(n, dtype=torch.float64))
    assert (redrawn_targets(last, torch.zeros(2, 3), rng()) == 2).all()


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation gives."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numel = max(self.numel, out.numel())
        return out


def test_memory_is_bounded_by_tokens_at_once():
    n, d_vocab, at_once = 600, 50, 16
    lens = Lens(None, torch.randn(3, d_vocab, generator=rng()), torch.zeros(d_vocab))
    x, y = torch.randn(n, 3, generator=rng(1)), torch.randint(d_vocab, (n,), generator=rng(2))
    for run in (
        lambda: energy_and_gradient(lens, x, y, at_once),
        lambda: argmax_energy(lens, x, at_once),
        lambda: free_energy(lens, x, at_once),
        lambda: contrast_energy(lens, x, y, y, at_once),
        lambda: redrawn_targets(lens, x, rng(), at_once),
    ):
        with Largest() as largest:
            run()
        assert largest.numel == n * 3 > at_once * d_vocab  # a gradient, never the logits of all tokens
    heads = torch.randn(50, 8, 3, generator=rng(3))
    with Largest() as largest:
        attention_energy(heads, heads, 1.0, "all", tokens_at_once=16)
    assert largest.numel == heads.numel() > 16 * 8


def test_the_table_holds_every_energy_once():
    assert list(ENERGIES) == [*LENS_ENERGIES[:4], *LENS_ENERGIES[4:], "attention"]
    assert all(name == energy.name and energy.says for name, energy in ENERGIES.items())
    with pytest.raises(InputError, match="'gold' is defined twice"):
        energy_table([ENERGIES["gold"], ENERGIES["gold"]])
    with pytest.raises(InputError, match="unknown inputs"):
        energy_table([Energy("new", "of something else", ("xx",), free_energy)])
    with pytest.raises(TypeError):
        ENERGIES["new"] = ENERGIES["gold"]


@settings(max_examples=10, deadline=None)
@given(energies=st.permutations(list(ENERGIES.values())))
def test_a_table_keeps_its_order_and_each_energy_what_it_was_given(energies):
    table = energy_table(energies)
    assert list(table.values()) == energies
    assert all(isinstance(energy, Energy) for energy in table.values())
    assert [energy.wrt for energy in energies] == [
        ("q", "k") if energy.name == "attention" else ("x",) for energy in energies
    ]


def test_missing_and_swapped_inputs_are_named():
    given = inputs()
    with pytest.raises(InputError, match=r"'contrast' needs targets, rivals, which"):
        ENERGIES["contrast"].compute(EnergyInputs(x=given.x, lens=given.lens))
    with pytest.raises(InputError, match="'attention' needs q, k, beta, keys, which"):
        ENERGIES["attention"].compute(EnergyInputs())
    with pytest.raises(InputError, match="'free' needs lens, x, which"):
        ENERGIES["free"].compute(EnergyInputs())
    with pytest.raises(InputError, match="tuned_lens must have a translator"):
        EnergyInputs(tuned_lens=given.lens)
    with pytest.raises(InputError, match="lens must have no translator"):
        EnergyInputs(lens=given.tuned_lens)


@pytest.mark.parametrize(
    ("x", "targets", "message"),
    [
        (normal(3, D_MODEL + 1), tokens(3), "x must be .* shape"),
        (normal(3, D_MODEL).float(), tokens(3), "float64 of shape .*, received torch.float32"),
        (normal(3, D_MODEL), tokens(4), "targets"),
        (normal(3, D_MODEL), tokens(1), "targets"),
        (normal(3, D_MODEL), torch.tensor([0, D_VOCAB, 1]), "0 .. 10, received 11"),
        (normal(3, D_MODEL), torch.tensor([0, 2, -1]), "0 .. 10, received -1"),
        (normal(3, D_MODEL) / 0, tokens(3), "NaN or infinity"),
        (normal(3, D_MODEL) * math.nan, tokens(3), "NaN or infinity"),
    ],
)
def test_inputs_that_fit_no_lens_are_refused(x, targets, message):
    with pytest.raises(REFUSED, match=message):
        energy_and_gradient(make_lens(), x, targets)


@pytest.mark.parametrize("at_once", [0, -1])
def test_no_token_at_once_is_refused(at_once):
    given = inputs()
    for energy in ENERGIES.values():
        if energy.name != "attention":
            with pytest.raises(InputError, match=f"at least one token .* received {at_once}"):
                energy.compute(given, at_once)


def test_attention_inputs_that_fit_nothing_are_refused():
    q = normal(2, 5, 3)
    for k, beta, keys, message in [
        (normal(2, 4, 3), 1.0, "causal", "k|q"),
        (q.float(), 1.0, "causal", "q must be torch.float32"),
        (q / 0, 1.0, "causal", "k .* NaN or infinity"),
        (q, 0.0, "causal", "beta must be positive and finite, received 0.0"),
        (q, math.nan, "causal", "beta must be positive"),
        (q, math.inf, "causal", "beta must be positive and finite, received inf"),
        (q, 1.0, "earlier", "one of all, others, causal, received 'earlier'|keys"),
    ]:
        with pytest.raises(REFUSED, match=message):
            attention_energy(q, k, beta, keys)
    with pytest.raises(InputError, match="sees no other"):
        attention_energy(q[:, :1], q[:, :1], 1.0, "others")


def test_a_gradient_without_the_target_is_rejected(monkeypatch):
    """The tests above can fail: with dE/dlogits = p the gradient no longer vanishes in expectation."""
    module = importlib.import_module("energylens.metrics.energy")
    monkeypatch.setattr(module, "_cross_entropy", lambda logits, targets: module._softmax(logits))
    x = normal(D_MODEL, seed=20).expand(D_VOCAB, D_MODEL)
    _, gradient = energy_and_gradient(make_lens(), x, torch.arange(D_VOCAB))
    p = make_lens().logits(x[0]).softmax(-1)
    assert float((p @ gradient).abs().max()) > 0.1
