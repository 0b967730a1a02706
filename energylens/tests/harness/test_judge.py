import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens import AtLeast, AtMost, Equivalent, HitRate, Measurement, Null, Pairs, gate
from energylens.harness import Word, claim_of
from energylens.harness.judge import combine, judge
from energylens.harness.verdict import GateResult
from energylens.stats import t_interval
from energylens.tests.harness.helpers import NOTHING, declare, measured, nothing

NEAR_ONE = (0.9, 1.1, 1.0, 0.95, 1.05)
LARGE = (2.0, 2.1, 1.9, 2.05, 1.95)
SMALL = (0.0, 0.1, -0.1, 0.05, -0.05)


def word_of(values, **changes):
    return judge(declare(**changes), "dice", "", measured(*values)).word


def test_the_three_words():
    assert word_of(LARGE) is Word.HOLDS
    assert word_of(SMALL) is Word.REFUTED
    assert word_of(NEAR_ONE) is Word.INCONCLUSIVE


@given(st.lists(st.floats(-10, 10, width=16), min_size=2, max_size=8, unique=True))
def test_the_rule_is_the_90_percent_t_interval(values):
    interval = t_interval(values)
    expected = Word.HOLDS if interval.low >= 1 else Word.REFUTED if interval.high < 1 else Word.INCONCLUSIVE
    assert word_of(values) is expected


@given(st.permutations(NEAR_ONE))
def test_the_order_of_seeds_does_not_matter(values):
    assert word_of(values) is Word.INCONCLUSIVE


def test_an_inconclusive_verdict_says_how_many_seeds_would_decide():
    part = judge(declare(), "dice", "", measured(0.9, 1.3, 1.2)).parts[0]
    assert part.seeds_to_decide > 3
    assert f"about {part.seeds_to_decide} seeds" in part.reason


def test_one_run_is_inconclusive_and_placed():
    verdict = judge(declare(), "dice", "", measured(7.0))
    assert verdict.word is Word.INCONCLUSIVE
    assert "inside the region" in verdict.reason


def test_nan_is_never_a_verdict_and_says_why():
    verdict = judge(declare(), "dice", "", measured(2.0, math.nan, 2.1, note="a die fell off the table"))
    assert verdict.word is Word.INCONCLUSIVE
    assert "fell off the table" in verdict.reason


def test_a_value_without_spread_is_not_judged_but_a_constant_null_is():
    constant = Null("constant", "exact chance", measure=nothing)
    assert word_of([2.0] * 5) is Word.INCONCLUSIVE
    verdict = judge(
        declare(controls=[constant]), "dice", "", measured(*LARGE), {"constant": measured(*[1.5] * 5)}
    )
    assert verdict.nulls[0].word is Word.HOLDS
    assert verdict.qualifiers == ("by chance too",)


def test_a_null_that_fails_leaves_the_claim_alone():
    verdict = judge(declare(), "dice", "", measured(*LARGE), {"nothing": measured(*SMALL)})
    assert verdict.qualifiers == ()
    assert verdict.nulls[0].word is Word.REFUTED


def test_a_null_never_saves_a_refuted_claim():
    verdict = judge(declare(), "dice", "", measured(*SMALL), {"nothing": measured(*LARGE)})
    assert (verdict.word, verdict.qualifiers) == (Word.REFUTED, ())


def test_a_null_that_does_not_qualify_is_only_printed():
    beside = Null("beside", "context", measure=nothing, qualifies=False)
    verdict = judge(
        declare(controls=[beside, NOTHING]), "dice", "", measured(*LARGE), {"beside": measured(*LARGE)}
    )
    assert (verdict.nulls[0].word, verdict.qualifiers) == (Word.HOLDS, ())


def test_the_published_estimator_is_judged_by_the_same_region():
    values = {seed: Measurement(2 + seed / 10, as_published=seed / 10) for seed in range(5)}
    verdict = judge(declare(), "dice", "", values)
    assert verdict.qualifiers == ("as published: REFUTED",)
    assert verdict.as_published[0].estimate == pytest.approx(0.2)


