import math
from functools import reduce
from operator import add

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from energylens.errors import InputError
from energylens.metrics import comoments
from energylens.metrics.alignment import AlignmentStatistics, unit_directions
from energylens.metrics.comoments import CoMoments, Firing
from energylens.metrics.stability import random_unit_rows

SEEDS = st.integers(0, 2**32 - 1)
COVARIATES = ("position", "norm", "log_frequency")
QUANTITIES = ("efas_all", "efas_firing", "efas_partial", "gradient_times_activation")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def planted(seed=0, tokens=400, d_sae=9, d_model=5, density=0.4, slope=1.0, dtype=torch.float64):
    """Sparse activations that go with g by `slope`, gradients with a mean, three covariates that go with both."""
    W_dec = random_unit_rows(d_sae, d_model, rng(seed))
    z = normal(tokens, 3, seed=seed + 1) + torch.tensor([50.0, 3.0, -7.0], dtype=torch.float64)
    gradients = normal(tokens, d_model, seed=seed + 2) + normal(d_model, seed=seed + 3) + 0.3 * z[:, :1]
    g = -gradients @ W_dec.mT
    strength = slope * g + normal(tokens, d_sae, seed=seed + 4) + 0.5 * z[:, 1:2]
    fires = torch.rand(tokens, d_sae, generator=rng(seed)) < density
    acts = torch.where(fires, strength - strength.min() + 0.1, 0.0)
    return tuple(each.to(dtype) for each in (acts, gradients, W_dec, z))


def fitted(acts, gradients, W_dec, z=None, batch=None):
    statistics = AlignmentStatistics(W_dec, COVARIATES if z is not None else ())
    size = batch or len(acts)
    for start in range(0, len(acts), size):
        rows = slice(start, start + size)
        statistics.update(acts[rows], gradients[rows], None if z is None else z[rows])
    return statistics


def align(*arguments, **options):
    return fitted(*arguments, **options).compute()


def loop(acts, gradients, W_dec, z):
    """One latent after the other, by scipy and, for the partial correlation, statsmodels' least squares."""
    rows = []
    for f in range(acts.shape[1]):
        a, g = acts[:, f].double().numpy(), -(gradients.double() @ W_dec[f].double()).numpy()
        fires, design = a != 0, sm.add_constant(z.double().numpy())
        left = [sm.OLS(values, design).fit().resid for values in (a, g)]
        rows.append(
            [
                stats.pearsonr(a, g).statistic,
                stats.pearsonr(a[fires], g[fires]).statistic,
                stats.pearsonr(*left).statistic,
                (a * g).mean(),
            ]
        )
    return torch.tensor(np.array(rows)).T


def close(alignment_of, expected, abs_tolerance):
    for name, values in zip(QUANTITIES, expected, strict=True):
        assert torch.allclose(
            getattr(alignment_of, name), values, rtol=1e-6, atol=abs_tolerance, equal_nan=True
        ), name


def same(first, second, abs_tolerance=1e-12):
    close(first, [getattr(second, name) for name in QUANTITIES], abs_tolerance)
    assert torch.equal(first.firing_counts, second.firing_counts)
    assert (first.n_tokens, first.undefined) == (second.n_tokens, second.undefined)


# An independent reference


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_agrees_with_a_loop_over_latents_by_scipy_and_statsmodels(seed):
    data = planted(seed)
    close(align(*data), loop(*data), 1e-9)


def test_float32_costs_six_digits_and_no_more():
    """Projections are float32, sums are float64: errors are those of one projection, about 1e-7."""
    data = planted(density=0.5, tokens=3000, dtype=torch.float32)
    close(align(*data), loop(*data), 2e-6)


@pytest.mark.parametrize("density", [0.02, 1.0])
def test_sparse_and_dense_activations_agree_with_the_loop(density):
    acts, gradients, W_dec, z = planted(tokens=4000, density=density)
    result = align(acts, gradients, W_dec, z)
    close(result, loop(acts, gradients, W_dec, z), 1e-9)
    assert torch.equal(result.firing_counts, (acts != 0).sum(0))
    assert result.n_tokens == 4000


# Streaming and merging


@given(SEEDS, st.integers(1, 150))
@settings(max_examples=10, deadline=None)
def test_batches_and_their_order_do_not_matter(seed, batch):
    acts, gradients, W_dec, z = planted(seed, tokens=120)
    whole, order = align(acts, gradients, W_dec, z), torch.randperm(len(acts), generator=rng(seed))
    same(align(acts, gradients, W_dec, z, batch=batch), whole, 1e-10)
    same(align(acts[order], gradients[order], W_dec, z[order], batch=batch), whole, 1e-10)


