"""What a claim's rule can reach with its seeds: by hand, and against the judge, who tries many values."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from energylens import (
    AtLeast,
    AtMost,
    Equivalent,
    FisherZ,
    GeometricMean,
    HitRate,
    Mean,
    Measurement,
    Pairs,
    Within,
    gate,
)
from energylens.harness import Reach, Word, claim_of
from energylens.harness.declare.decidable import (
    decides,
    described,
    fewest_seeds,
    undecidable,
    with_one_fewer,
    words_decided,
)
from energylens.harness.declare.region import Region
from energylens.harness.declare.statistic import Summary
from energylens.harness.judge import judge
from energylens.stats import Interval
from energylens.tests.harness.helpers import NOTHING, declare, measured, nothing

HALF = AtLeast(0.5)


def rate(seeds=5, region=HALF, **changes):
    return declare(statistic=HitRate(), holds_when=region, seeds=range(seeds), **changes)


@pytest.mark.parametrize(
    ("seeds", "note"),
    [
        (4, "neither"),  # 4 of 4: the low end is .05 ** (1 / 4) = .473
        (5, "HOLDS at 5 of 5, REFUTED at 0 of 5"),  # .05 ** (1 / 5) = .549; 4 of 5: .343
        (6, "HOLDS at 6 of 6, REFUTED at 0 of 6"),  # 5 of 6: .418
        (8, "HOLDS from 7 of 8, REFUTED up to 1 of 8"),  # 9 of 256 patterns have 7 hits or more: .035
        (
            10,
            "HOLDS from 9 of 10, REFUTED up to 1 of 10",
        ),  # 11 of 1024: .011; 56 of 1024 have 8 or more: .055
    ],
)
def test_hit_counts_that_decide_about_one_half(seeds, note):
    assert HitRate().reaches(HALF, seeds).note == note


def test_hit_counts_beside_a_range():
    assert HitRate().reaches(Within(0.3, 0.7), 10).note == "never HOLDS, REFUTED at 0 or at 10 of 10"
    assert HitRate().reaches(Within(0.2, 0.8), 10).note == "HOLDS at 5 of 10, never REFUTED"
    assert (
        HitRate().reaches(Within(0.3, 0.7), 40).note
        == "HOLDS at 18 to 22 of 40, REFUTED up to 6 or from 34 of 40"
    )


def test_the_chance_that_five_seeds_decide_a_rate_of_four_fifths_is_a_third():
    reach = HitRate().reaches(HALF, 5)
    assert reach.chance == pytest.approx(0.8**5)
    assert reach.least_p == pytest.approx(0.5**5)
    assert HitRate().reaches(AtMost(0.5), 10).chance == pytest.approx(stats.binom(10, 0.8).sf(8))


def words_of(statistic, region, vectors):
    """Every word that the judge says of these vectors of values, one value per seed."""
    claim = declare(statistic=statistic, holds_when=region)
    beside = {"heads": 100.0}
    return {judge(claim, "dice", "", measured(*values, beside=beside)).word for values in vectors}


REGIONS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0]).flatmap(lambda x: st.sampled_from([AtLeast(x), AtMost(x)])),
    st.integers(-24, 24).map(lambda x: AtLeast(x / 20)),
    st.integers(-24, 24).map(lambda x: AtMost(x / 20)),
    st.tuples(st.integers(-24, 24), st.integers(1, 40)).map(lambda x: Region(x[0] / 20, (x[0] + x[1]) / 20)),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), REGIONS)
@example(5, HALF)
@example(4, HALF)
def test_a_hit_rate_reaches_exactly_what_some_number_of_hits_does(n, region):
    found = words_of(HitRate(), region, ([1.0] * k + [0.0] * (n - k) for k in range(n + 1)))
    reach = HitRate().reaches(region, n)
    assert (reach.holds, reach.refutes) == (Word.HOLDS in found, Word.REFUTED in found)


RANGES = [
    (Mean(), -9.0, 9.0),
    (FisherZ(), -0.9999, 0.9999),
    (FisherZ("heads", ranks=True), -0.9999, 0.9999),
    (GeometricMean(), 1e-3, 9.0),
]
"""Statistics with values that they take, on either side of every region's end."""


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(RANGES), st.integers(1, 7), REGIONS, st.integers(0, 2**32 - 1))
@example(RANGES[3], 2, AtLeast(0.05), 2423)
@example(RANGES[1], 5, AtLeast(1.0), 0)
@example(RANGES[1], 5, AtMost(1.0), 0)
@example(RANGES[3], 5, AtMost(0.0), 0)
@example(RANGES[3], 5, AtLeast(0.0), 0)
@example(RANGES[0], 2, Equivalent(0, 0.01), 0)
@example(RANGES[0], 1, HALF, 0)
def test_a_mean_reaches_exactly_what_some_values_do(taken, n, region, seed):
    statistic, low, high = taken
    rng = np.random.default_rng(seed)
    middle = (max(region.low, low) + min(region.high, high)) / 2
    vectors = [
        np.clip(np.clip(centre, low + 1e-5, high - 1e-5) + spread * rng.uniform(-1, 1, n), low, high).tolist()
        for centre in (middle, low, high, rng.uniform(low, high))
        for spread in (1e-6, 1e-3, 0.1)
    ]
    found = words_of(statistic, region, vectors)
    reach = statistic.reaches(region, n)
    assert (reach.holds, reach.refutes) == (Word.HOLDS in found, Word.REFUTED in found)


