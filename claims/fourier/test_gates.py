"""Gates of the Fourier family: does the network read its label, can it add, did it memorise; is a circuit found?"""

import math

from energylens import AtLeast, AtMost, Figure, Measurement, Null, gate
from energylens.lab import needs_network
from energylens.metrics import fourier

SEEDS = range(5)

TRAINING = Figure(
    kind="lines",
    x="step",
    y=("train_accuracy", "test_accuracy"),
    title="Training",
    x_label="step",
    y_label="accuracy",
)


@gate(
    "fourier.no-leak",
    says="Swapping a non-operand input token for another label never moves the prediction to that label.",
    source="Error of the published set-up (BOS a + b = c EOS): the network reads its own label at the position of c",
    passes_when=AtMost(0.05),
    models=["modadd-1l", "modadd-2l", "modadd-leaky"],
    seeds=SEEDS,
    must_fail=["modadd-leaky"],
    unit="share of inputs",
    note="'Never' allows the coincidences of a network that sees a token it was not trained on: when '=' becomes "
    "a number, sums with a + b = 0 answer with that number, 1 input in p.",
    needs=needs_network,
)
def test_no_leak(model, seed, lab):
    by_position = lab.fourier.leak_rates(model, seed)
    return Measurement(max(by_position.values()), unit="share of inputs", beside=by_position)


@gate(
    "fourier.groks",
    says="The network adds: accuracy on held-out pairs is at least 99 %.",
    source="Nanda et al. 2023 (arXiv:2301.05217)",
    passes_when=AtLeast(0.99),
    models=["modadd-1l", "modadd-2l", "modadd-memorised"],
    seeds=SEEDS,
    must_fail=["modadd-memorised"],
    competence=True,
    unit="accuracy",
    note="A checkpoint of unknown split is scored on all pairs.",
    figure=TRAINING,
    needs=needs_network,
)
def test_groks(model, seed, lab):
    train, test = lab.fourier.accuracies(model, seed)
    return Measurement(
        test, unit="accuracy", beside={"train accuracy": train}, series=lab.curves(model, seed)
    )


@gate(
    "fourier.memorises",
    says="The memorising network knows its training pairs (accuracy > .99) and no others (accuracy < .2).",
    source="Control network: Nanda et al. 2023 (arXiv:2301.05217), before grokking",
    passes_when=AtMost(0.2),
    models=["modadd-memorised", "modadd-1l"],
    seeds=SEEDS,
    must_fail=["modadd-1l"],
    unit="accuracy on held-out pairs",
    note="NaN, and so failed, where the training pairs are not known.",
    figure=TRAINING,
    needs=needs_network,
)
def test_memorises(model, seed, lab):
    train, test = lab.fourier.accuracies(model, seed)
    known = train > 0.99
    return Measurement(
        test if known else math.nan,
        beside={"train accuracy": train},
        series=lab.curves(model, seed),
        note="" if known else f"accuracy on training pairs is {train:.3f} (nan: the split is not known)",
    )


def written_down(p, frequencies):
    """Neurons and neurons-to-logits map that add by these frequencies: cos and sin of w(a+b), and of w c."""
    import torch

    c = torch.arange(p, dtype=torch.float64)
    sums = (c[:, None] + c).flatten()
    neurons, W_L = (
        torch.stack([wave(2 * math.pi * k / p * x) for k in frequencies for wave in (torch.cos, torch.sin)])
        for x in (sums, c)
    )
    return neurons.T, W_L


def read_back(lab, model, seed, times):
    """The least that three measures find of it, at the frequencies found times a number."""
    p = lab.network(model, seed).modadd.p
    (written,) = fourier.random_frequency_sets(p, max(1, min(5, p // 8)), draws=1, seed=seed)
    neurons, W_L = written_down(p, written)
    read = sorted(min(times * k % p, -times * k % p) for k in fourier.key_frequencies(W_L))
    found = {
        "MLP": fourier.worst_mlp_fve(neurons, W_L, read),
        "logits": fourier.logit_fve(neurons @ W_L, read),
        "neurons": fourier.one_frequency_share(fourier.one_frequency_fve(neurons)[0]),
    }
    return Measurement(math.nan if not read else min(found.values()), beside=found)


def doubled(model, seed, lab):
    return read_back(lab, model, seed, times=2)


@gate(
    "fourier.planted",
    says="Of a circuit that is written down, at random frequencies, all is read back.",
    source="Positive control: neurons cos and sin of w_k(a+b), logits the sum of cos w_k(a+b-c)",
    passes_when=AtLeast(0.99),
    models=["modadd-1l", "modadd-2l"],
    seeds=SEEDS,
    rejects=[Null("doubled", "twice the key frequencies in their place", measure=doubled)],
    unit="fraction of variance; share of neurons",
    note="Five frequencies, at the p of the network. The least of what the key frequencies explain of the MLP's "
    "directions and of the logits, and of the share of neurons of one frequency.",
    needs=needs_network,
)
def test_planted(model, seed, lab):
    return read_back(lab, model, seed, times=1)
