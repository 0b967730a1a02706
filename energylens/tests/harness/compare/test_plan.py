"""Plans: from what results.json keeps of real verdicts, for every statistic, and honest where there is none."""

import json
import math
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from energylens import AtLeast, AtMost, FisherZ, GeometricMean, HitRate, Mean, Measurement, Pairs, Within
from energylens.errors import InputError
from energylens.harness.compare.plan import plan, rebuilt
from energylens.harness.declare.control import Null
from energylens.harness.declare.statistic import Summary
from energylens.harness.json_values import plain
from energylens.harness.judge import judge
from energylens.harness.results import describe_claim
from energylens.harness.verdict import GateResult, Word
from energylens.stats import Interval, decidable, power_at, seeds_for_power
from energylens.tests.harness.helpers import declare, measured


def alike(a, b):
    return float(a["x"] @ b["x"])


def pairs(n):
    rng = np.random.default_rng(2)
    return {seed: Measurement(arrays={"x": 1 + 0.3 * rng.normal(size=4)}) for seed in range(n)}


CASES = {
    "mean": (Mean(), AtLeast(1.0), measured(0.8, 1.1, 1.6, 0.9, 1.3)),
    "within": (Mean(), Within(0.5, 1.0), measured(0.8, 1.1, 1.6, 0.9, 1.3)),
    "correlation": (FisherZ("points"), AtLeast(0.8), measured(0.7, 0.85, 0.9, 0.75, beside={"points": 8})),
    "ratio": (GeometricMean(), AtMost(1.2), measured(0.9, 1.1, 2.0, 1.4)),
    "hits": (HitRate(), AtLeast(0.5), measured(1.0, 1.0, 0.0, 1.0)),
    "pairs": (Pairs(alike), AtLeast(4.0), pairs(5)),
}


def results(*judged):
    """What results.json says of these (claim, verdict)s, read back."""
    claims = [describe_claim(claim, Path("/")) for claim, _ in judged]
    return json.loads(json.dumps(plain({"claims": claims, "verdicts": [verdict for _, verdict in judged]})))


def planned(statistic, region, seeds, power=0.8, **changes):
    claim = declare(statistic=statistic, holds_when=region, seeds=range(changes.pop("declared", len(seeds))))
    verdict = replace(judge(claim, "dice", "", seeds), **changes)
    (row,) = plan(results((claim, verdict)), claim.id, power=power)
    return row, verdict


@pytest.mark.parametrize(("statistic", "region", "seeds"), CASES.values(), ids=CASES)
def test_the_interval_of_every_statistic_is_rebuilt_from_its_ends(statistic, region, seeds):
    original = statistic.summarise("value", list(seeds.values())).interval
    part = {"estimate": original.estimate, "low": original.low, "high": original.high, "n": original.n}
    found = rebuilt(part, statistic.describes)
    assert (found.n, found.df, found.hits, found.scale) == (
        original.n,
        original.df,
        original.hits,
        original.scale,
    )
    assert found.se == pytest.approx(original.se, rel=1e-9)


@pytest.mark.parametrize(("statistic", "region", "seeds"), CASES.values(), ids=CASES)
def test_a_row_says_what_the_judge_and_the_power_say(statistic, region, seeds):
    row, verdict = planned(statistic, region, seeds)
    (part,) = verdict.parts
    assert (row.word, row.n, row.estimate, row.reason) == ("INCONCLUSIVE", len(seeds), part.estimate, "")
    assert row.same.seeds == part.seeds_to_decide
    interval = statistic.summarise("value", list(seeds.values())).interval
    assert row.powered.seeds == seeds_for_power(interval, region.low, region.high)
    assert row.powered.seeds is None or row.powered.seeds > row.same.seeds
    expected = chain(*decidable(interval, region.low, region.high, len(seeds)))
    assert list(chain(*row.decides)) == pytest.approx(list(expected))
    assert row.distance == pytest.approx(min(abs(row.estimate - end) for end in region.boundaries))


def test_the_range_is_that_of_the_spread():
    row, verdict = planned(Mean(), AtLeast(1.0), CASES["mean"][2])
    assert row.sd == pytest.approx(np.std([0.8, 1.1, 1.6, 0.9, 1.3], ddof=1))
    assert row.distance_sd == pytest.approx(0.14 / row.sd)
    low, high = row.powered.range
    assert low < row.powered.seeds < high
    # chi-square with 4 degrees of freedom: .7107 and 9.488
    (part,) = verdict.parts
    for seeds, quantile in ((low, 9.488), (high, 0.7107)):
        sd = row.sd * math.sqrt(4 / quantile)
        known = Interval(part.estimate, 0, 2, 5, sd / math.sqrt(5), 4)
        assert power_at(part.estimate, known, 1.0, math.inf, seeds) >= 0.8
        assert power_at(part.estimate, known, 1.0, math.inf, seeds - 1) < 0.8


def test_more_power_and_more_declared_seeds():
    usual, _ = planned(*CASES["mean"])
    surer, _ = planned(*CASES["mean"], power=0.95)
    more, _ = planned(*CASES["mean"], declared=20)
    assert surer.powered.seeds > usual.powered.seeds
    assert surer.same == usual.same
    assert more.declared == 20
    assert more.decides[1][0] < usual.decides[1][0]


