"""The grokked circuit of Nanda et al. 2023: cos and sin of w_k(a + b) in the MLP, cos w_k(a + b - c) in the logits."""

import math
from statistics import fmean

from energylens import AtLeast, AtMost, Measurement, Null, Pairs, claim
from energylens.lab import UNTRAINED, needs_network
from energylens.metrics import fourier, stability

MODELS = ["modadd-1l", "modadd-2l"]
SEEDS = range(5)
GATES = ["fourier.no-leak", "fourier.groks", "fourier.planted"]
PUBLISHED_ON = ("modadd-1l",)
PAPER = "Nanda et al. 2023 (arXiv:2301.05217)"
RANDOM_SETS, SHUFFLES = 10, 5
NO_KEY = "no frequency holds more than 5 % of W_L's Fourier power"
HAS_KEY = "fourier.key-frequencies"


def key_frequencies(lab, model, seed):
    """Key frequencies of the network, and the neurons-to-logits map they are read from."""
    W_L = lab.network(model, seed).W_L()
    return fourier.key_frequencies(W_L), W_L


def undefined(found):
    """Why a measure of key frequencies is NaN."""
    return "" if found else NO_KEY


@claim(
    HAS_KEY,
    says="A grokked network has key frequencies: the strongest of W_L holds at least 5 % of its Fourier power.",
    source=f"{PAPER}, section 4",
    reported="5 key frequencies",
    holds_when=AtLeast(0.05),
    models=MODELS,
    seeds=SEEDS,
    controls=[UNTRAINED],
    gates=GATES,
    published_on=PUBLISHED_ON,
    unit="share of W_L's Fourier power",
    note="The paper counts key frequencies and gives no share; 5 % is what this harness calls key. Where no frequency "
    "holds as much, nothing can be said of a circuit that is made of them.",
    needs=needs_network,
)
def test_key_frequencies(model, seed, lab):
    found, W_L = key_frequencies(lab, model, seed)
    p, d_mlp = W_L.shape[::-1]
    return Measurement(
        fourier.embedding_r2(W_L.T, top=1),
        unit="share of W_L's Fourier power",
        beside={
            "key frequencies": len(found),
            "strongest of a Gaussian W_L": fourier.embedding_r2_chance(p, d_mlp, top=1),
        },
    )


def non_key_fve(model, seed, lab):
    found, W_L = key_frequencies(lab, model, seed)
    others = fourier.strongest_frequencies(
        fourier.frequency_power(W_L, dim=1), len(found) or 1, exclude=found
    )
    return Measurement(fourier.worst_mlp_fve(lab.fourier.grid(model, seed).neurons, W_L, others))


@claim(
    "fourier.grokked-circuit",
    says="A grokked network computes cos and sin of w_k(a+b) in its MLP, for every key frequency k.",
    source=f"{PAPER}, table 1",
    reported="93.2-98.2 %",
    holds_when=AtLeast(0.93),
    models=MODELS,
    seeds=SEEDS,
    controls=[
        Null("non-key", "as many frequencies, the strongest of those that are not key", measure=non_key_fve),
    ],
    gates=GATES,
    undefined_is=HAS_KEY,
    published_on=PUBLISHED_ON,
    unit="fraction of variance",
    note="The value of a seed is its worst direction: the minimum over key frequencies, cos and sin.",
    needs=needs_network,
)
def test_grokked_circuit(model, seed, lab):
    found, W_L = key_frequencies(lab, model, seed)
    fve = fourier.worst_mlp_fve(lab.fourier.grid(model, seed).neurons, W_L, found)
    beside = {"key frequencies": len(found)}
    if found:
        beside["W_L outside key frequencies"] = fourier.w_l_residual(W_L, found)
    return Measurement(fve, unit="fraction of variance", beside=beside, note=undefined(found))


def random_set_fve(model, seed, lab):
    found, _ = key_frequencies(lab, model, seed)
    p = lab.network(model, seed).modadd.p
    shares = fourier.logit_shares(lab.fourier.grid(model, seed).logits)
    sets = fourier.random_frequency_sets(p, len(found) or 1, draws=100, seed=seed)
    return Measurement(sum(float(shares[[k - 1 for k in one]].sum()) for one in sets) / len(sets))


@claim(
    "fourier.logits",
    says="The logits are a sum of cos w_k(a+b-c) over the key frequencies.",
    source=f"{PAPER}, section 4",
    reported="95 %",
    holds_when=AtLeast(0.90),
    models=MODELS,
    seeds=SEEDS,
    controls=[
        Null("random-sets", "100 random sets of as many frequencies", measure=random_set_fve),
    ],
    gates=GATES,
    undefined_is=HAS_KEY,
    published_on=PUBLISHED_ON,
    unit="fraction of variance",
    needs=needs_network,
)
def test_logits(model, seed, lab):
    found, _ = key_frequencies(lab, model, seed)
    fve = fourier.logit_fve(lab.fourier.grid(model, seed).logits, found)
    return Measurement(fve, unit="fraction of variance", note=undefined(found))


def shuffled_share(model, seed, lab):
    import torch

    generator, neurons = torch.Generator().manual_seed(seed), lab.fourier.grid(model, seed).neurons
    grids = (fourier.shuffled_grid(neurons, generator) for _ in range(SHUFFLES))
    return Measurement(
        fmean(fourier.one_frequency_share(fourier.one_frequency_fve(each)[0]) for each in grids)
    )


