"""The calibration of the judge: its promises hold, and a judge with a wrong interval would break them."""

import itertools
import json
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from energylens import AtLeast, AtMost, Equivalent, FisherZ, GeometricMean, HitRate, Mean, Measurement, Pairs
from energylens.harness.declare.statistic import Summary
from energylens.harness.judge import judge
from energylens.harness.verdict import Word
from energylens.stats import Interval, t_interval
from energylens.trust.calibration import comparisons
from energylens.trust.calibration import wrong_words as calibration
from energylens.trust.calibration.invented_seeds import NORMAL, POPULATIONS, agreement, declared
from energylens.trust.calibration.wrong_words import broken_promises, calibrate, power

BY_NAME = {population.name: population for population in POPULATIONS}
REPETITIONS = 400


def cell(population, seeds, repetitions=REPETITIONS):
    return calibrate(population, seeds, repetitions, np.random.default_rng([7, seeds]))


def rates(found, region, truth):
    """HOLDS and REFUTED for one region."""
    (decision,) = (d for d in found["decisions"] if (d["region"], d["truth"]) == (region, truth))
    return decision["holds"]["rate"], decision["refuted"]["rate"]


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("normal", 3),
        ("normal", 5),
        ("normal", 10),
        ("ratios", 5),
        ("hits, rate .5", 3),
        ("hits, rate .5", 10),
        ("hits, rate .8", 8),
        ("pairs, normal", 5),
        ("pairs by chance", 5),
        ("pairs, product", 3),
        ("saturated on either side", 5),
        ("tied at the boundary", 5),
        ("a fifth undefined", 5),
        ("a fifth undefined", 10),
    ],
)
def test_promises_hold(name, seeds):
    assert broken_promises([cell(BY_NAME[name], seeds)]) == []


@dataclass(frozen=True)
class Wrong:
    """A statistic like `Mean`, but with the half width that `half` makes of the seeds."""

    half: object
    describes: str = "a wrong interval"

    def summarise(self, part, measurements):
        x = np.array([m.value[part] for m in measurements])
        half = self.half(x)
        return Summary(Interval(x.mean(), x.mean() - half, x.mean() + half, x.size, half / 2, x.size - 1))


def standard_error(x):
    return x.std(ddof=1) / math.sqrt(x.size)


def bootstrap(x):
    means = np.random.default_rng(0).choice(x, (200, x.size)).mean(axis=1)
    return (np.quantile(means, 0.95) - np.quantile(means, 0.05)) / 2


WRONG = {
    "normal instead of t": lambda x: 1.645 * standard_error(x),
    "80 % instead of 90 %": lambda x: stats.t.ppf(0.9, x.size - 1) * standard_error(x),
    "bootstrap": bootstrap,
    "divided by n": lambda x: stats.t.ppf(0.95, x.size - 1) * standard_error(x) * (x.size - 1) / x.size,
    "99 %: too wide": lambda x: stats.t.ppf(0.995, x.size - 1) * standard_error(x),
}


@pytest.mark.parametrize("half", WRONG.values(), ids=WRONG)
def test_a_wrong_interval_breaks_a_promise(half):
    assert broken_promises([cell(replace(NORMAL, statistic=Wrong(half)), 3)])


@dataclass(frozen=True)
class PairsAsIndependent(Pairs):
    def summarise(self, part, measurements):
        pairs = super().summarise(part, measurements).pairs
        return Summary(t_interval(pairs[np.triu_indices(len(pairs), 1)]))


@dataclass(frozen=True)
class Wald(HitRate):
    def summarise(self, part, measurements):
        x = np.array([m.value[part] for m in measurements])
        half = 1.645 * math.sqrt(x.mean() * (1 - x.mean()) / x.size)
        return Summary(
            Interval(x.mean(), x.mean() - half, x.mean() + half, x.size, half, None, hits=int(x.sum()))
        )


def test_pairs_taken_as_independent_break_a_promise():
    wrong = replace(BY_NAME["pairs, normal"], statistic=PairsAsIndependent(agreement))
    broken = broken_promises([cell(wrong, 5)])
    assert any("covers" in text for text in broken)
    assert any("holds in" in text for text in broken)
    assert any("refuted in" in text for text in broken)


