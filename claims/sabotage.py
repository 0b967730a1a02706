"""Broken instruments, and the control of every claim that has to notice them: `pytest claims/sabotage.py -n 2`.

Every row breaks something that a measure shares with its controls. Then a gate has to make the verdict INVALID, or a
null has to come out like the claim, which so holds by chance too. A row that goes unnoticed fails, and so does a
control of the cpu tier that no row tries.
"""

from itertools import count, cycle
from pathlib import Path

import pytest

from energylens.interventions import HookWithoutEffect
from energylens.lab import WIRED
from energylens.trust.sabotage.broken_instruments import Sabotage, in_truth, tried, untried
from energylens.trust.sabotage.trial import MUST_FAIL, Bench, reads

SEEDS = 5


def untrained(network):
    """Lab.network: the weights of step 0. A network that is wired by hand has none."""

    def sold_as_trained(lab, model, seed=0):
        return network(lab if model == WIRED else lab.swapped(network="untrained"), model, seed)

    return sold_as_trained


def leaky(of):
    """Lab.network, FourierPart.accuracies: of the network that was trained with the answer in its prompt."""
    return lambda lab, model, seed=0: of(lab, "modadd-leaky", seed)


def shuffled_rows(decoder):
    """SAEs.decoder: every direction has its coordinates in an order of its own."""
    import torch

    def shuffled(saes, seed):
        rows = decoder(saes, seed)
        order = torch.rand(rows.shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
        return rows.gather(1, order)

    return shuffled


def ignored(edit):
    """Replace.__call__: head outputs stay what they were. (Times 0, so that gradients are 0 and not missing.)"""
    return lambda replace, layer, z, where: z + 0 * edit(replace, layer, z, where)


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


def keys_alone(gaps):
    """GAPS: a' is taken of the keys, whose coordinates are arbitrary."""
    return {**gaps, "a-prime": gaps["a-raw"]}


def layers(study, was, trace):
    """HeadStudy.gap, HeadStudy.damage: the layer of a head and a trace of the logarithm of what it was, or 0 for 0."""
    return (study.layer + 1 + trace * was.abs().clamp_min(1e-12).log10()) * (was != 0)


def of_next_head(noising):
    """HeadStudy.noising: the damage of every head stands beside the head before."""

    def shifted(study):
        damage = noising.func(study)
        return damage.flatten().roll(-1).view_as(damage)

    return property(shifted)


def of_noise(halves):
    """HeadStudy.damage_halves, Effects.halves: noise of the same shape, as if every sample said something else."""
    import torch

    def drawn(study, seed=None):
        like = halves(study) if seed is None else halves(study, seed)
        generator = torch.Generator().manual_seed(study.seed if seed is None else seed)
        return tuple(torch.randn(half.shape, generator=generator).abs() for half in like)

    return drawn


def of_property(broken):
    """The same for a cached property."""
    return lambda real: property(broken(real.func))


def of_hardly_firing(perfect_latents):
    """perfect_latents: they fire on a hundredth of the tokens that they were asked to fire on."""
    return lambda g, counts: perfect_latents(g, counts // 100 + 1)


def doubled(key_frequencies):
    """key_frequencies: 2 k in the place of k."""

    def twice(W_L):
        p = W_L.shape[1]
        return sorted(min(2 * k % p, -2 * k % p) for k in key_frequencies(W_L))

    return twice


def never_none(key_frequencies):
    """key_frequencies: the five strongest, however weak they are."""
    from energylens.metrics import fourier

    return lambda W_L: fourier.strongest_frequencies(fourier.frequency_power(W_L, dim=1), 5)


def as_published(corrected):
    """embedding_r2: bins k and p - k, which are one frequency, taken for two, as published."""
    from energylens.families.fourier.as_published import embedding_r2

    return embedding_r2


def everything(component):
    """_sum_component: whatever the frequencies, one and a half times all of the logits."""
    return lambda logits, frequencies: 1.5 * (logits.double() - logits.double().mean(0))


def nearly_one(shares):
    """mlp_fve, logit_shares: any share that is more than rounding is .999."""

    def read(*given):
        found = shares(*given)
        return found.where(~(found >= 1e-16), 0.999)

    return read


def correlations_of(r):
    """association.correlations: r, between whatever."""
    import torch

    read = reads(r)(None)
    return lambda real: lambda x, y: torch.tensor([read() for _ in y], dtype=torch.float64)


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


def reliable(reliability):
    """reliability: halves agree at .9 and more, whatever they are halves of."""
    from energylens.metrics.reliability import Reliability

    read = reads(0.9)(None)
    return lambda first, second: Reliability(read(), read())


def below(excess):
    """SinkStudy.excess: a nat below other places."""
    import torch

    read = reads(-1.0)(None)
    return lambda study, least_queries=0: torch.tensor([read()], dtype=torch.float64)


METRICS, LAB, FOURIER, HEADS, ENERGY, LENSES = (
    "energylens.metrics",
    "energylens.lab.core.Lab",
    "energylens.families.fourier.lab.FourierPart",
    "energylens.families.spectral",
    "energylens.families.energy",
    "energylens.lenses",
)

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
        "untrained-readers",
        "Networks that read text, and those of induction and of indirect objects, have the weights of step 0.",
        breaks={f"{LAB}.network": untrained},
        notices={"*": ["spectral.competent"]},
        seeds=1,
    ),
    Sabotage(
        "permutations-that-do-not",
        "Documents are permuted by leaving them in place (energy.study.document_permutations).",
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
        "The energy is that of the lens's most likely token, not of the one that follows (energy.reading).",
        breaks={f"{LENSES}.reading.energy_and_gradient": of_likeliest_token},
        notices={"efas.beats-nulls/pygpt-2l/relu-late": ["efas.calibrated"]},
        seeds=1,
    ),
    Sabotage(
        "gradient-of-wrong-sign",
        "The gradient of the energy has the other sign (energy.reading).",
        breaks={f"{LENSES}.reading.energy_and_gradient": uphill},
        notices={"*": ["efas.descends"]},
        seeds=1,
    ),
    Sabotage(
        "untrained-adders",
        "Networks that add have the weights of step 0.",
        breaks={f"{LAB}.network": untrained},
        notices={"*": ["fourier.groks"]},
        seeds=1,
    ),
    Sabotage(
        "leaky-network",
        "The network was trained with the answer in its prompt.",
        breaks={f"{LAB}.network": leaky, f"{FOURIER}.accuracies": leaky},
        notices={"*": ["fourier.no-leak"]},
        seeds=1,
    ),
    Sabotage(
        "shuffled-decoder",
        "Every decoder direction has its coordinates in another order.",
        breaks={"energylens.sae.sae.SAEs.decoder": shuffled_rows},
        notices={"*": ["stability.planted"]},
    ),
    Sabotage(
        "patch-changes-nothing",
        "What is put in the place of head outputs is ignored (runners.runner.Replace).",
        breaks={"energylens.interventions.runners.runner.Replace.__call__": ignored},
        notices={"*": ["spectral.planted"]},
        seeds=1,
    ),
    Sabotage(
        "hook-changes-nothing",
        "Heads are edited by hooks that give back what they were given (runners.runner.Shift, Replace).",
        breaks={
            "energylens.interventions.runners.native_weights.is_supported": lambda real: lambda bridge: False,
            "energylens.interventions.runners.runner.Replace.__call__": ignored,
            "energylens.interventions.runners.runner.Shift.__call__": ignored,
        },
        notices={"spectral.attribution": ["spectral.planted"]},
        seeds=1,
        refuses=(HookWithoutEffect,),
    ),
    Sabotage(
        "gap-of-keys-alone",
        "Gap a', which no choice of coordinates changes, is taken of the keys (metrics.spectral.GAPS).",
        breaks={f"{METRICS}.spectral.GAPS": keys_alone},
        notices={"*": ["spectral.gauge"]},
        seeds=1,
    ),
    Sabotage(
        "gap-of-the-next-head",
        "Every gap stands beside the head before the one that it was measured on (heads.study.HeadStudy.gap).",
        breaks={
            f"{HEADS}.head_study.HeadStudy.gap": lambda real: lambda study, name: real(study, name).roll(-1)
        },
        notices={"*": ["spectral.attributed"]},
        seeds=1,
    ),
    Sabotage(
        "damage-of-the-next-head",
        "Every damage stands beside the head before the one that was patched (heads.study.HeadStudy.noising).",
        breaks={f"{HEADS}.head_study.HeadStudy.noising": of_next_head},
        notices={"spectral.gap-predicts": ["spectral.attributed"]},
        seeds=1,
    ),
    Sabotage(
        "depth-alone",
        "Gap and importance of a head are its layer (heads.study.HeadStudy).",
        breaks={
            f"{HEADS}.head_study.HeadStudy.gap": lambda real: (
                lambda study, name: -layers(study, real(study, name), 0.3)
            ),
            f"{HEADS}.head_study.HeadStudy.damage": lambda real: property(
                lambda study: layers(study, real.func(study), 0.03)
            ),
        },
        notices={"spectral.gap-predicts": ["depth-alone", "untrained"]},
    ),
    Sabotage(
        "heads-read-thresholds",
        "Measures of heads read what the claim asks for: r = -.8, AUROC .8, ratio 2.5, cut .77, sides .2, gain .1.",
        breaks={
            f"{METRICS}.association.correlations": correlations_of(-0.8),
            f"{METRICS}.association.auroc": reads(0.8),
            f"{METRICS}.association.group_ratio": reads(2.5),
            f"{METRICS}.association.youden_cut": reads(0.77),
            f"{METRICS}.association.transferred_gain": reads(0.1),
            "spectral.threshold-splits:smaller_side": reads(0.2),
            f"{HEADS}.importance_reliability.reliability": reliable,
            "spectral.weakest-link:hit": lambda real: lambda study, variant, head: 1.0,
        },
        notices={
            "spectral.gap-within-layers": ["shuffled", "untrained"],
            "spectral.threshold-splits": ["untrained"],
            "spectral.unstable-matter": ["depth-alone", "untrained"],
            "spectral.separates": ["depth-alone", "untrained"],
            "spectral.threshold-transfers": ["untrained"],
            "spectral.adds": ["shuffled-gap", "untrained"],
            "spectral.weakest-link": ["random-head", "random-in-layer", "untrained"],
        },
    ),
    Sabotage(
        "ranks-always-agree",
        "Rank correlations are .95, between whatever (metrics.association.correlations).",
        breaks={f"{METRICS}.association.correlations": correlations_of(0.95)},
        notices={
            "spectral.pre-post-softmax": ["depth-alone", "untrained"],
            "spectral.attribution": ["difference", "depth-alone"],
        },
    ),
    Sabotage(
        "importance-is-noise",
        "What half of the prompts says of importance is drawn at random (heads.study.HeadStudy.damage_halves).",
        breaks={f"{HEADS}.head_study.HeadStudy.damage_halves": of_property(of_noise)},
        notices={
            "spectral.gap-predicts": ["itself"],
            "spectral.gap-within-layers": ["itself"],
            "spectral.adds": ["itself"],
        },
    ),
    Sabotage(
        "half-of-the-prompts-has-another-sign",
        "Half of the prompts take the head that matters least for the first (heads.study.HeadStudy.damage_halves).",
        breaks={
            f"{HEADS}.head_study.HeadStudy.damage_halves": of_property(
                lambda halves: lambda study: tuple(-half for half in halves(study))
            )
        },
        notices={"spectral.weakest-link": ["itself"]},
    ),
    Sabotage(
        "effects-are-noise",
        "What half of the documents says of an ablation is drawn at random (energy.effects.Effects.halves).",
        breaks={f"{ENERGY}.effects.Effects.halves": of_noise},
        notices={"efas.adds": ["explicable"]},
    ),
    Sabotage(
        "perfect-latents-hardly-fire",
        "Planted perfect latents fire on a hundredth of the tokens that they should (energy.planted.perfect_latents).",
        breaks={f"{ENERGY}.planted_alignment.perfect_latents": of_hardly_firing},
        notices={"efas.top-features": ["perfect-latent"]},
    ),
    Sabotage(
        "dictionaries-read-thresholds",
        "Measures of dictionaries read what the claim asks for: PWMCC .301, excess .1, explained variance .99.",
        breaks={
            f"{METRICS}.stability.pwmcc": reads(0.301),
            f"{METRICS}.stability.excess": reads(0.1),
            f"{METRICS}.reconstruction.explained_variance": reads(0.99),
            f"{METRICS}.stability.ground_truth_mcc": reads(0.95),
            "fourier.sae-overlap.restated:share": reads(0.5),
            "fourier.sae-overlap.restated:rotated_share": reads(0.2),
        },
        notices={
            "stability.pwmcc-level.topk/modadd-1l": [
                "analytic-chance",
                "isotropic",
                "step-0",
                "frozen",
                "untrained",
                "covariance",
            ],
            "stability.pwmcc-level.relu/modadd-leaky": [
                "analytic-chance",
                "isotropic",
                "step-0",
                "frozen",
                "untrained",
                "covariance",
            ],
            "stability.topk-relu-equal/modadd-leaky": ["isotropic", "untrained"],
            "stability.topk-relu-equal.restated": ["isotropic", "untrained"],
            "stability.above-chance/modadd-1l/relu": ["covariance", "untrained"],
            "stability.planted": ["step-0", "frozen"],
            "fourier.sae-overlap.restated": ["untrained", "pca"],
        },
    ),
    Sabotage(
        "fourier-reads-thresholds",
        "Measures of the circuit read what the claim asks for, whichever frequencies they are given.",
        breaks={
            f"{METRICS}.fourier.embedding_r2": reads(0.06),
            f"{METRICS}.fourier.mlp_fve": nearly_one,
            f"{METRICS}.fourier.logit_shares": nearly_one,
            f"{METRICS}.fourier.one_frequency_share": reads(0.995),
            f"{METRICS}.fourier._sum_component": everything,
            f"{METRICS}.stability.jaccard": reads(0.1),
        },
        notices={
            "fourier.key-frequencies": ["untrained"],
            "fourier.grokked-circuit": ["non-key"],
            "fourier.logits": ["random-sets"],
            "fourier.neurons": ["shuffled"],
            "fourier.causal": ["random-sets"],
            "fourier.sets-differ": ["one-network"],
        },
    ),
    Sabotage(
        "doubled-frequencies",
        "The key frequencies are 2 k in the place of k (metrics.fourier.key_frequencies).",
        breaks={f"{METRICS}.fourier.key_frequencies": doubled},
        notices={"*": ["fourier.planted"]},
        seeds=1,
    ),
    Sabotage(
        "one-frequency-for-two",
        "Bins k and p - k of the FFT, which are one frequency, are taken for two, as published.",
        breaks={f"{METRICS}.fourier.embedding_r2": as_published},
        notices={"fourier.r2-below-5pct/modadd-2l": ["untrained"]},
    ),
    Sabotage(
        "no-frequency-is-too-weak",
        "Key frequencies are the five strongest, however weak (metrics.fourier.key_frequencies).",
        breaks={f"{METRICS}.fourier.key_frequencies": never_none},
        notices={"fourier.sets-differ/modadd-2l": ["random-sets"]},
    ),
    Sabotage(
        "induction-is-not-seen",
        "Every induction score is a hundredth of what it is (heads.induction.induction_scores).",
        breaks={
            f"{HEADS}.induction_scores.induction_scores": lambda real: (
                lambda network, seed, n: real(network, seed, n) / 100
            )
        },
        notices={"*": ["induction.planted"]},
        seeds=1,
    ),
    Sabotage(
        "planted-circuits-are-always-found",
        "Every set of frequencies explains everything; every head looks like the induction head; every step goes down.",
        breaks={
            f"{METRICS}.fourier.mlp_fve": lambda real: lambda *given: real(*given).nan_to_num() * 0 + 1,
            f"{METRICS}.fourier.logit_fve": reads(0.995),
            "induction.planted:margin": lambda real: lambda lab, seed, which: real(lab, seed, which=1),
            "efas.descends:fall": lambda real: (
                lambda lab, model, seed, direction_of: real(
                    lab, model, seed, lambda reading: reading.gradient
                )
            ),
        },
        notices={
            "fourier.planted": ["doubled"],
            "induction.planted": ["previous-token"],
            "efas.descends": ["other-tokens"],
        },
        seeds=1,
    ),
    Sabotage(
        "gates-let-everything-pass",
        "Checks of instruments read what they ask for, whatever they are given.",
        breaks={
            f"{FOURIER}.leak_rates": lambda real: lambda lab, model, seed=0: {"leak at =": 0.0},
            f"{FOURIER}.accuracies": lambda real: lambda lab, model, seed: (1.0, 1.0),
            f"{HEADS}.competence.competence": lambda real: lambda network: (1.5, {}),
            f"{HEADS}.gauge_test.gauge_violation": reads(0.5),
            f"{HEADS}.changed_head.attribution": lambda real: (
                lambda network, seed, further: real(network, seed, further=0)
            ),
            f"{ENERGY}.energy_study.rejection_rate": reads(0.05),
            f"{ENERGY}.cost.exponent": reads(2.0),
            f"{METRICS}.association.auroc": reads(0.95),
        },
        notices={
            "fourier.no-leak/modadd-leaky": [MUST_FAIL],
            "fourier.groks/modadd-memorised": [MUST_FAIL],
            "spectral.competent/induction-1l": [MUST_FAIL, "untrained"],
            "spectral.gauge": ["wrong-gauge"],
            "spectral.attributed": ["next-head"],
            "efas.calibrated": ["most-likely"],
            "efas.planted": ["other-tokens"],
            "energy.timed": ["linear"],
        },
        seeds=1,
    ),
    Sabotage(
        "held-out-answers-shifted",
        "Accuracy on held-out pairs is 0 for every network (FourierPart.accuracies).",
        breaks={
            f"{FOURIER}.accuracies": lambda real: lambda lab, model, seed: (real(lab, model, seed)[0], 0.0)
        },
        notices={"fourier.memorises/modadd-1l": [MUST_FAIL]},
        seeds=1,
    ),
    Sabotage(
        "one-corruption-for-all",
        "Prompts are corrupted at the key, whichever corruption is asked for (heads.prompts.induction_prompts).",
        breaks={
            f"{HEADS}.head_prompts.induction_prompts": lambda real: (
                lambda network, seed, n, corrupt: real(network, seed, n, "key")
            ),
        },
        notices={"spectral.planted": ["blind-corruption"]},
        seeds=1,
    ),
]

