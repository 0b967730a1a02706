import pytest
import torch

from energylens.families.fourier.probes import accuracies
from energylens.lab import Lab
from energylens.models.checkpoint import export_checkpoint, match_checkpoints
from energylens.store import Store
from energylens.tests.models import helpers as tiny

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def networks():
    return {seed: tiny.network(tiny.LEAKY, seed, steps=60) for seed in SEEDS}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, networks):
    """A lab with two checkpoints of small networks that add."""
    folder = tmp_path_factory.mktemp("lab")
    for seed, network in networks.items():
        export_checkpoint(network, folder / f"mine-{seed}")
    name, found = match_checkpoints(f"mine={folder}/mine-*")
    return Lab(Store(folder / "store"), {name: tuple(found)})


@pytest.mark.parametrize("seed", SEEDS)
def test_the_grid_is_what_the_network_computes_on_all_pairs_in_order(lab, networks, seed):
    grid, p = lab.fourier.grid("mine", seed), tiny.LEAKY.p
    found = networks[seed].run(["unembed.hook_out", "blocks.0.mlp.hook_post"])
    torch.testing.assert_close(grid.logits, found["unembed.hook_out"][:, :p])
    torch.testing.assert_close(grid.neurons, found["blocks.0.mlp.hook_post"])
    assert grid.logits.shape == (p * p, p)
    assert lab.fourier.grid("mine", seed) is grid
    assert lab.fourier.grid("mine", 1 - seed) is not grid


def test_accuracies_are_those_of_its_network(lab):
    for seed in SEEDS:
        task, recipe = lab.network("mine", seed).modadd, lab.recipe("mine", seed)
        expected = accuracies(lab.fourier.grid("mine", seed).logits, task, recipe)
        assert lab.fourier.accuracies("mine", seed) == pytest.approx(expected, nan_ok=True)
        assert expected[1] > 0.3


def test_leaks_are_probed_on_its_network_and_remembered(lab):
    found = lab.fourier.leak_rates("mine", 0)
    assert set(found) == {"leak at BOS", "leak at +", "leak at =", "leak at c", "leak at EOS"}
    assert lab.fourier.leak_rates("mine", 0) is found
    assert lab.fourier.leak_rates("mine", 1) is not found
