"""Attribution test: one head is changed, and the study of the network has to name that head."""

import dataclasses

from energylens.families.spectral.head_prompts import head_prompts
from energylens.families.spectral.head_study import HeadStudy
from energylens.models.network import Network, boot

PROMPTS = 8
STRETCH = 3.0
GAPS = ("a", "a-prime")


def attribution(network: Network, seed: int, further: int = 0) -> dict[str, float]:
    """1 for each number that points to the one head that was changed, 0 for others: GAPS and "damage".

    Head `seed` of the last layer (counted round) has half of its key coordinates stretched STRETCH times and writes
    nothing any more. No other head's input changes: of the gaps those of this head alone may move (and of heads that
    share its keys), and of all damages its own alone has to be 0. further: which head is asked for instead, counted
    from the changed one.
    """
    config, n_heads = network.meta["config"], network.bridge.cfg.n_heads
    per_key_head = n_heads // (config.get("n_key_value_heads") or n_heads)
    head, asked = seed % n_heads, (seed + further) % n_heads
    prompts = head_prompts(network, seed, n=PROMPTS)
    before = HeadStudy(network, prompts, seed)
    after = HeadStudy(_changed(network, head, head // per_key_head), prompts, seed)
    moved = {
        name: (after.gap(name) - before.gap(name)).abs() > 1e-4 * before.gap(name).abs() for name in GAPS
    }
    pointed = moved | {"damage": (after.damage == 0) & (before.damage > 0)}
    first = asked // per_key_head * per_key_head
    expected = {name: list(range(first, first + per_key_head)) for name in GAPS} | {"damage": [asked]}
    below = (network.n_layers - 1) * n_heads
    return {
        name: float(rows.nonzero().flatten().tolist() == [below + one for one in expected[name]])
        for name, rows in pointed.items()
    }


def _changed(network: Network, head: int, key_head: int) -> Network:
    state = {name: tensor.clone() for name, tensor in network.bridge.state_dict().items()}
    attn, d_head = f"blocks.{network.n_layers - 1}.attn", network.bridge.cfg.d_head
    half = slice(key_head * d_head, key_head * d_head + d_head // 2)
    for kind in ("weight", "bias"):
        state[f"{attn}.k.{kind}"][half] *= STRETCH
    state[f"{attn}.o.weight"][:, head * d_head : (head + 1) * d_head] = 0
    bridge = boot(network.meta["config"])
    bridge.load_state_dict(state, strict=True)
    return dataclasses.replace(network, bridge=bridge.eval().requires_grad_(False))
