"""The network is the unit: every network has its own SAEs, and what is said of them is one number per network."""

from itertools import combinations, product
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import pytest
import torch

from energylens.families.fourier import as_published
from energylens.families.fourier.lab import FourierPart
from energylens.families.stability.lab import StabilityPart
from energylens.harness.declare.catalogue import load_claims
from energylens.harness.declare.statistic import Mean, Pairs
from energylens.harness.judge import judge
from energylens.lab import PLANTED, SAE_KINDS, SAE_SEEDS, TEXT_VARIANTS, Lab, needs_saes, sae_seeds
from energylens.lab.saes import SAEPart
from energylens.metrics import stability
from energylens.metrics.reconstruction import dead_fraction, explained_variance, l0
from energylens.models.zoo import zoo
from energylens.sae.activations import split
from energylens.sae.planted import PlantedDictionary
from energylens.stats import t_interval
from energylens.store import Artifact, Store, key_of

CLAIMS = Path(__file__).parents[3] / "claims"
MODEL = "modadd-leaky"
NETWORKS = range(5)

needs_claims = pytest.mark.skipif(not CLAIMS.is_dir(), reason="an installed copy has no claims")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def stored(W_dec, b_dec=None, seed=0):
    """An artifact of SAEs with these decoders [n_seeds d_sae d_in], which started from the reversed rows."""
    b_dec = torch.zeros(W_dec.shape[0], W_dec.shape[2]) if b_dec is None else b_dec
    tensors = {
        "W_enc": W_dec.mT,
        "b_enc": torch.zeros(W_dec.shape[:2]),
        "W_dec": W_dec,
        "b_dec": b_dec,
        "W_dec_init": W_dec.flip(2),
    }
    arrays = {name: tensor.float().contiguous().numpy() for name, tensor in tensors.items()}
    return Artifact(arrays, {"seeds": list(sae_seeds(seed)), "method": {"name": "relu"}})


def with_cosines(*cosines):
    """Three dictionaries of one direction each; their pairs, in order, have these cosines."""
    gram = torch.eye(3, dtype=torch.float64)
    for (i, j), cosine in zip(combinations(range(3), 2), cosines, strict=True):
        gram[i, j] = gram[j, i] = cosine
    return torch.linalg.cholesky(gram).unsqueeze(1)


@pytest.fixture
def lab(tmp_path):
    return Lab(Store(tmp_path))


@pytest.fixture
def planted(tmp_path):
    """A lab with samples of two planted dictionaries, and SAEs of every kind on them, each different."""
    lab = Lab(Store(tmp_path))
    for seed in (0, 1):
        atoms = torch.randn(4, 3, generator=rng(seed))
        x = torch.randn(2100, 3, generator=rng(seed + 7)) @ torch.diag(torch.tensor([3.0, 1.0, 0.1 + seed]))
        lab.store.put(
            PlantedDictionary(seed=seed), Artifact({"x": x.numpy(), "dictionary": atoms.numpy()}, {})
        )
        for i, kind in enumerate(SAE_KINDS):
            drawn = rng(10 * seed + i)
            W_dec = torch.nn.functional.normalize(torch.randn(3, 5, 3, generator=drawn), dim=-1)
            saes = stored(W_dec, torch.randn(3, 3, generator=drawn), seed)
            lab.store.put(lab.sae.recipe(PLANTED, kind, seed), saes)
    return lab


@pytest.mark.parametrize(
    ("model", "network"),
    [*product(("modadd-1l", "modadd-leaky"), ("trained", "untrained")), (PLANTED, "trained")],
)
@pytest.mark.parametrize("dictionary", ["trained", "frozen"])
def test_every_network_has_saes_of_its_own(lab, model, network, dictionary):
    used = lab.swapped(network=network, dictionary=dictionary)
    recipes = [used.sae.recipe(model, kind, seed) for kind, seed in product(SAE_KINDS, NETWORKS)]
    assert len({key_of(recipe) for recipe in recipes}) == len(SAE_KINDS) * len(NETWORKS)
    assert {recipe.seeds for recipe in recipes} == {sae_seeds(seed) for seed in NETWORKS}
    assert sae_seeds(0) == SAE_SEEDS == (42, 123, 456)
    assert len({each for seed in NETWORKS for each in sae_seeds(seed)}) == 3 * len(NETWORKS)
    assert {recipe.decoder for recipe in recipes} == {dictionary}
    sources = [recipe.source for recipe in recipes]
    assert sources == [used.recipe(model, seed) for seed in NETWORKS] * len(SAE_KINDS)


