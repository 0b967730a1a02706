import dataclasses

import pytest
import torch

from energylens.errors import InputError
from energylens.models.network import Network
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork
from energylens.models.tasks import ModularAddition
from energylens.sae.activations import activations, split
from energylens.sae.planted import PlantedDictionary
from energylens.sae.recipe import TrainSAEs
from energylens.sae.sae import SAEs
from energylens.sae.variants import TopK
from energylens.store import Artifact, no_progress
from energylens.tests.sae.helpers import mixture

TASK = ModularAddition(p=7)
NETWORK = TrainNetwork(
    name="tiny",
    task=TASK,
    config=ModelConfig.for_task(TASK, n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=32),
    optimiser=Optimiser(),
    train_fraction=0.5,
    steps=0,
    batch=None,
    seed=0,
)
RECIPE = TrainSAEs(
    NETWORK, variant=TopK(2), d_sae=20, steps=30, batch=16, seeds=(1, 2), n_heldout=9, autocast="fp32"
)
PLANTED = TrainSAEs(PlantedDictionary(), n_heldout=100)


@pytest.fixture(scope="module")
def artifact():
    return NETWORK.build([], no_progress)


def test_the_default_is_the_last_resid_post_at_the_readout(artifact):
    x = activations(artifact, RECIPE)
    hook_name = "blocks.1.hook_resid_post"
    network = Network.from_artifact(artifact)
    assert x.shape == (49, 16)
    assert torch.equal(x, network.run([hook_name], pos=slice(None))[hook_name][:, -1])
    earlier = activations(artifact, dataclasses.replace(RECIPE, hook_name="blocks.0.hook_resid_post"))
    assert not torch.allclose(x, earlier)


def test_an_unknown_hook_is_refused(artifact):
    with pytest.raises(InputError, match=r"blocks\.9\.hook_resid_post"):
        activations(artifact, dataclasses.replace(RECIPE, hook_name="blocks.9.hook_resid_post"))


def test_saes_are_trained_on_an_untrained_network(artifact):
    saes = SAEs.from_artifact(RECIPE.build([artifact], no_progress))
    assert saes.decoder(1).shape == (20, 16)
    assert all(value <= 1 for value in saes.meta["explained_variance"])


def test_planted_data_have_no_hooks():
    source = Artifact({"x": mixture(n=500).numpy()})
    assert activations(source, PLANTED).shape == (500, 16)
    with pytest.raises(InputError, match="no hook 'blocks"):
        activations(source, dataclasses.replace(PLANTED, hook_name="blocks.0.hook_resid_post"))


def test_held_out_rows_are_not_trained_on_and_must_leave_some():
    x = mixture(n=500)
    train_x, heldout_x = split(x, PLANTED)
    assert len(train_x) == 400
    assert torch.equal(torch.cat([train_x, heldout_x]).sort(0).values, x.sort(0).values)
    assert torch.equal(split(x, PLANTED)[1], heldout_x)
    with pytest.raises(InputError, match="500 held-out activations of 500"):
        split(x, dataclasses.replace(PLANTED, n_heldout=500))
