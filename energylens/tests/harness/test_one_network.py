import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens import AtLeast, AtMost, FisherZ, HitRate, Null, Pairs, Within
from energylens.harness import Word
from energylens.harness.json_values import plain
from energylens.harness.judge import judge
from energylens.harness.one_network import SEVERAL, is_one_network, told, unanswerable, word_of
from energylens.harness.results import claim_word
from energylens.harness.verdict import GateResult, Unit
from energylens.tests.harness.helpers import declare, measured, nothing

REGIONS = st.sampled_from([AtLeast(1.0), AtMost(1.0), Within(-1.0, 1.0)])


def judged(values, unit=Unit.ALL_INPUTS, gates=(), nulls=None, **changes):
    return told(judge(declare(**changes), "mine", "", measured(*values), nulls, gates, unit=unit))


@given(st.floats(-10, 10), REGIONS, st.sampled_from([None, FisherZ(points="heads"), HitRate()]))
def test_the_value_on_all_inputs_decides(value, region, statistic):
    verdict = judged([value], holds_when=region, statistic=statistic)
    assert verdict.word is (Word.HOLDS if region.contains(value) else Word.REFUTED)
    (part,) = verdict.parts
    assert (part.estimate, part.low, part.high, part.n) == (value, value, value, 1)
    assert verdict.reason == ""


def test_of_several_networks_one_value_decides_nothing():
    assert judged([5.0], unit=Unit.NETWORK).word is Word.INCONCLUSIVE
    assert judged([5.0], unit=Unit.SAMPLE).word is Word.INCONCLUSIVE


def test_what_is_undefined_on_all_inputs_is_inconclusive():
    verdict = judged([math.nan])
    assert verdict.word is Word.INCONCLUSIVE
    assert verdict.reason.startswith("value is NaN")


def test_nulls_are_exact_as_well():
    null = Null("chance", "nothing there", measure=nothing)
    for value, qualifiers in ((3.0, ("by chance too",)), (0.0, ())):
        verdict = judged([5.0], nulls={"chance": measured(value)}, controls=[null])
        assert verdict.qualifiers == qualifiers
        assert verdict.nulls[0].word is not Word.INCONCLUSIVE


@given(st.lists(st.floats(-10, 10, width=16), min_size=5, max_size=5, unique=True))
def test_over_samples_the_rule_is_that_over_seeds(values):
    sample, network = (judged(values, unit) for unit in (Unit.SAMPLE, Unit.NETWORK))
    assert (sample.word, sample.unit, sample.parts[0].low) == (
        network.word,
        Unit.SAMPLE,
        network.parts[0].low,
    )
    assert sample.reason == network.reason.replace("seed", "sample")


def gate(failed, competence=True):
    values = {str(seed): 0.0 for seed in range(5)}
    return GateResult("dice.able", "mine", "≥ 1", competence, values, failed)


@pytest.mark.parametrize(
    ("unit", "values", "competence", "reason"),
    [
        (Unit.SAMPLE, range(5), True, "this network is not competent: dice.able"),
        (Unit.ALL_INPUTS, range(1), True, "this network is not competent: dice.able"),
        (Unit.SAMPLE, range(5), False, "gate dice.able failed on mine samples 0, 1, 2, 3, 4"),
        (Unit.ALL_INPUTS, range(1), False, "gate dice.able failed on mine"),
    ],
)
def test_a_gate_that_fails_invalidates_and_speaks_of_the_network(unit, values, competence, reason):
    verdict = judged([5.0 + x for x in values], unit, gates=[gate(tuple(values), competence)])
    assert (verdict.word, verdict.reason) == (Word.INVALID, reason)


def test_words_for_one_network_are_no_findings():
    rows = {unit: plain(judged([5.0], unit)) for unit in Unit}
    assert word_of(rows[Unit.ALL_INPUTS]) == "HOLDS for this network"
    assert word_of(rows[Unit.SAMPLE]) == "INCONCLUSIVE for this network"
    assert word_of(rows[Unit.NETWORK]) == "INCONCLUSIVE"
    assert word_of(rows[Unit.SAMPLE] | {"word": "NOT RUN"}) == "NOT RUN"
    assert not is_one_network({})


def overlap(first, second):
    return 0.0


def test_pairs_of_networks_cannot_be_asked_of_one():
    pairs = declare(statistic=Pairs(overlap))
    assert unanswerable(pairs) == SEVERAL
    assert unanswerable(declare()) == ""


def test_one_network_is_never_counted_with_several():
    row = plain(judged([0.0])) | {"own_checkpoint": True}
    several = row | {"unit": "network", "word": "HOLDS"}
    assert claim_word(row["claim"], [row]) == "REFUTED"
    assert claim_word(row["claim"], [row, several]) == "HOLDS"
