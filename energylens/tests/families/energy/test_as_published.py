import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from energylens.errors import InputError
from energylens.families.energy import as_published as published
from energylens.metrics.alignment import AlignmentStatistics

SEEDS = st.integers(0, 2**32 - 1)
WORDS = (15, 10, 17, 19, 15)
"""Words of the five published sentences."""


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def features(n_tokens, seed, d_sae=400, active=3):
    """Each token fires about `active` features, at random, exponentially distributed: independent of everything."""
    generator = np.random.default_rng(seed)
    fires = generator.random((n_tokens, d_sae)) < active / d_sae
    return torch.from_numpy(np.where(fires, generator.exponential(1.5, (n_tokens, d_sae)), 0.0))


def slow_scores(energy, acts):
    """The published loop over features, with numpy."""
    gradient, values = np.gradient(energy.numpy()), []
    for feature in acts.numpy().T:
        skipped = np.sum(feature) < 1e-6 or not (np.std(feature) > 0 and np.std(gradient) > 0)
        values.append(math.nan if skipped else np.corrcoef(feature, -gradient)[0, 1])
    return values


def slow_bits(energy, acts):
    """The published mutual information, bin by bin."""
    gradient, values = np.gradient(energy.numpy()), []
    edges = np.linspace(gradient.min(), gradient.max(), 5)
    for feature in acts.numpy().T:
        a_bins = (
            np.digitize(feature, np.linspace(0, feature.max(), 5))
            if feature.max() > 0
            else np.ones(len(feature))
        )
        joint = np.zeros((5, 5))
        for a, e in zip(a_bins, np.digitize(gradient, edges), strict=True):
            joint[min(int(a) - 1, 4), min(e - 1, 4)] += 1 / len(feature)
        alone = np.outer(joint.sum(1), joint.sum(0))
        there = joint > 0
        values.append(float((joint[there] * np.log2(joint[there] / alone[there])).sum()))
    return values


# An independent reference


@given(SEEDS, st.integers(4, 20))
@settings(max_examples=25, deadline=None)
def test_agrees_with_the_published_loop(seed, n_tokens):
    energy, acts = normal(n_tokens, seed=seed), features(n_tokens, seed, d_sae=30, active=4)
    assert published.scores(energy, acts).tolist() == pytest.approx(
        slow_scores(energy, acts), abs=1e-9, nan_ok=True
    )
    assert published.mutual_information_bits(energy, acts).tolist() == pytest.approx(
        slow_bits(energy, acts), abs=1e-9
    )


@given(SEEDS, st.integers(2, 12), st.floats(-100, 100))
@settings(max_examples=25, deadline=None)
def test_the_difference_is_numpys_knows_no_origin_and_turns_round_with_the_text(seed, n_tokens, scale):
    energy = normal(n_tokens, seed=seed)
    difference = published.position_difference(energy)
    assert difference.tolist() == pytest.approx(np.gradient(energy.numpy()).tolist())
    turned = published.position_difference(scale * energy.flip(0) + 5)
    assert torch.allclose(turned, -scale * difference.flip(0), atol=1e-9)
    assert published.position_difference(energy.float()).dtype == torch.float64


ALIGNMENTS = st.lists(st.floats(-1, 1) | st.just(math.nan), max_size=40)


