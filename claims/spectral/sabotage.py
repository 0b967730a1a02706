"""Broken instruments of claims on heads, and the controls that have to notice them; see `claims/sabotaged.py`."""

from energylens.interventions import HookWithoutEffect
from energylens.trust.sabotage.broken_instruments import Sabotage
from energylens.trust.sabotage.broken_measures import of_noise, reliable, untrained
from energylens.trust.sabotage.trial import MUST_FAIL, reads

METRICS = "energylens.metrics"
LAB = "energylens.lab.core.Lab"
HEADS = "energylens.families.spectral"


def ignored(edit):
    """Replace.__call__: head outputs stay what they were. (Times 0, so that gradients are 0 and not missing.)"""
    return lambda replace, layer, z, where: z + 0 * edit(replace, layer, z, where)


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


def of_property(broken):
    """The same for a cached property."""
    return lambda real: property(broken(real.func))


def correlations_of(r):
    """association.correlations: r, between whatever."""
    import torch

    read = reads(r)(None)
    return lambda real: lambda x, y: torch.tensor([read() for _ in y], dtype=torch.float64)


SABOTAGES = [
    Sabotage(
        "untrained-readers",
        "Networks that read text, and those of induction and of indirect objects, have the weights of step 0.",
        breaks={f"{LAB}.network": untrained},
        notices={"*": ["spectral.competent"]},
        seeds=1,
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
        "Every gap stands beside the head before the one that it was measured on (head_study.HeadStudy.gap).",
        breaks={
            f"{HEADS}.head_study.HeadStudy.gap": lambda real: lambda study, name: real(study, name).roll(-1)
        },
        notices={"*": ["spectral.attributed"]},
        seeds=1,
    ),
    Sabotage(
        "damage-of-the-next-head",
        "Every damage stands beside the head before the one that was patched (head_study.HeadStudy.noising).",
        breaks={f"{HEADS}.head_study.HeadStudy.noising": of_next_head},
        notices={"spectral.gap-predicts": ["spectral.attributed"]},
        seeds=1,
    ),
    Sabotage(
        "depth-alone",
        "Gap and importance of a head are its layer (head_study.HeadStudy).",
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
        "What half of the prompts says of importance is drawn at random (head_study.HeadStudy.damage_halves).",
        breaks={f"{HEADS}.head_study.HeadStudy.damage_halves": of_property(of_noise)},
        notices={
            "spectral.gap-predicts": ["itself"],
            "spectral.gap-within-layers": ["itself"],
            "spectral.adds": ["itself"],
        },
    ),
    Sabotage(
        "half-of-the-prompts-has-another-sign",
        "Half of the prompts take the head that matters least for the first (head_study.HeadStudy.damage_halves).",
        breaks={
            f"{HEADS}.head_study.HeadStudy.damage_halves": of_property(
                lambda halves: lambda study: tuple(-half for half in halves(study))
            )
        },
        notices={"spectral.weakest-link": ["itself"]},
    ),
    Sabotage(
        "induction-is-not-seen",
        "Every induction score is a hundredth of what it is (induction_scores.induction_scores).",
        breaks={
            f"{HEADS}.induction_scores.induction_scores": lambda real: (
                lambda network, seed, n: real(network, seed, n) / 100
            )
        },
        notices={"*": ["induction.planted"]},
        seeds=1,
    ),
    Sabotage(
        "one-corruption-for-all",
        "Prompts are corrupted at the key, whichever corruption is asked for (head_prompts.induction_prompts).",
        breaks={
            f"{HEADS}.head_prompts.induction_prompts": lambda real: (
                lambda network, seed, n, corrupt: real(network, seed, n, "key")
            ),
        },
        notices={"spectral.planted": ["blind-corruption"]},
        seeds=1,
    ),
    Sabotage(
        "head-gates-let-everything-pass",
        "Networks do their task, gaps keep in every gauge, the changed head is named, every head looks like induction.",
        breaks={
            "induction.planted:margin": lambda real: lambda lab, seed, which: real(lab, seed, which=1),
            f"{HEADS}.competence.competence": lambda real: lambda network: (1.5, {}),
            f"{HEADS}.gauge_test.gauge_violation": reads(0.5),
            f"{HEADS}.changed_head.attribution": lambda real: (
                lambda network, seed, further: real(network, seed, further=0)
            ),
        },
        notices={
            "induction.planted": ["previous-token"],
            "spectral.competent/induction-1l": [MUST_FAIL, "untrained"],
            "spectral.gauge": ["wrong-gauge"],
            "spectral.attributed": ["next-head"],
        },
        seeds=1,
    ),
]

IN_TRUTH = {
    "induction.forms": ["untrained"],
    "ioi.circuit": ["random-circuit", "untrained"],
}
"""Controls that show with nothing broken, on every row of their claim: a sabotage would prove nothing."""