def between(a, b):
    return float(a["x"] + b["x"]) / 2


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), REGIONS, st.integers(0, 2**32 - 1))
@example(2, HALF, 0)
@example(3, HALF, 0)
def test_pairs_reach_exactly_what_some_seeds_do(n, region, seed):
    rng = np.random.default_rng(seed)
    claim = declare(statistic=Pairs(between), holds_when=region)
    middle = (max(region.low, -9) + min(region.high, 9)) / 2
    found = set()
    for centre, spread in itertools.product((middle, -9, 9), (1e-6, 0.1)):
        draws = centre + spread * rng.uniform(-1, 1, n)
        found.add(
            judge(claim, "dice", "", {i: Measurement(arrays={"x": x}) for i, x in enumerate(draws)}).word
        )
    reach = Pairs(between).reaches(region, n)
    assert (reach.holds, reach.refutes) == (Word.HOLDS in found, Word.REFUTED in found)


@pytest.mark.parametrize(("heads", "word"), [(4, Word.REFUTED), (5, Word.HOLDS)])
def test_a_perfect_rank_correlation_of_four_heads_is_not_at_least_nine_tenths(heads, word):
    statistic = FisherZ("heads", ranks=True)
    assert statistic.reaches(AtLeast(0.9), 5).note == "HOLDS and REFUTED (HOLDS with at least 5 heads)"
    values = measured(1.0, 1.0, 1.0, 1.0, 0.99, beside={"heads": heads})
    assert judge(declare(statistic=statistic, holds_when=AtLeast(0.9)), "dice", "", values).word is word
    assert statistic.reaches(AtLeast(0.8), 5).note == "HOLDS and REFUTED"


def test_a_claim_holds_by_all_its_parts_and_is_refuted_by_one():
    parts = {"rate": HALF, "mean": HALF}
    both = declare(holds_when=parts, statistic={"rate": HitRate()})
    assert [decides(both, n).words for n in (1, 2, 4, 5)] == [
        "neither",
        "REFUTED only",
        "REFUTED only",
        "both",
    ]
    assert decides(both, 4).parts["rate"].text == "neither"


def test_a_refutation_survives_holm_over_the_parts_or_is_none():
    two = declare(holds_when={"a": HALF, "b": HALF}, statistic=HitRate())
    assert decides(two, 5).words == "HOLDS only"  # 2 / 32 > .05
    assert decides(two, 6).words == "both"  # 2 / 64
    assert fewest_seeds(two, Word.REFUTED) == 6


