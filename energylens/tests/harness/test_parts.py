"""The rule of one part: without spread, with undefined seeds, and several parts under Holm's correction."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens import AtLeast, AtMost, FisherZ, GeometricMean, HitRate, Mean, Measurement, Pairs, Within
from energylens.harness import Word
from energylens.harness.judge import judge
from energylens.harness.parts import combine
from energylens.stats import holm
from energylens.tests.harness.helpers import declare, measured

RANK = {Word.REFUTED: 0, Word.INCONCLUSIVE: 1, Word.HOLDS: 2}

MEASURED_AS = {
    Mean(): lambda x: Measurement(x),
    FisherZ(): lambda x: Measurement(math.tanh(x)),
    FisherZ("heads"): lambda x: Measurement(math.tanh(x), beside={"heads": 8}),
    GeometricMean(): lambda x: Measurement(math.exp(x)),
    Pairs(lambda a, b: float(a["x"][0] + b["x"][0]) / 2): lambda x: Measurement(arrays={"x": np.array([x])}),
}
"""How a number on the scale of a statistic, where seeds can be moved by one amount, is measured."""

BACK = {FisherZ: math.tanh, GeometricMean: math.exp}

GRID = st.integers(-80, 80).map(lambda i: i / 32)
SPREAD = st.lists(GRID, min_size=5, max_size=8)
SEEDS = st.one_of(SPREAD, st.builds(lambda x, n: [x] * n, GRID, st.integers(5, 8)))


def judged(values, statistic, region):
    seeds = {seed: MEASURED_AS[statistic](x) for seed, x in enumerate(values)}
    return judge(declare(holds_when=region, statistic=statistic), "dice", "", seeds)


def region_between(low, high, statistic):
    """The region whose ends lie there on the statistic's scale."""
    back = BACK.get(type(statistic), float)
    if math.isinf(high):
        return AtLeast(back(low))
    return AtMost(back(high)) if math.isinf(low) else Within(back(low), back(high))


REGIONS = st.sampled_from([(0.5, math.inf), (-math.inf, -0.25), (-0.5, 0.75)])


@pytest.mark.parametrize("statistic", MEASURED_AS, ids=lambda s: s.describes)
@given(SEEDS, st.integers(0, 160).map(lambda i: i / 32), REGIONS)
def test_moving_all_seeds_further_into_the_region_never_worsens_the_word(statistic, values, step, ends):
    low, high = ends
    region = region_between(low, high, statistic)
    towards = high if math.isinf(high) else low if math.isinf(low) else (low + high) / 2
    distance = towards - sum(values) / len(values)
    shift = math.copysign(min(step, abs(distance)), distance)
    before, after = (judged(each, statistic, region).word for each in (values, [x + shift for x in values]))
    assert RANK[after] >= RANK[before]


@pytest.mark.parametrize("statistic", MEASURED_AS, ids=lambda s: s.describes)
@given(SPREAD, st.sampled_from([0.0, 1e-14, 1e-9, 0.1, 0.5, 0.9]), REGIONS)
def test_less_spread_around_the_same_mean_never_takes_a_decision_back(statistic, values, share, ends):
    region = region_between(*ends, statistic)
    mean = math.fsum(values) / len(values)
    narrow = [mean + share * (x - mean) for x in values]
    before, after = (judged(each, statistic, region).word for each in (values, narrow))
    if not isinstance(statistic, FisherZ) or not statistic.points:  # its bias correction moves the mean
        assert before is Word.INCONCLUSIVE or after is before


@given(st.lists(st.booleans(), min_size=1, max_size=10), st.data())
def test_one_more_hit_never_worsens_a_rate_that_should_be_large(hits, data):
    place = data.draw(st.integers(0, len(hits) - 1))
    more = [hit or i == place for i, hit in enumerate(hits)]
    words = [
        judge(
            declare(holds_when=AtLeast(0.5), statistic=HitRate()), "dice", "", measured(*map(float, each))
        ).word
        for each in (hits, more)
    ]
    assert RANK[words[1]] >= RANK[words[0]]


