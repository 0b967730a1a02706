import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import kstest, spearmanr

from energylens.errors import InputError
from energylens.families.energy.energy_study import SAMPLED, TOP, EnergyStudy, permuted_t, rejection_rate
from energylens.lenses.held_out import held_out_text
from energylens.lenses.logit import logit_lens
from energylens.lenses.reading import read
from energylens.metrics.alignment import LEAST_FIRING
from energylens.sae.dictionary import Dictionary, random_dictionary

MIDDLE, LATE = "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"
D_SAE = 64
RARE = 3
"""Latents of `dictionary` that fire on few tokens."""


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def dictionary(readings):
    """Random directions; the first RARE fire only on the tokens farthest along them."""
    x = readings["discovery"].x
    dense = random_dictionary(x, D_SAE, 8, rng())
    along = torch.einsum("nd,fd->nf", x - x.mean(0), dense.W_dec[:RARE])
    cut = along.topk(LEAST_FIRING // 2, dim=0).values[-1]

    def encode(rows):
        acts = dense.encode(rows)
        further = torch.einsum("nd,fd->nf", rows - x.mean(0), dense.W_dec[:RARE])
        acts[:, :RARE] = (further - cut).relu()
        return acts

    return Dictionary(dense.W_dec, encode)


@pytest.fixture(scope="module")
def study(dictionary, readings):
    return EnergyStudy(dictionary, readings, seed=0)


def with_gradient(reading, gradient):
    return dataclasses.replace(reading, gradient=gradient)


def noise(reading, seed):
    """A gradient that knows nothing of the activations, by construction and at every token."""
    return torch.randn(reading.gradient.shape, generator=rng(seed))


def aligned(dictionary, reading, latent, strength, seed):
    """Noise and, along one latent's direction, a fall of the energy where the latent fires."""
    acts = dictionary.acts(reading.x)[:, latent]
    along = strength * (acts / acts.std())[:, None] * dictionary.W_dec[latent]
    return with_gradient(reading, noise(reading, seed) - along)


def slow_efas(dictionary, reading):
    """Correlation over all tokens of a and g by numpy, latent by latent."""
    acts, gradient = dictionary.encode(reading.x).double().numpy(), reading.gradient.double().numpy()
    found = []
    for a, direction in zip(acts.T, dictionary.W_dec.double().numpy(), strict=True):
        found.append(np.corrcoef(a, -(gradient @ direction))[0, 1])
    return np.array(found), (acts != 0).sum(0)


def test_each_split_is_aligned_by_itself(study, dictionary, readings):
    for split in ("discovery", "confirmation"):
        efas, counts = slow_efas(dictionary, readings[split])
        assert study.alignment(split).efas_all.numpy() == pytest.approx(efas, abs=1e-5, nan_ok=True)
        assert study.alignment(split).firing_counts.tolist() == counts.tolist()
        assert study.fires_enough(split).tolist() == (counts >= LEAST_FIRING).tolist()
    confirmation = slow_efas(dictionary, readings["confirmation"])[0]
    assert study.efas.numpy() == pytest.approx(confirmation, abs=1e-5, nan_ok=True)


def test_covariates_are_taken_out_of_the_partial_alignment(study, dictionary, readings):
    reading = readings["discovery"]
    z = np.column_stack([np.ones(len(reading.x)), reading.covariates.double().numpy()])
    acts, latent = dictionary.acts(reading.x).double().numpy(), 10
    g = -(reading.gradient.double() @ dictionary.W_dec[latent].double()).numpy()
    left = [y - z @ np.linalg.lstsq(z, y, rcond=None)[0] for y in (acts[:, latent], g)]
    expected = np.corrcoef(*left)[0, 1]
    assert float(study.alignment("discovery").efas_partial[latent]) == pytest.approx(expected, abs=1e-5)
    assert expected != pytest.approx(float(study.alignment("discovery").efas_all[latent]), abs=1e-3)


def test_the_top_are_the_largest_on_discovery_among_those_that_fire_enough(dictionary, readings):
    """The rare latents are aligned best of all there, and do not count; confirmation has no say."""
    reading = readings["discovery"]
    rare = -torch.einsum("nf,fd->nd", 40 * dictionary.acts(reading.x)[:, :RARE], dictionary.W_dec[:RARE])
    changed = with_gradient(reading, reading.gradient + rare)
    study = EnergyStudy(dictionary, {"discovery": changed, "confirmation": readings["confirmation"]}, 0)
    efas, counts = slow_efas(dictionary, changed)
    enough = counts >= LEAST_FIRING
    assert counts[:RARE].max() < LEAST_FIRING
    assert enough.sum() > TOP
    assert np.abs(efas[:RARE]).min() > np.abs(efas[enough]).max()
    expected = [latent for latent in np.argsort(-np.abs(efas)) if enough[latent]][:TOP]
    assert study.top.tolist() == expected
    other = EnergyStudy(dictionary, {"discovery": readings["confirmation"], "confirmation": changed}, 0)
    assert other.top.tolist() != expected


def test_a_planted_alignment_is_found_and_no_other(dictionary, readings):
    planted = 7
    changed = {
        split: aligned(dictionary, reading, planted, 0.5, seed)
        for seed, (split, reading) in enumerate(readings.items())
    }
    study = EnergyStudy(dictionary, changed, seed=0)
    assert study.top[0] == planted
    assert study.efas[planted] > 0.2
    assert study.top_p[0] <= 0.002
    assert (study.top_p[study.efas[study.top].abs() < 0.1] > 0.05).all()


def test_an_alignment_on_discovery_alone_is_not_confirmed(dictionary, readings):
    changed = {
        "discovery": aligned(dictionary, readings["discovery"], 7, 1.0, 0),
        "confirmation": with_gradient(readings["confirmation"], noise(readings["confirmation"], 1)),
    }
    study = EnergyStudy(dictionary, changed, seed=0)
    assert study.top[0] == 7
    assert study.top_p[0] > 0.05


def test_without_an_alignment_the_smallest_p_is_uniform(monkeypatch, dictionary, readings):
    """40 gradients without any: max-T makes the smallest of the TOP p exactly uniform, on a grid of 1/100."""
    monkeypatch.setattr("energylens.families.energy.energy_study.DRAWS", 99)
    monkeypatch.setattr(
        "energylens.families.energy.energy_study.SAMPLED", 100
    )  # of what is measured beside, to no purpose here
    smallest = []
    for seed in range(40):
        reading = with_gradient(readings["confirmation"], noise(readings["confirmation"], seed))
        study = EnergyStudy(dictionary, {**readings, "confirmation": reading}, seed)
        smallest.append(float(study.top_p.min()))
    assert kstest(smallest, "uniform").pvalue > 0.01
    assert sum(p <= 0.05 for p in smallest) <= 6


def test_what_is_measured_beside_agrees_with_scipy(study, dictionary, readings):
    """The sample holds all tokens there are."""
    reading = readings["confirmation"]
    assert len(reading.x) < SAMPLED
    acts = dictionary.acts(reading.x)[:, study.top].double().numpy()
    g = -torch.einsum("nd,fd->fn", reading.gradient.double(), dictionary.W_dec[study.top].double()).numpy()
    rho = [abs(spearmanr(a, each).statistic) for a, each in zip(acts.T, g, strict=True)]
    firing = [abs(np.corrcoef(a[a != 0], each[a != 0])[0, 1]) for a, each in zip(acts.T, g, strict=True)]
    assert study.beside["|Spearman|"] == pytest.approx(np.median(rho), abs=1e-5)
    assert study.beside["|EFAS| where it fires"] == pytest.approx(np.median(firing), abs=1e-5)
    assert 0 <= study.beside["mutual information"] < 0.5


def test_the_observed_t_is_row_0_and_draws_follow_the_seed(dictionary, readings):
    reading, latents = readings["confirmation"], [10, 11]
    acts, W_dec = dictionary.acts(reading.x)[:, latents], dictionary.W_dec[latents]
    first, again, other = (permuted_t(reading, acts, reading.gradient, W_dec, 5, seed) for seed in (0, 0, 1))
    assert first.shape == (6, 2)
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0])
    assert not torch.equal(first[1:], other[1:])
    n, per_document = reading.text.n_documents, len(reading.x) // reading.text.n_documents
    for column in range(2):
        a, g = acts[:, column].double(), -(reading.gradient @ W_dec[column]).double()
        product = (a - a.mean()) * (g - g.mean())
        parts = [float(product[d * per_document : (d + 1) * per_document].sum()) for d in range(n)]
        assert float(first[0, column]) == pytest.approx(sum(parts) / np.linalg.norm(parts), abs=1e-4)


