"""Does alignment say what a latent does to the network?"""

import math
from statistics import fmean

from energylens import AtLeast, Ceiling, Figure, FisherZ, Mean, Measurement, Null, claim, in_full
from energylens.lab import COVARIANCE, UNTRAINED, needs_text_saes

SOURCE = "Energy-Lens study: aligned features as levers on the model"
MODELS = ["pygpt-2l"]
ALL_SIZES = ["pygpt-2l", "pygpt-4l", "pygpt-6l"]
SEEDS, MORE_SEEDS = range(5), range(8)
VARIANTS = ["topk-middle", "topk-late"]
SHUFFLES, SHUFFLES_OF_GAIN = 20, 10
GATES = ["spectral.competent", "efas.calibrated", "efas.planted", "efas.descends"]
NO_NETWORK = (
    "Published on no network: its source draws features at random, with energies from the length of words. "
)
EFFECT = (
    "Effect: change of the network's loss on 63 tokens of every confirmation document when x loses a_f d_f, exactly, "
    "everything after it computed anew; 64 latents drawn among those that fire on 50 tokens of either split. EFAS and "
    "gradient x activation, of lens energy at the same position, are taken on discovery documents: with those of the "
    "ablated tokens they would share their noise. "
)


def effects_of(lab, model, variant, seed):
    """Effects on confirmation documents, and EFAS and gradient x activation of the same latents on discovery ones."""
    effects = lab.energy.ablation_effects(model, seed, variant)
    known = lab.energy.study(model, seed, variant).alignment("discovery")
    return effects, known.efas_all[effects.latents], known.gradient_times_activation[effects.latents]


def rho(first, second):
    from energylens.metrics import association

    return association.spearman(first, second)


def compared(effects, efas, first_order):
    """Rank correlations with the effect, of EFAS and of what is known beside it."""
    aligned, rival = rho(efas, effects.downstream), rho(first_order, effects.downstream)
    beside = {
        "latents": len(effects.latents),
        "gradient x activation": rival,
        "mean activation": rho(effects.activity, effects.downstream),
        "EFAS, same-position effect": rho(efas, effects.same_position),
        "gradient x activation, same-position effect": rho(first_order, effects.same_position),
        "EFAS of the ablated tokens": rho(effects.efas, effects.downstream),
        "gradient x activation of the ablated tokens": rho(effects.first_order, effects.downstream),
    }
    parts = {"EFAS": aligned, "EFAS minus gradient x activation": aligned - rival}
    return parts, {name: value for name, value in beside.items() if not math.isnan(value)}


def orders(n, seed, draws=SHUFFLES):
    import torch

    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(n, generator=generator) for _ in range(draws)]


def shuffled(model, variant, seed, lab):
    effects, efas, first_order = effects_of(lab, model, variant, seed)
    found = [compared(effects, efas[rows], first_order)[0] for rows in orders(len(efas), seed)]
    return Measurement(
        {part: fmean(one[part] for one in found) for part in found[0]},
        beside={"latents": len(effects.latents)},
    )


def perfect(model, variant, seed, lab):
    """What rho would be if the true values of both agreed perfectly: both are measured, on different documents."""
    import torch

    from energylens.metrics import association, reliability

    effects = lab.energy.ablation_effects(model, seed, variant)
    ranked = (torch.stack([association.ranks(row) for row in half]) for half in effects.halves(seed))
    effect = reliability.reliability(*ranked)
    study = lab.energy.study(model, seed, variant)
    known = (study.alignment(split).efas_all[effects.latents] for split in ("discovery", "confirmation"))
    efas = rho(*known)
    beside = {f"effect, {name}": number for name, number in effect.named().items()}
    return Measurement(
        {"EFAS": reliability.attenuated(effect.full, efas)},
        beside={"latents": len(effects.latents), "EFAS, reliability": efas, **beside},
    )


