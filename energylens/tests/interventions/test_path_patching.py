import contextlib
import io

import pytest
import torch

from energylens.errors import InputError
from energylens.interventions import LogitDiff, ablate_groups, patch_heads, path_patch
from energylens.interventions.ablation import Resample
from energylens.tests.interventions.helpers import (
    N_HEADS,
    N_LAYERS,
    NATIVE,
    bridge,
    head_outputs,
    native,
    padded_pair,
    prompts,
    with_hooks,
)

CLEAN, CORRUPTED = prompts()
FIRST = torch.arange(5)
POS = torch.tensor([7, 3, 5, 7, 6])
METRIC = LogitDiff(FIRST, FIRST + 9, POS)
SENDERS = [(0, 1), (1, 2)]


def logit_diff(logits):
    return logits[FIRST, POS, FIRST] - logits[FIRST, POS, FIRST + 9]


def receivers(kind):
    return [(layer, head, kind) for layer in range(N_LAYERS) for head in range(N_HEADS)]


def by_hand(net, sender, receiver):
    """The edge into q, k or v of one head: what a run on the shifted stream gives, put into the corrupted run."""
    (from_layer, from_head), (layer, head, kind) = sender, receiver
    difference = (head_outputs(net, CLEAN)[from_layer] - head_outputs(net, CORRUPTED)[from_layer])[
        :, :, from_head
    ]
    added, kept = difference @ net.blocks[from_layer].attn.W_O[from_head], []
    stream, name = f"blocks.{layer}.hook_resid_pre", f"blocks.{layer}.attn.hook_{kind}"
    with_hooks(net, CORRUPTED, {stream: lambda x: x + added, name: lambda x: kept.append(x) or x})
    mine = torch.arange(N_HEADS)[:, None] == head
    return logit_diff(with_hooks(net, CORRUPTED, {name: lambda x: torch.where(mine, kept[0], x)}))


@pytest.mark.parametrize("kind", ["gpt2", "pythia"])
@pytest.mark.parametrize("component", ["q", "k", "v"])
def test_equals_transformer_lens(kind, component):
    from transformer_lens.patching import get_act_patch_direct_path

    with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
        _, clean = bridge(kind).run_with_cache(CLEAN)
        _, corrupted = bridge(kind).run_with_cache(CORRUPTED)
        expected = [
            get_act_patch_direct_path(
                bridge(kind),
                CORRUPTED,
                clean,
                corrupted,
                lambda logits: logit_diff(logits).mean(),
                *sender,
                component,
            )
            for sender in SENDERS
        ]
    found = path_patch(bridge(kind), CLEAN, CORRUPTED, SENDERS, receivers(component), METRIC)
    means = found.patched.mean(-1).unflatten(1, (N_LAYERS, N_HEADS))
    for row, (layer, _) in enumerate(SENDERS):
        assert means[row, : layer + 1].isnan().all()
        torch.testing.assert_close(means[row, layer + 1 :], expected[row][layer + 1 :], atol=1e-5, rtol=1e-5)
    assert found.change().nan_to_num().abs().max() > 1e-3


@pytest.mark.parametrize("kind", [*NATIVE, "gated"])
def test_equals_hooks_by_hand(kind):
    to = [(1, 0, "q"), (2, 3, "q"), (2, 0, "k"), (2, 1, "v")]
    found = path_patch(bridge(kind), CLEAN, CORRUPTED, [(0, 1)], to, METRIC)
    expected = torch.stack([by_hand(bridge(kind), (0, 1), receiver) for receiver in to])
    torch.testing.assert_close(found.patched[0], expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found.patched[0, 1:3], expected[2:], atol=1e-4)


