import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens import AtLeast, AtMost, Equivalent, FisherZ, HitRate, Measurement, Null, Pairs, Within, gate
from energylens.harness import Word, claim_of
from energylens.harness.judge import COMPETENT_SHARE, judge
from energylens.harness.verdict import GateResult, NullResult, PartResult, Verdict
from energylens.stats import one_sided_p, seeds_to_decide, t_interval
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


def same(first, second):
    """Equal in every field, NaN equal to NaN."""
    return repr(first) == repr(second)


def part_of(values, word, **fields):
    interval = t_interval(values)
    numbers = dict(
        estimate=interval.estimate, low=interval.low, high=interval.high, n=len(values), se=interval.se
    )
    return PartResult("value", word, **numbers, region="≥ 1", region_low=1.0, region_high=math.inf, **fields)


@pytest.mark.parametrize(
    ("values", "word", "side"), [(LARGE, Word.HOLDS, "above"), (SMALL, Word.REFUTED, "below")]
)
def test_a_verdict_says_what_was_judged_and_carries_every_number(values, word, side):
    part = part_of(values, word, p_value=one_sided_p(t_interval(values), 1.0, side))
    assert part.p_value < 0.05
    expected = Verdict("toy.mean", "dice", "left", word, parts=(part,), seeds=(0, 1, 2, 3, 4))
    assert same(judge(declare(), "dice", "left", measured(*values)), expected)


def test_an_inconclusive_verdict_carries_every_number():
    values = (0.9, 1.3, 1.2)
    needed = seeds_to_decide(t_interval(values), [1.0])
    reason = f"value: about {needed} seeds would decide"
    part = part_of(values, Word.INCONCLUSIVE, seeds_to_decide=needed, reason=reason)
    assert math.isnan(part.p_value)
    expected = Verdict("toy.mean", "dice", "", Word.INCONCLUSIVE, reason, parts=(part,), seeds=(0, 1, 2))
    assert same(judge(declare(), "dice", "", measured(*values)), expected)


def test_no_feasible_number_of_seeds_is_said():
    verdict = judge(declare(), "dice", "", measured(0.5, 1.5))
    assert verdict.reason == "value: no feasible number of seeds would decide"
    assert verdict.parts[0].seeds_to_decide is None


def test_each_boundary_of_a_range_is_tested_from_inside_or_from_the_side_that_was_left():
    """A part that holds has the larger of its two p values; one that is refuted that of the nearer end."""
    for values, end, side in (
        (SMALL, 0.3, "below"),
        (LARGE, 0.3, "above"),
        ((-2.0, -2.1, -1.9), -0.4, "below"),
    ):
        part = judge(declare(holds_when=Within(-0.4, 0.3)), "dice", "", measured(*values)).parts[0]
        assert part.p_value == one_sided_p(t_interval(values), end, side)
        assert (part.region, part.region_low, part.region_high) == ("-0.4 … 0.3", -0.4, 0.3)
        assert part.p_value < 0.05


def test_what_is_beside_is_averaged_over_the_seeds_that_are_kept_and_have_it():
    values = measured(*LARGE)
    for seed, beside in enumerate([{"loss": 1.0}, {"loss": 2.0, "l0": 7.0}, {}, {}, {"loss": 99.0}]):
        values[seed] = Measurement(2 + seed / 10, beside=beside)
    verdict = judge(declare(), "dice", "", values, gates=[gate_result((4,), True)])
    assert verdict.beside == {"loss": 1.5, "l0": 7.0}
    assert (verdict.seeds, verdict.excluded) == ((0, 1, 2, 3, 4), (4,))
    assert verdict.gates == (gate_result((4,), True),)
    assert verdict.parts[0].n == 4


def test_a_verdict_on_fewer_seeds_than_declared_says_so():
    assert judge(declare(), "dice", "", measured(*LARGE), partial=True).partial
    assert not judge(declare(), "dice", "", measured(*LARGE)).partial


def test_a_broken_gate_leaves_the_numbers_to_be_seen_and_no_qualifier():
    nulls = {"nothing": measured(*LARGE)}
    verdict = judge(declare(), "dice", "", measured(*LARGE), nulls, [gate_result((3,), False)])
    assert verdict.parts == judge(declare(), "dice", "", measured(*LARGE)).parts
    assert verdict.reason == "gate toy.gate failed on dice seeds 3"
    assert (verdict.nulls, verdict.qualifiers, verdict.as_published) == ((), (), ())


