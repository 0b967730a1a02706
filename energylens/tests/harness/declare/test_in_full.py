import inspect

import pytest

from energylens import AtLeast, Measurement, claim
from energylens.errors import DeclarationError
from energylens.harness import claim_of
from energylens.harness.declare.in_full import in_full
from energylens.tests.harness.helpers import NOTHING

OFFSET = 2.0


@claim(
    "toy.size", says="It is large.", source="us", holds_when=AtLeast(1.0), models=["dice"], seeds=range(5),
    controls=[NOTHING],
)  # fmt: skip
def body(model, seed):
    return Measurement(seed + OFFSET)


def test_the_copy_measures_the_same_under_another_id():
    larger = in_full(body, seeds=range(10), models=["dice", "coin"])
    declared, original = claim_of(larger), claim_of(body)
    assert (declared.id, declared.tier, declared.extends) == ("toy.size-full", "full", "toy.size")
    assert (declared.seeds, declared.models) == (tuple(range(10)), ("dice", "coin"))
    assert (declared.regions, declared.nulls, declared.gates) == (
        original.regions,
        original.nulls,
        original.gates,
    )
    assert larger("dice", 3) == body("dice", 3)
    assert inspect.signature(larger) == inspect.signature(body)
    assert (original.id, original.seeds) == ("toy.size", tuple(range(5)))


def test_without_models_it_keeps_those_of_the_claim():
    assert claim_of(in_full(body, seeds=range(10))).models == ("dice",)


def test_only_claims_can_be_extended():
    with pytest.raises(DeclarationError, match="declares no claim"):
        in_full(lambda model, seed: None, seeds=range(10))