@claim(
    "fourier.neurons",
    says="At least 80 % of the neurons are degree-2 polynomials of a single frequency (variance > 85 %).",
    source=f"{PAPER}, section 4",
    reported="433 of 512 (84.6 %)",
    holds_when=AtLeast(0.80),
    models=MODELS,
    seeds=SEEDS,
    controls=[
        Null("shuffled", "the same activations on five shuffled (a, b) grids", measure=shuffled_share),
    ],
    gates=GATES,
    published_on=PUBLISHED_ON,
    unit="share of neurons",
    needs=needs_network,
)
def test_neurons(model, seed, lab):
    fve, _ = fourier.one_frequency_fve(lab.fourier.grid(model, seed).neurons)
    dead = float(fve.isnan().double().mean())
    return Measurement(
        fourier.one_frequency_share(fve), unit="share of neurons", beside={"constant neurons": dead}
    )


def losses(lab, model, seed, frequencies):
    """Restricted loss over full loss, and excluded loss over ln p, on all inputs."""
    network, logits = lab.network(model, seed), lab.fourier.grid(model, seed).logits
    labels = network.modadd.labels()
    full = fourier.loss_nats(logits, labels)
    restricted = fourier.loss_nats(fourier.restricted_logits(logits, frequencies), labels)
    excluded = fourier.loss_nats(fourier.excluded_logits(logits, frequencies), labels)
    parts = {
        "restricted / full loss": restricted / full,
        "excluded loss / ln p": excluded / math.log(network.modadd.p),
    }
    return parts, full


def random_set_losses(model, seed, lab):
    found, _ = key_frequencies(lab, model, seed)
    p = lab.network(model, seed).modadd.p
    sets = fourier.random_frequency_sets(p, len(found) or 1, draws=RANDOM_SETS, exclude=found, seed=seed)
    drawn = [losses(lab, model, seed, one)[0] for one in sets]
    return Measurement({part: fmean(each[part] for each in drawn) for part in drawn[0]})


@claim(
    "fourier.causal",
    says="The key frequencies are what the network uses: alone they keep its loss, without them it loses the task.",
    source=f"{PAPER}, section 5.1",
    reported="restricted loss below full loss; excluded loss above a uniform guess",
    holds_when={"restricted / full loss": AtMost(1.1), "excluded loss / ln p": AtLeast(1.0)},
    models=MODELS,
    seeds=SEEDS,
    controls=[Null("random-sets", "ten random sets of as many other frequencies", measure=random_set_losses)],
    gates=GATES,
    undefined_is=HAS_KEY,
    published_on=PUBLISHED_ON,
    unit="ratio",
    note="Both losses over all p² inputs, so that a checkpoint of unknown split is measured alike.",
    needs=needs_network,
)
def test_causal(model, seed, lab):
    found, _ = key_frequencies(lab, model, seed)
    parts, full = losses(lab, model, seed, found)
    if not found:
        parts = dict.fromkeys(parts, math.nan)
    return Measurement(parts, unit="ratio", beside={"full loss, nats": full}, note=undefined(found))


def jaccard(first, second):
    if "population" in first:  # two random sets of these sizes
        return stability.jaccard_chance(int(first["population"]), int(first["size"]), int(second["size"]))
    return stability.jaccard(first["frequencies"].tolist(), second["frequencies"].tolist())


def as_set(frequencies, p, **beside):
    import numpy as np

    if not frequencies:
        return Measurement(math.nan, note=NO_KEY)
    size = len(frequencies)
    chance = stability.jaccard_chance((p - 1) // 2, size, size)
    return Measurement(
        arrays={"frequencies": np.array(frequencies)},
        beside={"key frequencies": size, "hypergeometric chance": chance},
        series={"frequencies": frequencies},
    )


def random_set(model, seed, lab):
    import numpy as np

    found, _ = key_frequencies(lab, model, seed)
    population = (lab.network(model, seed).modadd.p - 1) // 2
    sizes = {"population": np.array(population), "size": np.array(len(found) or 1)}
    return Measurement(arrays=sizes, beside={"key frequencies": len(found)})


def one_network(model, seed, lab):
    found, _ = key_frequencies(lab, model, min(SEEDS))
    return as_set(found, lab.network(model, min(SEEDS)).modadd.p)


@claim(
    "fourier.sets-differ",
    says="Networks that differ in their seed choose different key frequencies.",
    source=f"{PAPER}, on networks of other seeds",
    reported="different sets for every seed",
    holds_when=AtMost(0.25),
    models=MODELS,
    seeds=SEEDS,
    statistic=Pairs(jaccard),
    controls=[
        Null(
            "random-sets",
            "random sets of the same size, exactly: what choosing at random looks like",
            measure=random_set,
            exact=True,
        ),
        Null(
            "one-network", "the same network under every seed: what agreement looks like", measure=one_network
        ),
    ],
    gates=GATES,
    undefined_is=HAS_KEY,
    published_on=PUBLISHED_ON,
    unit="Jaccard index",
    note="'By chance too' is the finding here, not a flaw: the sets overlap as little as random ones.",
    needs=needs_network,
)
def test_sets_differ(model, seed, lab):
    found, _ = key_frequencies(lab, model, seed)
    return as_set(found, lab.network(model, seed).modadd.p)