def test_the_usual_interval_of_a_rate_breaks_a_promise():
    assert broken_promises([cell(replace(BY_NAME["hits, rate .8"], statistic=Wald()), 5)])


def test_a_judge_that_takes_the_estimate_for_the_truth_breaks_a_promise(monkeypatch):
    def rash(*arguments):
        verdict = judge(*arguments)
        (part,) = verdict.parts
        inside = part.region_low <= part.estimate <= part.region_high
        return replace(verdict, word=Word.HOLDS if inside else Word.REFUTED)

    monkeypatch.setattr(calibration, "judge", rash)
    assert broken_promises([cell(NORMAL, 5, 100)])


def test_skewed_seeds_are_told_as_they_are_and_promise_nothing():
    found = cell(BY_NAME["exponential"], 5)
    assert found["promised_coverage"] is None
    assert not found["keeps_level"]
    assert found["interval_below_truth"]["rate"] > 0.10  # nominal .05
    assert found["coverage"]["rate"] < 0.88
    held_to_it = found | {"keeps_level": True, "promised_coverage": (0.88, 0.92)}
    assert len(broken_promises([held_to_it])) >= 2


def test_hit_rates_are_exact():
    found = cell(BY_NAME["hits, rate .5"], 5)
    assert found["repetitions"] is None
    assert found["coverage"] == {"rate": pytest.approx(1 - 2 / 32), "monte_carlo_error": 0}
    assert rates(found, "at least", "at the boundary") == pytest.approx((1 / 32, 1 / 32))
    # .3 is excluded by 4 and 5 hits of 5: .05 quantiles .343 and .549
    assert rates(found, "at least", "inside") == pytest.approx((6 / 32, 0))


def test_the_rates_of_equivalence_are_those_of_two_one_sided_tests():
    found = cell(NORMAL, 10)
    holds, refuted = rates(found, "equivalent", "at the boundary")
    assert holds <= rates(found, "at most", "at the boundary")[0]
    assert refuted == pytest.approx(rates(found, "at most", "at the boundary")[1])
    assert rates(found, "equivalent", "inside")[0] > 0.9


def test_a_promise_allows_for_monte_carlo_errors_and_no_more():
    def made(holds, repetitions):
        fine = {"rate": 0.0, "monte_carlo_error": 0.0}
        decision = {
            "region": "at least",
            "truth": "outside",
            "holds": {"rate": holds},
            "refuted": {"rate": 0.9},
        }
        return [{
            "population": "p", "seeds": 5, "repetitions": repetitions, "keeps_level": True,
            "promised_coverage": None, "coverage": fine, "decisions": [decision],
        }]  # fmt: skip

    assert broken_promises(made(0.07, 400)) == []
    (told,) = broken_promises(made(0.07, 4000))
    assert told == "p, 5 seeds: 'at least' with its truth outside: holds in 0.070, promised 0.05 at most"
    assert broken_promises(made(0.0501, None))
    assert broken_promises(made(0.05, None)) == []


@pytest.mark.parametrize(
    "name", [p.name for p in POPULATIONS if not isinstance(p.statistic, HitRate | FisherZ)]
)
def test_the_truth_of_a_population_is_its_mean(name):
    population = BY_NAME[name]
    sample = population.sample(2, 20_000, np.random.default_rng(3))
    if isinstance(population.statistic, Pairs):
        values = np.array([population.statistic.of(a.arrays, b.arrays) for a, b in sample.outcomes])
    else:
        values = np.array([m.value["value"] for one in sample.outcomes for m in one])
    if isinstance(population.statistic, GeometricMean):
        values = np.log(values)
        assert values.std() == pytest.approx(0.5, rel=0.05)
        assert abs(values.mean()) < 4 * values.std() / math.sqrt(values.size)
    else:
        assert abs(values.mean() - population.truth) < 4 * values.std() / math.sqrt(values.size)
    if isinstance(population.statistic, Mean):
        assert values.std() == pytest.approx(1, rel=0.15)