@pytest.mark.parametrize("statistic", MEASURED_AS, ids=lambda s: s.describes)
@pytest.mark.parametrize(("x", "word"), [(1.0, Word.HOLDS), (0.0, Word.REFUTED)])
def test_without_spread_five_seeds_decide_and_four_do_not(statistic, x, word):
    region = region_between(0.5, math.inf, statistic)
    (part,) = judged([x] * 5, statistic, region).parts
    assert (part.word, part.p_value) == (word, 2**-5)
    assert "on every seed: sign test of 5 seeds, p = 0.031" in part.reason
    (part,) = judged([x] * 4, statistic, region).parts
    assert (part.word, part.seeds_to_decide) == (Word.INCONCLUSIVE, 5)
    assert math.isnan(part.p_value)
    assert part.reason.endswith("no spread to judge by (sign test of 4 seeds, p = 0.062)")


def test_all_seeds_on_the_boundary_decide_nothing_and_rounding_is_no_evidence():
    for value in (1.0, 1.0 + 4e-16, 1.0 - 4e-16):
        verdict = judge(declare(), "dice", "", measured(*[value] * 20))
        assert verdict.word is Word.INCONCLUSIVE
        assert verdict.reason == "value is exactly 1 on every seed: no spread, on the boundary"
    for region in (AtMost(1), Within(0, 1)):
        for value in (1.0, 1.0 + 4e-16, 1.0 - 4e-16):
            verdict = judge(declare(holds_when=region), "dice", "", measured(*[value] * 20))
            assert verdict.word is Word.INCONCLUSIVE
    within = declare(holds_when=Within(1, 2))
    for value, word in ((1.0, "INCONCLUSIVE"), (1.5, "HOLDS"), (2.0, "INCONCLUSIVE"), (2.5, "REFUTED")):
        assert judge(within, "dice", "", measured(*[value] * 5)).word == word


def with_nan(values, *undefined, note="a die fell off"):
    numbers = iter(values)
    return {
        seed: Measurement(math.nan, note=note) if seed in undefined else Measurement(next(numbers))
        for seed in range(len(values) + len(undefined))
    }


VALUES = (2.0, 2.1, 1.9, 2.05)


def test_up_to_a_fifth_of_the_seeds_may_be_undefined_and_are_named():
    (part,) = judge(declare(), "dice", "", with_nan(VALUES, 1)).parts
    (without,) = judge(declare(), "dice", "", measured(*VALUES)).parts
    assert repr(part) == repr(replace(without, undefined=(1,), reason="undefined on seed 1: a die fell off"))
    assert (part.word, part.n) == (Word.HOLDS, 4)
    verdict = judge(declare(), "dice", "", with_nan((*VALUES, *VALUES), 1, 4, note=""))
    assert verdict.reason == "undefined on seeds 1, 4: no reason given"


@given(st.integers(1, 11), st.data())
def test_more_than_a_fifth_undefined_is_inconclusive(n, data):
    undefined = data.draw(st.sets(st.integers(0, n - 1)))
    values = {seed: Measurement(math.nan if seed in undefined else 5.0) for seed in range(n)}
    (part,) = judge(declare(), "dice", "", values).parts
    assert part.undefined == tuple(sorted(undefined))
    judgeable = 5 * len(undefined) <= n
    assert math.isnan(part.estimate) != judgeable
    assert part.n == (n - len(undefined) if judgeable else n)
    assert part.word is (Word.HOLDS if judgeable and part.n >= 5 else Word.INCONCLUSIVE)


def test_too_many_undefined_seeds_point_to_the_claim_that_says_what_is_found_there():
    verdict = judge(declare(undefined_is="toy.empty"), "dice", "", with_nan(VALUES, 0, 2))
    expected = "value is NaN on 2 of 6 seeds (0, 2): a die fell off; toy.empty says what is found there"
    assert (verdict.word, verdict.reason) == (Word.INCONCLUSIVE, expected)