@given(ALIGNMENTS, st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_kept_are_the_largest_above_the_threshold_once_and_again(values, most):
    kept = published.kept(torch.tensor(values, dtype=torch.float64), most).tolist()
    expected = sorted((v for v in values if abs(v) > 0.1), key=lambda v: -abs(v))[:most]
    assert kept == expected
    assert published.kept(torch.tensor(kept, dtype=torch.float64), most).tolist() == kept


def test_of_one_text_at_most_twenty_are_kept():
    assert len(published.kept(torch.linspace(0.2, 0.9, 30))) == 20


@given(st.lists(st.lists(st.floats(-1, 1), max_size=9), max_size=5))
@settings(max_examples=40, deadline=None)
def test_the_level_is_that_of_numpy_whatever_the_signs_and_the_texts(texts):
    pooled = np.abs([value for text in texts for value in text])
    level = published.level([torch.tensor(text, dtype=torch.float32) for text in texts])
    assert level.n_alignments == len(pooled)
    if len(pooled):
        expected = (pooled.mean(), np.percentile(pooled, 95), pooled.max())
        assert level[1:] == pytest.approx(expected, abs=1e-6)
        turned = published.level([-torch.tensor(text) for text in reversed(texts) if text])
        assert level == pytest.approx(turned)


@given(SEEDS, st.floats(0.01, 100), st.floats(-100, 100))
@settings(max_examples=25, deadline=None)
def test_scores_and_information_know_no_units(seed, scale, shift):
    energy, acts = normal(12, seed=seed), features(12, seed, d_sae=20, active=4)
    scores, bits = published.scores(energy, acts), published.mutual_information_bits(energy, acts)
    moved = scale * energy + shift, acts / scale
    assert torch.allclose(published.scores(*moved), scores, atol=1e-7, equal_nan=True)
    assert torch.allclose(published.scores(-energy, acts), -scores, atol=1e-9, equal_nan=True)
    assert torch.allclose(published.mutual_information_bits(energy, acts / scale), bits, atol=1e-9)
    assert scores[~scores.isnan()].abs().max() <= 1
    assert (bits >= -1e-12).all()
    assert (bits <= math.log2(5)).all()


@given(SEEDS, st.integers(3, 30))
@settings(max_examples=25, deadline=None)
def test_the_best_token_reaches_more_than_the_mean_square_and_at_most_one(seed, n_tokens):
    best = published.best_one_token(n_tokens, 7, rng(seed))
    assert best.shape == (7,)
    assert best.dtype == torch.float64
    assert torch.equal(best, published.best_one_token(n_tokens, 7, rng(seed)))
    assert (best >= 1 / math.sqrt(n_tokens - 1) - 1e-12).all()
    assert (best <= 1 + 1e-12).all()


def test_what_is_kept_and_how_it_is_summed_up():
    values = torch.tensor([0.05, -0.1, 0.11, math.nan, -0.9, 0.3, -0.3], dtype=torch.float64)
    assert published.kept(values).tolist() == [-0.9, 0.3, -0.3, 0.11]
    assert published.kept(values, most=2).tolist() == [-0.9, 0.3]
    level = published.level([published.kept(values, 2), torch.tensor([0.2])])
    assert level[0] == 3
    assert level[1:] == pytest.approx((1.4 / 3, np.percentile([0.9, 0.3, 0.2], 95), 0.9))


def test_nothing_kept_is_nan_and_not_zero():
    for nothing in ([], [torch.empty(0)]):
        level = published.level(nothing)
        assert level.n_alignments == 0
        assert all(math.isnan(value) for value in level[1:])


# What is known of it


@pytest.mark.parametrize(("n_tokens", "bits"), [(10, 0.4690), (15, 0.3534)])
def test_the_published_mutual_information_is_the_entropy_of_one_token_in_n(n_tokens, bits):
    """.4690 and .3534, the values of the ten top features of the published report, need no relation at all."""
    share = 1 / n_tokens
    assert stats.entropy([share, 1 - share], base=2) == pytest.approx(bits, abs=5e-5)
    energy = normal(n_tokens)
    largest = int(published.position_difference(energy).argmax())
    acts = torch.zeros(n_tokens, 1)
    acts[largest] = 0.123
    assert published.mutual_information_bits(energy, acts).item() == pytest.approx(bits, abs=5e-5)


@pytest.mark.parametrize(("n_tokens", "median"), [(10, 0.63), (15, 0.55)])
def test_the_best_one_token_feature_on_noise_has_the_published_level(n_tokens, median):
    """The largest |r| of the n features that fire on one token each, without any selection over texts or layers."""
    best = published.best_one_token(n_tokens, 40000, rng())
    assert best.median().item() == pytest.approx(median, abs=0.006)
    difference = normal(n_tokens, seed=3)
    slow = max(abs(stats.pearsonr(np.eye(n_tokens)[t], difference).statistic) for t in range(n_tokens))
    z = (difference - difference.mean()).abs().max() / difference.std(correction=0) / math.sqrt(n_tokens - 1)
    assert z.item() == pytest.approx(slow)


def test_one_token_features_reach_what_best_one_token_says_through_the_estimator():
    """The same through `scores`, on noise energies: .65 and .57, for position differences are not independent."""
    for n_tokens, median in ((10, 0.653), (15, 0.568)):
        best = [
            published.scores(normal(n_tokens, seed=i), torch.eye(n_tokens)).abs().max() for i in range(1500)
        ]
        assert torch.stack(best).median().item() == pytest.approx(median, abs=0.02)


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_the_score_of_a_one_token_feature_does_not_depend_on_the_feature(seed, strength):
    energy = normal(12, seed=seed)
    scores = published.scores(energy, strength * torch.eye(12))
    fall = -published.position_difference(energy)
    z = (fall - fall.mean()) / fall.std(correction=0)
    assert torch.allclose(scores, z / math.sqrt(11), atol=1e-9)


def test_features_independent_of_the_energy_give_the_published_level():
    """Five sentences, five layers, three random features a word, white noise for energies: published are 496, .3775."""
    kept = [
        published.kept(published.scores(normal(n, seed=10 * i + j), features(n, 10 * i + j)))
        for i, n in enumerate(WORDS)
        for j in range(5)
    ]
    level = published.level(kept)
    assert 480 <= level.n_alignments <= 500
    assert level.mean == pytest.approx(0.3775, abs=0.05)
    assert level.maximum > 0.7


def test_no_permutation_p_of_a_one_token_feature_is_below_one_in_n():
    energy, feature = normal(10), torch.eye(10)[:, :1].double()
    difference = published.position_difference(energy).numpy()
    outcomes = {
        round(float(np.corrcoef(feature[:, 0], -np.roll(difference, shift))[0, 1]), 9) for shift in range(10)
    }
    shuffled = {
        round(float(np.corrcoef(feature[:, 0], -np.random.default_rng(i).permutation(difference))[0, 1]), 9)
        for i in range(300)
    }
    assert shuffled <= outcomes
    assert len(outcomes) == 10


def test_the_published_estimator_does_not_see_an_alignment_and_the_corrected_one_does():
    """One latent fires as its g: the gradient in x shows it, the difference of energies along positions does not."""
    gradients, direction = normal(4000, 6), torch.eye(6).double()[:1]
    acts = (2 - gradients[:, :1]).relu()
    energy = normal(4000, seed=1)  # any: E at a token says nothing of its slope there
    statistics = AlignmentStatistics(direction)
    statistics.update(acts, gradients)
    assert statistics.compute().efas_all.item() > 0.95
    assert abs(published.scores(energy, acts).item()) < 0.1


# Bad input


def test_features_that_are_silent_or_constant_have_no_score():
    acts = torch.stack([torch.zeros(8), torch.full((8,), 0.1), torch.arange(8.0)], dim=1)
    assert published.scores(normal(8), acts).isnan().tolist() == [True, True, False]
    assert published.scores(normal(8), 1e-8 * acts).isnan().all()  # the source calls this inactive
    assert published.scores(torch.full((8,), 3.3).double(), acts).isnan().all()
    assert (
        published.scores(torch.arange(8.0), acts).isnan().all()
    )  # a straight line: the difference is constant
    assert published.mutual_information_bits(normal(8), acts)[:2].tolist() == [0, 0]


def test_a_silent_feature_is_silent_beside_others_that_are_not_and_a_threshold_is_not_silence():
    silent, loud = 1e-8 * torch.arange(8.0).double(), 1e9 * torch.arange(8.0).double()
    at_the_threshold = torch.zeros(8, dtype=torch.float64)
    at_the_threshold[3] = 1e-6
    found = published.scores(normal(8), torch.stack([silent, loud, at_the_threshold], dim=1))
    assert found.isnan().tolist() == [True, False, False]


@pytest.mark.parametrize("unit", [1e-13, 1e13])
def test_no_unit_of_the_energy_is_so_small_or_large_that_it_changes_a_score(unit):
    energy, acts = normal(12), features(12, 0, d_sae=20, active=4)
    expected = published.scores(energy, acts)
    assert torch.allclose(published.scores(unit * energy, acts), expected, equal_nan=True)


def test_texts_that_are_too_short_are_refused_by_name():
    with pytest.raises(InputError, match="received 1"):
        published.scores(torch.ones(1), torch.ones(1, 2))
    with pytest.raises(InputError, match="one token of 2"):
        published.best_one_token(2, 5, rng())
