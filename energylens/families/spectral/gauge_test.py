"""The gauge test: does a gap describe the network, or the coordinates that its heads happen to use?"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from energylens.families.spectral.head_prompts import HeadPrompts
from energylens.metrics import spectral
from energylens.models.gauge import regauged
from energylens.models.network import Network, boot

LOGITS = "unembed.hook_out"
TOLERANCE = 1e-8
CHANGED = 0.1


def gauge_test(
    network: Network, prompts: HeadPrompts, generator: Generator
) -> dict[Literal["right", "wrong"], dict[str, float]]:
    """Keys and queries in random other coordinates per head, in float64.

    logits: largest change of a logit. a-prime: largest relative change of that gap. a changed: share of heads
    whose gap of the keys changes by more than 10 %. right: the map that leaves the network as it is. wrong: the
    same map sabotaged (queries are left as they were), so that the network is another one.
    """
    state = {name: tensor.double() for name, tensor in network.bridge.state_dict().items()}
    turned = regauged(state, network.meta["config"], generator)
    sabotaged = turned | {name: tensor for name, tensor in state.items() if ".attn.q." in name}
    twin = dataclasses.replace(network, bridge=boot(network.meta["config"]).double())
    before, right, wrong = (_measured(twin, weights, prompts) for weights in (state, turned, sabotaged))
    return {"right": _changes(before, right), "wrong": _changes(before, wrong)}


def gauge_violation(found: Mapping[str, float]) -> float:
    """The worst of three ratios, each at most 1 if the test is passed: logits and a-prime over 1e-8, .5 over a's share.

    inf if no head's gap of the keys changes; NaN if anything is.
    """
    share = found["a changed"]
    if any(math.isnan(number) for number in found.values()):
        return math.nan
    return max(
        found["logits"] / TOLERANCE, found["a-prime"] / TOLERANCE, 0.5 / share if share else float("inf")
    )


class _Measured(NamedTuple):
    """Logits at all positions, and the gaps by name."""

    logits: Float[Tensor, "prompt pos d_vocab"]
    gaps: dict[str, Float[Tensor, "layer head"]]


def _measured(twin: Network, state: Mapping[str, Tensor], prompts: HeadPrompts) -> _Measured:
    """Logits and gaps of the float64 twin with these weights."""
    twin.bridge.load_state_dict(dict(state), strict=True)
    twin.bridge.eval().requires_grad_(False)
    names = [f"blocks.{layer}.attn.{hook}" for layer in range(twin.n_layers) for hook in ("hook_q", "hook_k")]
    found = twin.run([*names, LOGITS], prompts.clean, pos=slice(None))
    logits = found.pop(LOGITS)
    if logits.dtype != torch.float64:
        raise RuntimeError(f"the gauge test needs float64 throughout, the bridge gave {logits.dtype}")
    by_head = [activations.transpose(1, 2) for activations in found.values()]
    layers = [
        spectral.HeadInputs(q=q, k=k, mask=prompts.counted)
        for q, k in zip(by_head[::2], by_head[1::2], strict=True)
    ]
    gaps = {
        name: torch.stack([spectral.GAPS[name].compute(layer) for layer in layers])
        for name in ("a", "a-prime")
    }
    return _Measured(logits, gaps)


def _changes(before: _Measured, after: _Measured) -> dict[str, float]:
    change = {name: (after.gaps[name] - gap).abs() / gap.abs() for name, gap in before.gaps.items()}
    return {
        "logits": float((after.logits - before.logits).abs().max()),
        "a-prime": float(change["a-prime"].max()),
        "a changed": float((change["a"] > CHANGED).double().mean()),
    }
