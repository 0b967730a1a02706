"""What a perfect effect scores, and chance that is no accident of one draw, by the controls of the shipped claims."""

import math
from types import SimpleNamespace

import pytest
import torch

from energylens.families.energy.cost import exponent, seconds_of_scores
from energylens.families.energy.energy_study import EnergyStudy
from energylens.families.energy.sinks import SinkStudy
from energylens.lab import TEXT_VARIANTS
from energylens.metrics.reliability import split_halves
from energylens.sae.dictionary import random_dictionary
from energylens.tests.helpers.claims import measured, shipped

GIVEN = ("pygpt-2l", "topk-late", 0)
LATENTS, DOCUMENTS = 64, 40


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def lab_with_effects(noise_variance, latents=LATENTS):
    """Effects of variance 1 over latents, every document with noise of its own; EFAS is noise, its rival the effect."""
    true = normal(latents, 1)
    by_document = true + noise_variance**0.5 * normal(latents, DOCUMENTS, seed=1)
    effects = SimpleNamespace(
        latents=torch.arange(latents),
        downstream=by_document.mean(1),
        halves=lambda seed: split_halves(by_document, 100, rng(seed)),
        **dict.fromkeys(("activity", "same_position", "efas", "first_order"), normal(latents, seed=2)),
    )
    known = SimpleNamespace(efas_all=normal(latents, seed=3), gradient_times_activation=true[:, 0])
    study = SimpleNamespace(alignment=lambda split: known)
    part = SimpleNamespace(ablation_effects=lambda *of: effects, study=lambda *of: study)
    return SimpleNamespace(energy=part)


@pytest.mark.parametrize(("noise_variance", "reliability"), [(0.0, 1.0), (40.0, 0.5), (4000.0, 0.01)])
def test_the_effect_predicts_itself_as_far_as_it_is_reliable(noise_variance, reliability):
    """EFAS is the same on both splits here, so that the noise of the effect alone limits rho: to its root."""
    lab = lab_with_effects(noise_variance, latents=1000)
    found = measured("efas.predicts-ablation", "perfect", *GIVEN, lab)
    assert found.beside["effect, reliability"] == pytest.approx(reliability, abs=0.1)
    assert found.beside["EFAS, reliability"] == pytest.approx(1)
    assert found.value == {"EFAS": pytest.approx(max(found.beside["effect, reliability"], 0) ** 0.5)}
    assert found.beside["latents"] == 1000
    explicable = measured("efas.adds", "explicable", *GIVEN, lab)
    assert explicable.value["value"] == pytest.approx(reliability, abs=0.1)


def test_an_effect_that_is_noise_is_out_of_reach():
    region = shipped()["efas.predicts-ablation"].claim.regions["EFAS"]
    values = [
        measured("efas.predicts-ablation", "perfect", *GIVEN, lab_with_effects(v)) for v in (0.0, 4000.0)
    ]
    assert [region.contains(found.value["EFAS"]) for found in values] == [True, False]


def test_efas_of_other_latents_is_a_mean_over_orders():
    """One order of 64 latents has a standard deviation of .13, the mean of 20 one of .03."""
    found = measured("efas.predicts-ablation", "shuffled", *GIVEN, lab_with_effects(40.0))
    assert abs(found.value["EFAS"]) < 0.1
    assert found.value["EFAS minus gradient x activation"] < -0.5
    assert found.beside == {"latents": LATENTS}
    again = measured("efas.predicts-ablation", "shuffled", "pygpt-2l", "topk-late", 1, lab_with_effects(40.0))
    assert again.value != found.value
    useless = measured("efas.adds", "shuffled", *GIVEN, lab_with_effects(40.0))
    assert -0.2 < useless.value["value"] < 0.02


@pytest.fixture(scope="module")
def study(readings):
    dictionary = random_dictionary(readings["discovery"].x, 64, 8, rng())
    return EnergyStudy(dictionary, readings, seed=0)


@pytest.fixture(scope="module")
def lab(study, readings):
    """A lab that hands out the study, and in its place one of other random directions where it is swapped."""

    def handing_out(one):
        return SimpleNamespace(energy=SimpleNamespace(study=lambda *of: one))

    draws = {"covariance": 1, "frozen": 2, "untrained": 3}

    def swapped(network="", dictionary=""):
        other = random_dictionary(readings["discovery"].x, 64, 8, rng(draws[network or dictionary]))
        return handing_out(EnergyStudy(other, readings, seed=0))

    found = handing_out(study)
    found.swapped = swapped
    return found


def test_a_perfect_latent_scores_what_its_formula_says(study, lab):
    """1 - r^2 = sum of squares of g where it does not fire over that of g everywhere, the better of both signs."""
    found = measured("efas.top-features", "perfect-latent", *GIVEN, lab)
    reading, scores = study.readings["confirmation"], []
    for latent in study.top.tolist():
        k = int((study.dictionary.acts(reading.x)[:, latent] != 0).sum())
        g = (reading.gradient.double() @ study.dictionary.W_dec[latent].double()).sort().values
        r = [(1 - rest.var() * (len(rest) - 1) / (g.var() * (len(g) - 1))) ** 0.5 for rest in (g[k:], g[:-k])]
        scores.append(max(map(float, r)))
    expected = float(torch.tensor(scores, dtype=torch.float64).quantile(0.5))
    assert found.value["|EFAS|"] == pytest.approx(expected, abs=1e-4)


