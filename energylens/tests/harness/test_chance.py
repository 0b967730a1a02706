"""Better than chance: the paired difference between a claim and its null, in the region's direction."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens import (
    AtLeast,
    AtMost,
    FisherZ,
    GeometricMean,
    HitRate,
    Mean,
    Measurement,
    Null,
    Pairs,
    Within,
)
from energylens.errors import InputError
from energylens.harness import Word
from energylens.harness.declare.statistic import Summary
from energylens.harness.judge import judge
from energylens.stats import clopper_pearson, jackknife_pairs, t_interval
from energylens.tests.harness.helpers import declare, measured, nothing

HIGH = (2.0, 2.4, 1.9, 2.6, 2.2)
CLOSE = (2.1, 2.3, 2.0, 2.5, 2.2)
LOW = (1.0, 1.3, 1.1, 1.2, 0.9)
EXACT = Null("exact", "an expectation", measure=nothing, exact=True)


def against(ours, theirs, null=None, **changes):
    """The verdict, and what it says of the only part and its null."""
    null = null or Null("null", "nothing to find", measure=nothing)
    ours, theirs = (each if isinstance(each, dict) else measured(*each) for each in (ours, theirs))
    verdict = judge(declare(controls=[null], **changes), "dice", "", ours, {null.name: theirs})
    return verdict, verdict.nulls[0].chance[0]


def numbers(found):
    return (found.estimate, found.low, found.high)


@pytest.mark.parametrize(("region", "sign"), [(AtLeast(1.5), 1), (AtMost(9), -1)])
def test_the_difference_is_paired_and_goes_in_the_direction_of_the_region(region, sign):
    verdict, found = against(HIGH, LOW, holds_when=region)
    expected = t_interval(sign * (np.array(HIGH) - LOW))
    assert numbers(found) == (expected.estimate, expected.low, expected.high)
    assert found.better == (sign > 0)
    assert verdict.qualifiers == (() if sign > 0 else ("by chance too",))


def test_a_null_that_misses_the_region_by_a_hair_is_chance_and_one_far_inside_may_not_be():
    verdict, found = against((1.10, 1.12, 1.11, 1.13, 1.12), (0.4, 1.6, 1.3, 0.9, 0.7))
    assert (verdict.word, verdict.nulls[0].word) == (Word.HOLDS, Word.INCONCLUSIVE)
    assert found.better is False
    assert verdict.qualifiers == ("by chance too",)
    verdict, found = against((9.0, 9.1, 9.2, 9.1, 9.0), HIGH)
    assert verdict.nulls[0].word is Word.HOLDS
    assert found.better
    assert verdict.qualifiers == ()


def test_a_null_inside_a_range_leaves_nothing_to_be_better_by():
    changes = dict(holds_when=Within(1.5, 3))
    verdict, found = against(HIGH, CLOSE, **changes)
    assert (verdict.word, numbers(found)) == (Word.HOLDS, (0, 0, 0))
    assert found.better is False
    assert verdict.qualifiers == ("by chance too",)
    for outside in (LOW, tuple(3 + x for x in LOW)):
        verdict, found = against(HIGH, outside, **changes)
        by = t_interval([max(1.5 - x, x - 3) for x in outside])
        assert numbers(found) == pytest.approx((by.estimate, by.low, by.high))
        assert found.better
        assert verdict.qualifiers == ()


def test_differences_are_taken_on_the_scale_of_the_statistic():
    ours, theirs = (0.9, 0.95, 0.8, 0.99, 0.92), (0.5, 0.7, 0.4, 0.8, 0.3)
    _, found = against(ours, theirs, holds_when=AtLeast(0.6), statistic=FisherZ())
    expected = t_interval(np.arctanh(ours) - np.arctanh(theirs))
    assert (*numbers(found), found.scale) == (expected.estimate, expected.low, expected.high, "fisher z")
    _, found = against(ours, theirs, holds_when=Within(0.75, 1), statistic=FisherZ())
    outside = np.maximum(0, np.arctanh(0.75) - np.arctanh(theirs))
    assert found.estimate == pytest.approx(outside.mean())
    _, found = against(HIGH, LOW, statistic=GeometricMean())
    expected = t_interval(np.log(HIGH) - np.log(LOW))
    assert (*numbers(found), found.scale) == (expected.estimate, expected.low, expected.high, "log")


def vectors(values):
    return {seed: Measurement(arrays={"x": np.array([value])}) for seed, value in enumerate(values)}


def product(a, b):
    return float(a["x"][0] * b["x"][0])


def products(values):
    found = np.outer(values, values)
    np.fill_diagonal(found, np.nan)
    return found


def test_pairs_take_the_jackknife_of_the_difference_of_their_matrices():
    _, found = against(vectors(HIGH), vectors(LOW), statistic=Pairs(product))
    expected = jackknife_pairs(products(HIGH) - products(LOW))
    assert numbers(found) == (expected.estimate, expected.low, expected.high)


def test_a_chance_level_stated_as_a_number_is_taken_off_every_pair():
    levels = np.array([3.0, 3.2, 3.1, 2.9, 3.0])
    _, found = against(vectors(HIGH), tuple(levels), EXACT, statistic=Pairs(product))
    expected = jackknife_pairs(products(HIGH) - (levels[:, None] + levels) / 2)
    assert numbers(found) == pytest.approx((expected.estimate, expected.low, expected.high))


@pytest.mark.parametrize(("expected", "better"), [(0.549, True), (0.55, False)])
def test_a_hit_rate_beats_an_exact_one_if_its_clopper_pearson_interval_does(expected, better):
    changes = dict(holds_when=AtLeast(0.5), statistic=HitRate())
    verdict, found = against((1, 1, 1, 1, 1), (expected,) * 5, EXACT, **changes)
    rate = clopper_pearson(5, 5)
    assert numbers(found) == pytest.approx((1 - expected, rate.low - expected, rate.high - expected))
    assert found.better is better
    assert verdict.qualifiers == (() if better else ("by chance too",))
    assert verdict.nulls[0].parts[0].estimate == pytest.approx(expected)


def test_a_small_hit_rate_and_one_within_a_range_have_their_own_direction():
    _, found = against((0, 0, 0, 0, 0), (0.5,) * 5, EXACT, holds_when=AtMost(0.5), statistic=HitRate())
    assert numbers(found) == pytest.approx((0.5, 0.5 - clopper_pearson(0, 5).high, 0.5))
    hits = (1, 1, 1, 0, 0, 0, 1, 0)
    rate = clopper_pearson(4, 8)
    _, found = against(hits, (0.05,) * 8, EXACT, holds_when=Within(0.2, 0.8), statistic=HitRate())
    assert numbers(found) == pytest.approx((0.15, 0.15 - max(0.2 - rate.low, rate.high - 0.8), 0.15))


def test_a_hit_rate_against_a_drawn_null_takes_t_of_the_differences():
    hits, drawn = (1, 1, 1, 1, 1, 0, 1, 1), (0, 1, 0, 0, 1, 0, 0, 0)
    _, found = against(hits, drawn, holds_when=AtLeast(0.5), statistic=HitRate())
    expected = t_interval(np.array(hits) - drawn)
    assert numbers(found) == (expected.estimate, expected.low, expected.high)


def test_an_expected_rate_lies_between_0_and_1_and_only_an_exact_null_has_one():
    changes = dict(holds_when=AtLeast(0.5), statistic=HitRate())
    with pytest.raises(InputError, match=r"between 0 and 1, part 'value' gave 1\.5"):
        against((1, 1, 1), (0.5, 1.5, 0.5), EXACT, **changes)
    with pytest.raises(InputError, match="values 0 or 1 per seed"):
        against((1, 1, 1), (0.5, 0.5, 0.5), **changes)


def test_an_exact_correlation_needs_no_points():
    ours = {seed: Measurement(r, beside={"heads": 8}) for seed, r in enumerate((0.9, 0.95, 0.8, 0.99, 0.92))}
    _, found = against(ours, (0.25,) * 5, EXACT, holds_when=AtLeast(0.6), statistic=FisherZ("heads"))
    z = np.arctanh([0.9, 0.95, 0.8, 0.99, 0.92]) - np.array([0.9, 0.95, 0.8, 0.99, 0.92]) / 14
    assert found.estimate == pytest.approx(z.mean() - np.arctanh(0.25))


def test_a_difference_without_spread_is_decided_by_the_sign_test():
    for n, better in ((5, True), (4, None)):
        _, found = against((2.0,) * n, (1.0,) * n, EXACT)
        assert (found.better, numbers(found)) == (better, (1, 1, 1))
        assert f"sign test of {n} seeds" in found.reason
    apart = tuple(x - 0.5 for x in HIGH)
    assert against(HIGH, apart)[1].better


@pytest.mark.parametrize("noise", [0.0, 4e-16])
def test_a_null_equal_to_the_claim_but_for_rounding_is_chance(noise):
    verdict, found = against(HIGH, tuple(x - noise for x in HIGH))
    assert found.better is False
    assert verdict.qualifiers == ("by chance too",)


@given(st.lists(st.tuples(st.floats(-9, 9, width=16), st.floats(-9, 9, width=16)), min_size=2, max_size=8))
def test_exchanging_claim_and_null_turns_the_sign(pairs):
    ours, theirs = zip(*pairs, strict=True)
    there, back = against(ours, theirs)[1], against(theirs, ours)[1]
    assert numbers(there) == pytest.approx((-back.estimate, -back.high, -back.low))
    assert not (there.better and back.better)


@given(
    st.lists(st.tuples(st.floats(-9, 9, width=16), st.floats(-9, 9, width=16)), min_size=5, max_size=8),
    st.floats(0, 9, width=16),
)
def test_a_claim_that_is_better_by_more_on_every_seed_stays_better(pairs, step):
    ours, theirs = zip(*pairs, strict=True)
    assert against([x + step for x in ours], theirs)[1].better or not against(ours, theirs)[1].better


@dataclass(frozen=True)
class Own:
    """A user's statistic: it tells its interval and nothing else."""

    describes: str = "own"

    def summarise(self, part, measurements):
        return Summary(t_interval([m.value[part] for m in measurements]))


