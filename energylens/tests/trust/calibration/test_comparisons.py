"""Nulls, ceilings and several parts: what may be said wrongly is said in at most 5 % of cases, and the tests notice."""

from dataclasses import replace

import numpy as np
import pytest

from energylens.harness import chance
from energylens.harness.verdict import Word
from energylens.trust.calibration import comparisons
from energylens.trust.calibration.comparisons import (
    BETTER,
    COMPARISONS,
    OUT_OF_REACH,
    REFUTED,
    broken_promises,
    cells,
)

BY_NAME = {(one.wrong, one.case): one for one in COMPARISONS}
REPETITIONS = 400


def rate(one, seeds, repetitions=REPETITIONS):
    sample, verdicts = one.judged(seeds, repetitions, np.random.default_rng([8, seeds]))
    return {
        "wrong": one.wrong, "case": one.case, "seeds": seeds, "repetitions": sample.repetitions,
        "promised": one.promised, **sample.rate([one.says(verdict) for verdict in verdicts]),
    }  # fmt: skip


PROMISED = [one for one in COMPARISONS if one.promised]


@pytest.mark.parametrize("one", PROMISED, ids=lambda one: f"{one.wrong}, {one.case}")
def test_promises_hold_at_five_seeds(one):
    assert broken_promises([rate(one, 5)], 0.05, 3) == []


def test_each_rule_is_tried_and_no_name_stands_for_two():
    assert len(BY_NAME) == len(COMPARISONS)
    assert {wrong for wrong, _ in BY_NAME} == {BETTER, OUT_OF_REACH, REFUTED}
    told = [case for wrong, case in BY_NAME if wrong == BETTER]
    assert any("null exact" in case for case in told)
    assert any("null drawn" in case for case in told)
    for kind in ("saturated on either side", "tied at the boundary", "a fifth undefined"):
        assert BY_NAME[BETTER, f"{kind}; null drawn alike"].promised
    for wrong in (BETTER, OUT_OF_REACH):
        for kind in ("hits", "pairs", "ratios", "tied"):
            assert any(case.startswith(kind) for other, case in BY_NAME if other == wrong)


def test_comparing_estimates_instead_of_intervals_breaks_a_promise(monkeypatch):
    def rash(*arguments):
        found = compare(*arguments)
        return replace(found, better=found.estimate > 0)

    compare = chance.compare
    monkeypatch.setattr(chance, "compare", rash)
    (told,) = broken_promises([rate(BY_NAME[BETTER, "normal; null drawn alike"], 5)], 0.05, 3)
    assert told.startswith("normal; null drawn alike, 5 seeds: better than chance in 0.")
    assert told.endswith(", promised 0.05 at most")


def test_a_ceiling_taken_by_its_estimate_breaks_a_promise():
    normal = BY_NAME[OUT_OF_REACH, "normal; ceiling"]

    def rash(verdict):
        (part,) = verdict.ceilings[0].parts
        return part.estimate < part.region_low

    assert broken_promises([rate(normal, 5)], 0.05, 3) == []
    assert broken_promises([rate(replace(normal, says=rash), 5)], 0.05, 3)


def test_without_holm_several_parts_break_the_promise():
    four = BY_NAME[REFUTED, "normal; 4 parts"]

    def any_part(verdict):
        return any(part.word is Word.REFUTED for part in verdict.parts)

    uncorrected = rate(replace(four, says=any_part), 5, 1000)
    assert uncorrected["rate"] == pytest.approx(1 - 0.95**4, abs=0.04)
    assert broken_promises([uncorrected], 0.05, 3)
    assert broken_promises([rate(four, 5, 1000)], 0.05, 3) == []


def test_a_true_difference_is_found(monkeypatch):
    """Were nothing ever called better, every promise would hold."""
    better = replace(comparisons.HITS, draw=lambda rng, shape: np.ones(shape))
    one = replace(BY_NAME[BETTER, "hits, rate .5; null exact"])
    sample = better.sample(5, 1, np.random.default_rng(0))
    monkeypatch.setattr(type(better), "sample", lambda *_: sample)
    assert rate(one, 5)["rate"] == 1.0


def test_cells_tell_every_comparison_at_every_number_of_seeds():
    found = cells((3, 5), 4)
    assert [(cell["wrong"], cell["case"]) for cell in found[::2]] == list(BY_NAME)
    assert {cell["seeds"] for cell in found} == {3, 5}
    assert all(0 <= cell["rate"] <= 1 for cell in found)
    skewed = [cell["case"] for cell in found if not cell["promised"]]
    assert set(skewed) == {"exponential; null exact", "exponential; ceiling"}
