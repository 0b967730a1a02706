"""What the lab hands out of one checkpoint, of several, and of networks that are no user's."""

import hashlib

import pytest
import torch

from energylens import Unavailable
from energylens.families.spectral.head_prompts import head_prompts
from energylens.lab import WIRED, Lab
from energylens.models.checkpoint import export_checkpoint, match_checkpoints
from energylens.models.samples import sample_of, sampled
from energylens.models.tasks import Induction
from energylens.store import Store
from energylens.tests.models.helpers import HONEST, network

TASK = Induction(d_vocab=20, n_ctx=24, min_period=6, max_period=10, n_test=8)

WIRED_PROMPTS = {
    0: "7bee1d5bc5b33d23ab8b92a3ff55c4c6ff19c1c6ae4a75d3c09ac4536681a2b0",
    1: "5a22f05bd0f76faaf85fd74819628046b097f787d4e4750443bb8d1c242299ac",
}
"""sha256 of the prompts of a network that is no user's, by seed, as they were before single networks had samples."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One network, several, and one that adds."""
    folder = tmp_path_factory.mktemp("runs")
    export_checkpoint(network(TASK, 0, n_layers=2), folder / "one" / "a")
    for seed in range(2):
        export_checkpoint(network(TASK, seed, n_layers=2), folder / "several" / str(seed))
    export_checkpoint(network(HONEST), folder / "adds" / "a")
    matched = [match_checkpoints(f"{name}={folder}/{name}/*") for name in ("one", "several", "adds")]
    return Lab(Store(str(folder / "store")), {name: tuple(recipes) for name, recipes in matched})


def test_seeds_of_one_network_are_samples_of_its_data(lab):
    first, second = lab.spectral.heads("one", 0), lab.spectral.heads("one", 1)
    assert lab.recipe("one", 0) == lab.recipe("one", 4)
    assert lab.swapped(network="untrained").recipe("one", 0) == lab.swapped(network="untrained").recipe(
        "one", 4
    )
    assert first.network.bridge is second.network.bridge
    assert not set(map(tuple, first.prompts.clean.tolist())) & set(map(tuple, second.prompts.clean.tolist()))
    assert not torch.equal(first.damage, second.damage)
    assert lab.spectral.heads("one", 0) is first


def test_a_single_network_is_handed_out_with_the_inputs_of_a_sample(lab):
    """By chance alone two draws of prompts seldom meet: that they are of disjoint samples is another thing."""
    assert [lab.network("one", seed).task for seed in range(5)] == [sampled(TASK, seed) for seed in range(5)]
    for seed in range(2):
        assert sample_of(lab.spectral.heads("one", seed).prompts.clean, TASK.samples).unique().tolist() == [
            seed
        ]


def test_seeds_of_several_networks_are_the_networks(lab):
    assert lab.recipe("several", 0) != lab.recipe("several", 1)
    assert type(lab.network("several", 1).task) is Induction
    assert lab.seeds("several", range(5)) == [0, 1]


def test_one_network_is_compared_with_no_other(lab):
    with pytest.raises(Unavailable, match="asks for several networks; one was given"):
        lab.seeds("one", range(5))
    assert lab.seeds(WIRED, range(5)) == [0, 1, 2, 3, 4]


def test_of_a_network_whose_inputs_are_all_measured_there_is_one_sample(lab):
    assert lab.network("adds").task == HONEST
    assert lab.fourier.grid("adds", 0).logits.shape == (49, 7)
    assert set(lab.fourier.leak_rates("adds")) == {"leak at ="}


@pytest.mark.parametrize("seed", WIRED_PROMPTS)
def test_prompts_of_other_networks_are_what_they_were(lab, seed):
    other = lab.network(WIRED, seed)
    prompts = head_prompts(other, seed, n=32)
    assert type(other.task) is Induction
    both = torch.cat([prompts.clean, prompts.corrupted]).to(torch.int64).numpy()
    assert hashlib.sha256(both.tobytes()).hexdigest() == WIRED_PROMPTS[seed]
