"""Do SAEs with different seeds find the same features? PWMCC as published, and what chance makes of it."""

from statistics import fmean

from energylens import AtLeast, AtMost, Equivalent, Gate, Measurement, Null, claim
from energylens.lab import COVARIANCE, FROZEN, ISOTROPIC, PLANTED, STEP_0, UNTRAINED, needs_saes
from energylens.metrics import stability

PUBLISHED = "Published SAE stability study on modular addition: 5 TopK (k = 32) and 5 ReLU SAEs, d_sae = 1024"
BY_NETWORK = (
    "Every seed is a network of its own: its value is the mean over three SAEs, or over their three pairs."
)
PLANTED_FOUND = Gate("stability.planted", on=PLANTED)
HONEST_NETWORK = ["fourier.no-leak", "fourier.groks", PLANTED_FOUND]
AS_PUBLISHED_MODELS = ["modadd-leaky", "modadd-1l"]
PUBLISHED_ON = ("modadd-leaky",)
SEEDS = range(5)


def pwmccs(lab, model, kind, seed):
    """PWMCC of all pairs of one network's SAEs."""
    return stability.pairwise(stability.pwmcc, lab.sae.decoders(model, kind, seed))


def excesses(lab, model, kind, seed):
    """Excess of PWMCC over the larger of analytic chance and the same SAEs before training, of all pairs."""
    decoders, saes = lab.sae.decoders(model, kind, seed), lab.sae.trained(model, kind, seed)
    analytic = stability.chance_max_abs_cos(*decoders[0].shape)
    before = stability.pairwise(stability.pwmcc, [saes.initial_decoder(each) for each in saes.seeds])
    after = stability.pairwise(stability.pwmcc, decoders)
    return [stability.excess(m, max(analytic, m0)) for m, m0 in zip(after, before, strict=True)]


def analytic_chance(model, seed, lab):
    return Measurement(stability.chance_max_abs_cos(*lab.sae.decoders(model, "topk", seed)[0].shape))


def pwmcc_level(kind, name, published):
    """The published level of one kind of SAE; both kinds are judged alike, each against its own number."""
    return claim(
        f"stability.pwmcc-level.{kind}",
        says=f"{name} SAEs share few features: their PWMCC over seeds is {published}.",
        source=PUBLISHED,
        reported=f"{published} ± .001",
        holds_when=Equivalent(published, 0.01),
        models=AS_PUBLISHED_MODELS,
        seeds=SEEDS,
        controls=[
            Null(
                "analytic-chance",
                "expected PWMCC of independent random directions, exact",
                measure=analytic_chance,
                exact=True,
            ),
            ISOTROPIC,
            STEP_0,
            FROZEN,
            UNTRAINED,
            COVARIANCE,
        ],
        gates=[PLANTED_FOUND],
        published_on=PUBLISHED_ON,
        unit="cosine",
        note=BY_NETWORK,
        needs=needs_saes(kind),
    )


@pwmcc_level("topk", "TopK", 0.302)
def test_pwmcc_level_topk(model, seed, lab):
    return level(lab, model, "topk", seed)


@pwmcc_level("relu", "ReLU", 0.300)
def test_pwmcc_level_relu(model, seed, lab):
    return level(lab, model, "relu", seed)


def level(lab, model, kind, seed):
    """PWMCC of one network's SAEs; beside it how far its pairs lie apart, and how the SAEs came out."""
    pairs = pwmccs(lab, model, kind, seed)
    beside = {"largest minus smallest pair": max(pairs) - min(pairs)}
    if not lab.is_swapped:
        beside |= lab.stability.setting(model, kind, seed)
    return Measurement(fmean(pairs), unit="cosine", beside=beside)