def test_all_seeds_of_a_broken_gate_and_all_incompetent_gates_are_named():
    verdict = judge(declare(), "dice", "", measured(*LARGE), gates=[gate_result((1, 3), False)])
    assert verdict.reason == "gate toy.gate failed on dice seeds 1, 3"
    other = GateResult("toy.can", "dice", "≥ 0", True, {}, (1,))
    idle = GateResult("toy.idle", "dice", "≥ 0", True, {})
    gates = [gate_result((0,), True), idle, other]
    verdict = judge(declare(), "dice", "", measured(*LARGE), gates=gates)
    assert verdict.reason == "only 3 of 5 seeds are competent (toy.gate, toy.can)"


@given(st.integers(1, 12), st.data())
def test_four_fifths_of_the_seeds_must_be_competent(n, data):
    failed = data.draw(st.sets(st.integers(0, n - 1)))
    values = measured(*(2 + seed / 100 for seed in range(n)))
    verdict = judge(declare(), "dice", "", values, gates=[gate_result(tuple(sorted(failed)), True)])
    assert (verdict.word is Word.INVALID) == (5 * (n - len(failed)) < 4 * n)
    assert verdict.excluded == tuple(sorted(failed))
    assert bool(verdict.parts) == (len(failed) < n)
    assert COMPETENT_SHARE == 0.8


def test_no_competent_seed_is_invalid_and_has_no_numbers():
    verdict = judge(declare(), "dice", "", measured(1.0, 2.0), gates=[gate_result((0, 1), True)])
    assert (verdict.word, verdict.parts, verdict.beside) == (Word.INVALID, (), {})


SEED_VALUES = st.lists(st.floats(-10, 10, width=16), min_size=2, max_size=8, unique=True)


@given(SEED_VALUES, st.randoms())
def test_a_mirrored_claim_on_mirrored_values_has_the_same_verdict_in_any_order(values, random):
    """The region >= 1 becomes <= -1; what does not depend on the sign or the order of seeds stays."""
    plain = judge(declare(), "dice", "", measured(*values))
    order = random.sample(values, len(values))
    mirrored = judge(declare(holds_when=AtMost(-1)), "dice", "", measured(*(-value for value in order)))
    assert mirrored.word is plain.word
    first, second = plain.parts[0], mirrored.parts[0]
    assert (second.low, second.high) == pytest.approx((-first.high, -first.low), abs=1e-9)
    assert second.p_value == pytest.approx(first.p_value, nan_ok=True, abs=1e-9)


@given(SEED_VALUES, st.floats(0, 3))
def test_a_larger_region_never_turns_holds_into_less(values, wider):
    words = [word_of(values, holds_when=AtLeast(bound)) for bound in (1.0, 1.0 - wider)]
    rank = {Word.REFUTED: 0, Word.INCONCLUSIVE: 1, Word.HOLDS: 2}
    assert rank[words[1]] >= rank[words[0]]


@given(st.permutations(NEAR_ONE))
def test_the_order_of_seeds_does_not_matter(values):
    assert word_of(values) is Word.INCONCLUSIVE


def test_an_inconclusive_verdict_says_how_many_seeds_would_decide():
    part = judge(declare(), "dice", "", measured(0.9, 1.3, 1.2)).parts[0]
    assert part.seeds_to_decide > 3
    assert f"about {part.seeds_to_decide} seeds" in part.reason


def test_one_run_is_inconclusive_and_placed():
    for value, side in ((7.0, "inside"), (0.5, "outside")):
        verdict = judge(declare(), "dice", "", measured(value))
        reason = f"one run decides nothing; value lies {side} the region"
        fields = dict(
            estimate=value, low=-math.inf, high=math.inf, n=1, se=math.inf, region="≥ 1", reason=reason
        )
        part = PartResult("value", Word.INCONCLUSIVE, **fields, region_low=1.0, region_high=math.inf)
        assert same(verdict.parts, (part,))
        assert (verdict.word, verdict.reason) == (Word.INCONCLUSIVE, reason)


def test_two_runs_of_pairs_decide_nothing_and_one_makes_no_pair():
    values = {seed: Measurement(arrays={"x": np.array([2.0 + seed])}) for seed in range(2)}
    of = Pairs(lambda first, second: float(first["x"][0] * second["x"][0]))
    verdict = judge(declare(statistic=of), "dice", "", values)
    assert verdict.reason == "2 runs decide nothing; value lies inside the region"
    assert judge(declare(statistic=of), "dice", "", {0: values[0]}).reason == "one run makes no pair"


