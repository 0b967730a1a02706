"""The positive control of the family: SAEs find a dictionary that is known to be there."""

from statistics import fmean

from energylens import AtLeast, Measurement, claim
from energylens.lab import FROZEN, PLANTED, STEP_0, needs_saes
from energylens.metrics import stability


@claim(
    "stability.planted",
    says="SAEs recover a planted dictionary.",
    source="Positive control: activations are sparse codes times a known dictionary, plus noise",
    holds_when=AtLeast(0.9),
    models=[PLANTED],
    variants=["topk", "relu", "relu-matched"],
    seeds=range(5),
    controls=[STEP_0, FROZEN],
    stated="restated",
    published_on=(PLANTED,),
    unit="mean |cosine| to the true atoms, one to one",
    note="Every seed is a dictionary of its own: its value is the mean over three SAEs.",
    needs=needs_saes(),
)
def test_planted(model, variant, seed, lab):
    decoders, truth = lab.sae.decoders(model, variant, seed), lab.stability.planted_atoms(PLANTED, seed)
    return Measurement(
        fmean(stability.ground_truth_mcc(truth, decoder) for decoder in decoders),
        beside={"pw_mcc of two SAEs": fmean(stability.pairwise(stability.pw_mcc, decoders))},
    )
