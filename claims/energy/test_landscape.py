"""The energy landscape of text: over depth, and by token class."""

import math
from statistics import fmean

from energylens import AtLeast, AtMost, Figure, Measurement, Null, claim, in_full
from energylens.lab import UNTRAINED, needs_network

SOURCE = "Published study of feature-energy alignment (EFAS)"
MODELS, SEEDS = ["pygpt-2l"], range(5)
LARGER, MORE_SEEDS = ["pygpt-2l", "pygpt-4l", "pygpt-6l"], range(8)
GATES = ["spectral.competent"]
SHUFFLES = 20
NO_NETWORK = (
    "Published on no network: its source draws features at random, with energies from the length of words. "
)
ENERGY = "Energy is that of the logit lens, -log p of the token that follows, in nats. "


def held_out(lab, model, seed, per_document):
    from energylens.lenses.held_out import held_out_text

    return held_out_text(lab.network(model, seed), "confirmation", seed, per_document)


def energies_by_class(network, seed, drawn=200):
    """Mean energy at every site, over at most `drawn` tokens of each class; NaN where a class has too few."""
    from torch import Generator

    from energylens.families.energy import basins, token_classes
    from energylens.lenses import depth

    text = basins.labelled_text(network, "confirmation", seed)
    chosen = basins.some_of_each(text.labels, drawn, Generator().manual_seed(seed))
    energies, of = depth.energy_by_depth(network, text.tokens, text.targets, chosen), text.labels[chosen]
    found = {f"at a {name}": energies[:, of == label] for label, name in enumerate(token_classes.CLASSES)}
    unknown = [math.nan] * len(energies)
    return {
        name: each.mean(1).tolist() if each.shape[1] >= basins.LEAST else unknown
        for name, each in found.items()
    }


@claim(
    "energy.falls-with-depth",
    says="The lens energy of held-out text falls with depth.",
    source=SOURCE,
    holds_when=AtMost(0.0),
    published_on=[],
    models=MODELS,
    seeds=SEEDS,
    controls=[UNTRAINED],
    gates=GATES,
    unit="nats per layer",
    note=ENERGY
    + "Sites are the embedding and the residual after every block; the slope is by least squares. The last "
    "site is the network's own readout, which training lowers, so that the sign alone says little. "
    + NO_NETWORK,
    figure=Figure(
        kind="lines",
        x="layer",
        y=("all tokens", "at a word", "at a number", "at a regex"),
        title="Energy over depth, by the class of the token at the position",
        x_label="blocks passed",
        y_label="energy, nats",
    ),
    needs=needs_network,
)
def test_falls_with_depth(model, seed, lab):
    from energylens.lenses import depth
    from energylens.lenses.held_out import counted

    network, text = lab.network(model, seed), held_out(lab, model, seed, per_document=1)
    means = depth.energy_by_depth(network, text.tokens, text.targets, counted(text)).double().mean(1)
    series = {} if lab.is_swapped else energies_by_class(network, seed)
    return Measurement(
        depth.nats_per_layer(means),
        unit="nats per layer",
        beside={
            "energy of the embedding, nats": float(means[0]),
            "energy after the last block, nats": float(means[-1]),
            "share of blocks that lower it": float((means.diff() < 0).double().mean()),
        },
        series=series and {"layer": list(range(len(means))), "all tokens": means.tolist(), **series},
    )


test_falls_with_depth_full = in_full(test_falls_with_depth, seeds=MORE_SEEDS, models=LARGER)


def both_sides(lab, model, seed):
    from energylens.families.energy import basins
    from energylens.lenses import site

    network = lab.network(model, seed)
    hook_name = site.site_hook(network.n_layers, "middle")
    return [
        basins.labelled_tokens(network, hook_name, basins.labelled_text(network, split, seed))
        for split in ("discovery", "confirmation")
    ]


def shuffled_labels(model, seed, lab):
    from torch import Generator

    from energylens.families.energy import basins

    sides = both_sides(lab, model, seed)
    if why := basins.too_few(*sides):
        return Measurement(math.nan, note=why)
    found = basins.basins(*sides, seed).shuffled(Generator().manual_seed(seed), SHUFFLES)
    return Measurement(fmean(map(basins.excess, found)))


def other_agreements(found, sides, seed):
    """Beside: the same clusters against the class of the next token, and clusters of classes of equal size."""
    from energylens.families.energy import basins

    others = {
        "of next token": found.agreements(found.tokens.next_labels),
        "balanced": basins.basins(*(basins.balanced(side, seed) for side in sides), seed).agreements(),
    }
    return {
        label: number
        for name, ari in others.items()
        for label, number in {f"{name}, excess": basins.excess(ari), f"{name}, ARI": ari["descent"]}.items()
    }


def landscape(lab, model, seed):
    """Series of the figure: the first window of the seed, each token with the energy of predicting it."""
    from energylens.lenses import depth
    from energylens.lenses.held_out import counted

    network, text = lab.network(model, seed), held_out(lab, model, seed, per_document=1)
    first = text.tokens[:1], text.targets[:1], counted(text)[:1]
    energy = depth.energy_by_depth(network, *first)[-1]
    corpus = network.task.corpus
    return {
        "tokens": [corpus.token_strings[token] for token in text.targets[0, 1:].tolist()],
        "values": energy.tolist(),
        "title": corpus.names[int(text.documents[0])],
    }


@claim(
    "energy.basins",
    says="Word, number and regex tokens form basins of the energy: their descent directions cluster by class.",
    source=SOURCE,
    reported="basins of regex, word and number features, which were ranges of feature indices",
    stated="restated",
    holds_when=AtLeast(0.1),
    models=MODELS,
    seeds=SEEDS,
    controls=[
        UNTRAINED,
        Null(
            "shuffled",
            f"classes shuffled within documents, mean of {SHUFFLES}: where nothing agrees, the baseline included",
            measure=shuffled_labels,
            qualifies=False,
        ),
    ],
    gates=GATES,
    unit="adjusted Rand index above the baseline",
    note="Classes come from Python's tokenize: names, numbers, and strings that are patterns (the first argument of a "
    "function of re, or a raw string with metacharacters). The class is that of the token at the position. Three "
    "clusters (KMeans) of -grad E / |grad E| after the middle block, fitted on discovery modules, are compared with "
    "the classes on confirmation modules. Taken off is the better of two baselines that no network needs: the same "
    "clusters of W_E of this token, and of W_U of the next. In the figure, the energy of predicting each token.",
    figure=Figure(
        kind="text", title="Energy over a piece of text", x_label="energy after the last block, nats"
    ),
    needs=needs_network,
)
def test_basins(model, seed, lab):
    from energylens.families.energy import basins

    sides = both_sides(lab, model, seed)
    if why := basins.too_few(*sides):
        return Measurement(math.nan, unit="adjusted Rand index above the baseline", note=why)
    found = basins.basins(*sides, seed)
    ari = found.agreements()
    beside = {f"ARI, {name}": number for name, number in ari.items()}
    if not lab.is_swapped:
        beside |= other_agreements(found, sides, seed)
        beside |= {f"{name} tokens": n for name, n in sides[1].counts.items()}
    return Measurement(
        basins.excess(ari),
        unit="adjusted Rand index above the baseline",
        beside=beside,
        series={} if lab.is_swapped else landscape(lab, model, seed),
    )


test_basins_full = in_full(test_basins, seeds=MORE_SEEDS, models=LARGER)
