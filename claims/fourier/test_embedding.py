"""Is the Fourier structure of the embedding below 5 %, as published?"""

from energylens import AtMost, Figure, Measurement, claim
from energylens.lab import UNTRAINED, needs_network
from energylens.metrics import fourier, stability


@claim(
    "fourier.r2-below-5pct",
    says="The transformer's embedding has almost no Fourier structure: R² below 5 %.",
    source="Published SAE stability study on modular addition: Fourier R² of the transformer 0-2.1 %",
    reported="0-2.1 %",
    holds_when=AtMost(0.05),
    models=["modadd-leaky", "modadd-memorised", "modadd-1l", "modadd-2l"],
    seeds=range(5),
    controls=[UNTRAINED],
    published_on=("modadd-leaky",),
    unit="excess over chance",
    note="Judged on the excess of the top-5 R² over that of a Gaussian embedding, 0 for random and 1 for five pure "
    "frequencies. The published estimator picks 5 of the 113 FFT bins. Bins k and p - k are one frequency, which it "
    "takes for two: such a pair contributes exactly 0, and what is left is the share of a single frequency.",
    figure=Figure(
        kind="bars",
        x="frequency",
        y=("share of power",),
        title="Fourier power of the embedding",
        x_label="frequency k",
        y_label="share of W_E's power",
    ),
    needs=needs_network,
)
def test_r2_below_5pct(model, seed, lab):
    from energylens.families.fourier import as_published

    network = lab.network(model, seed)
    W_E = network.W_E[: network.modadd.p]
    r2, chance = fourier.embedding_r2(W_E), fourier.embedding_r2_chance(*W_E.shape)
    power = fourier.frequency_power(W_E, dim=0)
    beside = {"R², corrected": r2, "R², chance": chance}
    if not lab.is_swapped:
        beside["leak rate"] = max(lab.fourier.leak_rates(model, seed).values())
    return Measurement(
        stability.excess(r2, chance),
        unit="excess over chance",
        as_published=as_published.embedding_r2(W_E),
        beside=beside,
        series={
            "frequency": list(range(1, len(power) + 1)),
            "share of power": (power / power.sum()).tolist(),
        },
    )