def test_no_latent_of_the_study_does_better(study, lab):
    found = measured("efas.top-features", "perfect-latent", *GIVEN, lab)
    own = float(study.efas[study.top].abs().median())
    same_tokens = found.beside["|EFAS|, firing on the same tokens"]
    assert own < found.value["|EFAS|"]
    assert same_tokens < found.value["|EFAS|"]
    assert 0 <= found.value["significant"] <= 1
    fires = study.top_acts != 0
    assert found.beside["share of tokens it fires on"] == pytest.approx(float(fires.double().mean()))


def test_a_perfect_latent_is_significant(lab):
    assert measured("efas.top-features", "perfect-latent", *GIVEN, lab).value["significant"] > 0.8


def test_random_directions_are_compared_with_others_than_themselves(study, lab):
    """0 by construction is no chance level."""
    found = [
        measured("efas.beats-nulls", "drawn-again", "pygpt-2l", variant, 0, lab).value["random directions"]
        for variant in TEXT_VARIANTS[:2]
    ]
    assert 0 not in found
    assert found[0] != found[1]
    assert max(map(abs, found)) < 0.1


def test_features_are_compared_with_the_same_controls_as_their_null(lab):
    body = shipped()["efas.beats-nulls"].body
    own = body("pygpt-2l", "topk-late", 0, lab)
    null = measured("efas.beats-nulls", "drawn-again", *GIVEN, lab)
    controls = [name for name in own.beside if name != "median, features"]
    assert {name: own.beside[name] for name in controls} == {name: null.beside[name] for name in controls}
    assert null.series == {}
    assert set(own.series) == {"features", *own.value}


def test_latents_in_another_order_agree_with_nothing(study):
    other = SimpleNamespace(energy=SimpleNamespace(study=lambda *of: study))
    found = measured("efas.stable", "shuffled", *GIVEN, other)
    assert abs(found.value["documents"]) < 0.15
    assert found.beside["latents"] > 30


@pytest.mark.parametrize(("attention", "exists"), [(0.31, True), (0.29, False)])
def test_one_window_of_a_hundred_in_one_head_is_a_sink_that_exists(attention, exists, monkeypatch):
    declared = shipped()["energy.sinks-exist"]
    received = torch.zeros(2, 100, 3, 127)
    received[..., 0] = 0.9
    received[1, 17, 2, 30] = attention
    planted = SinkStudy(received, torch.zeros(2, 100, 127))
    monkeypatch.setitem(declared.body.__globals__, "sink_study", lambda lab, model, seed: planted)
    found = declared.body("pygpt-2l", 0, None)
    assert declared.claim.regions["value"].contains(found.value["value"]) is exists
    assert found.beside["largest attention elsewhere"] == pytest.approx(attention)
    assert found.beside["heads with one"] == exists
    assert found.beside["windows"] == 100


def test_where_there_is_no_sink_its_energy_is_undefined_and_never_0(monkeypatch):
    declared = shipped()["energy.sinks"]
    received = torch.zeros(2, 100, 3, 127)
    received[..., 0] = 0.9
    planted = SinkStudy(received, torch.zeros(2, 100, 127))
    monkeypatch.setitem(declared.body.__globals__, "sink_study", lambda lab, model, seed: planted)
    found = declared.body("pygpt-2l", 0, None)
    assert math.isnan(found.value["value"])
    assert found.note.startswith("0 of 0 sinks")


def test_the_clock_tells_squares_from_lines():
    squares, line = (exponent(seconds_of_scores(n_queries=n)) for n in (None, 128))
    assert squares > 1.5
    assert line < 1.5


def test_claims_that_were_published_on_no_network_say_so():
    families = ("efas.", "energy.", "spectral.", "ioi.", "induction.")
    claims = [each.claim for each in shipped().values() if each.claim.id.startswith(families)]
    stated = [claim for claim in claims if claim.role == "claim" and claim.stated == "as stated"]
    assert stated
    assert all(claim.published_on is not None for claim in stated)
    assert all((claim.published_on == ()) == ("Published on no network" in claim.note) for claim in stated)


def test_no_finding_is_the_gate_of_another():
    """A planted positive may be a claim; what is found on networks may not."""
    declared = shipped()
    gates = {gate.claim for each in declared.values() for gate in each.claim.gates}
    assert {gate for gate in gates if declared[gate].claim.role != "gate"} <= {"stability.planted"}


def test_what_is_undefined_is_found_by_another_claim():
    undefined = {id: each.claim.undefined_is for id, each in shipped().items() if each.claim.undefined_is}
    assert undefined["energy.sinks"] == "energy.sinks-exist"
    assert undefined["spectral.unstable-matter"] == "spectral.threshold-splits"
    assert undefined["spectral.threshold-transfers"] == "spectral.separates"
    of_key_frequencies = {id for id, where in undefined.items() if where == "fourier.key-frequencies"}
    assert of_key_frequencies == {
        f"fourier.{name}" for name in ("grokked-circuit", "logits", "causal", "sets-differ")
    }
    assert set(undefined.values()) <= set(shipped())
