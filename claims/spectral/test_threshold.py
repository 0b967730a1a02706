"""Heads below the published threshold of .77: do they matter more, and is it the same threshold everywhere?"""

import math
from statistics import fmean, geometric_mean

from energylens import AtLeast, Equivalent, Gate, GeometricMean, Measurement, Null, claim, in_full
from energylens.lab import UNTRAINED, WIRED, needs_network

SOURCE = (
    "Published steering study on GPT-2: eigenvalue gap of the key Gram matrix and causal importance of heads"
)
MODELS = ["induction-2l", "induction-2l-rotary", "ioi-toy", "pygpt-2l"]
LARGER = [*MODELS, "pygpt-4l"]
SEEDS, MORE_SEEDS = range(5), range(10)
GATES = ["spectral.competent", "spectral.gauge", "spectral.attributed", Gate("spectral.planted", on=WIRED)]
THRESHOLD = 0.77
IMPORTANCE = (
    "Importance is the mean damage, in absolute value, when a head's output comes from the corrupted prompt (logit "
    "difference) or, for text, from a window of another document (loss). "
)


def smaller_side(gap):
    """Share of heads on the side of the threshold that has fewer."""
    unstable = float((gap <= THRESHOLD).double().mean())
    return math.nan if gap.isnan().any() else min(unstable, 1 - unstable)


@claim(
    "spectral.threshold-splits",
    says="The threshold of .77 splits the heads: at least 10 % lie on each side.",
    source=SOURCE,
    reported="some heads are 'unstable', others 'stable'",
    published_on=["gpt2"],
    holds_when=AtLeast(0.1),
    models=MODELS,
    seeds=SEEDS,
    controls=[UNTRAINED],
    gates=GATES,
    unit="share of heads on the smaller side",
    note="Where one side is empty, nothing can be said of unstable heads against others. Definition a (centred keys, "
    "pooled over prompts), of which alone the threshold speaks. 10 % of 8 heads is one head.",
    needs=needs_network,
)
def test_threshold_splits(model, seed, lab):
    study = lab.spectral.heads(model, seed)
    gap = study.gap("a")
    return Measurement(
        smaller_side(gap),
        unit="share of heads on the smaller side",
        as_published=smaller_side(study.gaps.published.flatten()),
        beside={
            "share of unstable heads": float((gap <= THRESHOLD).double().mean()),
            "smallest gap": float(gap.min()),
            "largest gap": float(gap.max()),
        },
    )


test_threshold_splits_full = in_full(test_threshold_splits, seeds=MORE_SEEDS, models=LARGER)


def ratio(gap, damage):
    """NaN where one group is empty, or one of them does no damage at all."""
    from energylens.metrics import association

    found = association.group_ratio(damage, gap, THRESHOLD)
    return found if found > 0 else math.nan


def shuffled_ratio(model, seed, lab):
    study = lab.spectral.heads(model, seed)
    gap = study.gap("a")
    ratios = study.over_shuffles(lambda rows: ratio(gap, study.damage[rows]))
    if any(math.isnan(one) for one in ratios):
        return Measurement(math.nan, note="one side of the threshold is empty")
    return Measurement(geometric_mean(ratios))


@claim(
    "spectral.unstable-matter",
    says="Unstable heads, gap at most .77, matter at least twice as much as the others.",
    source=SOURCE,
    reported="'unstable' below .77",
    published_on=["gpt2"],
    holds_when=AtLeast(2.0),
    models=MODELS,
    seeds=SEEDS,
    statistic=GeometricMean(),
    controls=[
        Null(
            "depth-alone",
            "importance shuffled within layers: what depth alone gives",
            measure=shuffled_ratio,
        ),
        UNTRAINED,
    ],
    gates=GATES,
    undefined_is="spectral.threshold-splits",
    unit="ratio of mean importance",
    note=IMPORTANCE + "The threshold speaks of definition a (centred keys, pooled over prompts) only.",
    needs=needs_network,
)
def test_unstable_matter(model, seed, lab):
    study = lab.spectral.heads(model, seed)
    gap, published = study.gap("a"), study.gaps.published.flatten()
    unstable = int((gap <= THRESHOLD).sum())
    empty = {0: "no head has a gap of at most .77", len(gap): "every head has a gap of at most .77"}
    return Measurement(
        ratio(gap, study.damage),
        unit="ratio of mean importance",
        as_published=ratio(published, study.damage),
        beside={"share of unstable heads": unstable / len(gap)},
        note=empty.get(unstable, ""),
    )


test_unstable_matter_full = in_full(test_unstable_matter, seeds=MORE_SEEDS, models=LARGER)


def matters(study):
    """Heads that matter: importance above the mean over heads."""
    return study.damage > study.damage.mean()


def shuffled_auroc(model, seed, lab):
    from energylens.metrics import association

    study = lab.spectral.heads(model, seed)
    gap, labels = study.gap("a"), matters(study)
    values = study.over_shuffles(lambda rows: association.auroc(gap, labels[rows]))
    return Measurement(fmean(values))


@claim(
    "spectral.separates",
    says="Heads with a small gap and heads that matter go together at all: AUROC above .5.",
    source="Restated: a cut between two groups needs groups that differ",
    stated="restated",
    published_on=["gpt2"],
    holds_when=AtLeast(0.5 + 1e-9),
    models=MODELS,
    seeds=SEEDS,
    controls=[
        Null(
            "depth-alone",
            "heads shuffled within layers, mean of 200: what depth alone gives",
            measure=shuffled_auroc,
        ),
        UNTRAINED,
    ],
    gates=GATES,
    unit="AUROC",
    note=IMPORTANCE + "A head matters if its importance is above the mean over heads. Definition a.",
    needs=needs_network,
)
def test_separates(model, seed, lab):
    from energylens.metrics import association

    study = lab.spectral.heads(model, seed)
    return Measurement(association.auroc(study.gap("a"), matters(study)), unit="AUROC")


test_separates_full = in_full(test_separates, seeds=MORE_SEEDS, models=LARGER)


@claim(
    "spectral.threshold-transfers",
    says="One threshold serves every model: the best cut lies within .05 of .77.",
    source=SOURCE,
    reported=".77 +- .05 across models",
    published_on=["gpt2"],
    holds_when=Equivalent(0.77, 0.05),
    models=MODELS,
    seeds=SEEDS,
    controls=[UNTRAINED],
    gates=GATES,
    undefined_is="spectral.separates",
    unit="gap",
    note="The cut that maximises Youden's index, gap a against heads whose importance is above the mean.",
    needs=needs_network,
)
def test_threshold_transfers(model, seed, lab):
    from energylens.metrics import association

    study = lab.spectral.heads(model, seed)
    cut = association.youden_cut(study.gap("a"), matters(study))
    published = association.youden_cut(study.gaps.published.flatten(), matters(study))
    note = "no cut beats calling all heads the same" if math.isnan(cut) else ""
    return Measurement(
        cut,
        unit="gap",
        as_published=published,
        beside={"heads that matter": float(matters(study).double().mean())},
        note=note,
    )


test_threshold_transfers_full = in_full(test_threshold_transfers, seeds=MORE_SEEDS, models=LARGER)