def test_chunks_within_a_batch_do_not_matter(monkeypatch):
    data = planted()
    whole = align(*data)
    monkeypatch.setattr("energylens.metrics.alignment.ENTRIES_AT_ONCE", 7 * 9)
    same(align(*data), whole, 1e-10)


def test_documents_add_up_in_any_order_and_can_be_drawn_twice():
    acts, gradients, W_dec, z = planted()
    documents = [slice(0, 10), slice(10, 150), slice(150, 151), slice(151, 400)]
    parts = [fitted(acts[rows], gradients[rows], W_dec, z[rows]) for rows in documents]
    whole = align(acts, gradients, W_dec, z)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        same(reduce(add, [parts[i] for i in order]).compute(), whole, 1e-10)
    same((parts[3] + (parts[0] + (parts[1] + parts[2]))).compute(), whole, 1e-10)
    drawn = torch.cat([torch.arange(len(acts))[documents[i]] for i in (1, 1, 3)])
    resampled = align(acts[drawn], gradients[drawn], W_dec, z[drawn])
    same((parts[1] + parts[1] + parts[3]).compute(), resampled, 1e-10)
    same(parts[0].compute(), align(acts[:10], gradients[:10], W_dec, z[:10]))  # adding changed no part


def test_adding_nothing_changes_nothing():
    acts, gradients, W_dec, z = planted()
    some = fitted(acts, gradients, W_dec, z)
    same((AlignmentStatistics(W_dec, COVARIATES) + some).compute(), some.compute())
    same((some + AlignmentStatistics(W_dec, COVARIATES)).compute(), some.compute())


def test_large_means_cost_no_digits():
    """Sums of squares about 0 would lose all of them: (1e7)^2 against a variance of 1, in batches of 50."""
    acts, gradients, W_dec, z = planted()
    shifted = torch.where(acts != 0, acts + 1e7, 0.0)
    far = align(shifted, gradients + 1e6, W_dec, z + 1e8, batch=50)
    close(far, loop(shifted, gradients + 1e6, W_dec, z), 1e-6)
    same_firing = align(acts, gradients, W_dec, z)
    assert torch.allclose(far.efas_firing, same_firing.efas_firing, rtol=0, atol=1e-6)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_comoments_agree_with_numpy(seed):
    rows = normal(50, 4, seed=seed) + 100
    moments = CoMoments.of(rows[:13]) + CoMoments.of(rows[13:14]) + CoMoments.of(rows[14:])
    assert moments.n == 50
    assert torch.allclose(moments.mean, rows.mean(0), rtol=1e-14)
    assert np.allclose(moments.products / 49, np.cov(rows.numpy().T), rtol=1e-10, atol=1e-12)


def test_g_is_computed_where_a_latent_fires_and_equals_the_dense_product():
    acts, gradients, W_dec, _ = planted(dtype=torch.float32)
    firing = Firing.of(acts)
    token, latent = acts.nonzero(as_tuple=True)
    assert np.array_equal(firing.latent, latent.numpy())
    assert np.array_equal(np.repeat(np.arange(len(acts)), np.diff(firing.row_starts)), token.numpy())
    assert np.allclose(firing.projected(gradients, W_dec), -(gradients @ W_dec.mT)[token, latent], atol=1e-6)


# Invariances


