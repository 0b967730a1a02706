import pytest
import torch

from energylens.errors import InputError
from energylens.lenses.logit import logit_lens
from energylens.metrics.lens import LayerNorm
from energylens.sae.activations import stream

MIDDLE, LATE = "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"


def late_and_logits(network):
    """The residual after the last block, and the logits that the network gives."""
    tokens = network.task.windows("discovery").tokens[:5]
    return stream(network, LATE, tokens), network.bridge(tokens).float()


@pytest.mark.parametrize("normalization_type", ["LN", "LNPre", None])
@pytest.mark.parametrize("seed", [0, 1])
def test_at_the_late_site_it_reads_what_the_network_says(make_network, placed, normalization_type, seed):
    network = make_network(placed, 4, seed, normalization_type=normalization_type)
    lens = logit_lens(network)
    x, logits = late_and_logits(network)
    torch.testing.assert_close(lens.logits(x), logits, rtol=1e-4, atol=1e-5)
    assert (lens.norm is None) == (normalization_type is None)
    assert lens.translator is None


def test_gain_bias_and_b_u_are_seen(placed_network):
    """Each is far enough from what it is at initialisation for the test above to tell."""
    lens = logit_lens(placed_network)
    x, logits = late_and_logits(placed_network)
    plain = LayerNorm(torch.ones(16), torch.zeros(16), lens.norm.eps)
    for norm, b_U in ((plain, lens.b_U), (lens.norm, torch.zeros_like(lens.b_U))):
        off = (norm(x) @ lens.W_U + b_U - logits).abs()
        assert off.mean() > 0.1


def test_earlier_it_reads_something_else(placed_network):
    tokens = placed_network.task.windows("discovery").tokens[:5]
    read = logit_lens(placed_network).logits(stream(placed_network, MIDDLE, tokens))
    assert (read - placed_network.bridge(tokens)).abs().mean() > 0.01


@pytest.mark.parametrize(
    "changes",
    [{"normalization_type": "RMS"}, {"normalization_type": "RMSPre"}, {"final_rms": True}],
    ids=str,
)
def test_a_norm_that_is_no_layernorm_is_refused(make_network, placed, changes):
    network = make_network(placed, 4, **changes)
    with pytest.raises(InputError, match="lens of tiny needs a final LayerNorm"):
        logit_lens(network)
