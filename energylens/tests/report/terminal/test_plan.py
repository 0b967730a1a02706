"""A plan in words: every number stands in its sentence, and what can't be told is said."""

import math
from dataclasses import replace

from energylens.harness.compare.plan import Need, Row
from energylens.report.terminal.plan import plan_text

OPEN = Row(
    "dice", "x", "value", "INCONCLUSIVE", region="≥ 1", boundaries=(1.0,), n=5, declared=8, estimate=1.2,
    scale="linear", sd=0.4, distance=0.2, distance_sd=0.5, same=Need(13, (7, 63)), powered=Need(26, (12, None)),
    decides=[(-math.inf, 0.6), (1.4, math.inf)],
)  # fmt: skip


def test_every_number_stands_in_its_sentence() -> None:
    told = plan_text([OPEN], 0.8)
    assert told.splitlines()[:6] == [
        "dice, x: INCONCLUSIVE",
        "  estimate 1.2 from 5 seeds, standard deviation of a seed 0.4; region ≥ 1",
        "  0.2 (0.5 standard deviations) to the nearest boundary",
        "  would decide at the same estimate and spread: about 13 seeds (7 to 63)",
        "  would decide with 80 % power: about 26 seeds (12 to more than 1000)",
        "  8 declared seeds decide with 80 % power at true values ≤ 0.60 or ≥ 1.40",
    ]
    assert "90 %" in told


def test_what_is_decided_or_can_not_be_is_said() -> None:
    decided = replace(OPEN, word="HOLDS", same=None, powered=None, decides=[])
    told = plan_text([decided, Row("coin", "", "rate", "NOT RUN", reason="no coin")], 0.8)
    assert "decided: no further seeds are needed" in told
    assert "8 declared seeds decide with 80 % power at no true value" in told
    assert told.endswith("coin, rate: NOT RUN: no coin")


def test_hopeless_and_ranges_between_two_boundaries() -> None:
    row = replace(
        OPEN, boundaries=(0.0, 1.0), same=Need(None, (None, None)), powered=Need(None, None), scale="fisher z",
        decides=[(-math.inf, -0.1), (0.3, 0.4), (1.1, math.inf)], distance_sd=math.inf,
    )  # fmt: skip
    told = plan_text([row], 0.9)
    assert "spread: more than 1000 seeds\n" in told
    assert "with 90 % power: more than 1000 seeds\n" in told
    assert "true values ≤ −0.10, 0.30 … 0.40 or ≥ 1.10" in told
    assert "0.4 in Fisher's z" in told
    assert "(more than 100 standard deviations)" in told
