"""Gates of the spectral family: right instrument, known circuit found, network that can do its task."""

from energylens import AtLeast, AtMost, Measurement, Null, gate
from energylens.lab import UNTRAINED, WIRED, needs_network

HEADS = ["induction-2l", "induction-2l-rotary", "ioi-toy", "pygpt-2l"]
SEEDS = range(5)


def wrong_gauge(model, seed, lab):
    return gauge(lab, model, seed, "wrong")


def gauge(lab, model, seed, which):
    from energylens.families.spectral.gauge_test import gauge_violation

    found = lab.spectral.heads(model, seed).gauge[which]
    return Measurement(gauge_violation(found), beside=found)


@gate(
    "spectral.gauge",
    says="Keys and queries in other coordinates leave the network and gap a' as they are, and change gap a.",
    source="Elhage et al. 2021, A Mathematical Framework for Transformer Circuits: only W_Q W_K^T matters",
    passes_when=AtMost(1.0),
    models=HEADS,
    seeds=SEEDS,
    rejects=[
        Null("wrong-gauge", "the keys turned and the queries not: another network", measure=wrong_gauge)
    ],
    unit="worst ratio to what is allowed",
    note="In float64: logits may change by 1e-8, gap a' by 1e-8 of itself, and gap a must change by more than 10 % in "
    "at least half of the heads. A claim about gap a is a claim about coordinates.",
    needs=needs_network,
)
def test_gauge(model, seed, lab):
    return gauge(lab, model, seed, "right")


def pointing(lab, model, seed, further):
    from energylens.families.spectral.changed_head import attribution

    found = attribution(lab.network(model, seed), seed, further)
    return Measurement(min(found.values()), beside=found)


def next_head(model, seed, lab):
    return pointing(lab, model, seed, further=1)


@gate(
    "spectral.attributed",
    says="Where one head of the last layer is changed, gaps a and a' and the damage name that head.",
    source="Heads of one layer read the same stream side by side: what one of them does changes no other's scores",
    passes_when=AtLeast(1.0),
    models=HEADS,
    seeds=SEEDS,
    rejects=[Null("next-head", "the head beside the one that was changed", measure=next_head)],
    unit="1 if gap a, gap a' and damage all name it",
    note="A head of the last layer has half of its key coordinates stretched three times and its output taken off. "
    "Both its gaps have to change and no other head's; its damage has to be 0, and no other head's.",
    needs=needs_network,
)
def test_attributed(model, seed, lab):
    return pointing(lab, model, seed, further=0)


def separation(lab, seed, corrupt, n=64):
    """Smallest importance among the two wired heads over the largest among the others."""
    import torch

    from energylens.families.spectral.head_prompts import induction_prompts
    from energylens.families.spectral.importance import noising

    network = lab.network(WIRED, seed)
    importance = noising(network, induction_prompts(network, seed, n, corrupt)).abs()
    wired = torch.zeros_like(importance, dtype=torch.bool)
    for layer, head in lab.recipe(WIRED, seed).circuit:
        wired[layer, head] = True
    weakest, others = importance[wired].min(), importance[~wired].max()
    return Measurement(
        float(weakest / others) if others > 0 else float("nan"),
        beside={"weakest wired head, nats": float(weakest), "strongest other head, nats": float(others)},
    )


def blind_corruption(model, seed, lab):
    return separation(lab, seed, corrupt="value")


@gate(
    "spectral.planted",
    says="Patching finds the two heads of an induction circuit that was wired by hand.",
    source="Network with a known circuit, after Lindner et al. 2023 (arXiv:2301.05062)",
    passes_when=AtLeast(10.0),
    models=[WIRED],
    seeds=SEEDS,
    rejects=[
        Null(
            "blind-corruption",
            "a corruption that exchanges the copied token only: it cannot see the previous-token head",
            measure=blind_corruption,
        )
    ],
    unit="weakest wired head / strongest other head",
    needs=needs_network,
)
def test_planted(model, seed, lab):
    return separation(lab, seed, corrupt="key")


@gate(
    "spectral.competent",
    says="The network does its task: induction, indirect objects, or text.",
    source="A head can't matter for what a network can't do",
    passes_when=AtLeast(1.0),
    models=[*HEADS, "induction-1l"],
    seeds=SEEDS,
    must_fail=["induction-1l"],
    rejects=[UNTRAINED],
    competence=True,
    unit="score / score required",
    note="Required on held-out inputs: 90 % of repeated tokens predicted; IO above S in 98 % of prompts with held-out "
    "name pairs; 2.2 bits per byte of text (token frequencies alone give about 2.8).",
    needs=needs_network,
)
def test_competent(model, seed, lab):
    from energylens.families.spectral.competence import competence

    score, beside = competence(lab.network(model, seed))
    return Measurement(score, beside=beside)