def test_parts():
    parts = {"a": AtLeast(1), "b": AtMost(0.5)}
    both = [{"a": 2 + s / 10, "b": s / 100} for s in range(5)]
    assert word_of(both, holds_when=parts) is Word.HOLDS
    assert word_of([value | {"b": 1 + value["b"]} for value in both], holds_when=parts) is Word.REFUTED
    assert word_of([value | {"b": value["b"] * 25} for value in both], holds_when=parts) is Word.INCONCLUSIVE


def test_a_missing_part_is_an_error_that_names_it():
    with pytest.raises(Exception, match="'b'"):
        word_of([{"a": 1.0}] * 3, holds_when={"b": AtLeast(1)})


def test_equivalence_needs_the_whole_interval():
    assert word_of(SMALL, holds_when=Equivalent(0, 0.2)) is Word.HOLDS
    assert word_of(SMALL, holds_when=Equivalent(0, 0.01)) is Word.INCONCLUSIVE
    assert word_of(LARGE, holds_when=Equivalent(0, 0.2)) is Word.REFUTED


def test_pairs_jackknife_over_seeds():
    values = {seed: Measurement(arrays={"x": np.array([2.0 + seed / 50])}) for seed in range(5)}
    of = Pairs(lambda first, second: float(first["x"][0] * second["x"][0]))
    part = judge(declare(statistic=of), "dice", "", values).parts[0]
    assert part.word is Word.HOLDS
    assert np.array(part.pairs)[0, 1] == pytest.approx(2.0 * 2.02)
    assert np.isnan(np.diag(np.array(part.pairs))).all()
    alone = judge(declare(statistic=of), "dice", "", {0: values[0]})
    assert alone.word is Word.INCONCLUSIVE


def test_hit_rates_are_exact_binomial():
    assert word_of([1, 1, 1, 1, 1], holds_when=AtLeast(0.5), statistic=HitRate()) is Word.HOLDS
    assert word_of([1, 1, 0, 1, 1], holds_when=AtLeast(0.5), statistic=HitRate()) is Word.INCONCLUSIVE
    with pytest.raises(Exception, match=r"0\.5"):
        word_of([1, 0.5], statistic=HitRate())


def gate_result(failed, competence):
    return GateResult("toy.gate", "dice", "≥ 0", competence, {}, failed)


def test_a_failed_gate_is_invalid_whatever_was_measured():
    verdict = judge(declare(), "dice", "", measured(*LARGE), gates=[gate_result((3,), False)])
    assert verdict.word is Word.INVALID
    assert "toy.gate" in verdict.reason
    assert "3" in verdict.reason


def test_an_incompetent_seed_is_left_out_and_counted():
    verdict = judge(declare(), "dice", "", measured(*LARGE[:4], -50.0), gates=[gate_result((4,), True)])
    assert (verdict.word, verdict.excluded) == (Word.HOLDS, (4,))


def test_fewer_than_four_fifths_competent_is_invalid():
    verdict = judge(declare(), "dice", "", measured(*LARGE), gates=[gate_result((0, 1), True)])
    assert verdict.word is Word.INVALID
    assert "3 of 5" in verdict.reason


def declared_gate(**changes):
    fields = dict(
        says="x",
        source="y",
        passes_when=AtLeast(1.0),
        models=["dice", "broken"],
        seeds=range(5),
        must_fail=["broken"],
    )
    return claim_of(gate("toy.gate", **(fields | changes))(nothing))


def test_a_gate_is_a_plain_predicate_on_every_seed():
    assert judge(declared_gate(), "dice", "", measured(1.0, 1.0, 1.0)).word is Word.HOLDS
    assert judge(declared_gate(), "dice", "", measured(1.0, 0.9, 1.0)).word is Word.REFUTED
    competence = declared_gate(competence=True)
    assert judge(competence, "dice", "", measured(1, 1, 1, 1, 0)).word is Word.HOLDS
    assert judge(competence, "dice", "", measured(1, 1, 1, 0, 0)).word is Word.REFUTED