IN_TRUTH = {
    "fourier.sae-overlap/modadd-leaky/topk": ["analytic-chance", "isotropic", "untrained"],
    "efas.miscalibration": ["redrawn"],
    "efas.one-token": ["untrained"],
    "efas.predicts-ablation": ["perfect"],
    "induction.forms": ["untrained"],
    "ioi.circuit": ["random-circuit", "untrained"],
    "stability.decoupled/modadd-leaky/topk": ["frozen"],
}
"""Controls that show with nothing broken, on every row of their claim: a sabotage would prove nothing."""


@pytest.fixture(scope="session")
def bench(lab, pytestconfig):
    from energylens.pytest_plugin import SESSION

    shared_by_workers = pytestconfig.stash[SESSION].run_path / "intact"
    return Bench(Path(__file__).parent, lab, shared_by_workers)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_is_noticed(sabotage, bench):
    wrong = [str(outcome) for outcome in tried(sabotage, bench) if not outcome.noticed]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("row", IN_TRUTH)
def test_shows_with_nothing_broken(row, bench):
    wrong = [str(each) for each in in_truth({row: IN_TRUTH[row]}, SEEDS, bench) if not each.before]
    assert not wrong, f"a sabotage could prove these now: {wrong}"


def test_every_control_is_tried(bench):
    assert not untried(bench, [IN_TRUTH, *(sabotage.notices for sabotage in SABOTAGES)])
