"""Do latents align with the energy: above .5, above random directions, the same way on other documents?"""

import math

from energylens import AtLeast, AtMost, Figure, FisherZ, Measurement, Null, Question, claim
from energylens.harness.extend import in_full
from energylens.lab import (
    COVARIANCE,
    TEXT_SAE_SEEDS,
    TEXT_VARIANTS,
    UNTRAINED,
    needs_text_saes,
    needs_tuned_lens,
)

SOURCE = "Energy-Lens study: alignment of SAE features with energy gradients (EFAS)"
MODELS = ["pygpt-2l"]
ALL_SIZES = ["pygpt-2l", "pygpt-4l", "pygpt-6l"]
SEEDS, MORE_SEEDS = range(5), range(8)
GATES = ["spectral.competent", "efas.calibrated", "efas.planted", "efas.descends"]
EFAS = (
    "EFAS: correlation over tokens of a latent's activation and -<grad E, d>, E the lens energy -log p of the observed "
    "next token at the same position, on documents that neither network nor SAE was trained on, BOS left out. "
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


def median_of_top(study, values=None):
    from energylens.energy.study import median

    return median((study.alignment("confirmation").efas_all if values is None else values)[study.top].abs())


@claim(
    "efas.top-features",
    says="Top features align with the energy: |EFAS| above .5, p below .01.",
    source=SOURCE,
    reported="top features > .5 (maximum .856), p < .01",
    holds_when={"|EFAS|": AtLeast(0.5), "significant": AtLeast(0.9)},
    models=MODELS,
    variants=TEXT_VARIANTS,
    seeds=SEEDS,
    controls=[UNTRAINED, COVARIANCE],
    gates=GATES,
    unit="median |EFAS| of 20; share with p < .01",
    note=EFAS
    + "The 20 latents with the largest |EFAS| on discovery documents are measured on confirmation documents; p "
    "by 999 permutations of documents, corrected over the 20 (max-T).",
    figure=Figure(
        kind="table", title="Top features by EFAS on discovery documents, with contexts of other documents"
    ),
    needs=needs_text_saes,
)
def test_top_features(model, variant, seed, lab):
    from energylens.energy.contexts import feature_table

    study = lab.energy_study(model, seed, variant)
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
            "on discovery documents": median_of_top(study, study.alignment("discovery").efas_all),
            "aligned downhill, of 20": float((study.efas[study.top] > 0).sum()),
            "latents with fewer than 50 firing tokens": float(undefined),
        },
        series=feature_table(study, lab.network(model, seed)),
        note=note,
    )


test_top_features_full = in_full(test_top_features, seeds=MORE_SEEDS, models=ALL_SIZES)


CONTROLS = {
    "random directions": {"dictionary": "covariance"},
    "frozen decoder": {"dictionary": "frozen"},
    "untrained network": {"network": "untrained"},
}


def needs_controls(lab, model, variant, seed):
    swapped = (lab.swapped(**swap) for swap in CONTROLS.values())
    return [one.text_sae_recipe(model, seed, variant) for one in (lab, *swapped)]