def test_nan_is_never_a_verdict_and_says_why():
    values = {**measured(2.0, 2.2), 2: Measurement(math.nan), 3: Measurement(math.nan, note="a die fell off")}
    verdict = judge(declare(), "dice", "", values)
    reason = "value is NaN on 2 of 4 seeds (2, 3): a die fell off"
    nan = math.nan
    fields = dict(estimate=nan, low=nan, high=nan, n=4, region="≥ 1", reason=reason, undefined=(2, 3))
    part = PartResult("value", Word.INCONCLUSIVE, **fields, region_low=1.0, region_high=math.inf)
    assert (verdict.word, verdict.reason) == (Word.INCONCLUSIVE, reason)
    assert same(verdict.parts, (part,))
    silent = judge(declare(), "dice", "", measured(2.0, math.nan))
    assert silent.reason == "value is NaN on 1 of 2 seeds (1): no reason given"


def test_a_constant_null_is_taken_as_exact_on_few_seeds():
    assert word_of([2.0] * 4) is Word.INCONCLUSIVE
    constant = Null("constant", "exact chance", measure=nothing)
    verdict = judge(
        declare(controls=[constant]), "dice", "", measured(*LARGE[:4]), {"constant": measured(*[1.5] * 4)}
    )
    assert verdict.nulls[0].word is Word.HOLDS


def test_a_null_that_fails_leaves_the_claim_alone():
    verdict = judge(declare(), "dice", "", measured(*LARGE), {"nothing": measured(*SMALL)})
    assert verdict.qualifiers == ()
    parts = judge(declare(), "dice", "", measured(*SMALL)).parts
    (null,) = verdict.nulls
    expected = NullResult("nothing", "nothing to find", Word.REFUTED, parts, True, False, null.chance)
    assert same(null, expected)
    assert [(each.part, each.better) for each in null.chance] == [("value", True)]


def test_a_null_never_saves_a_refuted_claim():
    verdict = judge(declare(), "dice", "", measured(*SMALL), {"nothing": measured(*LARGE)})
    assert (verdict.word, verdict.qualifiers) == (Word.REFUTED, ())


def test_a_null_that_does_not_qualify_is_only_printed():
    beside = Null("beside", "context", measure=nothing, qualifies=False)
    verdict = judge(
        declare(controls=[beside, NOTHING]), "dice", "", measured(*LARGE), {"beside": measured(*LARGE)}
    )
    assert (verdict.nulls[0].word, verdict.qualifiers) == (Word.HOLDS, ())
    assert not verdict.nulls[0].qualifies
    assert verdict.nulls[0].chance == ()


def test_the_published_estimator_is_judged_by_the_same_region():
    values = {seed: Measurement(2 + seed / 10, as_published=seed / 10) for seed in range(5)}
    verdict = judge(declare(), "dice", "", values)
    assert verdict.qualifiers == ("as published: REFUTED",)
    assert verdict.as_published[0].estimate == pytest.approx(0.2)
    assert verdict.as_published[0].n == 5


def test_a_published_estimator_without_spread_is_judged_and_one_that_agrees_is_no_qualifier():
    for published, qualifiers in ((0.5, ("as published: REFUTED",)), (1.5, ())):
        values = {seed: Measurement(2 + seed / 10, as_published=published) for seed in range(5)}
        assert judge(declare(), "dice", "", values).qualifiers == qualifiers


def test_the_original_estimator_is_judged_with_what_stands_beside_the_measurement():
    """Fisher's z reads the number of points there."""
    values = {
        seed: Measurement(0.9 + seed / 100, as_published=0.1 + seed / 100, beside={"heads": 12})
        for seed in range(5)
    }
    claim = declare(holds_when=AtLeast(0.5), statistic=FisherZ(points="heads"))
    verdict = judge(claim, "dice", "", values)
    assert (verdict.word, verdict.as_published[0].word) == (Word.HOLDS, Word.REFUTED)


def test_a_published_estimator_counts_only_if_every_seed_has_it():
    values = {seed: Measurement(2 + seed / 10, as_published=seed / 10) for seed in range(4)}
    verdict = judge(declare(), "dice", "", {**values, 4: Measurement(2.5)})
    assert (verdict.as_published, verdict.qualifiers) == ((), ())


def test_both_qualifiers_stand_side_by_side_and_reasons_of_parts_are_joined():
    values = {seed: Measurement(2 + seed / 10, as_published=seed / 10) for seed in range(5)}
    same_level = {seed: m.value["value"] for seed, m in reversed(values.items())}
    verdict = judge(declare(), "dice", "", values, {"nothing": measured(*same_level.values())})
    assert verdict.qualifiers == ("by chance too", "as published: REFUTED")
    parts = {"a": AtLeast(1), "b": AtMost(0.5)}
    constant = judge(declare(holds_when=parts), "dice", "", measured(*[{"a": 2.0, "b": 3.0}] * 3))
    few = "no spread to judge by (sign test of 3 seeds, p = 0.12)"
    assert constant.reason == f"a is exactly 2 on every seed: {few}; b is exactly 3 on every seed: {few}"


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


