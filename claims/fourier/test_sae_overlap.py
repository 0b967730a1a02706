"""Do SAE decoders follow the Fourier basis?"""

from statistics import fmean

from energylens import AtLeast, Gate, Measurement, Null, Within, claim
from energylens.lab import ISOTROPIC, PLANTED, UNTRAINED, needs_saes, sae_seeds
from energylens.metrics import fourier, stability

BY_NETWORK = "Every seed is a network of its own: its value is the mean over three SAEs."
KINDS = ["topk", "relu"]
SEEDS = range(5)


def analytic_chance(model, seed, lab):
    from energylens.families.fourier import as_published

    return Measurement(as_published.fourier_overlap_chance(lab.network(model, seed).modadd.p))


@claim(
    "fourier.sae-overlap",
    says="SAE decoders overlap the Fourier basis by only about .26.",
    source="Published SAE stability study on modular addition; .6-.8 was expected",
    reported=".26",
    holds_when=Within(0.21, 0.31),
    models=["modadd-leaky", "modadd-1l"],
    variants=KINDS,
    seeds=SEEDS,
    controls=[
        Null(
            "analytic-chance",
            "expected overlap of isotropic rows, exact",
            measure=analytic_chance,
            exact=True,
        ),
        ISOTROPIC,
        UNTRAINED,
    ],
    gates=[Gate("stability.planted", on=PLANTED)],
    published_on=("modadd-leaky",),
    unit="cosine",
    note=BY_NETWORK
    + " The published estimator compares decoder rows with waves along the model's coordinates, which "
    "have no order; the corrected overlap, with the waves that the embedding carries, stands beside it.",
    needs=needs_saes(),
)
def test_sae_overlap(model, variant, seed, lab):
    from energylens.families.fourier import as_published

    decoders, p = lab.sae.decoders(model, variant, seed), lab.network(model, seed).modadd.p
    return Measurement(
        fmean(as_published.fourier_overlap(decoder, p) for decoder in decoders),
        unit="cosine",
        beside={} if lab.is_swapped else corrected(lab, model, decoders, seed),
    )


def corrected(lab, model, decoders, seed):
    """The overlap with the waves that the embedding carries, its chance, and whether the network leaks."""
    import torch

    network = lab.network(model, seed)
    W_E = network.W_E[: network.modadd.p]
    generator = torch.Generator().manual_seed(seed)
    return {
        "overlap with embedded waves": fmean(fourier.fourier_overlap(decoder, W_E) for decoder in decoders),
        "chance of that": fourier.fourier_overlap_chance(W_E, generator, draws=1024),
        "leak rate": max(lab.fourier.leak_rates(model, seed).values()),
    }


def share(x, decoder):
    """Share of directions whose projection is a function of one frequency (> 85 % of variance)."""
    return fourier.one_frequency_share(fourier.decoder_one_frequency(x, decoder)[0])


def rotated_share(x, decoder, seed, sae_seed):
    """The same after a random rotation, another one for every SAE of every network."""
    import torch

    generator = torch.Generator().manual_seed(10_007 * (1 + seed) + sae_seed)
    rotation = stability.random_rotation(decoder.shape[1], generator)
    return share(x, (decoder.double() @ rotation).float())


def beyond_rotated(x, decoders, seed):
    """Mean over the SAEs of one network: share of one-frequency latents, minus that after rotation; and both."""
    found = fmean(share(x, decoder) for decoder in decoders)
    rotated = fmean(
        rotated_share(x, decoder, seed, sae_seed)
        for decoder, sae_seed in zip(decoders, sae_seeds(seed), strict=True)
    )
    return Measurement(found - rotated, beside={"share": found, "share, rotated": rotated})


def principal_components(model, seed, lab):
    """PCA in place of every SAE: as many directions as the activations have."""
    x = lab.sae.activations(model, seed)
    return beyond_rotated(x, [stability.principal_directions(x).float()] * len(sae_seeds(seed)), seed)


@claim(
    "fourier.sae-overlap.restated",
    says="SAE latents are one-frequency features: their share exceeds that of a randomly rotated decoder by .1.",
    source="Published SAE stability study on modular addition, restated with a basis-free measure",
    holds_when=AtLeast(0.1),
    models=["modadd-1l"],
    variants=KINDS,
    seeds=SEEDS,
    controls=[
        UNTRAINED,
        Null("pca", "principal components of the same activations", measure=principal_components),
    ],
    gates=["fourier.no-leak", "fourier.groks", Gate("stability.planted", on=PLANTED)],
    stated="restated",
    published_on=("modadd-leaky",),
    unit="difference of shares",
    note=BY_NETWORK
    + " Rotation inside a cos/sin plane is not identifiable, and this measure does not ask for it.",
    needs=needs_saes(),
)
def test_sae_one_frequency(model, variant, seed, lab):
    return beyond_rotated(lab.sae.activations(model, seed), lab.sae.decoders(model, variant, seed), seed)