def test_a_gate_that_lets_a_known_bad_model_pass_is_invalid():
    rejecting = judge(declared_gate(), "broken", "", measured(0, 0, 0))
    assert (rejecting.word, rejecting.qualifiers) == (Word.REFUTED, ("as it must",))
    assert judge(declared_gate(), "broken", "", measured(0, 2, 0)).word is Word.INVALID


def test_the_verdict_does_not_depend_on_unlisted_things():
    claim = declare(controls=[NOTHING])
    with_null = judge(claim, "dice", "", measured(*LARGE), {"nothing": measured(*SMALL)})
    assert judge(claim, "dice", "", measured(*LARGE)).parts == with_null.parts


def test_combine_of_nothing_is_not_a_verdict():
    assert combine([]) is Word.INCONCLUSIVE


def test_a_gate_that_returns_nan_does_not_pass_its_own_test():
    broken = judge(declared_gate(), "broken", "", measured(math.nan, math.nan, note="no such thing"))
    assert (broken.word, broken.qualifiers) == (Word.INCONCLUSIVE, ())
    assert "no such thing" in broken.reason


def test_nulls_are_judged_on_the_seeds_that_are_kept():
    nulls = {"nothing": {**measured(*LARGE[:4]), 4: Measurement(math.nan)}}
    verdict = judge(declare(), "dice", "", measured(*LARGE), nulls, [gate_result((4,), True)])
    assert verdict.qualifiers == ("by chance too",)


def test_a_published_estimator_of_one_part_is_compared_with_the_other_part_as_judged():
    values = {
        seed: Measurement({"a": 2 + seed / 10, "b": 0.9 + seed / 100}, as_published={"a": 2 + seed / 10})
        for seed in range(5)
    }
    parts = {"a": AtLeast(1), "b": AtMost(0.5)}
    assert judge(declare(holds_when=parts), "dice", "", values).qualifiers == ()


def test_rounding_is_no_spread():
    assert word_of([2.0, 2.0 + 1e-15, 2.0]) is Word.INCONCLUSIVE


def sabotaged_gate():
    declared = gate(
        "toy.gate", says="It works.", source="us", passes_when=AtLeast(1.0), models=["dice"], seeds=range(3),
        rejects=[NOTHING],
    )  # fmt: skip
    return claim_of(declared(nothing))


def test_a_gate_rejects_its_broken_instrument():
    verdict = judge(
        sabotaged_gate(), "dice", "", measured(1.5, 1.2, 1.4), {"nothing": measured(0.0, 0.5, math.nan)}
    )
    assert verdict.word is Word.HOLDS
    assert verdict.nulls[0].word is Word.REFUTED
    assert verdict.nulls[0].parts[0].reason == "0 of 3 seeds pass"


def test_a_broken_instrument_that_passes_once_makes_the_gate_invalid():
    verdict = judge(
        sabotaged_gate(), "dice", "", measured(1.5, 1.2, 1.4), {"nothing": measured(0.0, 1.5, 0.0)}
    )
    assert verdict.word is Word.INVALID
    assert verdict.reason.endswith("so does the broken instrument nothing")


def gated(*gates):
    return judge(declare(gates=["toy.gate"]), "dice", "", measured(*LARGE), gates=gates)


def test_a_gate_that_lets_its_broken_instrument_pass_forbids_the_verdict():
    passed = GateResult("toy.gate", "dice", ">= 1", False, {"0": 2.0}, unnoticed="sabotage")
    assert gated(passed).word is Word.INVALID
    assert gated(passed).reason == "gate toy.gate lets its broken instrument sabotage pass"


def test_seeds_that_are_not_competent_are_asked_for_nothing_else():
    competence = GateResult("toy.can", "dice", ">= 1", True, {"2": 0.0}, failed=(2,))
    instrument = GateResult("toy.gate", "dice", ">= 1", False, {"2": 0.0}, failed=(2,))
    assert gated(competence, instrument).word is Word.HOLDS
    assert gated(instrument).word is Word.INVALID
