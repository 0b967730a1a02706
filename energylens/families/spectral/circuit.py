"""Circuits of heads: the share of a behaviour that is left when all other heads see the corrupted prompt."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import comb, isnan

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.errors import InputError
from energylens.families.spectral.head_prompts import HeadPrompts
from energylens.interventions import Resample, ablate_groups, all_heads, remembered
from energylens.interventions.prompts import Head
from energylens.models.network import Network

FAITHFUL = 0.9
"""Share of the metric at which discovery stops adding heads."""

NEEDED = 0.05
"""Largest cost of removal, as a share of the metric, of heads that discovery drops again."""

Circuit = frozenset[Head]


def heads_of(network: Network) -> list[Head]:
    """All heads of a network as (layer, head_index)."""
    return all_heads(network.n_layers, network.bridge.cfg.n_heads)


def kept(
    network: Network, prompts: HeadPrompts, circuits: Sequence[Iterable[Head]]
) -> Float[Tensor, " circuit"]:
    """Share of the metric that each circuit keeps: f(C) = (m(C) - m(none)) / (m(all) - m(none)).

    m(C) is the mean metric on clean prompts when z of every head outside C comes from the corrupted prompt of
    the pair (resample ablation). 1 for all heads, 0 for none. NaN where the corruption changes nothing on
    average. Source: Wang et al. 2022 (arXiv:2211.00593), with resample instead of mean ablation.
    """
    everything = frozenset(heads_of(network))
    outside = [everything - frozenset(circuit) for circuit in (*circuits, ())]
    found = ablate_groups(
        network.bridge, prompts.clean, prompts.metric, outside, Resample(prompts.corrupted), mask=prompts.real
    )
    means = found.ablated.double().mean(-1)
    whole = found.base.double().mean()
    none = means[-1]
    scale = whole - none
    return (means[:-1] - none) / torch.where(scale == 0, torch.nan, scale)


def discover(network: Network, prompts: HeadPrompts) -> Circuit:
    """A small circuit that keeps FAITHFUL of the metric on these prompts.

    Greedy: add the head that raises f most until f >= FAITHFUL; then drop, weakest first, members whose removal
    costs at most NEEDED, as long as f stays there. The order of equal heads is layer by layer.
    """
    with remembered(network.bridge):
        circuit, share = _grown(network, prompts)
        return frozenset(_pruned(network, prompts, circuit, share))


def _grown(network: Network, prompts: HeadPrompts) -> tuple[list[Head], float]:
    """Heads in the order in which they were added, and the share that they keep."""
    circuit: list[Head] = []
    rest = heads_of(network)
    share = 0.0
    while rest and share < FAITHFUL:
        gains = kept(network, prompts, [[*circuit, head] for head in rest])
        if gains.isnan().any():
            raise InputError(
                f"the corruption changes nothing in {network.name}: there is no behaviour to explain"
            )
        best = int(gains.argmax())
        circuit.append(rest.pop(best))
        share = float(gains[best])
    return circuit, share


def _pruned(network: Network, prompts: HeadPrompts, circuit: Sequence[Head], share: float) -> list[Head]:
    """The heads that are needed."""
    circuit = list(circuit)
    while len(circuit) > 1:
        costs = removal_costs(network, prompts, circuit)
        weakest = int(costs.argmin())
        left = share - float(costs[weakest])
        if costs[weakest] > NEEDED or left < FAITHFUL:
            break
        circuit.pop(weakest)
        share = left
    return circuit


def removal_costs(
    network: Network, prompts: HeadPrompts, circuit: Sequence[Head]
) -> Float[Tensor, " member"]:
    """f(C) - f(C without the member), for every member in order."""
    without = [[head for head in circuit if head != member] for member in circuit]
    shares = kept(network, prompts, [circuit, *without])
    return shares[0] - shares[1:]


def random_circuits(heads: Sequence[Head], circuit: Circuit, n: int, seed: int) -> list[Circuit]:
    """Circuits of the same size, never the same: all of them if there are at most n, else n random ones."""
    size = len(circuit)
    if comb(len(heads), size) - 1 <= n:
        return [other for each in combinations(heads, size) if (other := frozenset(each)) != circuit]
    generator = torch.Generator().manual_seed(seed)
    found: list[Circuit] = []
    while len(found) < n:
        drawn = frozenset(heads[i] for i in torch.randperm(len(heads), generator=generator)[:size].tolist())
        if drawn != circuit:
            found.append(drawn)
    return found


def share_beaten(own: float, others: Float[Tensor, " circuit"]) -> float:
    """Share of circuits that are less faithful: f further from 1; ties count half. NaN if there are none, or f is."""
    if not len(others) or isnan(own) or others.isnan().any():
        return float("nan")
    distance, theirs = abs(1 - own), (1 - others).abs()
    return float(((theirs > distance).double() + 0.5 * (theirs == distance).double()).mean())
