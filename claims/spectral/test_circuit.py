"""A circuit for indirect objects: found on training prompts, tested on held-out ones."""

import math

from energylens import AtLeast, AtMost, Figure, Measurement, Null, Within, claim, in_full
from energylens.lab import UNTRAINED, needs_network

N_RANDOM = 30
PARTS = {
    "faithful": Within(0.8, 1.2),
    "complement keeps": AtMost(0.2),
    "smallest removal cost": AtLeast(0.05),
    "random circuits beaten": AtLeast(0.9),
}


def on_held_out_prompts(study, circuit):
    """The four parts on held-out prompts, and what the removal of each head costs."""
    from energylens.families.spectral.circuit import heads_of, random_circuits, share_beaten

    members, heads = sorted(circuit), heads_of(study.network)
    rest = [head for head in heads if head not in circuit]
    without = [[head for head in members if head != member] for member in members]
    others = random_circuits(heads, circuit, N_RANDOM, study.seed)
    shares = study.kept([members, rest, *without, *others])
    own, complement, left, theirs = (
        shares[0],
        shares[1],
        shares[2 : 2 + len(members)],
        shares[2 + len(members) :],
    )
    parts = {
        "faithful": own,
        "complement keeps": complement,
        "smallest removal cost": (own - left).min(),
        "random circuits beaten": share_beaten(float(own), theirs),
    }
    costs = dict(zip(members, (own - left).tolist(), strict=True))
    return {name: float(value) for name, value in parts.items()}, costs


def random_circuit(model, seed, lab):
    from energylens.families.spectral.circuit import heads_of, random_circuits

    study = lab.spectral.heads(model, seed)
    others = random_circuits(heads_of(study.network), study.circuit, 1, seed)
    if not others:
        return Measurement(dict.fromkeys(PARTS, math.nan), note="the circuit is all heads: there is no other")
    return Measurement(on_held_out_prompts(study, others[0])[0])


@claim(
    "ioi.circuit",
    says="A circuit found on training prompts is faithful, complete and minimal on held-out name pairs, and better "
    "than random circuits of its size.",
    source="Wang et al. 2022 (arXiv:2211.00593): 26 heads of GPT-2, faithfulness 87 %",
    reported="87 % of the logit difference",
    stated="restated",
    published_on=["gpt2"],
    holds_when=PARTS,
    models=["ioi-toy"],
    seeds=range(5),
    controls=[
        Null("random-circuit", "a random circuit of the same size in its place", measure=random_circuit),
        UNTRAINED,
    ],
    gates=["spectral.competent"],
    unit="share of the logit difference",
    note="Heads outside the circuit take their output from the ABC prompt. Faithful: the share of the logit difference "
    "that the circuit keeps. Found greedily: heads are added until 90 % is kept, then those that cost at most "
    "5 % are dropped.",
    figure=Figure(kind="graph", title="IOI circuit: edges are shares of the logit difference"),
    needs=needs_network,
)
def test_circuit(model, seed, lab):
    from energylens.families.spectral.circuit import kept
    from energylens.families.spectral.circuit_graph import circuit_graph
    from energylens.families.spectral.head_prompts import ioi_prompts
    from energylens.interventions import remembered

    study = lab.spectral.heads(model, seed)
    network, circuit = study.network, study.circuit
    with remembered(network.bridge):
        parts, costs = on_held_out_prompts(study, circuit)
        swapped = kept(network, ioi_prompts(network, seed, corrupt="swap"), [circuit])
        graph = {} if lab.is_swapped else circuit_graph(network, ioi_prompts(network, seed), circuit, costs)
    return Measurement(
        parts,
        unit="share of the logit difference",
        beside={"heads in the circuit": len(circuit), "faithful to swapped names": float(swapped[0])},
        series=graph,
    )


test_circuit_full = in_full(test_circuit, seeds=range(10))
