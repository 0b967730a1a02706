"""What the declared seeds can decide, as the report says it."""

from energylens import AtLeast, FisherZ, HitRate
from energylens.harness.declare.decidable import described
from energylens.report.content.decidable import can_decide, decides
from energylens.tests.harness.helpers import declare

HALF = AtLeast(0.5)


def told(**changes):
    return decides({"reach": described(declare(**changes))})


def test_both_words_from_two_seeds_on():
    assert told() == "HOLDS and REFUTED; with one seed fewer as well"


def test_hit_counts_one_seed_fewer_and_the_chance_to_decide():
    assert told(statistic=HitRate(), holds_when=HALF) == (
        "HOLDS at 5 of 5, REFUTED at 0 of 5; with one seed fewer: neither; "
        "at a true rate of 0.8 decided in 33 % of runs"
    )


def test_models_are_named_where_their_seeds_differ():
    text = told(
        statistic=HitRate(), holds_when=HALF, models=["a", "b", "c"], seeds_on={"b": range(10)}
    )  # fmt: skip
    assert text.startswith("a, c: HOLDS at 5 of 5, ")
    assert "; b: HOLDS from 9 of 10, REFUTED up to 1 of 10; with one seed fewer: HOLDS from 8 of 9, " in text


def test_parts_are_named_where_they_differ():
    text = told(
        statistic={"r": FisherZ()}, holds_when={"r": AtLeast(1.0), "mean": HALF}
    )  # fmt: skip
    assert text.startswith(
        "r: REFUTED only: correlations lie between -1 and 1; mean: HOLDS and REFUTED; with one"
    )


def test_a_refutation_that_no_part_can_carry_through_holm_is_told():
    text = told(statistic=HitRate(), holds_when={"a": HALF, "b": AtLeast(0.4)})
    assert "a: HOLDS at 5 of 5, REFUTED at 0 of 5; b: HOLDS " in text
    assert "(the claim is never REFUTED: no p survives Holm over its parts)" in text


def test_chances_of_parts_that_differ_are_a_range():
    text = told(statistic=HitRate(), holds_when={"a": HALF, "b": AtLeast(0.05)})
    assert text.endswith("at a true rate of 0.8 decided in 33 to 99 % of runs")


def test_gates_and_older_results_tell_nothing():
    assert decides({"reach": {}}) == decides({}) == ""


def test_a_cell_tells_the_words_in_reach_on_one_model():
    by_hits = {"reach": described(declare(statistic=HitRate(), holds_when=HALF, models=["a"]))}
    never = {"reach": described(declare(statistic=FisherZ(), holds_when=AtLeast(1.0), models=["a"]))}
    both = {"reach": described(declare(models=["a"]))}
    assert can_decide(by_hits, "a") == "both, in 33 % of runs"
    assert can_decide(never, "a") == "REFUTED only"
    assert can_decide(both, "a") == "both"
    assert can_decide(both, "somebody's") == can_decide({}, "a") == ""
