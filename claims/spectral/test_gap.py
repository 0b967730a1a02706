"""Does a head's spectral gap tell how much it matters?"""

import math
from statistics import fmean

from energylens import AtMost, Ceiling, Figure, FisherZ, Gate, Measurement, Null, Question, claim, in_full
from energylens.lab import UNTRAINED, WIRED, needs_network

SOURCE = (
    "Published steering study on GPT-2: eigenvalue gap of the key Gram matrix and causal importance of heads"
)
MODELS = ["induction-2l", "induction-2l-rotary", "ioi-toy", "pygpt-2l"]
LARGER = [*MODELS, "pygpt-4l"]
SEEDS, MORE_SEEDS = range(5), range(10)
DEFINITIONS = ["a", "a-raw", "a-prime", "b", "c", "d"]
GATES = ["spectral.competent", "spectral.gauge", "spectral.attributed", Gate("spectral.planted", on=WIRED)]
THRESHOLD = 0.77
IMPORTANCE = (
    "Importance is the mean damage, in absolute value, when a head's output comes from the corrupted prompt (logit "
    "difference) or, for text, from a window of another document (loss). "
)
VARIANTS = (
    "Definitions: a centred keys (published), a-raw keys, a-prime scores before the softmax, b attention matrix, "
    "c W_Q W_K^T, d OV copying score, a rival that is no gap. "
)
QUESTION = Question(
    asks="Does the head with the smallest gap have the highest patching importance, r > .7? On which models, by which "
    "definition, and what is left after depth is taken out?",
    answered_by=(
        "spectral.weakest-link",
        "spectral.gap-predicts",
        "spectral.gap-within-layers",
        "spectral.adds",
    ),
    words={
        "spectral.weakest-link": {
            "HOLDS": "The head with the smallest gap is the most important one in most networks.",
            "HOLDS, by chance too": "It is the most important one in most networks, and so is a random head.",
            "REFUTED": "The head with the smallest gap is the most important one in fewer than half of the networks.",
            "INCONCLUSIVE": "So few networks don't decide whether it is the most important one in half of them.",
        },
        "spectral.gap-predicts": {
            "HOLDS": "Smaller gaps go with more importance, r below -.7.",
            "HOLDS, by chance too": "r is below -.7, but depth alone or an untrained network gives that as well.",
            "REFUTED": "Gap and importance do not correlate as claimed: r is above -.7.",
            "INCONCLUSIVE": "Whether r reaches -.7 is open.",
        },
        "spectral.gap-within-layers": {
            "HOLDS": "Depth taken out, the correlation stays below -.7.",
            "HOLDS, by chance too": "Depth taken out, r stays below -.7, but a control gives that as well.",
            "REFUTED": "Depth taken out, no such correlation is left: r is above -.7.",
            "INCONCLUSIVE": "Whether r stays below -.7 without depth is open.",
        },
        "spectral.adds": {
            "HOLDS": "Beside depth, output norm and attention entropy, the gap still adds something.",
            "HOLDS, by chance too": "Beside depth, output norm and entropy it adds something; so does a shuffled gap.",
            "REFUTED": "Little is left: beside depth, output norm and entropy the gap adds less than 5 % of variance.",
            "INCONCLUSIVE": "Whether the gap adds to depth, output norm and attention entropy is open.",
        },
    },
)
HEADS = Figure(
    kind="scatter",
    x="gap",
    y=("importance",),
    colour="layer",
    mark={"a": THRESHOLD},
    mark_label="published threshold .77, of a only",
    title="Gap against importance, one point per head and seed",
    x_label="gap (by the definition of the column)",
    y_label="importance, nats",
)


def correlation(study, variant, damage):
    from energylens.metrics import association

    return association.pearson(study.gap(variant), damage)


def depth_alone(model, variant, seed, lab):
    from energylens.metrics import association

    study = lab.spectral.heads(model, seed)
    values = association.correlations(study.gap(variant), study.shuffled(study.damage))
    return Measurement(fmean(values.tolist()), beside={"heads": len(study.layer)})


def importance_itself(model, variant, seed, lab):
    """The sign turned to the side that the claim speaks of."""
    from energylens.families.spectral.importance_reliability import of_importance

    study = lab.spectral.heads(model, seed)
    found = of_importance(study)
    return Measurement(-found.noise_free, beside={"heads": len(study.layer), **found.named()})


