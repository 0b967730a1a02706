"""What is left of alignment under a calibrated lens, and is it found again on other documents and SAE seeds?"""

from statistics import fmean

from energylens import AtLeast, AtMost, FisherZ, Measurement, Null, claim, in_full
from energylens.lab import TEXT_SAE_SEEDS, TEXT_VARIANTS, needs_text_saes, needs_tuned_lens

MODELS = ["pygpt-2l"]
ALL_SIZES = ["pygpt-2l", "pygpt-4l", "pygpt-6l"]
SEEDS, MORE_SEEDS = range(5), range(8)
SHUFFLES = 20
GATES = ["spectral.competent", "efas.calibrated", "efas.planted", "efas.descends"]
EFAS = (
    "EFAS: correlation over tokens of a latent's activation and -<grad E, d>, E the lens energy -log p of the observed "
    "next token at the same position, on documents that neither network nor SAE was trained on, BOS left out. "
)


def tuned_ratio(lab, model, variant, seed):
    from energylens.families.energy.energy_study import median

    logit, tuned = (lab.energy.study(model, seed, variant, tuned=tuned) for tuned in (False, True))
    beside = {"median |EFAS| of the logit lens's top 20, tuned": median(tuned.efas[logit.top].abs())}
    before, after = (without_noise(study.efas, study.redrawn_efas) for study in (logit, tuned))
    if before > 0:
        beside["ratio of root mean squares, sampling noise taken off"] = after / before
    return median(tuned.efas.abs()) / median(logit.efas.abs()), beside


def redrawn(model, variant, seed, lab):
    """What no lens can go below: targets drawn from the lens itself, over the logit lens's |EFAS|."""
    from energylens.families.energy.energy_study import median

    study = lab.energy.study(model, seed, variant)
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
    before, after = lab.artifact(lab.text.tuned_lens_recipe(model, seed, site)).meta["held_out"]
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
    """Mean over SHUFFLES orders."""
    import torch

    study = lab.energy.study(model, seed, variant)
    generator, enough = torch.Generator().manual_seed(seed), study.fires_enough()
    discovery = study.alignment("discovery").efas_all
    orders = [torch.randperm(len(study.efas), generator=generator) for _ in range(SHUFFLES)]
    return mean_agreement([agreement(study, discovery[rows], study.efas[rows], enough) for rows in orders])


def agreement(study, documents, other_seed, enough):
    from energylens.metrics import association

    known = enough & ~documents.isnan() & ~other_seed.isnan() & ~study.efas.isnan()
    rho = {
        "documents": association.spearman(study.efas[known], documents[known]),
        "SAE seeds": association.spearman(study.efas[known], other_seed[known]),
    }
    return Measurement(rho, beside={"latents": int(known.sum())})


def matched_efas(study, other):
    """EFAS on discovery documents of the latents of another SAE, each at the latent of `study` that it matches."""
    import torch

    from energylens.metrics import stability

    rows, columns = stability.matching(
        stability.unit_rows(study.dictionary.W_dec) @ stability.unit_rows(other.dictionary.W_dec).T
    )
    matched = torch.full_like(study.efas, torch.nan)
    matched[rows] = other.alignment("discovery").efas_all[columns]
    return matched


def mean_agreement(found):
    return Measurement(
        {part: fmean(one.value[part] for one in found) for part in found[0].value},
        beside={"latents": fmean(one.beside["latents"] for one in found)},
    )


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
    controls=[
        Null(
            "shuffled",
            f"latents in another order: none is itself; mean of {SHUFFLES} orders",
            measure=shuffled_latents,
        )
    ],
    gates=GATES,
    unit="Spearman's rho over latents",
    note=EFAS
    + "Latents of two SAE seeds on one network are matched one to one by the cosine of their decoder rows "
    "(Hungarian algorithm), for every ordered pair of its three SAEs. Both ranks are compared across documents, so "
    "that no noise of one sample is shared.",
    needs=needs_text_saes,
)
def test_stable(model, variant, seed, lab):
    """Mean over the ordered pairs of the network's SAEs: each is ranked by the two others."""
    from itertools import permutations

    studies = [lab.energy.study(model, seed, variant, sae_seed) for sae_seed in TEXT_SAE_SEEDS]
    found = [
        agreement(
            study, study.alignment("discovery").efas_all, matched_efas(study, other), study.fires_enough()
        )
        for study, other in permutations(studies, 2)
    ]
    return mean_agreement(found)


test_stable_full = in_full(test_stable, seeds=MORE_SEEDS, models=ALL_SIZES)