def test_after_one_seed_is_gone_a_fifth_of_five_is_left_out_and_a_quarter_of_four_is_too_much():
    assert with_one_fewer(declare(), 5).words == "both"
    assert with_one_fewer(declare(), 4).words == "neither"
    assert "3 of 4 seeds" in with_one_fewer(declare(), 4).parts["value"].text
    assert with_one_fewer(rate(), 5).words == "neither"
    assert with_one_fewer(rate(), 6).words == "both"


def test_fewest_seeds():
    assert fewest_seeds(declare(), Word.HOLDS) == 2
    assert fewest_seeds(declare(statistic=Pairs(between)), Word.REFUTED) == 3
    assert fewest_seeds(rate(), Word.HOLDS) == 5
    assert (
        fewest_seeds(rate(region=AtLeast(0.9)), Word.HOLDS) == math.ceil(math.log(0.05) / math.log(0.9)) == 29
    )
    assert fewest_seeds(rate(region=AtLeast(0.9)), Word.REFUTED) == 2
    assert fewest_seeds(rate(region=AtLeast(1.0)), Word.HOLDS) is None


def test_a_warning_names_claim_models_seeds_words_and_the_smallest_number_that_would_do():
    told = undecidable(rate(4, models=["dice", "coins"], seeds_on={"coins": range(5)}))
    assert re.search(r"claim 'toy.mean' in \S+helpers.py:\d+ is undecidable as declared", told)
    assert (
        "4 seeds on dice can't reach HOLDS or REFUTED (value: ≥ 0.5, hit rate over seeds, Clopper-Pearson"
        in told
    )
    assert "HOLDS needs at least 5 seeds, REFUTED needs at least 5 seeds" in told
    assert "coins" not in told
    assert "`seeds_on`" in told


def test_a_word_that_no_number_of_seeds_reaches_is_said_to_be_so():
    told = undecidable(declare(statistic=FisherZ(), holds_when=AtMost(1.0)))
    assert "5 seeds on dice can't reach REFUTED (" in told
    assert "no number of seeds up to 1000 reaches REFUTED" in told


def test_what_can_be_decided_is_not_warned_of():
    assert not undecidable(declare())
    assert not undecidable(rate(5))  # with one seed fewer it could not, which only the report tells


class Median:
    """A user's own statistic, which does not say what it reaches."""

    describes = "median over seeds"

    def summarise(self, part, measurements):
        return Summary(Interval(0.0, -math.inf, math.inf, 1, se=math.inf, df=0))


class Outspoken(Median):
    def reaches(self, region, n):
        return Reach(holds=n > 7, refutes=True)


def test_a_statistic_that_does_not_say_is_not_warned_of():
    own = declare(statistic=Median(), seeds=range(1))
    assert not undecidable(own)
    assert words_decided(own, "dice") == "unknown"
    assert described(own)["dice"]["holds"] is None
    mixed = declare(holds_when={"a": HALF, "b": HALF}, statistic={"a": Median()}, seeds=range(1))
    assert "can't reach HOLDS (" in undecidable(mixed)  # whatever the median can, the mean can't


def test_a_users_statistic_may_say():
    assert "HOLDS needs at least 8 seeds" in undecidable(declare(statistic=Outspoken()))
    assert decides(declare(statistic=Outspoken()), 8).parts["value"].text == "both"


def test_a_gate_is_a_rule_for_every_seed():
    made = gate(
        "toy.gate", says="Dice fall.", source="us", passes_when=HALF, models=["dice"], seeds=[0], rejects=[NOTHING]
    )  # fmt: skip
    checked = claim_of(made(nothing))
    assert described(checked) == {}
    assert not undecidable(checked)
    assert words_decided(checked, "dice") == "every seed"


def test_results_tell_what_each_models_seeds_decide():
    told = described(rate(5, models=["dice", "coins"], seeds_on={"coins": range(10)}))
    assert {model: (reach["seeds"], reach["fewer"]["seeds"]) for model, reach in told.items()} == {
        "dice": (5, 4),
        "coins": (10, 9),
    }
    assert told["dice"]["holds"] is True
    assert told["dice"]["parts"]["value"]["chance"] == pytest.approx(0.8**5)
    assert told["dice"]["fewer"]["holds"] is False
    assert told["dice"]["fewer"]["parts"]["value"]["text"] == "neither"
