from types import SimpleNamespace

import pytest

from energylens import AtLeast, AtMost, Gate, Mean, Measurement, Null, claim, gate
from energylens.errors import DeclarationError, InputError
from energylens.harness import claim_of
from energylens.tests.harness.helpers import NOTHING, declare, nothing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Toy Mean"}, "lower case"),
        ({"id": "../escape"}, "lower case"),
        ({"says": " "}, "says something"),
        ({"models": []}, "models is empty"),
        ({"models": "dice"}, "a sequence, got 'dice'"),
        ({"models": ["dice", "dice"]}, "distinct"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [1, 1]}, "distinct"),
        ({"seeds": [1.5]}, "got 1.5"),
        ({"seeds": [True]}, "got True"),
        ({"controls": []}, "without a control"),
        ({"controls": ["untrained"]}, "got 'untrained'"),
        ({"controls": [Null("beside", "context", measure=nothing, qualifies=False)]}, "without a control"),
        ({"gates": "toy.gate"}, "a sequence, got 'toy.gate'"),
        ({"seeds": 5}, "a sequence, got 5"),
        ({"statistic": 3}, "got [3]"),
        ({"statistic": SimpleNamespace(summarise=len)}, "has ('describes', 'summarise'), got [namespace"),
        ({"controls": [NOTHING, NOTHING]}, "must be distinct"),
        ({"holds_when": {}}, "holds_when needs regions"),
        ({"holds_when": 0.93}, "got {'value': 0.93}"),
        ({"statistic": {"other": Mean()}}, "no region for statistic"),
        ({"tier": "gpuu"}, "'gpuu'"),
        ({"stated": "Restated"}, "'as stated' or 'restated', got 'Restated'"),
        ({"gates": ["toy.mean"]}, "its own gate"),
    ],
)
def test_a_declaration_that_could_not_be_judged_names_claim_file_and_problem(changes, message):
    with pytest.raises(DeclarationError, match=r"helpers\.py") as caught:
        declare(**changes)
    assert message in str(caught.value)
    assert repr(changes.get("id", "toy.mean")) in str(caught.value)


def test_a_gate_alone_is_a_control():
    assert declare(controls=[], gates=["toy.other", Gate("toy.planted", on="dice")]).gates == (
        Gate("toy.other"),
        Gate("toy.planted", on="dice"),
    )


@pytest.mark.parametrize(
    "changes", [{"seeds": range(4)}, {"holds_when": AtMost(1.0)}, {"gates": ["toy.other"]}, {"controls": [
        Null("other", "something else", measure=nothing)]}],
)  # fmt: skip
def test_what_decides_a_verdict_changes_the_hash(changes):
    assert declare(**changes).declaration_hash != declare().declaration_hash


def test_words_do_not_change_the_hash():
    assert (
        declare(says="Other words.", source="elsewhere", note="!").declaration_hash
        == declare().declaration_hash
    )


def test_a_gate_must_be_able_to_reject():
    declaration = gate(
        "toy.gate", says="It rolls.", source="nowhere", passes_when=AtLeast(0), models=["dice"], seeds=[0], must_fail=[]
    )  # fmt: skip
    with pytest.raises(DeclarationError, match="without a control"):
        declaration(nothing)


def test_the_decorated_function_still_measures():
    body = claim(
        "toy.body", says="x", source="y", holds_when=AtLeast(0), models=["dice"], seeds=[0], controls=[NOTHING]
    )(nothing)  # fmt: skip
    assert body is nothing
    assert body(0).value == {"value": 0.0}
    assert claim_of(body).id == "toy.body"


@pytest.mark.parametrize("value", ["many", [1, 2], {"part": None}])
def test_a_measurement_is_numbers(value):
    with pytest.raises(InputError, match="must be one number"):
        Measurement(value)


def test_a_null_swaps_or_measures():
    with pytest.raises(DeclarationError, match="'both'"):
        Null("both", "?", swap={"a": "b"}, measure=nothing)
    with pytest.raises(DeclarationError, match="'neither'"):
        Null("neither", "?")
    with pytest.raises(DeclarationError, match="a/b"):
        Null("a/b", "?", measure=nothing)
