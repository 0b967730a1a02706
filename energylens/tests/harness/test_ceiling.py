"""Out of reach: a claim that even a perfect effect could not hold is INVALID, not refuted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens import AtLeast, AtMost, Ceiling, HitRate, Measurement, Pairs, Within
from energylens.errors import InputError
from energylens.harness import Word
from energylens.harness.judge import judge
from energylens.harness.verdict import GateResult
from energylens.stats import t_interval
from energylens.tests.harness.helpers import NOTHING, declare, measured, nothing

PERFECT = Ceiling("perfect", "What a perfect die scores.", measure=nothing)
SMALL = (0.40, 0.42, 0.45, 0.41, 0.47)
LARGE = (2.0, 2.1, 1.9, 2.05, 1.95)


def under(ceiling, ours=SMALL, gates=(), **changes):
    ours, ceiling = (each if isinstance(each, dict) else measured(*each) for each in (ours, ceiling))
    claim = declare(controls=[NOTHING, PERFECT], **changes)
    return judge(claim, "dice", "", ours, None, gates, ceilings={"perfect": ceiling})


@pytest.mark.parametrize("ours", [SMALL, LARGE, (0.8, 1.2, 1.0, 1.1, 0.9)])
def test_a_region_beyond_the_ceiling_is_invalid_whatever_was_measured(ours):
    verdict = under(SMALL, ours)
    found = t_interval(SMALL)
    told = f"out of reach: even perfect scores 0.43 [{found.low:.3g}, {found.high:.3g}], region ≥ 1"
    assert (verdict.word, verdict.reason, verdict.qualifiers) == (Word.INVALID, told, ())
    (ceiling,) = verdict.ceilings
    assert (ceiling.name, ceiling.why, ceiling.out_of_reach) == (PERFECT.name, PERFECT.why, ("value",))
    assert ceiling.parts[0].low == found.low
    assert verdict.parts == judge(declare(), "dice", "", measured(*ours)).parts


@given(st.lists(st.floats(-3, 5, width=16), min_size=2, max_size=8, unique=True), st.data())
def test_a_claim_is_out_of_reach_exactly_if_the_ceiling_itself_is_refuted(values, data):
    region = data.draw(st.sampled_from([AtLeast(1), AtMost(1), Within(0.5, 2)]))
    verdict = under(tuple(values), (LARGE * 2)[: len(values)], holds_when=region)
    found = t_interval(values)
    beyond = region.refutes(found.low, found.high)
    assert (verdict.word is Word.INVALID) == beyond
    assert bool(verdict.ceilings[0].out_of_reach) == beyond


def test_a_ceiling_that_reaches_the_region_leaves_the_verdict_alone():
    for ours, word in ((SMALL, Word.REFUTED), (LARGE, Word.HOLDS)):
        verdict = under(LARGE, ours)
        assert (verdict.word, verdict.reason) == (word, "")
        assert verdict.ceilings[0].out_of_reach == ()


def test_a_constant_is_taken_as_exact_but_one_run_decides_nothing():
    assert under((0.5,) * 2, LARGE[:2]).word is Word.INVALID
    assert under((0.5,), LARGE[:1]).word is Word.INCONCLUSIVE


def test_a_ceiling_of_some_parts_leaves_the_others_alone_and_names_its_own():
    parts = {"a": AtLeast(1), "b": AtMost(0.5)}
    ours = [{"a": x, "b": 0.1 + x / 100} for x in LARGE]
    verdict = under(tuple({"b": 0.6 + x / 100} for x in LARGE), tuple(ours), holds_when=parts)
    assert verdict.word is Word.INVALID
    assert verdict.reason.startswith("out of reach: even perfect scores 0.62 [")
    assert verdict.reason.endswith("] in b, region ≤ 0.5")
    assert [part.part for part in verdict.ceilings[0].parts] == ["b"]
    assert under(tuple({"b": x / 10} for x in LARGE), tuple(ours), holds_when=parts).word is Word.HOLDS


def test_a_ceiling_of_no_part_is_an_error_that_names_both():
    with pytest.raises(InputError, match=r"'perfect' of toy.mean measured \['x'\], .* judges \['value'\]"):
        under(tuple({"x": x} for x in LARGE))


def test_pairs_have_a_ceiling_of_arrays_or_of_numbers():
    pairs = Pairs(lambda a, b: float(a["x"][0] * b["x"][0]))

    def vectors(values):
        return {seed: Measurement(arrays={"x": np.array([value])}) for seed, value in enumerate(values)}

    ours = vectors(LARGE)
    assert under(vectors(SMALL), ours, statistic=pairs).word is Word.INVALID
    assert under(SMALL, ours, statistic=pairs).word is Word.INVALID
    assert under(vectors(LARGE), ours, statistic=pairs).word is Word.HOLDS


def test_a_hit_rate_has_a_ceiling_of_hits_or_of_the_share_of_hits():
    changes = dict(holds_when=AtLeast(0.6), statistic=HitRate())
    assert under((0, 0, 0, 0, 0), (1, 1, 1, 1, 1), **changes).word is Word.INVALID
    assert under((1, 0, 0, 0, 0), (0, 0, 0, 0, 0), **changes).word is Word.REFUTED  # .66 is not excluded
    assert under((0.3, 0.2, 0.4, 0.3, 0.0), (0, 0, 0, 0, 0), **changes).word is Word.INVALID


def test_a_ceiling_is_judged_on_the_seeds_of_the_claim():
    ours = {**measured(*LARGE[:4]), 4: Measurement(math.nan)}
    ceiling = (2.0, 2.1, 2.05, 1.9, -1e6)
    assert under(ceiling, ours).ceilings[0].parts[0].low > 1
    gate = GateResult("toy.gate", "dice", "≥ 0", True, {}, (4,))
    assert under(ceiling, LARGE, [gate]).ceilings[0].parts[0].low > 1


def test_a_ceiling_is_part_of_what_is_declared():
    """To drop one, or to measure it another way, is an edit of the claim, which the ledger shows."""
    swapped = Ceiling("perfect", PERFECT.why, swap={"network": "planted"})
    without, one, other = (declare(controls=[NOTHING, *own]) for own in ([], [PERFECT], [swapped]))
    assert "ceilings" not in without.declaration
    assert one.declaration["ceilings"] == "perfect (nothing)"
    assert other.declaration["ceilings"] == "perfect (network=planted)"
    assert len({each.declaration_hash for each in (without, one, other)}) == 3


def test_a_broken_gate_comes_first():
    gate = GateResult("toy.gate", "dice", "≥ 0", False, {}, (4,))
    verdict = under(SMALL, LARGE, [gate])
    assert (verdict.reason, verdict.ceilings) == ("gate toy.gate failed on dice seeds 4", ())