def test_a_gate_carries_the_mean_and_range_of_its_seeds():
    verdict = judge(declared_gate(), "dice", "", measured(1.0, 0.5, 3.0))
    numbers = dict(estimate=1.5, low=0.5, high=3.0, n=3, region="≥ 1", region_low=1.0, region_high=math.inf)
    part = PartResult("value", Word.REFUTED, **numbers, reason="2 of 3 seeds pass")
    expected = Verdict(
        "toy.gate", "dice", "", Word.REFUTED, "2 of 3 seeds pass", parts=(part,), seeds=(0, 1, 2)
    )
    assert same(verdict, expected)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_four_fifths_of_the_seeds_pass_a_gate_of_competence_and_all_any_other(passes):
    values = measured(*(1.0 if each else 0.0 for each in passes))
    competent = judge(declared_gate(competence=True), "dice", "", values).word
    assert competent is (Word.HOLDS if 5 * sum(passes) >= 4 * len(passes) else Word.REFUTED)
    assert judge(declared_gate(), "dice", "", values).word is (Word.HOLDS if all(passes) else Word.REFUTED)
    rejecting = judge(declared_gate(), "broken", "", values)
    assert rejecting.word is (Word.INVALID if any(passes) else Word.REFUTED)


def test_a_gate_that_lets_a_known_bad_model_pass_is_invalid():
    rejecting = judge(declared_gate(), "broken", "", measured(0, 0, 0))
    assert (rejecting.word, rejecting.qualifiers) == (Word.REFUTED, ("as it must",))
    passing = judge(declared_gate(), "broken", "", measured(0, 2, 0))
    assert (passing.word, passing.qualifiers) == (Word.INVALID, ())
    assert passing.reason == "1 of 3 seeds pass, but this gate must reject every seed of broken"
    assert judge(declared_gate(), "dice", "", measured(0, 0, 0)).qualifiers == ()


def test_the_verdict_does_not_depend_on_unlisted_things():
    claim = declare(controls=[NOTHING])
    with_null = judge(claim, "dice", "", measured(*LARGE), {"nothing": measured(*SMALL)})
    assert judge(claim, "dice", "", measured(*LARGE)).parts == with_null.parts


def test_a_gate_that_returns_nan_does_not_pass_its_own_test():
    broken = judge(declared_gate(), "broken", "", measured(math.nan, math.nan, note="no such thing"))
    assert (broken.word, broken.qualifiers) == (Word.INCONCLUSIVE, ())
    assert broken.reason == "value is NaN: no such thing"
    silent = judge(declared_gate(), "dice", "", measured(2.0, math.nan))
    assert (silent.word, silent.reason) == (Word.INCONCLUSIVE, "value is NaN: no reason given")


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


def test_rounding_is_no_spread_relative_to_the_estimate_and_absolute_near_0():
    assert word_of([2.0, 2.0 + 1e-15, 2.0]) is Word.INCONCLUSIVE
    near = declare(holds_when=AtLeast(-1.0))
    for size, spread in ((1e6, 1e-12), (1.0, 1e-12), (1e-3, 1e-9)):
        for factor, word in ((1e-2, Word.INCONCLUSIVE), (1e3, Word.HOLDS)):
            values = [size, size * (1 + factor * spread), size]
            assert judge(near, "dice", "", measured(*values)).word is word


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
    assert verdict.reason == "3 of 3 seeds pass"
    numbers = dict(low=0.0, high=0.5, n=3, region="≥ 1", region_low=1.0, region_high=math.inf)
    part = PartResult("value", Word.REFUTED, math.nan, **numbers, reason="0 of 3 seeds pass")
    assert same(verdict.nulls, (NullResult("nothing", "nothing to find", Word.REFUTED, (part,), False),))
    assert judge(sabotaged_gate(), "dice", "", measured(1.5, 1.2, 1.4)).nulls == ()


def test_a_broken_instrument_that_passes_once_makes_the_gate_invalid():
    verdict = judge(
        sabotaged_gate(), "dice", "", measured(1.5, 1.2, 1.4), {"nothing": measured(0.0, 1.5, 0.0)}
    )
    assert verdict.word is Word.INVALID
    assert verdict.reason == "3 of 3 seeds pass, but so does the broken instrument nothing"
    assert verdict.nulls[0].word is Word.HOLDS
    assert verdict.nulls[0].parts[0].reason == "1 of 3 seeds pass"


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