@claim(
    "efas.predicts-ablation",
    says="EFAS predicts what ablating a feature does (rho .5), and does so no worse than gradient x activation.",
    source=SOURCE,
    holds_when={"EFAS": AtLeast(0.5), "EFAS minus gradient x activation": AtLeast(0.0)},
    published_on=[],
    models=MODELS,
    variants=VARIANTS,
    seeds=SEEDS,
    statistic={"EFAS": FisherZ(points="latents", ranks=True), "EFAS minus gradient x activation": Mean()},
    controls=[
        Null("shuffled", f"EFAS of other latents, mean of {SHUFFLES} orders", measure=shuffled),
        UNTRAINED,
        Ceiling("perfect", "EFAS and effect whose true values agree, measured as they are", measure=perfect),
    ],
    gates=GATES,
    unit="Spearman's rho over latents",
    note=EFFECT
    + "Gradient x activation: mean of a_f g_f, to first order the same-position effect. Ceiling: rho of the "
    "effects on two halves of the documents, mean of 100 splits, stepped up to all documents (Spearman-Brown). "
    + NO_NETWORK,
    figure=Figure(
        kind="scatter",
        x="EFAS",
        y=("effect of ablation, nats",),
        title="EFAS against exact ablation, one point per latent and seed",
        x_label="EFAS on discovery documents",
        y_label="change of loss, nats",
    ),
    needs=needs_text_saes,
)
def test_predicts_ablation(model, variant, seed, lab):
    effects, efas, first_order = effects_of(lab, model, variant, seed)
    parts, beside = compared(effects, efas, first_order)
    if not lab.is_swapped:
        beside |= lab.energy.ablation_against_random(model, seed, variant).medians()
    return Measurement(
        parts,
        beside=beside,
        series={
            "EFAS": efas.tolist(),
            "effect of ablation, nats": effects.downstream.tolist(),
        },
    )


test_predicts_ablation_full = in_full(test_predicts_ablation, seeds=MORE_SEEDS, models=ALL_SIZES)


def gain(effects, efas, first_order, seed):
    """Cross-validated R² of the effect from gradient x activation and EFAS, minus that without EFAS."""
    from energylens.metrics import association

    return association.cross_validated_gain(
        effects.downstream, first_order[:, None], efas[:, None], seed=seed
    )


def useless(model, variant, seed, lab):
    effects, efas, first_order = effects_of(lab, model, variant, seed)
    drawn = orders(len(efas), seed, SHUFFLES_OF_GAIN)
    return Measurement(fmean(gain(effects, efas[rows], first_order, seed) for rows in drawn))


def explicable(model, variant, seed, lab):
    """What is no noise in the effect: no predictor of the true effect has a larger R² than its reliability."""
    from energylens.metrics import reliability

    found = reliability.reliability(*lab.energy.ablation_effects(model, seed, variant).halves(seed))
    return Measurement(found.full, beside={"r between halves": found.halves})


@claim(
    "efas.adds",
    says="EFAS adds to gradient x activation in saying what ablation does: R² at least .02 more.",
    source="Restated: what a careful reviewer would ask of a predictor",
    stated="restated",
    holds_when=AtLeast(0.02),
    models=MODELS,
    variants=VARIANTS,
    seeds=SEEDS,
    controls=[
        Null(
            "shuffled", f"EFAS of other latents, mean of {SHUFFLES_OF_GAIN} orders: useless", measure=useless
        ),
        UNTRAINED,
        Ceiling("explicable", "the share of the effect's variance that is no noise", measure=explicable),
    ],
    gates=GATES,
    unit="gain in R²",
    note=EFFECT + "R² by 5-fold cross-validation over latents, folds drawn once per seed.",
    needs=needs_text_saes,
)
def test_adds(model, variant, seed, lab):
    return Measurement(gain(*effects_of(lab, model, variant, seed), seed))


test_adds_full = in_full(test_adds, seeds=MORE_SEEDS, models=ALL_SIZES)


@claim(
    "energy.shift",
    says="Steering by one feature shifts the energy specifically: twice what random directions do.",
    source=SOURCE,
    reported="attractor shift mean .117, maximum .666",
    holds_when=AtLeast(2.0),
    published_on=[],
    models=MODELS,
    variants=VARIANTS,
    seeds=SEEDS,
    controls=[COVARIANCE],
    gates=GATES,
    unit="|shift| / 95th percentile of random directions",
    note="The first 64 tokens, but BOS, of a window of every second confirmation document move by .25 of the root mean "
    "square norm of x along a decoder row; shift: mean change of the network's loss. Median over the 20 features with "
    "the largest |EFAS| on discovery documents, over the 95th percentile of 60 directions uniform on the sphere. "
    + NO_NETWORK,
    needs=needs_text_saes,
)
def test_shift(model, variant, seed, lab):
    from energylens.families.energy.energy_study import median

    shifts, random = (
        measure(model, seed, variant).loss.abs()
        for measure in (lab.energy.steering_shifts, lab.energy.random_shifts)
    )
    chance = float(random.quantile(0.95))
    beside = {} if lab.is_swapped else lab.energy.steering_against_random(model, seed, variant).medians()
    return Measurement(
        median(shifts) / chance,
        beside={
            "largest |change of loss|, features": float(shifts.max()),
            "95th percentile of |change of loss|, random directions": chance,
            **beside,
            "features": len(shifts),
        },
    )


test_shift_full = in_full(test_shift, seeds=MORE_SEEDS, models=ALL_SIZES)