@pytest.mark.parametrize(
    ("theirs", "better", "told"), [(LOW, True, "does not reach"), (CLOSE, False, "reaches")]
)
def test_a_statistic_without_a_scale_compares_by_the_nulls_own_word_and_says_so(theirs, better, told):
    verdict, found = against(HIGH, theirs, holds_when=AtLeast(1.3), statistic=Own())
    assert (verdict.word, found.better) == (Word.HOLDS, better)
    assert found.reason == f"the null itself {told} the region; the statistic has no scale for differences"
    assert math.isnan(found.estimate)
    assert verdict.qualifiers == (() if better else ("by chance too",))


def test_an_undefined_null_says_nothing_about_chance_and_the_verdict_says_so():
    undefined = {seed: Measurement(math.nan, note="no sinks") for seed in range(5)}
    verdict, found = against(HIGH, undefined)
    assert (verdict.word, found.better) == (Word.HOLDS, None)
    assert verdict.qualifiers == ("not compared with chance",)
    assert found.reason == "not compared: value is NaN on 5 of 5 seeds (0, 1, 2, 3, 4): no sinks"


def test_a_claim_without_spread_on_too_few_seeds_to_compare_says_so():
    verdict, found = against((0.9, 0.95, 0.92, 0.93), (0.65, 0.70, 0.67, 0.68), holds_when=AtLeast(0.5))
    assert (verdict.word, found.better) == (Word.HOLDS, None)
    assert verdict.qualifiers == ("not compared with chance",)
    assert found.reason.startswith("too few to compare: the same difference on every seed")