def test_correlations_are_about_their_truth_once_their_bias_is_taken_off():
    population = BY_NAME["correlations over 8 points"]
    (found,) = population.sample(20_000, 1, np.random.default_rng(3)).outcomes
    estimate = population.statistic.summarise("value", found).interval
    assert estimate.estimate == pytest.approx(population.truth, abs=0.004)  # .914 without the correction


def test_power_by_formula_and_through_the_judge():
    panels = power((3, 8), 300, np.random.default_rng(5))
    for panel in panels:
        for dot in panel["simulated"]:
            (curve,) = (c for c in panel["curves"] if c["seeds"] == dot["seeds"])
            formula = np.interp(dot["x"], panel["x"], curve["decided"])
            assert abs(dot["rate"] - formula) <= 4 * dot["monte_carlo_error"] + 1e-12
    one, either, hits = panels
    assert [curve["x_at_80_percent"] for curve in one["curves"]] == pytest.approx([2.297, 0.978], abs=0.002)
    assert one["curves"][1]["decided"][0] == pytest.approx(0.05, abs=1e-4)
    assert either["curves"][1]["x_at_80_percent"] > one["curves"][1]["x_at_80_percent"]
    assert hits["curves"][0] == {"seeds": 3, "decided": [0.0] * len(hits["x"]), "x_at_80_percent": None}


def test_what_saturates_beside_the_boundary_is_told_and_promised_nothing():
    """The sign test is about the median: where nine in ten seeds agree just inside, the mean is wrongly said to be."""
    found = cell(BY_NAME["saturated just above the boundary"], 5, 2000)
    assert not found["keeps_level"]
    assert rates(found, "at least", "at the boundary")[0] == pytest.approx(0.9**5, abs=0.04)
    undefined = cell(BY_NAME["the lowest fifth undefined"], 5)
    assert not undefined["keeps_level"]
    assert rates(undefined, "at least", "at the boundary")[0] > 0.1


def test_a_judge_that_takes_three_equal_seeds_for_proof_breaks_a_promise(monkeypatch):
    population = BY_NAME["saturated on either side"]
    assert broken_promises([cell(population, 3)]) == []
    monkeypatch.setattr("energylens.harness.parts.ALPHA", 1.0)
    assert broken_promises([cell(population, 3)])


def numbers(*values, **beside):
    return [Measurement(value, beside=beside) for value in values]


def vectors(*values):
    return [Measurement(arrays={"x": np.full(8, value)}) for value in values]


