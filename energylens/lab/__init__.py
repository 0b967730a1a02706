"""The lab, which gives claims networks, SAEs and activations, found in the store or built.

A null control runs a claim's own body in a *swapped* lab, which gives something else under the same name:
the network at initialisation, or another dictionary in place of the trained SAE's decoder.
"""

from energylens.families.fourier.lab import Grid
from energylens.lab.controls import COVARIANCE, FROZEN, ISOTROPIC, STEP_0, UNTRAINED
from energylens.lab.core import Lab, open_store
from energylens.lab.needs import needs_network, needs_saes, needs_text_saes, needs_tuned_lens
from energylens.lab.saes import SAE_KINDS, SAE_SEED_STRIDE, SAE_SEEDS, sae_seeds
from energylens.lab.sources.planted import PLANTED
from energylens.lab.sources.table import MODEL_TASKS
from energylens.lab.sources.wired import WIRED
from energylens.lab.text import TEXT_SAE_KINDS, TEXT_SAE_SEEDS, TEXT_VARIANTS
from energylens.lenses.site import SITES

__all__ = [
    "COVARIANCE",
    "FROZEN",
    "ISOTROPIC",
    "MODEL_TASKS",
    "PLANTED",
    "SAE_KINDS",
    "SAE_SEEDS",
    "SAE_SEED_STRIDE",
    "SITES",
    "STEP_0",
    "TEXT_SAE_KINDS",
    "TEXT_SAE_SEEDS",
    "TEXT_VARIANTS",
    "UNTRAINED",
    "WIRED",
    "Grid",
    "Lab",
    "needs_network",
    "needs_saes",
    "needs_text_saes",
    "needs_tuned_lens",
    "open_store",
    "sae_seeds",
]