def test_a_model_with_seeds_of_its_own_is_planned_by_these():
    statistic, region, seeds = CASES["mean"]
    for_all = declare(statistic=statistic, holds_when=region, seeds=range(20))
    its_own = declare(
        statistic=statistic, holds_when=region, seeds=range(20), seeds_on={"dice": range(len(seeds))}
    )
    verdict = judge(its_own, "dice", "", seeds)
    rows = [plan(results((claim, verdict)), claim.id)[0] for claim in (for_all, its_own)]
    assert [row.declared for row in rows] == [20, len(seeds)]
    assert rows[1].decides[1][0] > rows[0].decides[1][0]


def test_hit_rates_have_no_spread_of_their_own():
    row, _ = planned(*CASES["hits"])
    assert row.same.range is row.powered.range is None
    assert math.isnan(row.sd)
    assert row.decides == []  # 4 of 4 is [.47, 1]: neither side of .5 can be decided


def test_what_is_decided_needs_no_more():
    row, _ = planned(Mean(), AtLeast(0.0), CASES["mean"][2])
    assert (row.word, row.same, row.powered, row.reason) == ("HOLDS", None, None, "")
    assert row.decides
    assert row.distance_sd > 1


@dataclass(frozen=True)
class Skewed:
    """Somebody's own statistic, whose interval is no t interval."""

    describes: str = "skewed"

    def summarise(self, part, measurements):
        return Summary(Interval(1.0, 0.9, 1.5, len(measurements), 0.2, 2))


@pytest.mark.parametrize(
    ("statistic", "region", "seeds", "changes", "reason"),
    [
        (Mean(), AtLeast(0.0), measured(1.0, 1.0, 1.0), {}, "no spread"),
        (Mean(), AtLeast(0.0), measured(0.1 + 0.2, 0.3, 0.3), {}, "no spread"),
        (Mean(), AtLeast(0.0), measured(1.0), {}, "one run decides nothing"),
        (Mean(), AtLeast(0.0), measured(1.0, math.nan, 2.0, note="no frequency"), {}, "no frequency"),
        (Pairs(alike), AtLeast(0.0), pairs(1), {}, "one run makes no pair"),
        (Pairs(alike), AtLeast(0.0), pairs(2), {}, "2 runs decide nothing"),
        (Skewed(), AtLeast(1.0), measured(1.0, 2.0, 3.0), {}, "so no plan: skewed"),
        (
            Mean(),
            AtLeast(0.0),
            measured(1.0, 2.0),
            {"word": Word.NOT_RUN, "parts": (), "reason": "gone"},
            "gone",
        ),
    ],
)
def test_where_no_number_of_seeds_helps_it_says_why(statistic, region, seeds, changes, reason):
    row, _ = planned(statistic, region, seeds, **changes)
    assert reason in row.reason
    assert row.same is row.powered is row.decides is None


def test_a_broken_gate_is_not_mended_by_seeds():
    claim = declare(gates=["toy.gate"])
    gate = GateResult("toy.gate", "dice", "≥ 1", competence=False, values={"0": 0.0}, failed=(0,))
    verdict = judge(claim, "dice", "", measured(0.8, 1.1, 1.6), gates=[gate])
    (row,) = plan(results((claim, verdict)), claim.id)
    assert (row.word, row.same) == ("INVALID", None)
    assert "toy.gate failed" in row.reason


def test_a_gate_is_no_matter_of_seeds():
    claim = replace(declare(), role="gate")
    verdict = judge(claim, "dice", "", measured(2.0, 3.0))
    (row,) = plan(results((claim, verdict)), claim.id)
    assert "gate" in row.reason
    assert row.same is None


def test_every_part_model_and_variant_has_its_row():
    regions = {"a": AtLeast(1.0), "b": AtMost(9.0)}
    claim = declare(
        holds_when=regions, models=["dice", "coin"], variants=["x", "y"], statistic={"b": HitRate()}
    )
    seeds = {seed: Measurement({"a": 0.7 + seed / 5, "b": 1.0}) for seed in range(5)}
    judged = [(claim, judge(claim, model, variant, seeds)) for model in ("dice", "coin") for variant in "xy"]
    rows = plan(results(*judged), claim.id)
    assert [(row.model, row.variant, row.part) for row in rows] == [
        (model, variant, part) for model in ("dice", "coin") for variant in "xy" for part in "ab"
    ]
    assert [row.word for row in rows[:2]] == ["INCONCLUSIVE", "HOLDS"]
    assert {row.model for row in plan(results(*judged), claim.id, model="coin")} == {"coin"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"claim_id": "toy.maen"}, "no claim 'toy.maen'.*nearest: toy.mean$"),
        ({"claim_id": "zzz"}, "no claim 'zzz'.*it has toy.mean$"),
        ({"claim_id": "toy.mean", "model": "dise"}, "no verdict on model 'dise'; nearest: dice"),
        ({"claim_id": "toy.mean", "power": 1.0}, "power .* got 1.0"),
    ],
)
def test_what_is_unknown_is_named_with_the_nearest(arguments, message):
    claim = declare(controls=[Null("nothing", "none", measure=lambda: Measurement(0.0))])
    found = results((claim, judge(claim, "dice", "", CASES["mean"][2])))
    with pytest.raises(InputError, match=message):
        plan(found, **arguments)