# Calibration


@pytest.mark.parametrize("seed", range(3))
def test_the_level_is_kept_where_the_lens_draws_the_targets_itself(make_network, python_text, seed):
    """Redrawn targets are the null by construction, so the rate is .05 over draws.

    Of one draw it spreads by .03, as 64 independent latents would, so that a mean over 20 draws has a standard
    error of .007; four times that is the tolerance. Seven networks with 120 draws each gave .047 to .054. For the
    top token in place of a draw the gradient is a function of x, as activations are.
    """
    network = make_network(python_text, 16, seed)
    text = held_out_text(network, "confirmation", seed, per_document=6)
    reading = read(network, network.task.corpus, MIDDLE, text, logit_lens(network))
    dictionary = random_dictionary(reading.x, D_SAE, 8, rng(seed))
    rates = [
        rejection_rate(dictionary, reading, reading.redrawn_gradient(rng(draw)), seed=draw)
        for draw in range(20)
    ]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.03)
    assert rejection_rate(dictionary, reading, reading.confident_gradient(), seed) > 0.25


def test_latents_that_fire_too_rarely_do_not_count(dictionary, readings):
    """All that fire enough are aligned, the rare ones are not: the rate is 1, and 0 the other way round."""
    reading = readings["discovery"]
    acts = dictionary.acts(reading.x)
    few = Dictionary(dictionary.W_dec[: RARE + 1], lambda x: dictionary.encode(x)[:, : RARE + 1])
    along = -5 * acts[:, RARE, None] / acts[:, RARE].std() * dictionary.W_dec[RARE]
    assert rejection_rate(few, reading, noise(reading, 0) + along, seed=0) == 1.0
    rare = Dictionary(dictionary.W_dec[:RARE], lambda x: dictionary.encode(x)[:, :RARE])
    assert np.isnan(rejection_rate(rare, reading, noise(reading, 0), seed=0))


