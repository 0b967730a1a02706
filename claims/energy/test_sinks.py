"""Attention sinks of text besides BOS: are there any, and are they places of low energy?"""

from energylens import AtLeast, AtMost, Figure, Measurement, claim, in_full
from energylens.lab import UNTRAINED, needs_network

MODELS, SEEDS = ["pygpt-2l"], range(5)
LARGER, MORE_SEEDS = ["pygpt-2l", "pygpt-4l", "pygpt-6l"], range(8)
GATES = ["spectral.competent"]
NO_NETWORK = (
    "Published on no network: its source draws features at random, with energies from the length of words. "
)
SINK = "A sink receives more than .3 of the attention of the queries that see it, on average, and at least 64 see it. "


def sink_study(lab, model, seed):
    from energylens.families.energy.sinks import study_sinks
    from energylens.lenses.held_out import held_out_text

    network = lab.network(model, seed)
    text = held_out_text(network, "confirmation", seed, per_document=2)
    return study_sinks(network, text.tokens, text.targets)


@claim(
    "energy.sinks-exist",
    says="There are attention sinks besides BOS.",
    source="Gu et al. 2024 (arXiv:2410.10781), their score and eps = .3, at other positions than the first",
    stated="restated",
    published_on=["gpt2", "Llama-2-7b"],
    holds_when=AtLeast(0.01),
    models=MODELS,
    seeds=SEEDS,
    controls=[UNTRAINED],
    gates=GATES,
    unit="share of windows, in the head with most",
    note=SINK
    + "To exist asks for little, so that a network without is one without: one window in a hundred, which is "
    "one window at all of the fewer that there are, and in one head. Where there is none, energy.sinks has nothing to "
    "compare.",
    needs=needs_network,
)
def test_sinks_exist(model, seed, lab):
    study = sink_study(lab, model, seed)
    share = study.share_besides_bos()
    return Measurement(
        float(share.max()),
        unit="share of windows, in the head with most",
        beside={
            "heads with one": float((share > 0).sum()),
            "windows": study.received.shape[1],
            "largest attention elsewhere": study.largest_besides_bos(),
        },
    )


test_sinks_exist_full = in_full(test_sinks_exist, seeds=MORE_SEEDS, models=LARGER)


@claim(
    "energy.sinks",
    says="Attention sinks are places of low energy.",
    source="Gu et al. 2024 (arXiv:2410.10781) for sinks; Published study of feature-energy alignment (EFAS)",
    holds_when=AtMost(0.0),
    published_on=[],
    models=MODELS,
    seeds=SEEDS,
    controls=[UNTRAINED],
    gates=GATES,
    unit="nats above the same position elsewhere",
    undefined_is="energy.sinks-exist",
    note="Energy is that of the logit lens, -log p of the token that follows, in nats. "
    + SINK
    + "BOS is at position 0 of every window and has no match, so other sinks are compared with the same position of "
    "windows where it is none, in the residual that the head reads. " + NO_NETWORK,
    figure=Figure(
        kind="heatmap",
        title="Attention on BOS, mean over queries and windows",
        x_label="head",
        y_label="layer",
    ),
    needs=needs_network,
)
def test_sinks(model, seed, lab):
    study = sink_study(lab, model, seed)
    excess, trailing = study.excess(), study.excess(least_queries=1)
    matched = excess[~excess.isnan()]
    top = study.largest_besides_bos()
    beside = {
        "sinks that are not BOS": len(excess),
        "share of heads with a sink at BOS": study.bos_share,
        "largest attention on BOS": float(study.received[..., 0].max()),
        "largest attention elsewhere": top,
        "sinks, seen by any number of queries": len(trailing),
    }
    if len(trailing):
        beside["their difference, nats"] = float(trailing.nanmean())
    return Measurement(
        float(matched.mean()),
        unit="nats above the same position elsewhere",
        beside=beside,
        series={"values": study.on_bos.tolist()},
        note=f"{len(matched)} of {len(excess)} sinks besides BOS have a match; {study.received.shape[1]} windows, the "
        f"largest mean attention is {top:.2f}",
    )


test_sinks_full = in_full(test_sinks, seeds=MORE_SEEDS, models=LARGER)
