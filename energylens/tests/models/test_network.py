from dataclasses import replace

import pytest
import torch

from energylens.errors import InputError
from energylens.models.network import Network
from energylens.models.tasks import Induction
from energylens.models.train import train
from energylens.models.transformer import Transformer
from energylens.store.recipe import no_progress
from energylens.tests.models.helpers import HONEST, LEAKY, network, recipe


@pytest.fixture(scope="module")
def two_layers():
    return network(LEAKY, n_layers=2, normalization_type="LN")


def test_logits_are_those_of_the_trained_network():
    made = recipe()
    artifact = train(made, None, no_progress)
    plain = Transformer(made.config, 0)
    plain.load_state_dict({key: torch.tensor(array) for key, array in artifact.tensors.items()})
    loaded = Network.from_artifact(artifact)
    with torch.no_grad():
        expected = plain(HONEST.inputs())[:, : HONEST.p]
    assert torch.allclose(loaded.logits(), expected, atol=1e-5)
    assert loaded.accuracy() == pytest.approx((expected.argmax(1) == HONEST.labels()).float().mean().item())
    assert (loaded.name, loaded.seed, loaded.task) == ("tiny", 0, HONEST)


def test_loading_leaves_the_global_generator_alone():
    artifact = train(recipe(), None, no_progress)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Network.from_artifact(artifact)
    assert torch.equal(torch.rand(3), expected)


def test_activations_rebuild_the_residual_stream(two_layers):
    names = ["blocks.1.hook_resid_mid", "blocks.1.hook_mlp_out", "blocks.1.hook_resid_post"]
    mid, mlp_out, post = two_layers.run(names).values()
    assert post.shape == (121, 16)
    assert torch.allclose(mid + mlp_out, post, atol=1e-5)


def test_the_batch_size_changes_nothing(two_layers):
    name = "blocks.0.mlp.hook_post"
    whole, parts = two_layers.run([name])[name], two_layers.run([name], batch=7)[name]
    assert torch.allclose(whole, parts, atol=1e-6)


def test_positions(two_layers):
    name, inputs = "blocks.1.hook_resid_post", LEAKY.inputs()[:9]
    everywhere = two_layers.run([name], inputs, pos=slice(None))[name]
    assert everywhere.shape == (9, 7, 16)
    assert torch.equal(two_layers.run([name], inputs)[name], everywhere[:, LEAKY.readout])
    assert torch.equal(two_layers.run([name], inputs, pos=1)[name], everywhere[:, 1])


def test_a_pattern_is_read_at_its_query_position(two_layers):
    name = "blocks.1.attn.hook_pattern"
    pattern = two_layers.run([name])[name]
    assert pattern.shape == (121, 2, 7)
    assert torch.allclose(pattern.sum(-1), torch.ones(121, 2), atol=1e-5)
    assert (pattern[..., -1] == 0).all()


def test_neurons_to_logits_without_a_norm():
    loaded = network()
    neurons, mid = loaded.run(["blocks.0.mlp.hook_post", "blocks.0.hook_resid_mid"]).values()
    state = loaded.bridge.state_dict()
    rest = (mid + state["blocks.0.mlp.out.bias"]) @ state["unembed.weight"].T[:, : HONEST.p]
    assert torch.allclose(neurons @ loaded.W_L() + rest, loaded.logits(), atol=1e-5)


def test_neurons_to_logits_through_the_final_norm(two_layers):
    state = two_layers.bridge.state_dict()
    state["ln_final.weight"].copy_(torch.linspace(0.5, 1.5, 16))
    names = ["blocks.1.mlp.hook_post", "ln_final.hook_scale", "blocks.1.hook_resid_post"]
    neurons, scale, post = two_layers.run(names).values()
    rest = post - neurons @ state["blocks.1.mlp.out.weight"].T
    rest = (rest - rest.mean(1, keepdim=True)) * state["ln_final.weight"] / scale + state["ln_final.bias"]
    logits = neurons @ two_layers.W_L() / scale + rest @ state["unembed.weight"].T[:, : LEAKY.p]
    assert torch.allclose(logits, two_layers.logits(), atol=1e-4)
    assert not torch.allclose(two_layers.W_L(0), two_layers.W_L(1))


def test_a_wrong_hook_name_is_answered_with_near_ones(two_layers):
    with pytest.raises(
        InputError, match=r"no hook point 'blocks.0.resid_post'; the nearest are .*hook_resid_post"
    ):
        two_layers.run(["blocks.0.resid_post"])


@pytest.mark.filterwarnings("ignore:run_with_cache")
def test_a_hook_that_never_fires_is_an_error(two_layers):
    with pytest.raises(InputError, match=r"'blocks.0.attn.hook_result' exists but does not fire in tiny"):
        two_layers.run(["blocks.0.attn.hook_result"])


def test_embedding_rows(two_layers):
    assert two_layers.W_E.shape == (LEAKY.d_vocab, two_layers.d_model)
    name = "hook_embed"
    inputs = LEAKY.inputs()
    assert torch.equal(two_layers.run([name], pos=1)[name], two_layers.W_E[inputs[:, 1]])


def test_modular_addition_is_asked_of_networks_that_add():
    task = Induction(d_vocab=9, n_ctx=12, min_period=3, max_period=5, n_test=4)
    made = recipe(n_layers=1)
    made = replace(made, task=task, config=replace(made.config, d_vocab=9, n_ctx=12, attn_only=True), steps=2)
    found = Network.from_artifact(train(made, None, no_progress))
    for ask in (found.logits, found.accuracy, lambda: found.run(["hook_embed"])):
        with pytest.raises(InputError, match="'induction'"):
            ask()
    with pytest.raises(InputError, match="attn_only"):
        found.W_L()
    tokens = task.sequences(3, torch.Generator().manual_seed(0)).tokens
    hook = "blocks.0.attn.hook_z"
    assert found.run([hook], tokens)[hook].shape == (3, 12, 2, 8)


def test_activations_of_a_float64_bridge_stay_float64():
    wide = network()
    wide.bridge.double()
    hook = "blocks.0.attn.hook_z"
    assert wide.run([hook])[hook].dtype == torch.float64
