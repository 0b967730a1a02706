"""Gates of the energy family: a test that keeps its level, and a measure that finds what was planted."""

from energylens import AtLeast, Equivalent, Measurement, Null, gate
from energylens.lab import needs_network

MODELS = ["pygpt-2l"]
SEEDS = range(5)


VARIANTS = ("topk-middle", "topk-late", "relu-middle", "relu-late")
ONE_OF_EACH = ("topk-middle", "relu-late")
"""Both sites and both kinds: where the broken instrument is tried."""
STEP = 0.003
"""Step down the gradient, in root mean square norms of x."""
EVERY = 8
"""Of so many tokens one takes the step."""


def rates(lab, model, seed, gradient_of, variants=VARIANTS):
    """Rejection rate by variant; SAEs at one site are tested against the same gradient."""
    from energylens.families.energy.energy_study import rejection_rate

    found, gradients = {}, {}
    for variant in variants:
        _, _, site = variant.partition("-")
        study = lab.energy.study(model, seed, variant)
        reading = study.readings["confirmation"]
        if site not in gradients:
            gradients[site] = gradient_of(reading)
        found[variant] = rejection_rate(study.dictionary, reading, gradients[site], seed)
    return found


def mean_of(found):
    return Measurement(sum(found.values()) / len(found), beside=found)


def most_likely(model, seed, lab):
    return mean_of(rates(lab, model, seed, lambda reading: reading.confident_gradient(), ONE_OF_EACH))


def needs_all(lab, model, variant, seed):
    return [lab.text.sae_recipe(model, seed, each) for each in VARIANTS]


@gate(
    "efas.calibrated",
    says="Where no latent can align, targets being drawn from the lens itself, 5 % of tests at 5 % reject.",
    source="Identity: sum over y of p(y | x) grad E_y is 0, at every x",
    passes_when=Equivalent(0.05, 0.02),
    models=MODELS,
    seeds=SEEDS,
    rejects=[
        Null(
            "most-likely",
            "the lens's most likely token in place of a draw: the gradient is not 0 on average (one SAE of each site)",
            measure=most_likely,
        )
    ],
    unit="share of latents with p <= .05, mean of four SAEs",
    note="The worst of four SAEs was judged at first (.041 then, HOLDS): the worst of twenty rates of some 400 latents "
    "each leaves .03 to .07 by chance though each is 5 % on average; two did on another processor (.074 on seeds 0 "
    "and 3). "
    "Each latent with at least 50 firing tokens is tested alone: permuted documents, position by position, "
    "studentised by document. Without studentising, 5.1 to 8.6 % were rejected when the test was chosen: where a "
    "latent fires, gradients are of another size, and a permutation does not know that.",
    needs=needs_all,
)
def test_calibrated(model, seed, lab):
    import torch

    generator = torch.Generator().manual_seed(seed)
    return mean_of(rates(lab, model, seed, lambda reading: reading.redrawn_gradient(generator)))


def auroc_of_planted(lab, model, seed, gradient_of):
    import torch

    from energylens.families.energy.planted_alignment import planted_latents
    from energylens.metrics import association
    from energylens.metrics.alignment import AlignmentStatistics

    reading = lab.text.reading(model, seed, "middle", "confirmation")
    generator = torch.Generator().manual_seed(seed)
    acts, directions, planted = planted_latents(reading, generator)
    statistics = AlignmentStatistics(directions)
    statistics.update(acts, gradient_of(reading, generator))
    return Measurement(association.auroc(-statistics.compute().efas_all, planted))


def other_tokens(model, seed, lab):
    import torch

    def shuffled(reading, generator):
        return reading.gradient[torch.randperm(len(reading.gradient), generator=generator)]

    return auroc_of_planted(lab, model, seed, shuffled)


@gate(
    "efas.planted",
    says="Latents that were made to fire where their direction lowers the energy are told from others.",
    source="Planted alignments on real gradients",
    passes_when=AtLeast(0.9),
    models=MODELS,
    seeds=SEEDS,
    rejects=[Null("other-tokens", "gradients of other tokens: nothing is aligned", measure=other_tokens)],
    unit="AUROC",
    note="500 latents fire on 3 % of tokens; for 50 a mixture of g (weight .3) and noise says where, for others noise.",
    needs=needs_network,
)
def test_planted(model, seed, lab):
    return auroc_of_planted(lab, model, seed, lambda reading, _: reading.gradient)


def fall(lab, model, seed, direction_of):
    """What the energy falls by a small step against a direction, over what its gradient promises: sums over tokens."""
    from energylens.metrics.energy import energy_and_gradient
    from energylens.metrics.stability import unit_rows

    reading = lab.text.reading(model, seed, "middle", "confirmation")
    x, targets, energy, gradient, direction = (
        each[::EVERY].contiguous()
        for each in (reading.x, reading.targets, reading.energy, reading.gradient, direction_of(reading))
    )
    size = STEP * x.square().sum(1).mean().sqrt()
    after, _ = energy_and_gradient(reading.lens, x - size * unit_rows(direction), targets)
    promised = size * gradient.norm(dim=1)
    return Measurement(float((energy - after).double().sum() / promised.double().sum()))


def of_other_tokens(model, seed, lab):
    import torch

    generator = torch.Generator().manual_seed(seed)
    return fall(lab, model, seed, lambda r: r.gradient[torch.randperm(len(r.gradient), generator=generator)])


@gate(
    "efas.descends",
    says="A small step against its gradient lowers the energy by as much as the gradient promises.",
    source="Identity: E(x - s g / |g|) = E(x) - s |g| to first order in s",
    passes_when=Equivalent(1.0, 0.05),
    models=MODELS,
    seeds=SEEDS,
    rejects=[Null("other-tokens", "steps against the gradients of other tokens", measure=of_other_tokens)],
    unit="fall / promised fall",
    needs=needs_network,
)
def test_descends(model, seed, lab):
    return fall(lab, model, seed, lambda reading: reading.gradient)