def test_a_null_that_does_as_well_counts_for_more_than_one_without_a_value():
    nulls = [Null(name, "nothing to find", measure=nothing) for name in ("undefined", "as-good")]
    undefined = {seed: Measurement(math.nan) for seed in range(5)}
    theirs = {"undefined": undefined, "as-good": measured(*HIGH)}
    verdict = judge(declare(controls=nulls), "dice", "", measured(*HIGH), theirs)
    assert verdict.qualifiers == ("by chance too",)


def test_a_seed_that_is_undefined_in_the_null_alone_is_left_out_of_the_difference():
    _, found = against(HIGH, measured(*LOW[:4]) | {4: Measurement(math.nan)})
    assert found.estimate == pytest.approx(np.mean(np.array(HIGH[:4]) - LOW[:4]))
    theirs = {**vectors(LOW), 2: Measurement(math.nan)}
    _, found = against(vectors(HIGH), theirs, statistic=Pairs(product))
    kept = [0, 1, 3, 4]
    expected = jackknife_pairs((products(HIGH) - products(LOW))[np.ix_(kept, kept)])
    assert numbers(found) == pytest.approx((expected.estimate, expected.low, expected.high))


def test_one_seed_compares_nothing():
    assert against((2.0,), (1.0,))[1].better is None


def test_one_part_that_is_no_better_qualifies_the_whole_claim():
    parts = {"a": AtLeast(1), "b": AtMost(0.5)}
    ours = [{"a": x, "b": 0.1 + x / 100} for x in HIGH]
    theirs = [{"a": x, "b": 0.1 + y / 100} for x, y in zip(LOW, CLOSE, strict=True)]
    null = Null("null", "nothing to find", measure=nothing)
    claim = declare(controls=[null], holds_when=parts)
    verdict = judge(claim, "dice", "", measured(*ours), {"null": measured(*theirs)})
    assert [(each.part, each.better) for each in verdict.nulls[0].chance] == [("a", True), ("b", False)]
    assert verdict.nulls[0].word is not Word.HOLDS
    assert verdict.qualifiers == ("by chance too",)


def test_only_what_holds_is_qualified():
    verdict, found = against(LOW, LOW, holds_when=AtLeast(1.5))
    assert (verdict.word, found.better, verdict.qualifiers) == (Word.REFUTED, False, ())


def test_each_statistic_gives_what_its_estimate_is_the_mean_of():
    values = measured(0.5, 0.25, 0.75)
    for statistic, back in ((Mean(), float), (FisherZ(), np.tanh), (GeometricMean(), np.exp)):
        found = statistic.summarise("value", list(values.values()))
        assert back(found.on_scale.mean()) == pytest.approx(found.interval.estimate)
