from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.models import transformer
from energylens.models.network import boot
from energylens.models.recipe import ModelConfig
from energylens.models.transformer import Transformer, attend
from energylens.tests.models.helpers import HONEST, LEAKY, recipe

ARCHITECTURES = [(HONEST, 1, None), (HONEST, 2, "LN"), (LEAKY, 2, "LN"), (LEAKY, 3, None)]


@pytest.mark.parametrize(("task", "n_layers", "normalization_type"), ARCHITECTURES)
def test_same_logits_as_the_bridge(task, n_layers, normalization_type):
    config = recipe(task, n_layers=n_layers, normalization_type=normalization_type).config
    plain, bridge = Transformer(config, seed=3), boot(asdict(config))
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    bridge.load_state_dict(plain.state_dict(), strict=True)
    with torch.no_grad():
        expected = bridge(task.inputs())[:, task.readout]
        assert torch.allclose(plain(task.inputs(), task.readout), expected, atol=1e-5, rtol=0)
        plain.pos_embed.weight[0, 0] += 0.5
        assert not torch.allclose(plain(task.inputs(), task.readout), expected, atol=1e-4, rtol=0)


SHAPES = [
    {"attn_only": True, "normalization_type": "LN"},
    {"attn_only": True, "positional_embedding_type": "rotary"},
    {"act_fn": "gelu", "positional_embedding_type": "rotary", "normalization_type": "LN"},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("readout", [None, -1, -2])
def test_same_logits_as_the_bridge_on_longer_text(shape, readout):
    config = ModelConfig(n_layers=2, d_vocab=11, n_ctx=20, d_model=16, n_heads=2, d_head=8, d_mlp=24, **shape)
    plain, bridge = Transformer(config, seed=3), boot(asdict(config))
    bridge.load_state_dict(plain.state_dict(), strict=True)
    assert all(
        torch.equal(plain.state_dict()[k], v)
        for k, v in boot({**asdict(config), "seed": 3}).state_dict().items()
    )
    tokens = torch.randint(0, 11, (5, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = bridge(tokens)
        expected = expected if readout is None else expected[:, readout]
        assert torch.allclose(plain(tokens, readout), expected, atol=1e-5, rtol=0)
        assert not torch.allclose(plain(tokens.roll(1, 1), readout), expected, atol=1e-3, rtol=0)


def test_the_table_of_the_first_block_changes_nothing():
    config = ModelConfig(n_layers=1, d_vocab=5, n_ctx=9, d_model=16, n_heads=2, d_head=8, attn_only=True)
    plain = Transformer(config, seed=3)
    tokens = torch.randint(0, 5, (40, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        by_table = plain(tokens, None)  # 360 tokens, 45 rows
        direct = torch.cat([plain(one, None) for one in tokens.split(4)])
    assert torch.allclose(by_table, direct, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("task", "n_layers", "normalization_type"), ARCHITECTURES)
def test_same_initialisation_as_the_bridge(task, n_layers, normalization_type):
    config = recipe(task, n_layers=n_layers, normalization_type=normalization_type).config
    plain, bridge = Transformer(config, seed=3).state_dict(), boot({**asdict(config), "seed": 3}).state_dict()
    assert set(plain) == set(bridge)
    assert all(torch.equal(plain[key], bridge[key]) for key in plain)


def _attend_slowly(q, k, v):
    out = torch.empty(q.shape)
    for b, i, h in torch.cartesian_prod(*(torch.arange(n) for n in q.shape[:3])).tolist():
        seen = k.shape[1] - q.shape[1] + i + 1
        weights = torch.softmax(k[b, :seen, h] @ q[b, i, h] / q.shape[3] ** 0.5, dim=0)
        out[b, i, h] = weights @ v[b, :seen, h]
    return out


@pytest.mark.parametrize("short", [0, 8])
@settings(max_examples=15, deadline=None)
@given(n_keys=st.integers(1, 6), n_queries=st.integers(1, 6), seed=st.integers(0, 99))
def test_attention_equals_a_slow_loop(short, n_keys, n_queries, seed):
    n_queries = min(n_queries, n_keys)
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(2, n, 3, 4, generator=generator) for n in (n_queries, n_keys, n_keys))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "SHORT", short)
        assert torch.allclose(attend(q, k, v), _attend_slowly(q, k, v), atol=1e-6)
        if n_keys > 1:
            assert not torch.allclose(attend(q, k, v.flip(1)), _attend_slowly(q, k, v), atol=1e-4)


def test_what_stands_after_the_readout_is_not_read():
    plain, tokens = Transformer(recipe(LEAKY).config, seed=0), LEAKY.inputs()
    changed = tokens.clone()
    changed[:, -1] = 0
    assert torch.equal(plain(tokens, -2), plain(changed, -2))
    assert not torch.equal(plain(tokens, -1), plain(changed, -1))


def test_attention_and_unembedding_have_no_trained_bias():
    frozen = {
        name
        for name, parameter in Transformer(recipe().config, 0).named_parameters()
        if not parameter.requires_grad
    }
    assert frozen == {f"blocks.0.attn.{name}.bias" for name in "qkvo"} | {"unembed.bias"}


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(InputError, match="'RMS'"):
        Transformer(recipe(normalization_type="RMS").config, 0)