@claim(
    "efas.beats-nulls",
    says="Features align more than what was never learnt: median |EFAS| at least .1 above each control's.",
    source="Restated: alignment is a finding if learning made it",
    stated="restated",
    holds_when=dict.fromkeys(CONTROLS, AtLeast(0.1)),
    models=MODELS,
    variants=TEXT_VARIANTS,
    seeds=SEEDS,
    controls=[COVARIANCE],
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
    from energylens.energy.study import median

    features = lab.energy_study(model, seed, variant).efas.abs()
    others = {
        name: lab.swapped(**swap).energy_study(model, seed, variant).efas.abs()
        for name, swap in CONTROLS.items()
    }
    drawn = {"features": features, **others}
    return Measurement(
        {name: median(features) - median(values) for name, values in others.items()},
        beside={f"median, {name}": median(values) for name, values in drawn.items()},
        series={}
        if lab.is_swapped
        else {name: [round(v, 5) for v in values[::4].tolist()] for name, values in drawn.items()},
    )


test_beats_nulls_full = in_full(test_beats_nulls, seeds=MORE_SEEDS, models=ALL_SIZES)


def tuned_ratio(lab, model, variant, seed):
    from energylens.energy.study import median

    logit, tuned = (lab.energy_study(model, seed, variant, tuned=tuned) for tuned in (False, True))
    beside = {"median |EFAS| of the logit lens's top 20, tuned": median_of_top(logit, tuned.efas)}
    before, after = (without_noise(study.efas, study.redrawn_efas) for study in (logit, tuned))
    if before > 0:
        beside["ratio of root mean squares, sampling noise taken off"] = after / before
    return median(tuned.efas.abs()) / median(logit.efas.abs()), beside


def redrawn(model, variant, seed, lab):
    """What no lens can go below: targets drawn from the lens itself, over the logit lens's |EFAS|."""
    from energylens.energy.study import median

    study = lab.energy_study(model, seed, variant)
    return Measurement(median(study.redrawn_efas.abs()) / median(study.efas.abs()))


def without_noise(efas, noise):
    """Root of the mean square that sampling noise does not account for."""
    return max(0.0, float(efas.square().nanmean() - noise.square().nanmean())) ** 0.5


@claim(
    "efas.miscalibration",
    says="EFAS of the logit lens is miscalibration of that lens: under a tuned lens at most half of it is left.",
    source="Belrose et al. 2023 (arXiv:2303.08112); a calibrated lens has EFAS 0 in expectation",
    stated="restated",
    holds_when=AtMost(0.5),
    models=MODELS,
    variants=["topk-middle", "relu-middle"],
    seeds=SEEDS,
    controls=[
        Null(
            "redrawn",
            "targets drawn from the lens itself: noise alone, the least that any lens can leave",
            measure=redrawn,
            qualifies=False,
        )
    ],
    gates=GATES,
    unit="median |EFAS|, tuned / logit lens",
    note=EFAS
    + "The tuned lens is fitted on training documents. At the last layer both lenses are the network's readout, "
    "so there is nothing to tune. Part of |EFAS| is sampling noise (redrawn), below which the ratio can't fall.",
    needs=needs_tuned_lens,
)
def test_miscalibration(model, variant, seed, lab):
    ratio, other = tuned_ratio(lab, model, variant, seed)
    site = variant.rpartition("-")[2]
    before, after = lab.artifact(lab.tuned_lens_recipe(model, seed, site)).meta["held_out"]
    return Measurement(
        ratio,
        beside={
            "KL to the network, logit lens": before,
            "KL, tuned lens": after,
            **other,
        },
    )


test_miscalibration_full = in_full(test_miscalibration, seeds=MORE_SEEDS, models=ALL_SIZES)


def shuffled_latents(model, variant, seed, lab):
    import torch

    study = lab.energy_study(model, seed, variant)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(study.efas), generator=generator)
    return agreement(
        study, study.alignment("discovery").efas_all[rows], study.efas[rows], study.fires_enough()
    )


def agreement(study, documents, other_seed, enough):
    from energylens.metrics import association

    known = enough & ~documents.isnan() & ~other_seed.isnan() & ~study.efas.isnan()
    rho = {
        "documents": association.spearman(study.efas[known], documents[known]),
        "SAE seeds": association.spearman(study.efas[known], other_seed[known]),
    }
    return Measurement(rho, beside={"latents": int(known.sum())})


@claim(
    "efas.stable",
    says="EFAS ranks latents alike on other documents (rho .7), and matched latents of another SAE seed (.5).",
    source="Restated: a property of a feature is found again",
    stated="restated",
    holds_when={"documents": AtLeast(0.7), "SAE seeds": AtLeast(0.5)},
    models=MODELS,
    variants=TEXT_VARIANTS,
    seeds=SEEDS,
    statistic=FisherZ(points="latents", ranks=True),
    controls=[Null("shuffled", "latents in another order: none is itself", measure=shuffled_latents)],
    gates=GATES,
    unit="Spearman's rho over latents",
    note=EFAS
    + "Latents of two SAE seeds on one network are matched one to one by the cosine of their decoder rows "
    "(Hungarian algorithm). Both ranks are compared across documents, so that no noise of one sample is shared.",
    needs=needs_text_saes,
)
def test_stable(model, variant, seed, lab):
    import torch

    from energylens.metrics import stability

    study, other = (lab.energy_study(model, seed, variant, sae_seed) for sae_seed in TEXT_SAE_SEEDS)
    rows, columns = stability.matching(
        stability.unit_rows(study.dictionary.W_dec) @ stability.unit_rows(other.dictionary.W_dec).T
    )
    matched = torch.full_like(study.efas, torch.nan)
    matched[rows] = other.alignment("discovery").efas_all[columns]
    return agreement(study, study.alignment("discovery").efas_all, matched, study.fires_enough())


test_stable_full = in_full(test_stable, seeds=MORE_SEEDS, models=ALL_SIZES)