def test_the_source_of_seed_n_is_network_n(lab):
    assert lab.sae.recipe(MODEL, "topk", 3).source == zoo(MODEL, 3)
    assert lab.sae.recipe(PLANTED, "topk", 3).source == PlantedDictionary(seed=3)
    assert needs_saes("topk", "relu")(lab, MODEL, "", 2) == [
        lab.sae.recipe(MODEL, kind, 2) for kind in ("topk", "relu")
    ]
    assert needs_saes()(lab, MODEL, "relu-matched", 4) == [lab.sae.recipe(MODEL, "relu-matched", 4)]


def test_what_is_remembered_of_one_network_is_not_told_of_another(planted):
    for seed in (0, 1, 0):
        atoms = planted.store.get(PlantedDictionary(seed=seed)).tensors
        assert planted.stability.planted_atoms(PLANTED, seed).tolist() == atoms["dictionary"].tolist()
        assert planted.sae.activations(PLANTED, seed).tolist() == atoms["x"].tolist()
        for kind in SAE_KINDS:
            W_dec = planted.store.get(planted.sae.recipe(PLANTED, kind, seed)).tensors["W_dec"]
            assert [each.tolist() for each in planted.sae.decoders(PLANTED, kind, seed)] == W_dec.tolist()


@pytest.mark.parametrize("dictionary", ["isotropic", "covariance", "initial"])
def test_no_two_saes_share_what_stands_in_for_them(planted, dictionary):
    swapped = planted.swapped(dictionary=dictionary)
    drawn = {
        (kind, seed, sae_seed): swapped.sae.decoder(PLANTED, kind, seed, sae_seed)
        for kind, seed in product(SAE_KINDS, (0, 1))
        for sae_seed in sae_seeds(seed)
    }
    assert len({each.numpy().tobytes() for each in drawn.values()}) == len(drawn)
    for (kind, seed, sae_seed), each in drawn.items():
        assert each.shape == (5, 3)
        assert torch.equal(each, swapped.sae.decoder(PLANTED, kind, seed, sae_seed))


def test_how_saes_came_out_is_the_mean_over_those_of_the_network(planted, monkeypatch):
    monkeypatch.setattr(
        FourierPart, "leak_rates", lambda part, model, seed: {"at =": 0.1 * seed, "at c": 0.0}
    )
    for seed in (0, 1):
        saes = planted.sae.trained(PLANTED, "relu", seed)
        x = planted.sae.activations(PLANTED, seed)
        train, held_out = split(x, planted.sae.recipe(PLANTED, "relu", seed))
        by_sae = [explained_variance(held_out, saes.reconstruct(held_out, each)) for each in saes.seeds]
        found = planted.stability.setting(PLANTED, "relu", seed)
        assert len(set(by_sae)) == 3
        assert planted.sae.explained_variance(PLANTED, "relu", seed) == pytest.approx(sum(by_sae) / 3)
        assert found == pytest.approx(
            {
                "explained variance": sum(by_sae) / 3,
                "L0": fmean(l0(saes.encode(held_out, each)) for each in saes.seeds),
                "dead latents": fmean(dead_fraction(saes.encode(train, each)) for each in saes.seeds),
                "effective rank of activations": stability.effective_rank(x),
                "leak rate": 0.1 * seed,
            }
        )


# What claims say of them


def judged(folder, claim_id, cosines_by_kind, monkeypatch):
    """A claim's five measurements, and the verdict, where SAEs of network n have the n-th cosines."""
    monkeypatch.setattr(StabilityPart, "setting", lambda *of: {})
    lab = Lab(Store(folder))
    for kind, by_network in cosines_by_kind.items():
        for seed, cosines in zip(NETWORKS, by_network, strict=True):
            lab.store.put(lab.sae.recipe(MODEL, kind, seed), stored(with_cosines(*cosines), seed=seed))
    declared = load_claims(CLAIMS)[claim_id]
    measured = {seed: declared.body(model=MODEL, seed=seed, lab=lab) for seed in NETWORKS}
    return measured, judge(declared.claim, MODEL, "", measured, {}, (), False)


LEVELS = [0.298, 0.300, 0.301, 0.303, 0.304]
ALIKE = [(level, level, level) for level in LEVELS]
APART = [(level - 0.15, level + 0.2, level - 0.05) for level in LEVELS]


