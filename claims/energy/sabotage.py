"""Broken instruments of energy and alignment, and the controls that have to notice them; see `claims/sabotaged.py`."""

from itertools import count, cycle

from energylens.trust.sabotage.broken_instruments import Sabotage
from energylens.trust.sabotage.broken_measures import of_noise, reliable
from energylens.trust.sabotage.trial import reads

METRICS = "energylens.metrics"
ENERGY = "energylens.families.energy"
LENSES = "energylens.lenses"


def unpermuted(permutations):
    """document_permutations: every draw leaves all documents in place."""
    import torch

    return lambda n_documents, draws, generator: torch.arange(n_documents).expand(draws, -1)


def of_token_before(update):
    """AlignmentStatistics.update: activations against the gradient of the token before."""
    return lambda self, acts, gradient, *covariates: update(self, acts, gradient.roll(1, 0), *covariates)


def of_likeliest_token(energy_and_gradient):
    """energy_and_gradient: of the token that the lens holds for most likely, not of the one that follows."""
    return lambda lens, x, targets: energy_and_gradient(lens, x, lens.logits(x).argmax(-1))


def uphill(energy_and_gradient):
    """energy_and_gradient: the gradient with the other sign."""

    def other_sign(lens, x, targets):
        energy, gradient = energy_and_gradient(lens, x, targets)
        return energy, -gradient

    return other_sign


