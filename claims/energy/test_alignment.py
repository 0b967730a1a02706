"""Do latents align with the energy: above .5, above random directions, the same way on other documents?"""

import math
from dataclasses import replace

from energylens import AtLeast, Ceiling, Figure, Measurement, Null, Question, claim, in_full
from energylens.lab import COVARIANCE, TEXT_VARIANTS, UNTRAINED, needs_text_saes

SOURCE = "Energy-Lens study: alignment of SAE features with energy gradients (EFAS)"
MODELS = ["pygpt-2l"]
ALL_SIZES = ["pygpt-2l", "pygpt-4l", "pygpt-6l"]
SEEDS, MORE_SEEDS = range(5), range(8)
CEILING_DRAWS = 199
"""Permutations of documents for planted latents: as many as can give p = .005."""
GATES = ["spectral.competent", "efas.calibrated", "efas.planted", "efas.descends"]
EFAS = (
    "EFAS: correlation over tokens of a latent's activation and -<grad E, d>, E the lens energy -log p of the observed "
    "next token at the same position, on documents that neither network nor SAE was trained on, BOS left out. "
)
NO_NETWORK = (
    "Published on no network: its source draws features at random, with energies from the length of words. "
)
QUESTION = Question(
    asks="Do top EFAS features exceed .5 on held-out text? Is any of it more than miscalibration of the lens? Does "
    "EFAS predict causal effect better than gradient times activation?",
    answered_by=(
        "efas.top-features",
        "efas.beats-nulls",
        "efas.miscalibration",
        "efas.predicts-ablation",
    ),
    words={
        "efas.top-features": {
            "HOLDS": "The 20 features chosen on discovery documents exceed .5 on other documents, significantly.",
            "HOLDS, by chance too": "They exceed .5 on other documents, and so does a control.",
            "REFUTED": "The 20 features chosen on discovery documents stay below .5 on other documents.",
            "INCONCLUSIVE": "Whether the top features reach .5 on other documents is open.",
        },
        "efas.beats-nulls": {
            "HOLDS": "Features align more than random directions, frozen decoders and an untrained network.",
            "REFUTED": "Features align no more, by .1, than random directions, frozen decoders or untrained networks.",
            "INCONCLUSIVE": "Whether features align more than every control is open.",
        },
        "efas.miscalibration": {
            "HOLDS": "What alignment there is, is mostly miscalibration of the lens: a tuned lens halves it.",
            "HOLDS, by chance too": "A tuned lens halves it, in a control as well.",
            "REFUTED": "A tuned lens leaves more than half of it, so miscalibration does not explain most of it.",
            "INCONCLUSIVE": "Whether a tuned lens takes away half of it is open.",
        },
        "efas.predicts-ablation": {
            "HOLDS": "EFAS predicts what ablating a feature does, at least as well as gradient times activation.",
            "REFUTED": "EFAS predicts the effect of ablation badly, or worse than gradient times activation.",
            "INCONCLUSIVE": "Whether EFAS predicts the effect of ablation as claimed is open.",
        },
    },
)


def median_of_top(study, split="confirmation"):
    return median_of(study.alignment(split).efas_all[study.top])


def median_of(efas):
    from energylens.families.energy.energy_study import median

    return median(efas.abs())


def perfect(model, variant, seed, lab):
    """A planted perfect latent in the place of each of the 20: of the same direction, and firing as often."""
    import torch

    from energylens.families.energy.energy_study import align, max_t_p, permuted_t
    from energylens.families.energy.planted_alignment import as_it_fires, perfect_latents

    study = lab.energy.study(model, seed, variant)
    reading, W_dec = study.readings["confirmation"], study.dictionary.W_dec[study.top]
    g, fires = -torch.einsum("td,fd->tf", reading.gradient, W_dec), study.top_acts != 0

    def efas(acts):
        return align(W_dec, [(acts, reading.gradient, reading.covariates)]).efas_all.abs()

    downhill, uphill = perfect_latents(g, fires.sum(0)), perfect_latents(-g, fires.sum(0))
    t = permuted_t(reading, downhill, reading.gradient, W_dec, CEILING_DRAWS, seed)
    return Measurement(
        {
            "|EFAS|": median_of(torch.maximum(efas(downhill), efas(uphill))),
            "significant": float((max_t_p(t[0], t[1:]) < 0.01).double().mean()),
        },
        beside={
            "|EFAS|, firing on the same tokens": median_of(efas(as_it_fires(g, fires))),
            "share of tokens it fires on": float(fires.double().mean()),
        },
    )