@needs_claims
@pytest.mark.parametrize("kind", ["topk", "relu"])
def test_pwmcc_of_a_network_is_the_mean_over_its_three_pairs(tmp_path, kind, monkeypatch):
    measured, _ = judged(tmp_path, f"stability.pwmcc-level.{kind}", {kind: APART}, monkeypatch)
    for seed, cosines in zip(NETWORKS, APART, strict=True):
        assert measured[seed].value["value"] == pytest.approx(sum(cosines) / 3, abs=1e-6)
        assert measured[seed].beside["largest minus smallest pair"] == pytest.approx(0.35, abs=1e-6)


@needs_claims
def test_spread_between_saes_of_a_network_does_not_enter_the_interval(tmp_path, monkeypatch):
    found = {}
    for name, cosines in (("alike", ALIKE), ("apart", APART)):
        kinds = {"topk": cosines}
        _, verdict = judged(tmp_path / name, "stability.pwmcc-level.topk", kinds, monkeypatch)
        (part,) = verdict.parts
        found[name] = (part.estimate, part.low, part.high)
        assert part.pairs is None
    expected = t_interval(LEVELS)
    assert found["alike"] == pytest.approx((expected.estimate, expected.low, expected.high), abs=1e-6)
    assert found["apart"] == pytest.approx(found["alike"], abs=1e-6)
    by_sae = t_interval([cosine for cosines in APART for cosine in cosines])
    assert by_sae.high - by_sae.low > 5 * (expected.high - expected.low)


@needs_claims
def test_kinds_are_compared_within_a_network(tmp_path, monkeypatch):
    shifted = [(a - 0.01, b - 0.02, c - 0.03) for a, b, c in APART]
    kinds = {"topk": APART, "relu": shifted}
    measured, verdict = judged(tmp_path, "stability.topk-relu-equal", kinds, monkeypatch)
    assert [each.value["value"] for each in measured.values()] == pytest.approx([0.02] * 5, abs=1e-6)
    assert verdict.parts[0].estimate == pytest.approx(0.02, abs=1e-6)


@needs_claims
def test_excess_is_taken_pair_by_pair(lab, monkeypatch):
    """Chance of a pair is that of its own two SAEs at step 0, here larger than chance in three dimensions."""
    cosines = [(0.9, 0.8, 0.85)] * 5
    for seed, each in zip(NETWORKS, cosines, strict=True):
        lab.store.put(lab.sae.recipe(MODEL, "topk", seed), stored(with_cosines(*each), seed=seed))
    body = load_claims(CLAIMS)["stability.above-chance"].body
    before = (0.75, 0.6, 0.7)
    by_hand = [(m - m0) / (1 - m0) for m, m0 in zip(cosines[0], before, strict=True)]
    monkeypatch.setattr(
        "energylens.sae.sae.SAEs.initial_decoder",
        lambda saes, seed: with_cosines(*before)[saes.seeds.index(seed)].float(),
    )
    assert body(model=MODEL, variant="topk", seed=2, lab=lab).value["value"] == pytest.approx(
        sum(by_hand) / 3, abs=1e-5
    )


@needs_claims
@pytest.mark.parametrize("family", ["stability", "fourier"])
def test_the_seeds_of_a_claim_are_networks_and_it_tells_on_which_it_was_published(family):
    claims = [declared.claim for declared in load_claims(CLAIMS / family).values()]
    assert {claim.seeds for claim in claims} == {tuple(NETWORKS)}
    findings = [claim for claim in claims if claim.role == "claim"]
    assert [claim.id for claim in findings if not claim.published_on] == []
    of_saes = [claim for claim in findings if family == "stability" or "sae" in claim.id]
    assert {type(s) for claim in of_saes for s in claim.statistics.values()} == {Mean}
    nulls = [null for claim in findings for null in claim.nulls]
    assert {null.exact for null in nulls if null.name == "analytic-chance"} == {True}
    exact = {
        claim.id for claim in findings for null in claim.nulls if null.exact and null.name == "random-sets"
    }
    assert exact == ({"fourier.sets-differ"} if family == "fourier" else set())


@needs_claims
def test_claims_about_latents_on_text_take_five_networks_too():
    claims = [declared.claim for declared in load_claims(CLAIMS / "energy").values()]
    of_latents = [each for each in claims if each.variants and set(each.variants) <= set(TEXT_VARIANTS)]
    assert {claim.seeds for claim in of_latents if not claim.extends} == {tuple(NETWORKS)}
    assert not any(isinstance(s, Pairs) for claim in of_latents for s in claim.statistics.values())


BEFORE = (0.75, 0.6, 0.7)
"""Cosines of three SAEs at step 0: above the .5 that independent directions in three dimensions give."""