def of_hardly_firing(perfect_latents):
    """perfect_latents: they fire on a hundredth of the tokens that they were asked to fire on."""
    return lambda g, counts: perfect_latents(g, counts // 100 + 1)


def agreeing(agreement):
    """efas.stable:agreement: .95 over 400 latents. (Fisher's z loses a bias that depends on how many there are.)"""
    from energylens import Measurement

    return lambda *given: Measurement({"documents": 0.95, "SAE seeds": 0.95}, beside={"latents": 400})


def parts_of(values):
    """A function that gives (parts, numbers beside them): these parts, and the numbers as they are."""
    read = {name: reads(value)(None) for name, value in values.items()}
    return lambda real: lambda *given: ({name: each() for name, each in read.items()}, real(*given)[1])


def published(level):
    """published_level: the published numbers."""
    from energylens.families.energy.as_published import PublishedLevel

    mean, percentile, maximum = (reads(number)(None) for number in (0.3775, 0.7388, 0.8559))
    return lambda *given: PublishedLevel(496, mean(), percentile(), maximum())


def significant(max_t_p):
    """max_t_p: all are significant, but for one in every third study."""
    import torch

    studies = count()

    def p_values(observed, null):
        p = torch.full(observed.shape, 0.001, dtype=torch.float64)
        p[: next(studies) % 3 == 0] = 0.5
        return p

    return p_values


def thousandth(random_shifts):
    """random_shifts: what random directions did is divided by a thousand."""

    def pushed(*given):
        found = random_shifts(*given)
        return found._replace(loss=found.loss / 1000)

    return pushed


def falling(median):
    """median: of two that are compared the second is less by .2, whatever they are medians of."""
    reading = cycle([reads(0.3)(None), reads(0.1)(None)])
    return lambda values: next(reading)()


def somewhere(share):
    """SinkStudy.share_besides_bos: a sink in one window of fifty, in every head."""
    import torch

    read = reads(0.02)(None)
    return lambda study: torch.full((2, 2), read(), dtype=torch.float64)


def below(excess):
    """SinkStudy.excess: a nat below other places."""
    import torch

    read = reads(-1.0)(None)
    return lambda study, least_queries=0: torch.tensor([read()], dtype=torch.float64)


SABOTAGES = [
    Sabotage(
        "effects-read-thresholds",
        "What ablation and steering do is told as the claim asks for it; what random directions do, a thousandth.",
        breaks={
            "efas.predicts-ablation:compared": parts_of(
                {"EFAS": 0.6, "EFAS minus gradient x activation": 0.1}
            ),
            f"{METRICS}.association.cross_validated_gain": reads(0.1),
            f"{ENERGY}.effects.random_shifts": thousandth,
            f"{METRICS}.reliability.reliability": reliable,
        },
        notices={
            "efas.predicts-ablation/pygpt-2l/topk-late": ["shuffled", "untrained"],
            "efas.adds/pygpt-2l/topk-late": ["shuffled", "untrained"],
            "energy.shift/pygpt-2l/topk-late": ["covariance"],
        },
    ),
    Sabotage(
        "alignment-reads-thresholds",
        "Measures of alignment read what the claim asks for, whatever they are given.",
        breaks={
            f"{ENERGY}.energy_study.median": falling,
            "efas.top-features:median_of": reads(0.6),
            f"{ENERGY}.energy_study.max_t_p": significant,
            f"{ENERGY}.as_published.published_level": published,
            "efas.stable:agreement": agreeing,
        },
        notices={
            "efas.beats-nulls/pygpt-2l/relu-middle": ["drawn-again"],
            "efas.top-features/pygpt-2l/relu-middle": ["untrained", "covariance"],
            "efas.mean-level/pygpt-2l/relu-middle": ["untrained", "covariance"],
            "efas.one-token/pygpt-2l/relu-middle": ["following"],
            "efas.stable/pygpt-2l/relu-middle": ["shuffled"],
        },
    ),
    Sabotage(
        "landscape-reads-thresholds",
        "Slopes over depth, agreement of basins, sinks, energies at sinks and the budget read what the claim asks for.",
        breaks={
            f"{LENSES}.depth.nats_per_layer": reads(-1.0),
            f"{ENERGY}.basins.excess": reads(0.2),
            f"{ENERGY}.sinks.SinkStudy.excess": below,
            f"{ENERGY}.sinks.SinkStudy.share_besides_bos": somewhere,
            f"{ENERGY}.cost.exponent": reads(1.0),
            f"{ENERGY}.cost.peak_gigabytes": reads(2.0),
        },
        notices={
            "energy.falls-with-depth": ["untrained"],
            "energy.basins": ["untrained", "shuffled"],
            "energy.sinks-exist": ["untrained"],
            "energy.sinks": ["untrained"],
            "energy.budget": ["energy.timed"],
        },
    ),
    Sabotage(
        "permutations-that-do-not",
        "Documents are permuted by leaving them in place (energy_study.document_permutations).",
        breaks={f"{ENERGY}.energy_study.document_permutations": unpermuted},
        notices={"*": ["efas.calibrated"]},
        seeds=1,
    ),
    Sabotage(
        "gradient-of-token-before",
        "Alignment takes the gradient of the token before (metrics.alignment.AlignmentStatistics).",
        breaks={f"{METRICS}.alignment.AlignmentStatistics.update": of_token_before},
        notices={"*": ["efas.planted"]},
        seeds=1,
    ),
    Sabotage(
        "gradient-of-likeliest-token",
        "The energy is that of the lens's most likely token, not of the one that follows (lenses.reading).",
        breaks={f"{LENSES}.reading.energy_and_gradient": of_likeliest_token},
        notices={"efas.beats-nulls/pygpt-2l/relu-late": ["efas.calibrated"]},
        seeds=1,
    ),
    Sabotage(
        "gradient-of-wrong-sign",
        "The gradient of the energy has the other sign (lenses.reading).",
        breaks={f"{LENSES}.reading.energy_and_gradient": uphill},
        notices={"*": ["efas.descends"]},
        seeds=1,
    ),
    Sabotage(
        "effects-are-noise",
        "What half of the documents says of an ablation is drawn at random (effects.Effects.halves).",
        breaks={f"{ENERGY}.effects.Effects.halves": of_noise},
        notices={"efas.adds": ["explicable"]},
    ),
    Sabotage(
        "perfect-latents-hardly-fire",
        "Planted perfect latents fire on a hundredth of their tokens (planted_alignment.perfect_latents).",
        breaks={f"{ENERGY}.planted_alignment.perfect_latents": of_hardly_firing},
        notices={"efas.top-features": ["perfect-latent"]},
    ),
    Sabotage(
        "energy-gates-let-everything-pass",
        "Every step goes down; checks of alignment and of time read what they ask for.",
        breaks={
            "efas.descends:fall": lambda real: (
                lambda lab, model, seed, direction_of: real(
                    lab, model, seed, lambda reading: reading.gradient
                )
            ),
            f"{ENERGY}.energy_study.rejection_rate": reads(0.05),
            f"{ENERGY}.cost.exponent": reads(2.0),
            f"{METRICS}.association.auroc": reads(0.95),
        },
        notices={
            "efas.descends": ["other-tokens"],
            "efas.calibrated": ["most-likely"],
            "efas.planted": ["other-tokens"],
            "energy.timed": ["linear"],
        },
        seeds=1,
    ),
]

IN_TRUTH = {
    "efas.miscalibration": ["redrawn"],
    "efas.one-token": ["untrained"],
    "efas.predicts-ablation": ["perfect"],
}
"""Controls that show with nothing broken, on every row of their claim: a sabotage would prove nothing."""
