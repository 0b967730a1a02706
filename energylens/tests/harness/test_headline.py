"""The headline counts what was claimed: published set-up, other models, restated versions, each finding once."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens.harness.headline import Standing, headline, is_published, standings

WORDS = ("HOLDS", "REFUTED", "INCONCLUSIVE", "INVALID", "NOT RUN", "ERROR")


def finding(
    name: str = "toy.mean", published_on: tuple[str, ...] = ("here",), **changes: Any
) -> dict[str, Any]:
    fields = dict(
        id=name, role="claim", stated="as stated", extends="", published_on=published_on, undefined_is=""
    )
    return fields | changes


def row(model: str, word: str, *qualifiers: str, claim: str = "toy.mean", **changes: Any) -> dict[str, Any]:
    fields = dict(
        claim=claim, model=model, word=word, qualifiers=list(qualifiers), parts=[], own_checkpoint=False
    )
    return fields | changes


def nan_part(**changes: Any) -> dict[str, Any]:
    return {"part": "value", "word": "INCONCLUSIVE", "estimate": "NaN"} | changes


def test_a_claim_refuted_only_on_another_model_is_not_refuted_in_the_headline():
    found = headline([finding()], [row("here", "HOLDS"), row("there", "REFUTED")])
    assert (found["published"], found["elsewhere"]) == ({"holds": 1}, {"refuted": 1})


def test_a_claim_published_on_a_model_that_no_row_has_is_not_run_here():
    found = headline([finding(published_on=("gpt2",))], [row("here", "HOLDS")])
    assert (found["published"], found["elsewhere"]) == ({"not run here": 1}, {"holds": 1})


def test_a_published_set_up_without_weights_is_not_run_here():
    assert headline([finding()], [row("here", "NOT RUN"), row("there", "HOLDS")])["published"] == {
        "not run here": 1
    }


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([("HOLDS",), ("HOLDS", "by chance too")], "holds by chance too"),
        ([("HOLDS", "by chance too"), ("NOT RUN",)], "not run here"),
        ([("NOT RUN",), ("INCONCLUSIVE",)], "open"),
        ([("INCONCLUSIVE",), ("INVALID",)], "invalid"),
        ([("INVALID",), ("REFUTED", "as published: HOLDS")], "refuted"),
        ([("REFUTED",), ("ERROR",)], "error"),
    ],
)
def test_a_claim_stands_as_the_worst_of_its_published_rows(rows, word):
    for order in (rows, rows[::-1]):
        verdicts = [row("here", *each, variant=str(i)) for i, each in enumerate(order)]
        assert headline([finding()], verdicts)["published"] == {word: 1}


def test_other_models_count_once_each_whatever_the_number_of_variants():
    rows = [row(model, word) for model in ("a", "b") for word in ("HOLDS", "INCONCLUSIVE")]
    found = headline([finding()], [row("here", "HOLDS"), *rows])
    assert found["elsewhere"] == {"open": 2}


def test_restated_claims_are_counted_apart_over_all_their_models():
    claims = [finding(), finding("toy.restated", stated="restated")]
    rows = [
        row("here", "HOLDS"),
        *(row(m, w, claim="toy.restated") for m, w in (("here", "HOLDS"), ("there", "REFUTED"))),
    ]
    found = headline(claims, rows)
    assert (found["published"], found["restated"], found["elsewhere"]) == ({"holds": 1}, {"refuted": 1}, {})


def test_gates_and_own_checkpoints_are_never_counted_and_other_sizes_apart():
    claims = [
        finding(),
        finding("toy.gate", role="gate", stated="gate"),
        finding("toy.full", extends="toy.mean"),
    ]
    rows = [
        row("here", "HOLDS"),
        row("here", "REFUTED", claim="toy.gate"),
        row("here", "REFUTED", claim="toy.full"),
    ]
    mine = [row("here", "REFUTED", own_checkpoint=True), row("mine", "REFUTED", own_checkpoint=True)]
    found = headline(claims, [*rows, *mine])
    assert {key: found[key] for key in ("published", "elsewhere", "restated", "larger")} == {
        "published": {"holds": 1}, "elsewhere": {}, "restated": {}, "larger": {"refuted": 1},
    }  # fmt: skip


def test_without_published_models_every_model_is_the_published_one():
    old = {name: value for name, value in finding().items() if name not in ("published_on", "undefined_is")}
    found = headline([old], [row("here", "HOLDS"), row("there", "REFUTED")])
    assert (found["published"], found["elsewhere"]) == ({"refuted": 1}, {})
    assert is_published(finding(published_on=None), "anything")


def test_what_was_published_on_no_network_is_not_run_here():
    assert not is_published(finding(published_on=()), "here")
    found = headline([finding(published_on=())], [row("here", "REFUTED")])
    assert found["published"] == {"not run here": 1}
    assert found["elsewhere"] == {"refuted": 1}


def test_where_the_measure_is_undefined_the_claim_is_told_apart():
    claim = finding(undefined_is="toy.exists")
    lost = row("here", "INCONCLUSIVE", parts=[nan_part()])
    found = headline([claim], [lost, row("there", "INCONCLUSIVE", parts=[nan_part()])])
    assert found["published"] == found["elsewhere"] == {"undefined": 1}
    assert found["undefined"] == [{"claim": "toy.mean", "models": ["here", "there"], "see": "toy.exists"}]
    assert headline([claim], [lost, row("here", "HOLDS")])["published"] == {"holds": 1}


@pytest.mark.parametrize(
    "open_part", [nan_part(estimate=0.4), nan_part(undefined=[]), nan_part(estimate=math.inf)]
)
def test_what_is_open_for_another_reason_is_open(open_part):
    claim = finding(undefined_is="toy.exists")
    assert headline([claim], [row("here", "INCONCLUSIVE", parts=[nan_part(), open_part])])["published"] == {
        "open": 1
    }
    assert headline([claim], [row("here", "INCONCLUSIVE")])["published"] == {"open": 1}
    unsaid = headline([finding()], [row("here", "INCONCLUSIVE", parts=[nan_part()])])
    assert (unsaid["published"], unsaid["undefined"]) == ({"open": 1}, [])


def test_holm_counts_what_was_decided_and_what_survives():
    rows = [
        row("a", "HOLDS", holm={"p_value": 0.001, "survives": True}),
        row("b", "REFUTED", holm={"p_value": 0.04, "survives": False}),
        row("c", "INCONCLUSIVE", holm={"p_value": 1.0, "survives": False}),
        row("d", "HOLDS"),
    ]
    assert headline([finding()], rows)["holm"] == {"decided": 2, "survive": 1}


@given(
    st.lists(st.tuples(st.sampled_from(("here", "there")), st.sampled_from(WORDS), st.booleans()), max_size=8)
)
def test_every_finding_is_counted_once_and_an_error_is_never_hidden(rows):
    verdicts = [
        row(model, word, *["by chance too"] * (by_chance and word == "HOLDS"))
        for model, word, by_chance in rows
    ]
    found = standings([finding()], verdicts)
    assert len(found.published) == 1
    assert set(found.elsewhere) == {("toy.mean", model) for model, _, _ in rows if model == "there"}
    told = {"here": found.published["toy.mean"], "there": found.elsewhere.get(("toy.mean", "there"))}
    for model, word, _ in rows:
        assert word != "ERROR" or told[model] is Standing.ERROR
        assert word == "HOLDS" or told[model] not in (Standing.HOLDS, Standing.BY_CHANCE)