@claim(
    "stability.topk-relu-equal",
    says="TopK and ReLU SAEs are equally unstable: their PWMCC differs by less than .01.",
    source=PUBLISHED,
    reported="difference .002",
    holds_when=Equivalent(0, 0.01),
    models=AS_PUBLISHED_MODELS,
    seeds=SEEDS,
    controls=[ISOTROPIC, UNTRAINED],
    gates=[PLANTED_FOUND],
    published_on=PUBLISHED_ON,
    unit="difference of cosines",
    note=BY_NETWORK,
    needs=needs_saes("topk", "relu"),
)
def test_topk_relu_equal(model, seed, lab):
    topk, relu = (fmean(pwmccs(lab, model, kind, seed)) for kind in ("topk", "relu"))
    return Measurement(topk - relu, beside={"PWMCC, topk": topk, "PWMCC, relu": relu})


@claim(
    "stability.topk-relu-equal.restated",
    says="At the same L0, TopK and ReLU SAEs exceed chance agreement by the same amount.",
    source=PUBLISHED,
    reported="difference .002, at L0 32 against 427",
    holds_when=Equivalent(0, 0.01),
    models=["modadd-1l"],
    seeds=SEEDS,
    controls=[ISOTROPIC, UNTRAINED],
    gates=HONEST_NETWORK,
    stated="restated",
    published_on=PUBLISHED_ON,
    unit="difference of excesses over chance",
    note=BY_NETWORK + " L1 of the ReLU SAEs was found on a held-out SAE seed, on each network.",
    needs=needs_saes("topk", "relu-matched"),
)
def test_topk_relu_equal_restated(model, seed, lab):
    kinds = ("topk", "relu-matched")
    excess = {kind: fmean(excesses(lab, model, kind, seed)) for kind in kinds}
    beside = {f"excess, {kind}": excess[kind] for kind in kinds}
    if not lab.is_swapped:
        beside |= {f"L0, {kind}": lab.stability.setting(model, kind, seed)["L0"] for kind in kinds}
    return Measurement(excess["topk"] - excess["relu-matched"], beside=beside)


@claim(
    "stability.decoupled",
    says="Reconstruction is good while features disagree: explained variance >= .92 at PWMCC <= .35.",
    source=PUBLISHED,
    reported="explained variance .92-.98 at PWMCC .30",
    holds_when={"explained variance": AtLeast(0.92), "pwmcc": AtMost(0.35)},
    models=AS_PUBLISHED_MODELS,
    variants=["topk", "relu"],
    seeds=SEEDS,
    controls=[FROZEN],
    gates=[PLANTED_FOUND],
    published_on=PUBLISHED_ON,
    note=BY_NETWORK + " A frozen random decoder that reconstructs as well learnt no features at all.",
    needs=needs_saes(),
)
def test_decoupled(model, variant, seed, lab):
    return Measurement(
        {
            "explained variance": lab.sae.explained_variance(model, variant, seed),
            "pwmcc": fmean(pwmccs(lab, model, variant, seed)),
        }
    )


@claim(
    "stability.above-chance",
    says="Trained SAEs agree more than chance: excess of PWMCC over chance >= .05.",
    source=PUBLISHED + "; restated, as the published comparison had no chance level",
    holds_when=AtLeast(0.05),
    models=["modadd-1l"],
    variants=["topk", "relu", "relu-matched"],
    seeds=SEEDS,
    controls=[COVARIANCE, UNTRAINED],
    gates=HONEST_NETWORK,
    stated="restated",
    published_on=PUBLISHED_ON,
    unit="excess over chance",
    note=BY_NETWORK
    + " Chance is the larger of the analytic level and the same SAEs before training. Activations of low rank "
    "make any dictionary drawn with their covariance agree: where that null exceeds the trained SAEs, agreement "
    "shows the subspace that the network uses, not features that the SAEs found in it. A frozen decoder is no "
    "control here: it is its own step 0, so that its excess is 0 or less by construction.",
    needs=needs_saes(),
)
def test_above_chance(model, variant, seed, lab):
    pairs = excesses(lab, model, variant, seed)
    return Measurement(
        fmean(pairs),
        unit="excess over chance",
        beside={"largest minus smallest pair": max(pairs) - min(pairs)},
    )