@claim(
    "efas.top-features",
    says="Top features align with the energy: |EFAS| above .5, p below .01.",
    source=SOURCE,
    reported="top features > .5 (maximum .856), p < .01",
    holds_when={"|EFAS|": AtLeast(0.5), "significant": AtLeast(0.9)},
    published_on=[],
    models=MODELS,
    variants=TEXT_VARIANTS,
    seeds=SEEDS,
    controls=[
        UNTRAINED,
        COVARIANCE,
        Ceiling(
            "perfect-latent",
            "a planted latent of each direction that fires as often, where and as much as aligns best",
            measure=perfect,
        ),
    ],
    gates=GATES,
    unit="median |EFAS| of 20; share with p < .01",
    note=EFAS
    + "The 20 latents with the largest |EFAS| on discovery documents are measured on confirmation documents; p "
    "by 999 permutations of documents, corrected over the 20 (max-T). " + NO_NETWORK,
    figure=Figure(
        kind="table", title="Top features by EFAS on discovery documents, with contexts of other documents"
    ),
    needs=needs_text_saes,
)
def test_top_features(model, variant, seed, lab):
    from energylens.families.energy.contexts import feature_table

    study = lab.energy.study(model, seed, variant)
    value = {"|EFAS|": median_of_top(study), "significant": float((study.top_p < 0.01).double().mean())}
    note = "" if study.smallest_p < 0.01 else "so few documents can't be exchanged often enough for p < .01"
    if note:
        value["significant"] = math.nan
    if lab.is_swapped:  # of a control nothing else is printed
        return Measurement(value, note=note)
    undefined = sum(study.alignment("confirmation").undefined["efas_firing"].values())
    return Measurement(
        value,
        beside={
            **study.beside,
            "on discovery documents": median_of_top(study, "discovery"),
            "aligned downhill, of 20": float((study.efas[study.top] > 0).sum()),
            "latents with fewer than 50 firing tokens": float(undefined),
        },
        series=feature_table(study, lab.network(model, seed)),
        note=note,
    )


test_top_features_full = in_full(test_top_features, seeds=MORE_SEEDS, models=ALL_SIZES)


CONTROL_L0 = 32
"""Of random directions, as many as have the largest activations fire on a token; `Lab` takes as many."""
CONTROLS = {
    "random directions": {"dictionary": "covariance"},
    "frozen decoder": {"dictionary": "frozen"},
    "untrained network": {"network": "untrained"},
}


def needs_controls(lab, model, variant, seed):
    swapped = (lab.swapped(**swap) for swap in CONTROLS.values())
    return [one.text.sae_recipe(model, seed, variant) for one in (lab, *swapped)]


def above_controls(features, model, variant, seed, lab):
    """Median of these |EFAS| above that of each control."""
    from energylens.families.energy.energy_study import median

    others = {
        name: lab.swapped(**swap).energy.study(model, seed, variant).efas.abs()
        for name, swap in CONTROLS.items()
    }
    drawn = {"features": features, **others}
    return Measurement(
        {name: median(features) - median(values) for name, values in others.items()},
        beside={f"median, {name}": median(values) for name, values in drawn.items()},
        series={name: [round(v, 5) for v in values[::4].tolist()] for name, values in drawn.items()},
    )


def drawn_again(model, variant, seed, lab):
    """Other random directions than those that they are compared with."""
    import torch

    from energylens.families.energy.energy_study import EnergyStudy
    from energylens.sae.dictionary import random_dictionary

    study = lab.energy.study(model, seed, variant)
    generator = torch.Generator().manual_seed(1_000_003 * (100 + TEXT_VARIANTS.index(variant)) + seed)
    others = random_dictionary(
        study.readings["discovery"].x, len(study.dictionary.W_dec), CONTROL_L0, generator
    )
    features = EnergyStudy(others, study.readings, seed).efas.abs()
    return replace(above_controls(features, model, variant, seed, lab), series={})


@claim(
    "efas.beats-nulls",
    says="Features align more than what was never learnt: median |EFAS| at least .1 above each control's.",
    source="Restated: alignment is a finding if learning made it",
    stated="restated",
    holds_when=dict.fromkeys(CONTROLS, AtLeast(0.1)),
    models=MODELS,
    variants=TEXT_VARIANTS,
    seeds=SEEDS,
    controls=[
        Null(
            "drawn-again",
            "random directions in place of the features, drawn apart from those that they are compared with",
            measure=drawn_again,
        )
    ],
    gates=GATES,
    unit="difference of medians of |EFAS|",
    note=EFAS
    + "Random directions have the covariance of x and are read along themselves, 32 at a time; the frozen "
    "decoder has an encoder trained for it; the untrained network has SAEs of its own.",
    figure=Figure(
        kind="distribution",
        y=("features", *CONTROLS),
        x_label="|EFAS|",
        title="|EFAS| of all latents on confirmation documents, against each control",
    ),
    needs=needs_controls,
)
def test_beats_nulls(model, variant, seed, lab):
    features = lab.energy.study(model, seed, variant).efas.abs()
    return above_controls(features, model, variant, seed, lab)


test_beats_nulls_full = in_full(test_beats_nulls, seeds=MORE_SEEDS, models=ALL_SIZES)