@pytest.mark.parametrize("kind", ["learned", "no-norm", "gpt2"])
def test_logits_receive_the_difference_alone(kind):
    net = bridge(kind)
    found = path_patch(net, CLEAN, CORRUPTED, SENDERS, ["logits"], METRIC)
    difference = (head_outputs(net, CLEAN)[1] - head_outputs(net, CORRUPTED)[1])[:, :, 2]
    added = difference @ net.blocks[1].attn.W_O[2]
    expected = logit_diff(with_hooks(net, CORRUPTED, {"blocks.2.hook_resid_post": lambda x: x + added}))
    torch.testing.assert_close(found.patched[1, 0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
def test_the_only_path_of_the_last_layer_is_to_the_logits(kind):
    # Without the last MLP in between, the direct path of a last-layer head is all it does.
    net = native(attn_only=True) if kind == "rotary" else bridge(kind)
    direct = path_patch(net, CLEAN, CORRUPTED, [(2, 0)], ["logits"], METRIC).patched[0, 0]
    whole = patch_heads(net, CLEAN, CORRUPTED, METRIC, heads=[(2, 0)]).patched[2, 0]
    assert torch.allclose(direct, whole, atol=1e-5) == (kind == "rotary")


def test_paths_of_a_linear_network_add_up():
    """Uniform attention, no norm, no MLP: direct paths and paths through values sum to the head's whole effect."""
    net = native(n_layers=2, attn_only=True, normalization_type=None, positional_embedding_type="standard")
    for name, parameter in net.named_parameters():
        if ".q." in name or ".k." in name:
            parameter.data.zero_()
    to = [(1, head, "v") for head in range(N_HEADS)]
    paths = path_patch(net, CLEAN, CORRUPTED, [(0, 2)], [*to, "logits"], METRIC).change()[0].sum(0)
    whole = patch_heads(net, CLEAN, CORRUPTED, METRIC, heads=[(0, 2)]).change()[0, 2]
    torch.testing.assert_close(paths, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_the_batch_limit_changes_nothing(kind, limit):
    to = [(2, 1, "q"), (1, 0, "v"), "logits"]
    whole = path_patch(bridge(kind), CLEAN, CORRUPTED, SENDERS, to, METRIC, "noising")
    parts = path_patch(bridge(kind), CLEAN, CORRUPTED, SENDERS, to, METRIC, "noising", batch_limit=limit)
    torch.testing.assert_close(parts.patched, whole.patched, atol=1e-5, rtol=1e-5, equal_nan=True)
    swapped = path_patch(bridge(kind), CORRUPTED, CLEAN, SENDERS, to, METRIC)
    torch.testing.assert_close(swapped.patched, whole.patched, atol=1e-5, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
def test_padding_changes_nothing(kind):
    clean, corrupted, mask = padded_pair((8, 5, 6))
    to = [(2, 1, "q"), (1, 0, "k"), (1, 3, "v"), "logits"]
    last = LogitDiff(FIRST[:3], FIRST[:3] + 9)
    found = path_patch(bridge(kind), clean, corrupted, [(0, 1)], to, last, mask=mask)
    for row in range(3):
        one, real = slice(row, row + 1), mask[row]
        expected = path_patch(
            bridge(kind), clean[one, real], corrupted[one, real], [(0, 1)], to, last.rows(one)
        )
        torch.testing.assert_close(found.patched[..., one], expected.patched, atol=1e-5, rtol=1e-4)


def test_a_sender_without_a_difference_changes_nothing():
    net, (clean, corrupted) = native(), prompts()
    with torch.no_grad():
        weight = net.state_dict()["blocks.0.attn.v.weight"]
        weight[4:8] = 0
    found = path_patch(net, clean, corrupted, [(0, 1), (0, 0)], receivers("q")[4:], METRIC)
    assert found.change()[0].abs().max() < 1e-5
    assert found.change()[1].abs().max() > 1e-3
    same = ablate_groups(net, corrupted, METRIC, [{(0, 1)}], Resample(clean))
    assert same.change().abs().max() < 1e-5


def test_errors():
    def refused(message, kind, senders, to):
        with pytest.raises(InputError, match=message):
            path_patch(bridge(kind), CLEAN, CORRUPTED, senders, to, METRIC)

    refused(r"head \(3, 0\) is out of range", "rotary", [(3, 0)], ["logits"])
    refused(r"head \(1, 4\) is out of range", "rotary", [(0, 0)], [(1, 4, "q")])
    refused("share keys and values", "grouped-keys", [(0, 0)], [(1, 0, "k")])


def test_a_norm_after_attention_is_refused(monkeypatch):
    net = native(normalization_type="RMS")
    block = net.blocks[1].original_component
    forward = block.forward
    monkeypatch.setattr(block, "forward", lambda *args, **kwargs: (2 * forward(*args, **kwargs)[0],))
    with pytest.raises(InputError, match="do not add z W_O to the residual stream"):
        path_patch(net, CLEAN, CORRUPTED, [(0, 0)], ["logits"], METRIC)
