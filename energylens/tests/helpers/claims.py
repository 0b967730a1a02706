"""The shipped claims, for tests that call their bodies and controls without judging them."""

from functools import cache
from pathlib import Path

import energylens.tests
from energylens.harness.declare.catalogue import load_claims

CLAIMS = Path(energylens.tests.__file__).parents[2] / "claims"


@cache
def shipped():
    """By id: what is declared, with its body."""
    return load_claims(CLAIMS)


def measured(claim_id, control, *given):
    """The measurement of one control of a claim: (model, variant, seed, lab) as far as it takes them."""
    (found,) = (each for each in shipped()[claim_id].claim.controls if each.name == control)
    return found.measure(*given)