def test_nulls_and_the_published_estimator_leave_out_the_same_seeds():
    seeds = {seed: replace(m, as_published={"value": 9.0 + seed}) for seed, m in with_nan(VALUES, 1).items()}
    nulls = measured(0.0, 1e6, 0.1, 0.2, -0.1)
    verdict = judge(declare(), "dice", "", seeds, {"nothing": nulls})
    assert verdict.nulls[0].parts[0].high < 1
    assert verdict.nulls[0].chance[0].estimate == pytest.approx(sum(VALUES) / 4 - 0.05)
    assert verdict.as_published[0].estimate == pytest.approx(9 + (0 + 2 + 3 + 4) / 4)
    seeds[1] = replace(seeds[1], as_published=None)
    assert judge(declare(), "dice", "", seeds).as_published == verdict.as_published


def test_pairs_leave_out_undefined_seeds():
    pairs = Pairs(lambda a, b: float(a["x"][0] * b["x"][0]))
    arrays = {seed: Measurement(arrays={"x": np.array([2 + seed / 50])}) for seed in range(5)}
    undefined = {**arrays, 2: Measurement(math.nan, note="dead")}
    (part,) = judge(declare(statistic=pairs), "dice", "", undefined).parts
    del arrays[2]
    (expected,) = judge(declare(statistic=pairs), "dice", "", arrays).parts
    assert (part.low, part.high, len(part.pairs)) == (expected.low, expected.high, 4)
    assert (part.undefined, part.word) == ((2,), Word.HOLDS)


def part(word, p_value=math.nan, name="a"):
    return replace(
        judge(declare(), "dice", "", measured(*VALUES)).parts[0], word=word, p_value=p_value, part=name
    )


WORDS = st.lists(st.sampled_from(list(Word)), max_size=5)


@given(WORDS, st.randoms())
def test_one_clearly_refuted_part_refutes_and_all_must_hold_in_any_order(words, random):
    parts = [part(word, 1e-6) for word in words]
    found, reason = combine(parts)
    assert combine(random.sample(parts, len(parts))) == (found, reason)
    assert (found is Word.REFUTED) == (Word.REFUTED in words)
    assert (found is Word.HOLDS) == (set(words) == {Word.HOLDS})
    assert found in (Word.REFUTED, Word.HOLDS, Word.INCONCLUSIVE)
    assert reason == ""


@given(st.lists(st.floats(1e-6, 0.0499), min_size=2, max_size=6), st.integers(0, 3))
def test_a_refuted_part_counts_only_if_it_survives_holm_over_all_parts(p_values, others):
    parts = [part(Word.REFUTED, p) for p in p_values] + [part(Word.HOLDS, 0.01)] * others
    survives = holm([*p_values, *[1.0] * others]).survives
    assert (combine(parts)[0] is Word.REFUTED) == any(survives)
    assert combine(parts)[0] in (Word.REFUTED, Word.INCONCLUSIVE)


def test_a_part_refuted_by_a_hair_leaves_a_claim_of_two_parts_open_and_says_so():
    parts = {"a": AtLeast(1), "b": AtMost(0.5)}
    values = [{"a": 2 + s / 10, "b": 0.53 + b} for s, b in enumerate((0.0, 0.1, 0.05, 0.2, -0.02))]
    verdict = judge(declare(holds_when=parts), "dice", "", measured(*values))
    b = verdict.parts[1]
    assert b.word is Word.REFUTED
    assert 0.025 < b.p_value < 0.05
    assert verdict.word is Word.INCONCLUSIVE
    told = f"b alone is refuted (p = {b.p_value:.2g}), which does not survive Holm's correction for 2 parts"
    assert verdict.reason == told
    alone = judge(declare(holds_when={"b": parts["b"]}), "dice", "", measured(*values))
    assert alone.word is Word.REFUTED


def test_combine_of_nothing_is_not_a_verdict():
    assert combine([]) == (Word.INCONCLUSIVE, "")
