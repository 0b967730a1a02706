"""The published budget: memory, time, and how time grows with the length of the text."""

from energylens import AtLeast, AtMost, Measurement, Null, Unavailable, Within, claim, gate
from energylens.lab import SITES, TEXT_VARIANTS

ABLATED = [variant for variant in TEXT_VARIANTS if variant.startswith("topk")]

MODELS = ["pygpt-2l"]
SEEDS = range(5)
CORES = 2
NO_NETWORK = (
    "Published on no network: its source draws features at random, with energies from the length of words. "
)
STUDIES = 4
"""Each dictionary is studied as trained, and in three controls."""
INTERVENED = 2
"""Ablation and steering are done as trained, and in one control each."""


def needs_everything(lab, model, variant, seed):
    """SAEs as trained and of the controls, and tuned lenses."""
    labs = (lab, lab.swapped(network="untrained"), lab.swapped(dictionary="frozen"))
    lenses = [lab.text.tuned_lens_recipe(model, seed, site) for site in SITES]
    return [*(one.text.sae_recipe(model, seed, each) for one in labs for each in TEXT_VARIANTS), *lenses]


def seconds_intervening(lab, model, seed, variant):
    once = (lab.energy.ablation_against_random, lab.energy.steering_against_random, lab.energy.random_shifts)
    with_control = (lab.energy.ablation_effects, lab.energy.steering_shifts)
    return sum(measure(model, seed, variant).seconds for measure in (*once, *INTERVENED * with_control))


def linear(model, seed, lab):
    return growth(n_queries=128)


def growth(**given):
    from energylens.families.energy.cost import exponent, seconds_of_scores

    return Measurement(exponent(seconds_of_scores(**given)))


@gate(
    "energy.timed",
    says="The clock tells work that grows with the square of the length from work that grows with it.",
    source="Attention scores are as many as there are pairs of positions",
    passes_when=AtLeast(1.5),
    models=MODELS,
    seeds=SEEDS,
    timed=True,
    rejects=[Null("linear", "the scores of 128 queries, as many at every length", measure=linear)],
    unit="log-log exponent",
    note="Processor seconds for attention scores of random queries and keys against length.",
)
def test_timed(model, seed, lab):
    return growth()


@claim(
    "energy.budget",
    says="The whole family takes less than 6 GB and 30 minutes on two cores, and time grows linearly with length.",
    source="Energy-Lens study: laptop budget",
    reported="< 6 GB, < 30 min, linear in sequence length",
    holds_when={"GB": AtMost(6.0), "minutes": AtMost(30.0), "exponent": Within(0.8, 1.2)},
    published_on=[],
    models=MODELS,
    seeds=SEEDS,
    gates=["energy.timed"],
    timed=True,
    unit="GB; minutes; log-log exponent",
    note="Minutes: what training recorded for this network, its SAEs, those of its controls, and tuned lenses, and the "
    "time of its alignments, ablations and steering now, times the number of seeds, over two cores. GB: "
    "the largest resident set of this process since the seed before, twice (for two), or with one that builds. "
    "Exponent: processor seconds for energies, gradients and alignments against length, at as many texts. "
    + NO_NETWORK,
    needs=needs_everything,
)
def test_budget(model, seed, lab):
    from energylens.families.energy.cost import SHARE, exponent, peak_gigabytes, seconds_by_length

    built = [
        lab.artifact(recipe).meta.get("seconds", 0.0) for recipe in needs_everything(lab, model, "", seed)
    ]
    network = lab.network(model, seed).meta.get("seconds")
    if network is None:
        raise Unavailable("asks how long training took, which a checkpoint does not tell")
    study = lab.energy.study(model, seed, TEXT_VARIANTS[0])
    by_length = seconds_by_length(study)
    studied = by_length[max(by_length)] * SHARE * 2 * len(TEXT_VARIANTS) * STUDIES
    intervened = sum(seconds_intervening(lab, model, seed, variant) for variant in ABLATED)
    total = network + sum(built) + studied + intervened
    return Measurement(
        {
            "GB": peak_gigabytes(),
            "minutes": total * len(SEEDS) / CORES / 60,
            "exponent": exponent(by_length),
        },
        beside={
            "network, s": network,
            "SAEs and lenses, s": sum(built),
            "studies, s": studied,
            "ablation and steering, s": intervened,
        },
    )
