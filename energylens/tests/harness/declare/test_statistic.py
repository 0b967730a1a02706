"""Statistics as claims use them: what they read from measurements, and what the judge makes of it."""

import math

import numpy as np
import pytest
from scipy import stats

from energylens import AtLeast, AtMost, FisherZ, GeometricMean, Measurement, Null
from energylens.errors import InputError
from energylens.harness import Word
from energylens.harness.judge import judge
from energylens.tests.harness.helpers import declare, measured, nothing

HIGH = (0.95, 0.6, 0.9, 0.85, 0.97)


def part_of(values, nulls=None, **changes):
    seeds = values if isinstance(values, dict) else measured(*values)
    return judge(declare(**changes), "dice", "", seeds, nulls).parts[0]


def test_the_judge_decides_and_tests_on_z():
    part = part_of(HIGH, holds_when=AtLeast(0.7), statistic=FisherZ())
    z = np.arctanh(HIGH)
    assert part.word is Word.HOLDS
    assert part.estimate == pytest.approx(np.tanh(z.mean()))
    expected = stats.ttest_1samp(z, np.arctanh(0.7), alternative="greater").pvalue
    assert part.p_value == pytest.approx(expected)
    assert part_of(HIGH, holds_when=AtLeast(0.99), statistic=FisherZ()).word is Word.REFUTED


def test_an_inconclusive_correlation_says_how_many_seeds_on_z():
    part = part_of(HIGH, holds_when=AtLeast(0.85), statistic=FisherZ())
    z = np.arctanh(HIGH)
    assert part.word is Word.INCONCLUSIVE
    for n, decided in ((part.seeds_to_decide, True), (part.seeds_to_decide - 1, False)):
        half = stats.t.ppf(0.95, n - 1) * z.std(ddof=1) / math.sqrt(n)
        assert (abs(z.mean() - np.arctanh(0.85)) > half) == decided


def test_points_are_read_beside_the_measurement():
    seeds = {i: Measurement(r, beside={"heads": 8}) for i, r in enumerate(HIGH)}
    changes = dict(holds_when=AtLeast(0.7), statistic=FisherZ(points="heads"))
    z = np.arctanh(HIGH) - np.array(HIGH) / 14
    assert part_of(seeds, **changes).estimate == pytest.approx(np.tanh(z.mean()))
    with pytest.raises(InputError, match=r"'value'.*'heads' beside.*\[\]"):
        part_of(HIGH, **changes)


def test_the_correction_is_part_of_the_declaration():
    plain, corrected = (declare(statistic=FisherZ(points)) for points in ("", "heads"))
    assert plain.declaration_hash != corrected.declaration_hash != declare().declaration_hash
    assert "heads" in corrected.declaration["statistic"]


def test_ratios_are_judged_on_their_logarithms():
    part = part_of((2.0, 8.0, 4.0), holds_when=AtLeast(1.0), statistic=GeometricMean())
    assert (part.word, part.estimate) == (Word.HOLDS, pytest.approx(4.0))
    # On the raw scale the same seeds are inconclusive: their spread is that of the largest.
    assert part_of((2.0, 8.0, 4.0), holds_when=AtLeast(1.0)).word is Word.INCONCLUSIVE


@pytest.mark.parametrize(
    ("statistic", "values", "message"),
    [
        (GeometricMean(), (2.0, -0.3), r"'value'.*ratios\[1\] = -0\.3"),
        (GeometricMean(), (0.0, 1.0), r"'value'.*ratios\[0\] = 0"),
        (FisherZ(), (0.5, 1.5), r"'value'.*correlations\[1\] = 1\.5"),
    ],
)
def test_what_has_no_place_on_the_scale_names_part_and_seed(statistic, values, message):
    with pytest.raises(InputError, match=message):
        part_of(values, statistic=statistic)


@pytest.mark.parametrize("statistic", [FisherZ(), GeometricMean()])
def test_nan_is_inconclusive_and_one_run_decides_nothing(statistic):
    seeds = measured(0.5, math.nan, note="an empty group")
    verdict = judge(declare(statistic=statistic), "dice", "", seeds)
    assert (verdict.word, "an empty group" in verdict.reason) == (Word.INCONCLUSIVE, True)
    part = part_of((0.5,), statistic=statistic)
    assert (part.word, math.isfinite(part.low)) == (Word.INCONCLUSIVE, True)


def test_equal_seeds_are_no_spread_but_a_constant_null_is_taken_as_exact():
    constant = Null("constant", "exact chance", measure=nothing)
    changes = dict(holds_when=AtMost(0.9), statistic=FisherZ(), controls=[constant])
    assert "no spread to judge by" in part_of((1.0,) * 3, **changes).reason
    verdict = judge(
        declare(**changes), "dice", "", measured(0.1, 0.2, 0.3), {"constant": measured(*[0.15] * 3)}
    )
    assert verdict.nulls[0].word is Word.HOLDS
    assert verdict.qualifiers == ("by chance too",)
