"""Graph of a circuit: edges are what its heads pass to each other and to the logits, by path patching."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from energylens.families.spectral.head_prompts import HeadPrompts
from energylens.interventions import path_patch
from energylens.interventions.path_patching import LOGITS, Receiver
from energylens.interventions.prompts import Head
from energylens.models.network import Network

INPUTS: tuple[Literal["q", "k", "v"], ...] = ("q", "k", "v")


def circuit_graph(
    network: Network, prompts: HeadPrompts, circuit: Iterable[Head], costs: Mapping[Head, float]
) -> dict[str, Any]:
    """Series for a graph figure: nodes, their places x and y, their weights, and edges [from, to, weight].

    An edge is the share of the metric that is lost when the receiver alone reads what the sender writes on the
    corrupted prompts (`path_patch`, noising): m(clean) - m(patched), over m(clean) - m(corrupted). Into a head it
    is the largest, in absolute value, of the paths into its queries, keys and values.
    costs: what each member's removal costs, the node's weight; that of the logits is 1, the whole metric.
    """
    members = sorted(circuit)
    receivers: list[Receiver] = [(layer, head, kind) for layer, head in members for kind in INPUTS]
    found = path_patch(
        network.bridge, prompts.clean, prompts.corrupted, members, [*receivers, LOGITS], prompts.metric, "noising",
        mask=prompts.real,
    )  # fmt: skip
    whole = float((found.corrupted - found.clean).double().mean())
    shares = found.change().double().mean(-1) / whole
    edges: list[list[Any]] = []
    for i, sender in enumerate(members):
        edges.append([_name(sender), LOGITS, float(shares[i, -1])])
        for j, receiver in enumerate(members):
            paths = shares[i, 3 * j : 3 * j + 3]
            if receiver[0] > sender[0]:
                edges.append([_name(sender), _name(receiver), float(paths[paths.abs().argmax()])])
    return {
        "nodes": [*map(_name, members), LOGITS],
        "x": [*(float(head) for _, head in members), (network.bridge.cfg.n_heads - 1) / 2],
        "y": [*(float(layer) for layer, _ in members), float(network.n_layers)],
        "weights": [*(costs[head] for head in members), 1.0],
        "edges": edges,
    }


def _name(head: Head) -> str:
    return f"{head[0]}.{head[1]}"
