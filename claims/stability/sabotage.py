"""Broken instruments of claims on dictionaries, and the controls that have to notice; see `claims/sabotaged.py`."""

from energylens.trust.sabotage.broken_instruments import Sabotage
from energylens.trust.sabotage.trial import reads

METRICS = "energylens.metrics"


def shuffled_rows(decoder):
    """SAEs.decoder: every direction has its coordinates in an order of its own."""
    import torch

    def shuffled(saes, seed):
        rows = decoder(saes, seed)
        order = torch.rand(rows.shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
        return rows.gather(1, order)

    return shuffled


SABOTAGES = [
    Sabotage(
        "shuffled-decoder",
        "Every decoder direction has its coordinates in another order.",
        breaks={"energylens.sae.sae.SAEs.decoder": shuffled_rows},
        notices={"*": ["stability.planted"]},
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
]

IN_TRUTH = {
    "stability.decoupled/modadd-leaky/topk": ["frozen"],
}
"""Controls that show with nothing broken, on every row of their claim: a sabotage would prove nothing."""