@pytest.mark.parametrize(("documents", "smallest"), [(4, 1 / 24), (6, 1 / 720), (30, 1 / 1000)])
def test_few_documents_leave_no_small_p(dictionary, readings, documents, smallest):
    text = dataclasses.replace(readings["confirmation"].text, documents=torch.arange(documents))
    few = dataclasses.replace(readings["confirmation"], text=text)
    study = EnergyStudy(dictionary, {**readings, "confirmation": few}, 0)
    assert study.smallest_p == pytest.approx(smallest)


def test_where_fewer_than_twenty_qualify_the_top_is_shorter(readings):
    W_dec = torch.nn.functional.normalize(torch.randn(64, 16, generator=rng()), dim=1)
    few = Dictionary(W_dec, lambda x: torch.cat([x[:, :10].relu(), torch.zeros(len(x), 54)], 1))
    found = EnergyStudy(few, readings, 0)
    assert sorted(found.top.tolist()) == list(range(10))
    assert not found.top_p.isnan().any()


def test_a_latent_without_a_test_is_no_rejection(readings):
    reading = readings["confirmation"]
    constant = Dictionary(torch.eye(16)[:4], lambda x: torch.ones(len(x), 4))
    assert np.isnan(rejection_rate(constant, reading, reading.redrawn_gradient(rng()), 0))


def test_another_split_is_refused(study):
    with pytest.raises(InputError, match="received 'held-out'"):
        study.alignment("held-out")
