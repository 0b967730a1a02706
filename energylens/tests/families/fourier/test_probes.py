import math

import pytest
import torch

from energylens.families.fourier.probes import accuracies, leak_rates
from energylens.models.network import Network
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork
from energylens.models.tasks import ModularAddition
from energylens.sae.planted import PlantedDictionary
from energylens.store import no_progress

LEAKY = ModularAddition(p=7, prompt=("BOS", "a", "+", "b", "=", "c", "EOS"), readout=-2)
HONEST = ModularAddition(p=7)


def recipe(task, steps):
    small = ModelConfig.for_task(
        task, n_layers=1, d_model=32, n_heads=2, d_head=16, d_mlp=32, normalization_type="LN"
    )
    settings = Optimiser(lr=1e-2, weight_decay=0.0)
    return TrainNetwork("tiny", task, small, settings, train_fraction=0.6, steps=steps, batch=None, seed=0)


@pytest.fixture(scope="module")
def trained():
    found = {task: recipe(task, steps=120) for task in (LEAKY, HONEST)}
    return {task: (Network.from_artifact(r.build([], no_progress)), r) for task, r in found.items()}


def test_a_network_that_copies_its_label_follows_every_swap(trained):
    rates = leak_rates(trained[LEAKY][0], torch.Generator().manual_seed(0))
    assert set(rates) == {"leak at BOS", "leak at +", "leak at =", "leak at c", "leak at EOS"}
    assert rates["leak at c"] > 0.9
    assert rates["leak at EOS"] == 0  # comes after the readout of a causal network


def test_an_honest_network_does_not(trained):
    rates = leak_rates(trained[HONEST][0], torch.Generator().manual_seed(0))
    assert set(rates) == {"leak at ="}
    assert rates["leak at ="] < 0.3


def test_accuracies_are_those_of_the_recipes_split(trained):
    network, made_by = trained[HONEST]
    train, test = accuracies(network.logits(), network.task, made_by)
    assert train == 1.0
    assert test < 0.9
    examples = HONEST.split(made_by.train_fraction, made_by.seed)[1]
    slow = (network.logits(examples.tokens).argmax(-1) == examples.targets).float().mean().item()
    assert test == pytest.approx(slow)


def test_an_unknown_split_is_scored_on_all_pairs(trained):
    network, _ = trained[HONEST]
    train, everything = accuracies(network.logits(), network.task, PlantedDictionary())
    assert math.isnan(train)
    assert everything == pytest.approx(network.accuracy())
