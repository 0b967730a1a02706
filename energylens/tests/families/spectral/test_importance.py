import dataclasses

import pytest
import torch

from energylens.errors import InputError
from energylens.families.spectral.competence import competence
from energylens.families.spectral.head_prompts import head_prompts, induction_prompts
from energylens.families.spectral.head_study import study_heads
from energylens.families.spectral.importance import (
    alternatives,
    attribution,
    denoising,
    difference,
    mean_ablation,
    noising,
)
from energylens.families.spectral.induction_scores import induction_scores, over_training, repeat_loss_nats
from energylens.interventions import NextTokenLoss, patch_heads
from energylens.models.network import Network
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork
from energylens.models.tasks import Induction
from energylens.models.train import train
from energylens.store.recipe import no_progress
from energylens.tests.models import helpers as tiny


def test_the_two_wired_heads_do_all_the_damage(wired, circuit):
    prompts = induction_prompts(wired, 0, 16)
    whole = patch_heads(wired.bridge, prompts.clean, prompts.corrupted, prompts.metric)
    for measure in (noising, denoising, mean_ablation):
        table = measure(wired, prompts)
        by_damage = [divmod(i, 4) for i in table.flatten().argsort(descending=True).tolist()]
        assert set(by_damage[:2]) == circuit
        assert float(table.flatten().sort().values[-3]) < 0.01 * float(table.max())
    for head in circuit:
        lost = float((whole.clean - whole.corrupted).mean())
        assert float(noising(wired, prompts)[head]) == pytest.approx(lost, rel=0.02)


def test_a_corruption_of_the_copied_token_does_not_see_the_previous_token_head(wired, circuit):
    found = noising(wired, induction_prompts(wired, 0, 16, corrupt="value")).abs()
    first, second = sorted(circuit)
    assert found[first] < 1e-3 * found[second]


def test_damage_is_positive_for_a_loss_too(wired):
    """The sign of a metric that rises when a network gets worse is turned."""
    prompts = induction_prompts(wired, 0, 8)
    pos, answer = prompts.metric.pos, prompts.metric.correct
    targets = torch.full_like(prompts.clean, -100).scatter(1, pos[:, None], answer[:, None])
    loss = dataclasses.replace(prompts, metric=NextTokenLoss(targets), sign=-1)
    assert noising(wired, loss).max() > 1
    assert mean_ablation(wired, loss).max() > 1


def test_text_has_no_clean_answer_to_denoise_towards(text_network):
    network, _ = text_network
    prompts = head_prompts(network, 0, n=4)
    assert denoising(network, prompts).isnan().all()
    assert noising(network, prompts).isfinite().all()


def test_attribution_follows_the_exact_damage_where_the_corruption_is_small(random_ioi):
    prompts = head_prompts(random_ioi, 0, n=8)
    exact, estimate = noising(random_ioi, prompts), attribution(random_ioi, prompts, steps=8)
    assert estimate.shape == exact.shape == (2, 2)
    assert torch.corrcoef(torch.stack([exact.flatten(), estimate.flatten()]))[0, 1] > 0.9


def test_a_study_is_one_row_per_head_layer_by_layer(random_ioi):
    study = study_heads(random_ioi, 1)
    assert study.layer.tolist() == [0, 0, 1, 1]
    assert study.damage.shape == study.gap("b").shape == (4,)
    assert torch.equal(study.damage.reshape(2, 2), study.noising.abs())
    assert study.noising is study.noising
    rows = study.shuffles(n=20)
    assert torch.equal(study.layer[rows], study.layer.expand(20, -1))
    assert not torch.equal(rows, torch.arange(4).expand(20, -1))


def test_alternatives_are_the_single_measures(random_ioi):
    prompts = head_prompts(random_ioi, 0, n=6)
    found = alternatives(random_ioi, prompts, steps=3)
    for name, measure in (
        ("denoising", denoising),
        ("mean_ablation", mean_ablation),
        ("difference", difference),
    ):
        assert torch.equal(getattr(found, name), measure(random_ioi, prompts)), name
    assert torch.equal(found.gradient, attribution(random_ioi, prompts, steps=1))
    assert torch.equal(found.integrated, attribution(random_ioi, prompts, steps=3))


def test_the_difference_is_that_of_z_over_real_positions(random_ioi):
    prompts = head_prompts(random_ioi, 0, n=6)
    name = "blocks.1.attn.hook_z"
    clean, corrupted = (
        random_ioi.run([name], side, pos=slice(None))[name] for side in (prompts.clean, prompts.corrupted)
    )
    norms = [
        (after - before)[real][:, 1].double().norm()
        for after, before, real in zip(corrupted, clean, prompts.real, strict=True)
    ]
    assert float(difference(random_ioi, prompts)[1, 1]) == pytest.approx(
        float(torch.stack(norms).mean()), rel=1e-5
    )


def test_competence_tells_a_wired_network_from_a_random_one(wired, random_induction, random_ioi):
    assert competence(wired)[0] == pytest.approx(1 / 0.9)
    assert competence(random_induction)[0] < 0.5
    assert competence(random_ioi)[0] < 1


def test_tasks_without_prompts_are_refused():
    network = tiny.network()
    with pytest.raises(InputError, match="'modadd'"):
        head_prompts(network, 0)
    with pytest.raises(InputError, match="'modadd'"):
        competence(network)


def test_the_wired_induction_head_scores_one_and_its_loss_is_small(wired, circuit):
    scores = induction_scores(wired, 0, 16)
    assert divmod(int(scores.argmax()), 4) == max(circuit)
    assert scores.max() > 0.95
    assert repeat_loss_nats(wired, 0, 16) < 0.01


def test_series_over_training_follow_the_snapshots():
    task = Induction(d_vocab=20, n_ctx=24, min_period=6, max_period=10, n_test=8)
    config = ModelConfig.for_task(task, n_layers=2, d_model=16, n_heads=2, d_head=8, attn_only=True)
    recipe = TrainNetwork("tiny", task, config, Optimiser(), 1.0, 6, 8, 0, snapshots=(0, 3, 6))
    artifact = train(recipe, None, no_progress)
    final = Network.from_artifact(artifact)
    weights = {
        step: one.bridge.state_dict()["embed.weight"].clone()
        for step, one in Network.snapshots_from(artifact)
    }
    assert list(weights) == [0, 3, 6]
    assert torch.equal(weights[6], final.bridge.state_dict()["embed.weight"])
    assert not torch.equal(weights[0], weights[3])
    series = over_training(Network.snapshots_from(artifact), final, 0)
    assert series["step"] == [0, 3, 6]
    assert {len(values) for values in series.values()} == {3}
    assert series["repeat loss, nats"][2] == pytest.approx(repeat_loss_nats(final, 0, 32))
    assert over_training([], final, 0) == {}


def test_over_shuffles_asks_once_per_row_of_the_shuffles(random_ioi):
    study = study_heads(random_ioi, 1)
    found = study.over_shuffles(lambda rows: float(study.damage[rows][0]))
    assert found == [float(study.damage[rows][0]) for rows in study.shuffles()]
    assert set(found) == set(study.damage[:2].tolist())
