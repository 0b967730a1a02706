"""Is the head with the smallest gap the one that matters most?"""

import math
import zlib

from energylens import AtLeast, Gate, HitRate, Measurement, Null, claim
from energylens.harness.extend import in_full
from energylens.lab import UNTRAINED, WIRED, needs_network

SOURCE = (
    "Published steering study on GPT-2: eigenvalue gap of the key Gram matrix and causal importance of heads"
)
MODELS = ["induction-2l", "induction-2l-rotary", "ioi-toy", "pygpt-2l"]
LARGER = [*MODELS, "pygpt-4l"]
SEEDS, MORE_SEEDS = range(5), range(10)
GAPS = ["a", "a-raw", "a-prime", "b", "c"]
GATES = ["spectral.competent", "spectral.gauge", "spectral.attributed", Gate("spectral.planted", on=WIRED)]
NOTE = (
    "Importance is the mean damage, in absolute value, when a head's output comes from the corrupted prompt (logit "
    "difference) or, for text, from a window of another document (loss). Definitions: a centred keys (published), "
    "a-raw keys, a-prime scores before the softmax, b attention matrix, c W_Q W_K^T."
)


def hit(study, variant, head):
    return float(int(head) == int(study.damage.argmax()))


def random_head(model, variant, seed, lab):
    import torch

    study = lab.heads(model, seed)
    return Measurement(
        hit(study, variant, torch.randint(len(study.layer), (), generator=generator(model, variant, seed)))
    )


def random_in_layer(model, variant, seed, lab):
    import torch

    study = lab.heads(model, seed)
    layer = study.layer[int(study.damage.argmax())]
    (others,) = torch.nonzero(study.layer == layer, as_tuple=True)
    return Measurement(
        hit(study, variant, others[torch.randint(len(others), (), generator=generator(model, variant, seed))])
    )


def generator(model, variant, seed):
    """Draws of its own for every row, so that chance is not the same accident in all of them."""
    import torch

    return torch.Generator().manual_seed(zlib.crc32(f"{model} {variant} {seed}".encode()))


@claim(
    "spectral.weakest-link",
    says="The head with the smallest gap is the head that matters most.",
    source=SOURCE,
    reported="'weakest link'; from its own numbers in 0 of 6 layers",
    holds_when=AtLeast(0.5),
    models=MODELS,
    variants=GAPS,
    seeds=SEEDS,
    statistic=HitRate(),
    controls=[
        Null("random-head", "a head drawn at random: 1 / n_heads", measure=random_head),
        Null(
            "random-in-layer",
            "a head drawn at random from the layer of the most important one: what knowing the depth gives",
            measure=random_in_layer,
        ),
        UNTRAINED,
    ],
    gates=GATES,
    unit="share of seeds",
    note=NOTE,
    needs=needs_network,
)
def test_weakest_link(model, variant, seed, lab):
    study = lab.heads(model, seed)
    if study.gap(variant).isnan().any():
        return Measurement(math.nan, note="the gap of a head is undefined")
    smallest = int(study.gap(variant).argmin())
    rank = int((study.damage > study.damage[smallest]).sum()) + 1
    same_layer = int((study.layer == study.layer[int(study.damage.argmax())]).sum())
    return Measurement(
        hit(study, variant, smallest),
        unit="share of seeds",
        beside={
            "rank in importance of the smallest gap": rank,
            "chance": 1 / len(study.layer),
            "chance knowing the layer": 1 / same_layer,
        },
    )


test_weakest_link_full = in_full(test_weakest_link, seeds=MORE_SEEDS, models=LARGER)
