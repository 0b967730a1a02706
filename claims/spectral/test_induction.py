"""Induction heads: two layers form them, one layer cannot."""

from energylens import AtLeast, AtMost, Figure, Gate, Measurement, Null, claim, gate, in_full
from energylens.lab import UNTRAINED, WIRED, needs_network

ONE_LAYER = "induction-1l"
N = 64


def margin(lab, seed, which):
    """Score of a wired head above that of any other."""
    from energylens.families.spectral.induction_scores import induction_scores

    scores = induction_scores(lab.network(WIRED, seed), seed, N)
    head = lab.recipe(WIRED, seed).circuit[which]
    others = scores.clone()
    others[head] = 0
    return Measurement(float(scores[head] - others.max()), beside={"score": float(scores[head])})


def previous_token_head(model, seed, lab):
    return margin(lab, seed, which=0)


@gate(
    "induction.planted",
    says="The score tells the induction head of a circuit that was wired by hand.",
    source="Network with a known circuit, after Lindner et al. 2023 (arXiv:2301.05062)",
    passes_when=AtLeast(0.3),
    models=[WIRED],
    seeds=range(5),
    rejects=[
        Null(
            "previous-token", "the circuit's other head, which looks up nothing", measure=previous_token_head
        )
    ],
    unit="induction score above that of any other head",
    needs=needs_network,
)
def test_planted(model, seed, lab):
    return margin(lab, seed, which=1)


def needs_both(lab, model, variant, seed):
    return [lab.recipe(model, seed), lab.recipe(ONE_LAYER, seed)]


@claim(
    "induction.forms",
    says="Two layers form induction heads, one layer does not.",
    source="Olsson et al. 2022 (arXiv:2209.11895)",
    reported="2 layers: yes; 1 layer: no",
    published_on=["attn-only-1l", "attn-only-2l"],
    holds_when={"2 layers": AtLeast(0.3), "1 layer": AtMost(0.1)},
    models=["induction-2l", "induction-2l-rotary"],
    seeds=range(5),
    controls=[UNTRAINED],
    gates=["spectral.competent", Gate("induction.planted", on=WIRED)],
    unit="induction score",
    note="The best head's mean attention, from the second occurrence of a random segment, to the token that followed "
    "in the first. The one-layer network has learned positions. In the figure, the gaps are those of the head that has "
    "the highest score at the end. Of one network that a user gives, '1 layer' is still over networks of ours.",
    figure=Figure(
        kind="lines",
        x="step",
        y=("induction score", "repeat loss, nats", "gap a", "gap a-prime"),
        split=True,
        title="Induction over training, with the gap beside it",
        x_label="step",
        y_label="",
    ),
    needs=needs_both,
)
def test_forms(model, seed, lab):
    from energylens.families.spectral.induction_scores import induction_scores, over_training

    two, one = (induction_scores(lab.network(name, seed), seed, N) for name in (model, ONE_LAYER))
    series = (
        {} if lab.is_swapped else over_training(lab.snapshots(model, seed), lab.network(model, seed), seed)
    )
    return Measurement(
        {"2 layers": float(two.max()), "1 layer": float(one.max())},
        unit="induction score",
        beside={"heads above .3": int((two >= 0.3).sum())},
        series=series,
    )


test_forms_full = in_full(test_forms, seeds=range(10))
