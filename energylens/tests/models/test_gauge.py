import pytest
import torch

from energylens.errors import InputError
from energylens.metrics.spectral import GAPS, HeadInputs
from energylens.models.gauge import CONDITION, random_gauge, regauged
from energylens.models.network import boot

KINDS = [(positions, norm) for positions in ("standard", "rotary") for norm in (None, "LN")]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def config(positions="standard", norm="LN", **changes):
    sizes = {"n_layers": 2, "n_heads": 4, "d_head": 8, "d_model": 24, "d_mlp": 40, "n_ctx": 20, "d_vocab": 30}
    kinds = {"act_fn": "gelu", "normalization_type": norm, "positional_embedding_type": positions}
    return {**sizes, **kinds, "attn_only": False, **changes}


def weights(fields, seed=0):
    """As initialised, with biases and norms moved away from 0 and 1."""
    generator = rng(seed)
    return {
        key: tensor + 0.3 * torch.randn(tensor.shape, generator=generator) * (tensor.ndim == 1)
        for key, tensor in boot(fields).state_dict().items()
    }


def run(fields, state):
    """Logits of 12 random prompts, and the inputs of every layer's gaps, all float64."""
    bridge = boot(fields).double()
    bridge.load_state_dict(state)
    tokens = torch.randint(fields["d_vocab"], (12, fields["n_ctx"]), generator=rng(5))
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(tokens)
    repeats = fields["n_heads"] // fields.get("n_key_value_heads", fields["n_heads"])
    layers = [
        HeadInputs(
            q=cache[f"blocks.{layer}.attn.hook_q"].movedim(1, 2),
            k=cache[f"blocks.{layer}.attn.hook_k"].movedim(1, 2).repeat_interleave(repeats, 1),
            mask=torch.ones_like(tokens, dtype=torch.bool),
        )
        for layer in range(fields["n_layers"])
    ]
    return logits, layers


def double(state):
    return {key: tensor.double() for key, tensor in state.items()}


def change(name, before, after):
    """Relative change of one gap, per layer and head."""
    old, new = (torch.stack([GAPS[name].compute(layer) for layer in layers]) for layers in (before, after))
    return ((new - old) / old).abs()


@pytest.mark.parametrize(("positions", "norm"), KINDS)
def test_a_native_bridge_computes_in_float64(positions, norm):
    """Twice as large a change, of 1e-11, has twice the effect: float32 anywhere inside would swallow it."""
    fields = config(positions, norm)
    state = double(weights(fields))
    logits, _ = run(fields, state)
    effects = []
    for size in (1e-11, 2e-11):
        moved = {
            **state,
            "embed.weight": state["embed.weight"] + size * torch.sin(1e3 * state["embed.weight"]),
        }
        effects.append(run(fields, moved)[0] - logits)
    assert 0 < effects[0].abs().max() < 1e-8
    assert torch.allclose(effects[1], 2 * effects[0], rtol=0, atol=0.01 * float(effects[0].abs().max()))


@pytest.mark.parametrize(("positions", "norm"), KINDS)
def test_another_gauge_gives_the_same_logits_and_scores_and_other_keys(positions, norm):
    fields = config(positions, norm)
    state = weights(fields)
    logits, before = run(fields, double(state))
    for seed in range(3):
        other, after = run(fields, regauged(state, fields, rng(seed)))
        assert other.dtype == torch.float64
        assert torch.allclose(other, logits, rtol=0, atol=1e-8)
        assert change("a-prime", before, after).max() < 1e-8
        assert (change("a", before, after) > 0.1).double().mean() >= 0.5


def test_partial_rotation_and_shared_keys():
    for changes in ({"rotary_dim": 4}, {"n_key_value_heads": 2}):
        fields = config("rotary", **changes)
        state = weights(fields)
        logits, _ = run(fields, double(state))
        assert torch.allclose(run(fields, regauged(state, fields, rng()))[0], logits, rtol=0, atol=1e-8)


@pytest.mark.parametrize("positions", ["standard", "rotary"])
def test_corrupted_gauges_change_the_logits(positions):
    fields = config(positions)
    state = weights(fields)
    logits, before = run(fields, double(state))
    good = regauged(state, fields, rng())
    general = regauged(state, {**fields, "positional_embedding_type": "standard"}, rng())
    key = "blocks.1.attn.q.{}"
    same_map = {**good, **turned_by_the_map(state, fields)}
    no_bias = {**good, key.format("bias"): state[key.format("bias")].double()}
    keys_only = {
        **good,
        **{key.format(kind): state[key.format(kind)].double() for kind in ("weight", "bias")},
    }
    corrupted = {"Q -> Q M": same_map, "bias left": no_bias, "keys only": keys_only}
    if positions == "rotary":
        corrupted["does not commute with the rotation"] = general
    for name, bad in corrupted.items():
        other, after = run(fields, bad)
        assert (other - logits).abs().max() > 1e-3, name
        # Before the rotation the general map is a gauge: only the logits tell.
        if not name.startswith("does not"):
            assert change("a-prime", before, after).max() > 1e-3, name


def turned_by_the_map(state, fields):
    """Queries multiplied by the keys' own map, as if M^-T were M."""
    generator, made = rng(), {}
    for layer in range(fields["n_layers"]):
        maps = [random_gauge(fields, generator) for _ in range(fields["n_heads"])]
        for kind in ("weight", "bias"):
            key = f"blocks.{layer}.attn.q.{kind}"
            heads = state[key].double().chunk(fields["n_heads"])
            made[key] = torch.cat([M.mT @ head for M, head in zip(maps, heads, strict=True)])
    return made


def test_only_queries_and_keys_change_and_the_state_is_left_alone():
    fields = config()
    state = weights(fields)
    kept = {key: tensor.clone() for key, tensor in state.items()}
    made = regauged(state, fields, rng(1))
    assert all(torch.equal(state[key], kept[key]) for key in kept)
    assert list(made) == list(state)
    turned = {f"blocks.{n}.attn.{q}.{kind}" for n in (0, 1) for q in "qk" for kind in ("weight", "bias")}
    for key, tensor in made.items():
        assert tensor.dtype == torch.float64
        assert torch.equal(tensor, state[key].double()) == (key not in turned), key
    again = regauged(state, fields, rng(1))
    assert all(torch.equal(made[key], again[key]) for key in made)


@pytest.mark.parametrize("changes", [{}, {"rotary_dim": 4}, {"rotary_dim": 2}], ids=str)
@pytest.mark.parametrize("positions", ["standard", "rotary"])
def test_maps_are_well_conditioned_and_commute_with_the_rotation(positions, changes):
    fields = config(positions, **changes)
    M = random_gauge(fields, rng(2))
    assert torch.linalg.cond(M) <= CONDITION * (1 + 1e-9)
    turned = changes.get("rotary_dim", 8)
    pairs = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64).expand(turned // 2, 2, 2)
    rotation = torch.block_diag(*pairs, torch.eye(8 - turned, dtype=torch.float64))
    assert torch.allclose(M @ rotation, rotation @ M) == (positions == "rotary")
    assert not torch.allclose(M, M.mT)


def test_a_state_of_another_network_is_refused():
    fields = config()
    state = weights(fields)
    with pytest.raises(InputError, match=r"blocks.0.attn.k.weight should have 4 x 6 rows, got \(32, 24\)"):
        regauged(state, {**fields, "d_head": 6}, rng())
    del state["blocks.1.attn.q.bias"]
    with pytest.raises(InputError, match=r"blocks.1.attn.q.bias should have 4 x 8 rows, got nothing"):
        regauged(state, fields, rng())