@given(SEEDS, st.floats(0.01, 100), st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_scales_do_not_matter_and_signs_follow(seed, a_scale, g_scale):
    acts, gradients, W_dec, z = planted(seed)
    plain = align(acts, gradients, W_dec, z)
    scaled = align(a_scale * acts, g_scale * gradients, W_dec, z * 3 - 10)
    flipped = align(acts, -gradients, W_dec, z)
    turned = align(acts, gradients, -W_dec, z)
    for name in QUANTITIES[:3]:
        assert torch.allclose(getattr(scaled, name), getattr(plain, name), atol=1e-9)
        assert torch.allclose(getattr(flipped, name), -getattr(plain, name), atol=1e-9)
        assert torch.allclose(getattr(turned, name), -getattr(plain, name), atol=1e-9)
    factor = a_scale * g_scale
    assert torch.allclose(scaled.gradient_times_activation, factor * plain.gradient_times_activation)


@pytest.mark.parametrize(
    ("a", "g", "z"), [(1e-9, 1, 1), (1, 1e-9, 1), (1, 1e9, 1), (1, 1, 1e-9), (1, 1, 1e9)]
)
def test_no_unit_is_so_small_or_large_that_it_changes_an_alignment(a, g, z):
    acts, gradients, W_dec, covariates = planted()
    plain, scaled = (
        align(acts, gradients, W_dec, covariates),
        align(a * acts, g * gradients, W_dec, z * covariates),
    )
    for name in QUANTITIES[:3]:
        assert torch.allclose(getattr(scaled, name), getattr(plain, name), atol=1e-9), name
    assert scaled.undefined == plain.undefined


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_a_constant_gradient_added_everywhere_changes_no_correlation(seed):
    acts, gradients, W_dec, z = planted(seed)
    moved = align(acts, gradients + 5 * normal(5, seed=seed), W_dec, z)
    plain = align(acts, gradients, W_dec, z)
    for name in QUANTITIES[:3]:
        assert torch.allclose(getattr(moved, name), getattr(plain, name), atol=1e-9)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_rotating_the_residual_stream_changes_nothing(seed):
    acts, gradients, W_dec, z = planted(seed)
    rotation = torch.from_numpy(stats.special_ortho_group.rvs(5, random_state=seed))
    same(align(acts, gradients @ rotation, W_dec @ rotation, z), align(acts, gradients, W_dec, z), 1e-9)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_latents_are_judged_each_on_its_own(seed):
    acts, gradients, W_dec, z = planted(seed)
    order = torch.randperm(9, generator=rng(seed))[:4]
    some, every = align(acts[:, order], gradients, W_dec[order], z), align(acts, gradients, W_dec, z)
    close(some, [getattr(every, name)[order] for name in QUANTITIES], 1e-10)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_mixing_shifting_repeating_covariates_changes_nothing(seed):
    acts, gradients, W_dec, z = planted(seed)
    mixed = z @ (normal(3, 3, seed=seed) + 2 * torch.eye(3)) + 4
    redundant = torch.cat([z, z[:, :1] - 2 * z[:, 1:2], torch.full_like(z[:, :1], 0.1)], dim=1)
    statistics = AlignmentStatistics(W_dec, [*COVARIATES, "a sum of two", "a constant"])
    statistics.update(acts, gradients, redundant)
    plain = align(acts, gradients, W_dec, z).efas_partial
    assert torch.allclose(align(acts, gradients, W_dec, mixed).efas_partial, plain, atol=1e-8)
    assert torch.allclose(statistics.compute().efas_partial, plain, atol=1e-8)


# Known answers


def test_an_activation_that_is_g_aligns_perfectly_and_one_that_is_minus_g_the_other_way():
    _, gradients, W_dec, _ = planted()
    g = -gradients @ W_dec.mT
    assert torch.allclose(align(g, gradients, W_dec).efas_all, torch.ones(9).double())
    assert torch.allclose(align(3 - g, gradients, W_dec).efas_all, -torch.ones(9).double())
    product = align(g, gradients, W_dec).gradient_times_activation
    assert torch.allclose(product, g.square().mean(0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_alignment_exceeds_one_by_rounding(dtype):
    _, gradients, W_dec, z = planted(d_sae=500, dtype=dtype)
    acts = -0.7 * gradients @ W_dec.mT
    for values in (align(acts, gradients, W_dec).efas_all, align(acts, gradients, W_dec, z).efas_firing):
        assert values.max() <= 1
        assert values.min() == pytest.approx(1, abs=1e-4)


def test_four_tokens_by_hand():
    """g = (1, 2, 3, 6), a = (0, 2, 0, 4): means 3 and 1.5, sum of products 10, squares 14 and 11."""
    gradients = -torch.tensor([[1.0], [2.0], [3.0], [6.0]], dtype=torch.float64)
    acts = torch.tensor([[0.0], [2.0], [0.0], [4.0]], dtype=torch.float64)
    result = align(acts, gradients, torch.ones(1, 1).double())
    assert result.efas_all.item() == pytest.approx(10 / math.sqrt(11 * 14))
    assert result.gradient_times_activation.item() == pytest.approx((4 + 24) / 4)
    assert result.firing_counts.tolist() == [2]


def test_gradient_times_activation_is_the_first_order_rise_of_the_energy_on_ablation():
    """For a linear energy E = <w, x>, taking a d out of x raises E by -a <w, d> = a g exactly."""
    acts, _, W_dec, _ = planted()
    w = normal(5, seed=9)
    rise = -(acts[:, :, None] * W_dec @ w).mean(0)
    result = align(acts, w.expand(len(acts), -1), W_dec)
    assert torch.allclose(result.gradient_times_activation, rise)
    assert result.efas_all.isnan().all()  # and there is nothing to correlate with


def test_covariates_that_explain_the_alignment_remove_it_and_only_then():
    """a and g share z alone: the plain correlation is .5, the partial one 0 up to sampling, 1 / sqrt(20000)."""
    z = normal(20000, 1)
    direction = torch.ones(1, 1).double()
    acts = 20 + z + normal(20000, 1, seed=1)
    gradients = -(z + normal(20000, 1, seed=2))
    statistics = AlignmentStatistics(direction, ["z"])
    statistics.update(acts, gradients, z)
    result = statistics.compute()
    assert result.efas_all.item() == pytest.approx(0.5, abs=0.02)
    assert result.efas_partial.item() == pytest.approx(0, abs=0.02)
    assert result.covariates == ("z",)
    other = AlignmentStatistics(direction, ["noise"])
    other.update(acts, gradients, normal(20000, 1, seed=3))
    assert other.compute().efas_partial.item() == pytest.approx(0.5, abs=0.02)


def test_without_covariates_the_partial_alignment_is_the_plain_one():
    acts, gradients, W_dec, _ = planted()
    result = align(acts, gradients, W_dec)
    assert torch.equal(result.efas_partial, result.efas_all)
    assert result.covariates == ()


def test_planted_alignments_are_recovered():
    """Half of 40 latents fire more strongly where g is high, the others independently: AUROC of |EFAS|."""
    W_dec = random_unit_rows(40, 24, rng())
    gradients = normal(4000, 24, seed=1)
    aligned = torch.arange(40) < 20
    strength = 1 - 0.5 * aligned * (gradients @ W_dec.mT) + 0.5 * normal(4000, 40, seed=2)
    acts = torch.where(torch.rand(4000, 40, generator=rng(3)) < 0.1, strength.relu(), 0.0)
    result = align(acts, gradients, W_dec)
    for values in (result.efas_all, result.efas_firing):
        assert roc_auc_score(aligned, values.abs()) > 0.95
    assert (result.efas_firing[aligned] > 0.5).all()


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_independent_gradients_give_alignments_about_zero(seed):
    """Null: 30 independent latents, 400 tokens; sqrt(n) r is about standard normal."""
    acts, gradients, W_dec, _ = planted(seed, slope=0, d_sae=30, d_model=30)
    shuffled = gradients[torch.randperm(400, generator=rng(seed + 1))]
    assert align(acts, shuffled, W_dec).efas_all.abs().max() < 5 / math.sqrt(400)


# Facts about energies that the instrument has to show


def sparse_residuals(tokens=3000, d_sae=12, d_model=8, d_vocab=20):
    """x = sparse codes @ W_dec, and an unembedding [d_model d_vocab]; a lens without a norm."""
    W_dec = random_unit_rows(d_sae, d_model, rng())
    fires = torch.rand(tokens, d_sae, generator=rng(1)) < 0.3
    acts = torch.where(fires, normal(tokens, d_sae, seed=2).abs() + 0.5, 0.0)
    return acts, W_dec, acts @ W_dec, normal(d_model, d_vocab, seed=3)


def gold_gradient(x, W_U, target):
    """grad_x of -log softmax(x W_U)[target] = W_U (p - onehot)."""
    left = (x @ W_U).softmax(1) - torch.nn.functional.one_hot(target, W_U.shape[1])
    return left @ W_U.mT


def test_targets_drawn_from_the_lens_itself_give_no_alignment_and_others_do():
    """sum_y p(y|x) grad E_y = 0, so over redraws every EFAS is 0 in expectation, exactly; an overconfident lens
    is found out.
    """
    acts, W_dec, x, W_U = sparse_residuals()

    def mean_efas(lens_scale):
        p, draws = (x @ W_U).softmax(1), []
        for seed in range(60):
            target = p.multinomial(1, generator=rng(seed))[:, 0]
            draws.append(align(acts, gold_gradient(x, lens_scale * W_U, target), W_dec).efas_all)
        z = torch.stack(draws).mean(0) / torch.stack(draws).std(0) * math.sqrt(60)
        return z.abs().max(), torch.stack(draws).mean(0).abs().max()

    z, _ = mean_efas(lens_scale=1)
    assert z < 4
    z, efas = mean_efas(lens_scale=1.5)
    assert z > 10
    assert efas > 0.05


def test_for_a_fixed_target_the_gold_energy_is_convex_and_biases_every_latent_down():
    """Raising a_f lowers its own g_f, without any meaning, here to -.5; the free energy is concave: the reverse."""
    acts, W_dec, x, W_U = sparse_residuals()
    gold = align(acts, gold_gradient(x, W_U, torch.zeros(len(x), dtype=torch.long)), W_dec).efas_all
    free = align(acts, -(x @ W_U).softmax(1) @ W_U.mT, W_dec).efas_all
    assert gold.max() < -0.2
    assert torch.allclose(free, -gold, atol=1e-9)


@given(SEEDS, st.integers(1, 5), st.integers(1, 4), st.floats(-0.009, 0.009))
@settings(max_examples=15, deadline=None)
def test_directions_of_length_one_within_a_percent_are_taken_as_they_are(seed, d_sae, d_model, off):
    W_dec = (1 + off) * random_unit_rows(d_sae, d_model, rng(seed))
    assert torch.equal(unit_directions(W_dec), W_dec)
    assert torch.equal(unit_directions(W_dec.float().requires_grad_()), W_dec.float())
    assert not unit_directions(W_dec.float().requires_grad_()).requires_grad
    assert unit_directions(W_dec.half()).dtype == torch.float32
    row = seed % d_sae
    for factor in (0.97, 1.03, 0.0, -1.03, math.nan, math.inf):
        bad = W_dec.clone() / (1 + off)
        bad[row] *= factor
        with pytest.raises(InputError, match=rf"length 1, row {row} of \({d_sae}, {d_model}\) has"):
            unit_directions(bad)


@given(SEEDS, st.integers(2, 60), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_alignments_are_correlations_and_each_missing_one_has_one_reason(seed, tokens, d_model):
    acts, gradients, W_dec, z = planted(seed, tokens=tokens, d_model=d_model)
    result = align(acts, gradients, W_dec, z)
    for name in QUANTITIES[:3]:
        values = getattr(result, name)
        assert (values.isnan() | (values.abs() <= 1)).all()
        assert sum(result.undefined[name].values()) == int(values.isnan().sum())
    assert torch.allclose(result.gradient_times_activation, -(acts * (gradients @ W_dec.mT)).mean(0))


# What has no answer


def edge_cases():
    """Seven latents over 200 tokens: ordinary, never firing, rare, always the same, constant g, fires once, on z."""
    _, gradients, W_dec, z = planted(tokens=200, d_sae=7)
    gradients[:, 0] = 0.5
    W_dec[4] = torch.tensor([1.0, 0, 0, 0, 0])
    acts = planted(tokens=200, d_sae=7, density=0.6)[0]
    acts[:, 1] = 0
    acts[49:, 2] = 0
    acts[:, 3] = 0.1
    acts[:, 5] = torch.arange(200) == 7
    acts[:, 6] = 3000 + z[:, 0]
    acts[:49, 2] += 1
    return acts, gradients, W_dec, z


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_is_undefined_is_nan_with_a_reason_that_is_counted(dtype):
    result = align(*(each.to(dtype) for each in edge_cases()))
    nan = {name: getattr(result, name).isnan().nonzero().flatten().tolist() for name in QUANTITIES}
    assert nan == {
        "efas_all": [1, 3, 4],
        "efas_firing": [1, 2, 3, 4, 5],
        "efas_partial": [1, 3, 4, 6],
        "gradient_times_activation": [],
    }
    assert {name: dict(reasons) for name, reasons in result.undefined.items()} == {
        "efas_all": {"never fires": 1, "constant": 2},
        "efas_firing": {"never fires": 1, "fewer than 50 firing tokens": 2, "constant": 2},
        "efas_partial": {"never fires": 1, "constant": 2, "explained by the covariates": 1},
    }
    assert result.gradient_times_activation[1] == 0
    assert result.firing_counts.tolist()[1:6] == [0, 49, 200, result.firing_counts[4], 1]


def test_fifty_firing_tokens_are_enough_and_forty_nine_are_not():
    acts, gradients, W_dec, _ = planted(density=1.0)
    for count in (49, 50):
        few = acts.clone()
        few[count:] = 0
        assert align(few, gradients, W_dec).efas_firing.isnan().all() == (count == 49)


def test_a_constant_of_float64_is_recognised_through_the_rounding_of_its_sum():
    acts, gradients, W_dec, _ = planted(tokens=30000)
    acts[:, 2] = 0.1
    assert align(acts, gradients, W_dec).efas_all.isnan().tolist() == [i == 2 for i in range(9)]


@pytest.mark.parametrize("decoder", [torch.float32, torch.float64])
def test_constants_of_float32_are_recognised_through_their_rounding(decoder):
    """A projection that should not vary does so in the last digit: that is no alignment."""
    acts, gradients, W_dec, _ = planted(dtype=torch.float32, d_model=64, tokens=1000)
    W_dec[0] = 1 / 8
    gradients = gradients - gradients.mean(0)
    gradients = gradients - gradients.mean(
        1, keepdim=True
    )  # as after LayerNorm: <gradient, 1> is 0 up to rounding
    assert (gradients.sum(1) != 0).any()
    result = align(acts, gradients, W_dec.to(decoder))
    assert result.efas_all.isnan().tolist() == [True] + [False] * 8
    assert result.undefined["efas_all"] == {"constant": 1}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_are_taken_as_their_values(dtype):
    acts, gradients, W_dec, z = planted()
    acts, gradients = acts.to(dtype), gradients.to(dtype)
    half = align(acts, gradients, W_dec.float())
    close(half, loop(acts, gradients, W_dec.float(), z)[[0, 1, 0, 3]], 1e-5)


def test_gradients_that_need_gradients_are_no_trouble():
    acts, gradients, W_dec, _ = planted()
    result = align(acts.requires_grad_(), gradients.requires_grad_(), W_dec.requires_grad_())
    assert not result.efas_all.requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("which", [0, 1, 3])
def test_nan_and_infinity_are_refused_and_nothing_is_added(monkeypatch, bad, which):
    monkeypatch.setattr("energylens.metrics.alignment.ENTRIES_AT_ONCE", 50 * 9)
    data = [each.clone() for each in planted()]
    statistics = fitted(*data)
    before = statistics.compute()
    data[which][399, 0] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        statistics.update(data[0], data[1], data[3])
    same(statistics.compute(), before)


def test_input_that_does_not_fit_is_refused_by_name():
    acts, gradients, W_dec, z = planted()
    statistics = AlignmentStatistics(W_dec, COVARIATES)
    with pytest.raises(InputError, match="nothing to align"):
        statistics.compute()
    for arguments in ((acts[:0], gradients[:0], z[:0]), (acts[:, :8], gradients, z), (acts, gradients, None)):
        with pytest.raises(InputError, match="at least one token, received"):
            statistics.update(*arguments)
    with pytest.raises(InputError, match=r"row 2 of \(9, 5\)"):
        AlignmentStatistics(torch.where(torch.arange(9)[:, None] == 2, 2 * W_dec, W_dec))
    with pytest.raises(InputError, match="do not add up"):
        _ = statistics + AlignmentStatistics(W_dec, ("position",))
    with pytest.raises(InputError, match="do not add up"):
        _ = statistics + AlignmentStatistics(W_dec.flip(0), COVARIATES)


def test_memory_does_not_grow_with_tokens():
    statistics = fitted(*planted(tokens=50)[:3])
    sizes = [statistics._firing.mean.shape, statistics._tokens.products.shape]
    statistics.update(*planted(tokens=5000)[:2])
    assert [statistics._firing.mean.shape, statistics._tokens.products.shape] == sizes == [(9, 2), (5, 5)]


# Corrupted versions that these tests must reject


def uncentred(cls, rows):
    return cls(len(rows), torch.zeros(rows.shape[1]).double(), rows.mT @ rows)


def test_a_version_without_the_tokens_that_do_not_fire_is_rejected():
    """Taking the firing tokens' moments for all of them gives other numbers: the tests above see it."""
    acts, gradients, W_dec, z = planted()
    expected = loop(acts, gradients, W_dec, z)
    result = align(acts, gradients, W_dec, z)
    assert (expected[0] - expected[1]).abs().max() > 0.05
    assert (result.efas_all - result.efas_firing).abs().max() > 0.05


def test_comoments_about_zero_are_rejected(monkeypatch):
    data = planted()
    monkeypatch.setattr(comoments.CoMoments, "of", classmethod(uncentred))
    assert not torch.allclose(align(*data).efas_all, loop(*data)[0], atol=1e-3)


def test_gradients_of_nought_are_constant_and_say_so():
    acts, gradients, W_dec, z = planted()
    result = align(acts, 0 * gradients, W_dec, z)
    for name in QUANTITIES[:3]:
        assert result.undefined[name] == {"constant": len(W_dec)}, name