@pytest.mark.parametrize(
    ("statistic", "region", "measurements", "word", "reason"),
    [
        (Mean(), AtLeast(0), numbers(1, 1, 1), "INCONCLUSIVE", "no spread"),
        (Mean(), AtLeast(1), numbers(1, 1, 1), "INCONCLUSIVE", "no spread"),
        (Mean(), AtLeast(1), numbers(*[1] * 9), "INCONCLUSIVE", "on the boundary"),
        (Mean(), AtLeast(0), numbers(*[1] * 4), "INCONCLUSIVE", "no spread"),
        (Mean(), AtLeast(0), numbers(*[1] * 5), "HOLDS", "sign test"),
        (Mean(), AtMost(0), numbers(*[1] * 5), "REFUTED", "sign test"),
        (Mean(), AtLeast(0), numbers(0.1 + 0.2, 0.3, 0.3), "INCONCLUSIVE", "no spread"),
        (Mean(), AtLeast(0), numbers(1), "INCONCLUSIVE", "one run decides nothing"),
        (Mean(), AtLeast(0), numbers(1, 1.001), "HOLDS", ""),
        (Mean(), AtLeast(0), numbers(1, 1, 1, 1, 1e6), "INCONCLUSIVE", "seeds would decide"),
        (Mean(), AtMost(0), numbers(*[1e-9 * i for i in (7, 8, 9)]), "REFUTED", ""),
        (Mean(), Equivalent(0, 1), numbers(0.9, -0.9, 0.0), "INCONCLUSIVE", "seeds would decide"),
        (Mean(), Equivalent(0, 1), numbers(0.1, -0.1, 0.0), "HOLDS", ""),
        (GeometricMean(), AtMost(1), numbers(2, 2, 2), "INCONCLUSIVE", "no spread"),
        (FisherZ("points"), AtLeast(0.9), numbers(1, 1, 1, points=8), "INCONCLUSIVE", "no spread"),
        (FisherZ("points"), AtLeast(0.9), numbers(1, 0.99, -1, points=8), "INCONCLUSIVE", "seeds would decide"),
        (HitRate(), AtLeast(0.5), numbers(1, 1, 1), "INCONCLUSIVE", "about 5 seeds"),
        (HitRate(), AtLeast(0.5), numbers(1, 1, 1, 1, 1), "HOLDS", ""),
        (HitRate(), AtLeast(0.5), numbers(0, 0, 0, 0, 0), "REFUTED", ""),
        (HitRate(), AtLeast(0), numbers(0, 0, 0), "HOLDS", ""),
        (Pairs(agreement), AtLeast(0), vectors(1.0), "INCONCLUSIVE", "one run makes no pair"),
        (Pairs(agreement), AtLeast(0), vectors(1.0, 2.0), "INCONCLUSIVE", "2 runs decide nothing"),
        (Pairs(agreement), AtLeast(0), vectors(1.0, 1.0, 1.0), "INCONCLUSIVE", "no spread"),
        (Pairs(agreement), AtLeast(0), vectors(1.0, 1.0, 1.1), "HOLDS", ""),
    ],
)  # fmt: skip
def test_degenerate_seeds_never_become_a_verdict_by_themselves(statistic, region, measurements, word, reason):
    claimed = declared(statistic, region, len(measurements))
    verdict = judge(claimed, "invented", "", dict(enumerate(measurements)))
    assert (verdict.word, reason in verdict.reason) == (word, True), verdict.reason
    (part,) = verdict.parts
    if len(measurements) > 1:
        assert not any(map(math.isnan, (part.low, part.estimate, part.high)))


def test_seeds_agree_and_are_undefined_where_a_population_says_so():
    """Else the promises about them would be promises about normal seeds."""

    def values(name, seeds):
        sample = BY_NAME[name].sample(seeds, 1000, np.random.default_rng(4))
        return np.array([[m.value["value"] for m in one] for one in sample.outcomes])

    for name, seeds in itertools.product(("a fifth undefined", "the lowest fifth undefined"), (5, 10)):
        assert (np.isnan(values(name, seeds)).sum(axis=1) == seeds // 5).all()
    ends = np.isin(values("saturated on either side", 5), (-1.1, 1.1))
    assert ends.mean() == pytest.approx(0.8, abs=0.02)
    assert (values("tied at the boundary", 5) == 0).mean() == pytest.approx(0.8, abs=0.02)


def test_a_run_tells_every_promise_that_is_broken(monkeypatch):
    """No judge is wrong in 0 % of cases."""
    monkeypatch.setattr(calibration, "REPETITIONS", 40)
    monkeypatch.setattr(calibration, "SEEDS", (3,))
    monkeypatch.setattr(calibration, "LEVEL", 0.0)
    found = calibration.run(lambda text: None)
    of_cells = broken_promises(found["cells"])
    compared = comparisons.broken_promises(found["comparisons"], 0.0, calibration.MC_ERRORS)
    assert of_cells
    assert compared
    assert found["broken_promises"] == [*of_cells, *compared]


def test_run_is_plain_numbers(monkeypatch):
    monkeypatch.setattr(calibration, "REPETITIONS", 4)
    monkeypatch.setattr(calibration, "SEEDS", (3,))
    told = []
    found = calibration.run(told.append)
    assert json.loads(json.dumps(found, allow_nan=False))["cells"][0]["population"] == "normal"
    assert [c["population"] for c in found["cells"]] == list(BY_NAME)
    assert len(told) == len(BY_NAME) + 2
    assert set(found) == {"level", "cells", "comparisons", "power", "broken_promises"}
    assert {cell["wrong"] for cell in found["comparisons"]} == {
        "better than chance", "out of reach", "refuted",
    }  # fmt: skip
