import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.lenses.depth import activations_at, depth_hooks, energy_by_depth, nats_per_layer
from energylens.lenses.held_out import counted, held_out_text
from energylens.lenses.logit import logit_lens


@pytest.fixture(scope="module")
def text(network):
    return held_out_text(network, "confirmation", seed=0, per_document=1)


def test_one_site_more_than_blocks():
    assert depth_hooks(2) == [
        "blocks.0.hook_resid_pre",
        "blocks.0.hook_resid_post",
        "blocks.1.hook_resid_post",
    ]


def test_stopping_early_gives_what_a_whole_run_gives(network, text):
    names = [*depth_hooks(network.n_layers), "blocks.1.attn.hook_pattern"]
    found, expected = activations_at(network, names, text.tokens), network.run(names, text.tokens)
    for name in names:
        torch.testing.assert_close(found[name], expected[name])


def test_no_block_after_the_last_named_is_run(network, text):
    """But for one window, on which the names are checked."""
    batches = []
    hook = network.bridge.blocks[1].mlp.register_forward_hook(lambda _, given, out: batches.append(len(out)))
    try:
        activations_at(network, ["blocks.0.hook_resid_post"], text.tokens)
    finally:
        hook.remove()
    assert len(text.tokens) > 1
    assert batches == [1]


def test_the_last_energy_is_the_networks_own_loss(network, text):
    where = counted(text)
    energies = energy_by_depth(network, text.tokens, text.targets, where)
    log_p = network.bridge(text.tokens).log_softmax(-1)
    expected = -log_p.gather(2, text.targets[..., None])[..., 0][where]
    assert energies.shape == (3, int(where.sum()))
    torch.testing.assert_close(energies[-1], expected, rtol=1e-4, atol=1e-4)


def test_the_first_energy_reads_the_embedding(network, text):
    where, lens = counted(text), logit_lens(network)
    energies = energy_by_depth(network, text.tokens, text.targets, where)
    positions = network.bridge.state_dict()["pos_embed.weight"]
    log_p = lens.logits(network.W_E[text.tokens] + positions).log_softmax(-1)
    expected = -log_p.gather(2, text.targets[..., None])[..., 0][where]
    torch.testing.assert_close(energies[0], expected, rtol=1e-4, atol=1e-4)


def test_other_targets_are_noticed(network, text):
    where = counted(text)
    energies = energy_by_depth(network, text.tokens, text.targets, where)
    rolled = energy_by_depth(network, text.tokens, text.targets.roll(1, 0), where)
    assert not torch.allclose(energies, rolled)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=8))
def test_slope_is_numpys(values):
    expected = np.polyfit(np.arange(len(values)), values, 1)[0]
    assert nats_per_layer(torch.tensor(values, dtype=torch.float64)) == pytest.approx(expected, abs=1e-9)


def test_known_slopes():
    assert nats_per_layer(torch.tensor([7.0, 5.0, 3.0])) == -2
    assert nats_per_layer(torch.tensor([7.0, 0.0, 3.0])) == -2  # with two blocks the middle does not count
    assert nats_per_layer(torch.tensor([1.0, 1.0])) == 0
    with pytest.raises(InputError, match="received 1"):
        nats_per_layer(torch.ones(1))


@pytest.mark.parametrize("names", [[], ["embed.hook_out"], ["blocks.x.hook_resid_post"], ["blocks.0"]])
def test_hooks_outside_the_blocks_are_errors(network, text, names):
    with pytest.raises(InputError, match="must lie in blocks"):
        activations_at(network, names, text.tokens)


@pytest.mark.parametrize("name", ["blocks.0.hook_resid_past", "blocks.7.hook_resid_post"])
def test_unknown_hooks_are_named(network, text, name):
    with pytest.raises(InputError, match=name):
        activations_at(network, [name], text.tokens)


def test_no_windows_are_an_error(network, text):
    with pytest.raises(InputError, match=r"\(0, 16\)"):
        activations_at(network, ["blocks.0.hook_resid_post"], text.tokens[:0])
