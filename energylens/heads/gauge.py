"""The gauge test: does a gap describe the network, or the coordinates that its heads happen to use?"""

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from energylens.heads.gaps import head_gaps
from energylens.heads.prompts import HeadPrompts
from energylens.models.gauge import regauged
from energylens.models.network import Network, boot

TOLERANCE = 1e-8
CHANGED = 0.1


def gauge_test(
    network: Network, prompts: HeadPrompts, generator: Generator, wrong: bool = False
) -> dict[str, float]:
    """Keys and queries in random other coordinates per head, in float64.

    logits: largest change of a logit. a-prime: largest relative change of that gap. a changed: share of heads
    whose gap of the keys changes by more than 10 %. wrong: sabotages the map (queries are left as they were),
    so that the network is another one.
    """
    state = {name: tensor.double() for name, tensor in network.bridge.state_dict().items()}
    turned = regauged(state, network.meta["config"], generator)
    if wrong:
        turned |= {name: tensor for name, tensor in state.items() if ".attn.q." in name}
    before, after = (_measured(network, weights, prompts) for weights in (state, turned))
    gaps = [found[1] for found in (before, after)]
    change = {name: _relative(gaps[0][name], gaps[1][name]) for name in ("a", "a-prime")}
    return {
        "logits": float((after[0] - before[0]).abs().max()),
        "a-prime": float(change["a-prime"].max()),
        "a changed": float((change["a"] > CHANGED).double().mean()),
    }


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


@torch.no_grad()
def _measured(
    network: Network, state: Mapping[str, Tensor], prompts: HeadPrompts
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Logits at all positions and gaps, in float64."""
    bridge = boot(network.meta["config"]).double()
    bridge.load_state_dict(dict(state), strict=True)
    bridge.eval().requires_grad_(False)
    logits = bridge(prompts.clean)
    if logits.dtype != torch.float64:
        raise RuntimeError(f"the gauge test needs float64 throughout, the bridge gave {logits.dtype}")
    twin = dataclasses.replace(network, bridge=bridge)
    return logits, head_gaps(twin, prompts.clean, prompts.counted).gaps


def _relative(before: Tensor, after: Tensor) -> Tensor:
    return (after - before).abs() / before.abs()