def trained_from(before, after, seed=0):
    """SAEs whose pairs have these cosines at step 0 and after training."""
    made = stored(with_cosines(*after), seed=seed)
    return Artifact(made.tensors | {"W_dec_init": with_cosines(*before).float().numpy()}, made.meta)


@needs_claims
def test_agreement_beside_reconstruction_is_the_mean_over_the_pairs(lab, monkeypatch):
    monkeypatch.setattr(SAEPart, "explained_variance", lambda *of: 0.95)
    lab.store.put(lab.sae.recipe(MODEL, "topk", 2), stored(with_cosines(*APART[2]), seed=2))
    found = load_claims(CLAIMS)["stability.decoupled"].body(model=MODEL, variant="topk", seed=2, lab=lab)
    assert found.value["pwmcc"] == pytest.approx(sum(APART[2]) / 3, abs=1e-6)


@needs_claims
def test_excesses_of_two_kinds_are_means_over_the_pairs(lab, monkeypatch):
    monkeypatch.setattr(StabilityPart, "setting", lambda *of: {"L0": 32.0})
    after = {"topk": (0.9, 0.8, 0.85), "relu-matched": (0.95, 0.7, 0.8)}
    for kind, cosines in after.items():
        lab.store.put(lab.sae.recipe(MODEL, kind, 2), trained_from(BEFORE, cosines, 2))
    found = load_claims(CLAIMS)["stability.topk-relu-equal.restated"].body(model=MODEL, seed=2, lab=lab)
    by_hand = {
        kind: fmean((m - m0) / (1 - m0) for m, m0 in zip(cosines, BEFORE, strict=True))
        for kind, cosines in after.items()
    }
    assert found.value["value"] == pytest.approx(by_hand["topk"] - by_hand["relu-matched"], abs=1e-5)


@needs_claims
def test_no_null_of_the_excess_is_0_by_construction(lab, monkeypatch):
    """As that of the SAEs at step 0 would be: excess is what lies above them."""
    plane = torch.randn(200, 2, generator=rng()) @ torch.randn(2, 3, generator=rng(1))
    monkeypatch.setattr(SAEPart, "activations", lambda *of: plane)
    declared = load_claims(CLAIMS)["stability.above-chance"]
    for null in declared.claim.nulls:
        swapped = lab.swapped(**null.swap)
        trained = BEFORE if swapped.dictionary == "frozen" else (0.9, 0.8, 0.85)
        swapped.store.put(swapped.sae.recipe(MODEL, "topk", 0), trained_from(BEFORE, trained))
        found = declared.body(model=MODEL, variant="topk", seed=0, lab=swapped).value["value"]
        assert abs(found) > 1e-6, null.name


@needs_claims
def test_overlap_with_waves_is_the_mean_over_the_saes(planted, monkeypatch):
    network = SimpleNamespace(modadd=SimpleNamespace(p=7))
    monkeypatch.setattr(Lab, "network", lambda *of: network)
    body, lab = load_claims(CLAIMS)["fourier.sae-overlap"].body, planted.swapped(dictionary="initial")
    overlaps = [as_published.fourier_overlap(each, 7) for each in lab.sae.decoders(PLANTED, "topk", 0)]
    assert len(set(overlaps)) == 3
    assert body(model=PLANTED, variant="topk", seed=0, lab=lab).value["value"] == pytest.approx(
        fmean(overlaps)
    )


@needs_claims
def test_shares_of_one_frequency_are_means_over_the_saes_each_rotated_its_own_way():
    """Of two directions one is a wave along a + b, the other noise."""
    measures = load_claims(CLAIMS)["fourier.sae-overlap.restated"].body.__globals__
    a, b = torch.arange(5).repeat_interleave(5), torch.arange(5).repeat(5)
    x = torch.stack([torch.cos(2 * torch.pi * (a + b) / 5), torch.randn(25, generator=rng())], dim=1)
    wave, noise = torch.eye(2).unsqueeze(1)
    found = measures["beyond_rotated"](x, [wave, noise, noise], 0)
    assert found.beside["share"] == pytest.approx(1 / 3)
    assert found.value["value"] == pytest.approx(1 / 3 - found.beside["share, rotated"])
    angles = torch.linspace(0, torch.pi / 4, 1000)
    fan = torch.stack([angles.cos(), angles.sin()], dim=1)
    rotated = [measures["rotated_share"](x, fan, n, each) for n in NETWORKS for each in sae_seeds(n)]
    assert len(set(rotated)) > 3 * len(NETWORKS) / 2