def other_correlations(study, variant):
    """Numbers to print beside r; those that are undefined are left out."""
    from energylens.metrics import association

    gap, damage = study.gap(variant), study.damage
    found = {
        "Spearman": association.spearman(gap, damage),
        "r with denoising": association.pearson(gap, study.alternatives.denoising.flatten().abs()),
        "r with mean ablation": association.pearson(gap, study.alternatives.mean_ablation.flatten().abs()),
    }
    return {name: number for name, number in found.items() if not math.isnan(number)}


@claim(
    "spectral.gap-predicts",
    says="Heads with a small gap matter: the gap correlates with causal importance, r < -.7.",
    source=SOURCE,
    reported="|r| > .7; from its own numbers r = +.61, n = 6, p = .20",
    published_on=["gpt2"],
    holds_when=AtMost(-0.7),
    models=MODELS,
    variants=DEFINITIONS,
    seeds=SEEDS,
    statistic=FisherZ(points="heads"),
    controls=[
        Null(
            "depth-alone",
            "importance shuffled within layers, mean of 200: what depth gives",
            measure=depth_alone,
        ),
        UNTRAINED,
        Ceiling(
            "itself",
            "a predictor of importance that is perfect but for the noise of importance; with the sign of the claim",
            measure=importance_itself,
        ),
    ],
    gates=GATES,
    unit="r over heads",
    note=IMPORTANCE + VARIANTS,
    figure=HEADS,
    needs=needs_network,
)
def test_gap_predicts(model, variant, seed, lab):
    from energylens.interventions import remembered
    from energylens.metrics import association

    study = lab.spectral.heads(model, seed)
    with remembered(study.network.bridge):
        gap, damage = study.gap(variant), study.damage
        others = {} if lab.is_swapped else other_correlations(study, variant)
    r = correlation(study, variant, damage)
    published = association.pearson(study.gaps.published.flatten(), damage) if variant == "a" else None
    beside = {"heads": len(gap)} | others
    return Measurement(
        r,
        unit="r over heads",
        as_published=published,
        beside=beside,
        series={
            "gap": gap.tolist(),
            "importance": damage.tolist(),
            "layer": [f"layer {layer}" for layer in study.layer.tolist()],
        },
        note="the gap is the same for every head" if math.isnan(r) else "",
    )


test_gap_predicts_full = in_full(test_gap_predicts, seeds=MORE_SEEDS, models=LARGER)


def left_without_depth(study, variant, damage):
    """r after the mean of every layer is taken from both."""
    from energylens.metrics import association

    r = association.within_group_correlation(study.gap(variant), damage, study.layer)
    note = "neither varies within its layer" if math.isnan(r) else ""
    return r, points(study), note


def points(study):
    """As many as r within layers has degrees of freedom, plus 2."""
    return {"heads": len(study.layer) - int(study.layer.max())}


def importance_itself_within_layers(model, variant, seed, lab):
    """The sign turned to the side that the claim speaks of."""
    from energylens.families.spectral.importance_reliability import of_importance_within_layers

    study = lab.spectral.heads(model, seed)
    found = of_importance_within_layers(study)
    return Measurement(-found.noise_free, beside={**points(study), **found.named()})


def shuffled_within(model, variant, seed, lab):
    from energylens.metrics import association

    study = lab.spectral.heads(model, seed)
    gap, damage = (
        association.within_groups(each, study.layer) for each in (study.gap(variant), study.damage)
    )
    values = association.correlations(gap, study.shuffled(damage))
    return Measurement(fmean(values.tolist()), beside=points(study))


@claim(
    "spectral.gap-within-layers",
    says="Among the heads of one layer, too, a small gap goes with importance: r < -.7 after depth is taken out.",
    source=SOURCE,
    stated="restated",
    published_on=["gpt2"],
    holds_when=AtMost(-0.7),
    models=MODELS,
    variants=DEFINITIONS,
    seeds=SEEDS,
    statistic=FisherZ(points="heads"),
    controls=[
        Null(
            "shuffled",
            "importance shuffled within layers, mean of 200: no relation is left",
            measure=shuffled_within,
        ),
        UNTRAINED,
        Ceiling(
            "itself",
            "a predictor of importance that is perfect but for the noise of importance; with the sign of the claim",
            measure=importance_itself_within_layers,
        ),
    ],
    gates=GATES,
    unit="r within layers",
    note="Both are taken as deviations from their layer's mean. " + IMPORTANCE + VARIANTS,
    needs=needs_network,
)
def test_gap_within_layers(model, variant, seed, lab):
    study = lab.spectral.heads(model, seed)
    r, beside, note = left_without_depth(study, variant, study.damage)
    return Measurement(r, unit="r within layers", beside=beside, note=note)


test_gap_within_layers_full = in_full(test_gap_within_layers, seeds=MORE_SEEDS, models=LARGER)
