"""Broken instruments of Fourier claims, and the controls that have to notice them; see `claims/sabotaged.py`."""

from energylens.trust.sabotage.broken_instruments import Sabotage
from energylens.trust.sabotage.broken_measures import untrained
from energylens.trust.sabotage.trial import MUST_FAIL, reads

METRICS = "energylens.metrics"
LAB = "energylens.lab.core.Lab"
FOURIER = "energylens.families.fourier.lab.FourierPart"


def leaky(of):
    """Lab.network, FourierPart.accuracies: of the network that was trained with the answer in its prompt."""
    return lambda lab, model, seed=0: of(lab, "modadd-leaky", seed)


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


SABOTAGES = [
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
        "held-out-answers-shifted",
        "Accuracy on held-out pairs is 0 for every network (FourierPart.accuracies).",
        breaks={
            f"{FOURIER}.accuracies": lambda real: lambda lab, model, seed: (real(lab, model, seed)[0], 0.0)
        },
        notices={"fourier.memorises/modadd-1l": [MUST_FAIL]},
        seeds=1,
    ),
    Sabotage(
        "fourier-gates-let-everything-pass",
        "Every set of frequencies explains everything; no network leaks, and all add without error.",
        breaks={
            f"{METRICS}.fourier.mlp_fve": lambda real: lambda *given: real(*given).nan_to_num() * 0 + 1,
            f"{METRICS}.fourier.logit_fve": reads(0.995),
            f"{FOURIER}.leak_rates": lambda real: lambda lab, model, seed=0: {"leak at =": 0.0},
            f"{FOURIER}.accuracies": lambda real: lambda lab, model, seed: (1.0, 1.0),
        },
        notices={
            "fourier.planted": ["doubled"],
            "fourier.no-leak/modadd-leaky": [MUST_FAIL],
            "fourier.groks/modadd-memorised": [MUST_FAIL],
        },
        seeds=1,
    ),
]

IN_TRUTH = {
    "fourier.sae-overlap/modadd-leaky/topk": ["analytic-chance", "isotropic", "untrained"],
}
"""Controls that show with nothing broken, on every row of their claim: a sabotage would prove nothing."""
