"""What importance says of itself, and what claims take for their ceilings and for chance."""

import math
from types import SimpleNamespace

import pytest
import torch

from energylens.families.spectral.head_prompts import head_prompts
from energylens.families.spectral.head_study import SPLITS, study_heads
from energylens.families.spectral.importance import noising, noising_by_prompt
from energylens.families.spectral.importance_reliability import (
    of_importance,
    of_importance_within_layers,
    same_head_first,
)
from energylens.metrics.reliability import split_halves
from energylens.tests.helpers.claims import measured, shipped

GIVEN = ("ioi-toy", "a", 0)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def study_of(by_prompt, n_layers=2):
    """A study whose damages are planted [head, prompt]."""
    first, second = split_halves(by_prompt, SPLITS, rng())
    damage = by_prompt.mean(1).abs()
    layer = torch.arange(n_layers).repeat_interleave(len(by_prompt) // n_layers)
    return SimpleNamespace(damage_halves=(first.abs(), second.abs()), layer=layer, damage=damage)


def lab_with(*studies):
    return SimpleNamespace(
        spectral=SimpleNamespace(heads=lambda model, seed: studies[seed]),
        seeds=lambda model, seeds: range(len(studies)),
    )


@pytest.fixture
def study(random_ioi):
    return study_heads(random_ioi, 1)


def test_damage_by_prompt_is_measured_once_and_its_mean_is_the_damage(random_ioi, study):
    prompts = head_prompts(random_ioi, 1)
    by_prompt = noising_by_prompt(random_ioi, prompts)
    assert by_prompt.shape == (2, 2, len(prompts.clean))
    assert torch.equal(study.noising_by_prompt, by_prompt)
    assert torch.equal(study.noising, noising(random_ioi, prompts))
    assert torch.equal(study.noising, by_prompt.mean(-1))


def test_halves_of_the_damage_are_of_disjoint_prompts(study):
    """Where a head has damage in one prompt alone, one half at most sees it."""
    planted = torch.zeros(2, 2, 10, dtype=torch.float64)
    planted[0, 1, 3] = -5.0
    vars(study)["noising_by_prompt"] = planted
    first, second = study.damage_halves
    assert first.shape == second.shape == (SPLITS, 4)
    assert set(first[:, 1].tolist()) == set(second[:, 1].tolist()) == {0.0, 1.0}
    assert torch.equal(first[:, 1] + second[:, 1], torch.ones(SPLITS, dtype=torch.float64))
    assert torch.equal(study.damage, torch.tensor([0, 0.5, 0, 0], dtype=torch.float64))


def test_what_damage_without_noise_says_of_itself_is_everything():
    found = study_of(torch.rand(8, 1, generator=rng(), dtype=torch.float64).expand(8, 20))
    assert of_importance(found).full == pytest.approx(1)
    assert of_importance_within_layers(found).full == pytest.approx(1)
    assert same_head_first(found) == (True, 1.0)


def test_depth_alone_is_reliable_and_leaves_nothing_within_layers():
    """Layers differ by 10, heads of a layer by noise alone."""
    noise = torch.randn(200, 20, generator=rng(), dtype=torch.float64)
    found = study_of(noise + torch.tensor([20.0, 10.0]).repeat_interleave(100)[:, None])
    assert of_importance(found).full > 0.95
    assert abs(of_importance_within_layers(found).full) < 0.2
    assert same_head_first(found)[1] < 0.7


def test_a_planted_reliability_of_heads_is_found():
    true = 10 + torch.randn(400, 1, generator=rng(), dtype=torch.float64)
    noise = 20**0.5 * torch.randn(400, 20, generator=rng(1), dtype=torch.float64)
    for of in (of_importance, of_importance_within_layers):
        assert of(study_of(true + noise)).full == pytest.approx(0.5, abs=0.1)


def test_the_ceiling_stands_on_the_side_of_the_claims_region():
    found = study_of(torch.rand(8, 1, generator=rng(), dtype=torch.float64).expand(8, 20))
    for claim, points in (("spectral.gap-predicts", 8), ("spectral.gap-within-layers", 7)):
        ceiling = measured(claim, "itself", *GIVEN, lab_with(found))
        assert ceiling.value == {"value": pytest.approx(-1)}
        assert ceiling.beside["heads"] == points
        assert ceiling.beside["r between halves"] == pytest.approx(1)
        assert shipped()[claim].claim.regions["value"].contains(ceiling.value["value"])


def test_a_noisy_importance_is_out_of_reach_of_any_gap():
    noise = torch.randn(8, 20, generator=rng(), dtype=torch.float64)
    ceiling = measured("spectral.gap-predicts", "itself", *GIVEN, lab_with(study_of(noise)))
    assert ceiling.value["value"] > -0.7


def test_the_ceiling_of_the_weakest_link_is_a_hit_or_none():
    planted = torch.zeros(8, 20, dtype=torch.float64)
    planted[5] = 1.0
    found = measured("spectral.weakest-link", "itself", *GIVEN, lab_with(study_of(planted)))
    assert found.value == {"value": 1.0}
    planted += 2 * torch.randn(8, 20, generator=rng(), dtype=torch.float64)
    shares = measured("spectral.weakest-link", "itself", *GIVEN, lab_with(study_of(planted)))
    assert shares.value["value"] in (0.0, 1.0)
    assert 0 < shares.beside["share of 100 splits"] < 1


def test_importance_adds_to_what_is_known_of_heads_as_far_as_it_is_reliable(random_ioi):
    """Known are layer, norm and entropy, none of which says anything here."""

    def networks(noise):
        for seed in range(3):
            true = torch.randn(40, 1, generator=rng(seed), dtype=torch.float64).abs()
            each = study_of(true + noise * torch.randn(40, 20, generator=rng(seed + 9), dtype=torch.float64))
            constant = torch.ones(40, dtype=torch.float64)
            each.gaps = SimpleNamespace(ov_norm=constant, entropy=constant)
            yield each

    exact, noisy = (
        measured("spectral.adds", "itself", *GIVEN, lab_with(*networks(noise))).value["value"]
        for noise in (0.0, 20.0)
    )
    assert exact == pytest.approx(1, abs=0.05)
    assert 0.1 < noisy < 0.4  # half of the noise is in both: r of absolute values .46


def test_chance_is_the_expectation_over_all_heads(study):
    """2 layers of 2 heads."""
    for variant in ("a", "b"):
        given = ("ioi-toy", variant, 0, lab_with(study))
        assert measured("spectral.weakest-link", "random-head", *given).value == {"value": 1 / 4}
        assert measured("spectral.weakest-link", "random-in-layer", *given).value == {"value": 1 / 2}
    nulls = {null.name: null.exact for null in shipped()["spectral.weakest-link"].claim.nulls}
    assert nulls == {"random-head": True, "random-in-layer": True, "untrained": False}


def test_chance_within_layers_is_no_correlation():
    generator, layer = rng(), torch.arange(2).repeat_interleave(20)
    gap, damage = (torch.rand(40, generator=generator, dtype=torch.float64) for _ in range(2))

    def shuffled(values):
        from energylens.metrics.association import permuted_within

        return values[permuted_within(layer, rng(), 200)]

    study = SimpleNamespace(layer=layer, damage=damage, shuffled=shuffled, gap=lambda name: gap)
    found = measured("spectral.gap-within-layers", "shuffled", *GIVEN, lab_with(study))
    assert abs(found.value["value"]) < 0.05
    assert found.beside == {"heads": 39}


def test_what_depth_alone_gives_is_the_mean_over_the_shuffles():
    """Two orders: heads as they are, and with the two halves exchanged."""
    gap = torch.tensor([0.1, 0.2, 0.9, 0.95], dtype=torch.float64)
    damage = torch.tensor([9.0, 3.0, 1.0, 1.0], dtype=torch.float64)
    orders = torch.tensor([[0, 1, 2, 3], [0, 2, 1, 3]])
    study = SimpleNamespace(
        gap=lambda name: gap, damage=damage, layer=torch.zeros(4), shuffled=lambda values: values[orders],
        over_shuffles=lambda of: [of(rows) for rows in orders],
    )  # fmt: skip
    r = measured("spectral.gap-predicts", "depth-alone", "ioi-toy", "a", 0, lab_with(study))
    by_hand = [float(torch.corrcoef(torch.stack([gap, damage[rows]]))[0, 1]) for rows in orders]
    assert r.value["value"] == pytest.approx(sum(by_hand) / 2)
    ratios = measured("spectral.unstable-matter", "depth-alone", "ioi-toy", 0, lab_with(study))
    assert ratios.value["value"] == pytest.approx((6 / 1 * 5 / 2) ** 0.5)
    areas = measured("spectral.separates", "depth-alone", "ioi-toy", 0, lab_with(study))
    # Only the first head matters (damage above the mean of 3.5): it has the smallest gap in both orders.
    assert areas.value["value"] == 1.0
    damage[:] = torch.tensor([9.0, 8.0, 1.0, 1.0])
    areas = measured("spectral.separates", "depth-alone", "ioi-toy", 0, lab_with(study))
    assert areas.value["value"] == pytest.approx((1 + 3 / 4) / 2)


@pytest.mark.parametrize("gap", [0.1, 0.9])
def test_where_no_head_lies_on_one_side_the_ratio_is_undefined_and_says_why(gap, study):
    """So it is where the heads of one side do no damage: such a ratio has no logarithm."""
    declared = shipped()["spectral.unstable-matter"]
    gaps = SimpleNamespace(published=torch.full((2, 2), gap))
    one_sided = SimpleNamespace(gap=lambda name: torch.full((4,), gap), damage=study.damage, gaps=gaps)
    found = declared.body("ioi-toy", 0, lab_with(one_sided))
    assert math.isnan(found.value["value"])
    idle = torch.tensor([0.0, 1.0]) if gap < 0.5 else torch.tensor([1.0, 0.0])
    assert math.isnan(declared.body.__globals__["ratio"](torch.tensor([0.1, 0.9]), idle))
    assert found.note.endswith("head has a gap of at most .77")


def test_the_smaller_side_of_the_threshold():
    smaller_side = shipped()["spectral.threshold-splits"].body.__globals__["smaller_side"]
    gaps = torch.tensor([0.1, 0.77, 0.78, 0.9, 0.95, 0.96, 0.97, 0.98])
    assert smaller_side(gaps) == pytest.approx(2 / 8)
    assert smaller_side(1 - gaps) == pytest.approx(1 / 8)
    assert smaller_side(torch.full((4,), 0.5)) == 0
    assert math.isnan(smaller_side(torch.tensor([0.1, torch.nan, 0.9, 0.9])))
    assert math.isnan(smaller_side(torch.full((4,), torch.nan)))


def test_one_of_eight_heads_is_enough_of_a_side(study):
    declared = shipped()["spectral.threshold-splits"]
    found = declared.body("ioi-toy", 0, lab_with(study))
    share = float((study.gap("a") <= 0.77).double().mean())
    assert found.value == {"value": min(share, 1 - share)}
    assert found.beside["share of unstable heads"] == share
    assert declared.claim.regions["value"].contains(1 / 8)
    assert not declared.claim.regions["value"].contains(0.0)


def test_eight_networks_where_they_are_cheap():
    declared = shipped()["spectral.weakest-link"].claim
    assert declared.seeds_of("ioi-toy") == tuple(range(8))
    assert declared.seeds_of("pygpt-2l") == tuple(range(5))
