import math
import tomllib
from pathlib import Path

import pytest

from energylens import AtLeast
from energylens.errors import InputError
from energylens.harness.compare.amendments import amendments_of
from energylens.harness.compare.ledger import (
    Mode,
    Status,
    compare,
    controls_digest,
    read_ledger,
    updated,
    write_ledger,
)
from energylens.harness.json_values import plain
from energylens.harness.judge import judge
from energylens.harness.results import describe_claim
from energylens.tests.harness.helpers import declare, measured

RUN = {"started": "2026-01-02T03:04:05+00:00", "provenance": {"commit": "c" * 40}}
LARGE = (2.0, 2.1, 1.9, 2.05, 1.95)
SMALL = (0.0, 0.1, -0.1, 0.05, -0.05)
BETWEEN = (0.5, 1.5, 1.0, 1.2, 0.8)


def results(values, **changes):
    claim = declare(**changes)
    verdict = judge(claim, "dice", "", measured(*values))
    return {"claims": [describe_claim(claim, Path("/"))], "verdicts": [plain(verdict)]}


def row(values, **changes):
    return updated({}, results(values, **changes), complete=True)["toy.mean/dice"]


def against(recorded, now, mode=Mode.CHECK, **changes):
    found = results(now, **changes)
    return compare(found["verdicts"][0], found["claims"][0], recorded, mode)


@pytest.mark.parametrize(
    ("recorded", "now", "status", "red", "red_when_strict"),
    [
        (LARGE, LARGE, Status.SAME, False, False),
        (SMALL, SMALL, Status.SAME, False, False),
        (LARGE, SMALL, Status.FLIP, True, True),
        (SMALL, LARGE, Status.FLIP, True, True),
        (LARGE, BETWEEN, Status.DRIFT, False, True),
        (BETWEEN, SMALL, Status.DRIFT, False, True),
    ],
)
def test_flip_is_red_and_drift_is_shown(recorded, now, status, red, red_when_strict):
    comparison = against(row(recorded), now)
    assert (comparison.status, comparison.red) == (status, red)
    assert against(row(recorded), now, Mode.STRICT).red is red_when_strict
    assert against(row(recorded), now, Mode.IGNORE).red is False


@pytest.mark.parametrize(("timed", "status"), [(False, Status.NOT_REPLICATED), (True, Status.SAME)])
def test_numbers_of_the_machine_itself_replicate_nothing(timed, status):
    found = results(tuple(x + 5 for x in LARGE), timed=timed)
    found["verdicts"][0]["machine"] = "there"
    recorded = row(LARGE, timed=timed) | {"machine": "here"}
    assert compare(found["verdicts"][0], found["claims"][0], recorded, Mode.CHECK).status == status


def elsewhere(shift, **verdict):
    """A run on another machine, all seeds moved by so many standard errors of the difference, and its comparison."""
    recorded = row(LARGE) | {"machine": "here"}
    by = shift * 2**0.5 * recorded["standard_errors"]["value"]
    found = results(tuple(x + by for x in LARGE))
    found["verdicts"][0] |= {"machine": "there"} | verdict
    return compare(found["verdicts"][0], found["claims"][0], recorded, Mode.CHECK)


@pytest.mark.parametrize(
    ("z", "status"),
    [
        (3.29, Status.SAME),
        (-3.29, Status.SAME),
        (3.31, Status.NOT_REPLICATED),
        (-3.31, Status.NOT_REPLICATED),
    ],
)
def test_beyond_3_3_standard_errors_an_estimate_does_not_replicate_whatever_its_word(z, status):
    comparison = elsewhere(z)
    assert (comparison.status, comparison.red) == (status, False)
    assert comparison.z["value"] == pytest.approx(z, rel=1e-4)


@pytest.mark.parametrize("changes", [{"partial": True}, {"data": "bbbb"}])
def test_fewer_seeds_and_other_data_replicate_nothing(changes):
    comparison = elsewhere(50, **changes)
    assert (comparison.status, comparison.z) == (Status.SAME, {})


def test_what_is_timed_differs_from_run_to_run_and_is_red_in_strict_mode_only():
    comparison = against(row(LARGE, timed=True), SMALL, timed=True)
    assert (comparison.status, comparison.red, comparison.z) == (Status.DIFFERS, False, {})
    assert "HOLDS -> REFUTED" in comparison.message
    assert "timed again" in comparison.message
    assert against(row(LARGE, timed=True), SMALL, Mode.STRICT, timed=True).red


def test_a_flip_on_other_data_is_drift_and_says_so():
    def on(values, data):
        found = results(values)
        found["verdicts"][0]["data"] = data
        return found

    recorded = updated({}, on(LARGE, "aaaa"), complete=True)["toy.mean/dice"]
    for data, status, red in (("aaaa", Status.FLIP, True), ("bbbb", Status.DRIFT, False)):
        now = on(SMALL, data)
        comparison = compare(now["verdicts"][0], now["claims"][0], recorded, Mode.CHECK)
        assert (comparison.status, comparison.red) == (status, red)
    assert "aaaa -> bbbb" in comparison.message
    assert compare(now["verdicts"][0], now["claims"][0], recorded, Mode.STRICT).red
    assert "data" not in row(LARGE)


def test_a_flip_prints_old_and_new_interval():
    message = against(row(LARGE), SMALL).message
    assert "HOLDS -> REFUTED" in message
    assert "2 [1.925, 2.075] -> 0 [-0.07" in message
    assert "≥ 1" in message


def test_an_edited_declaration_is_amended_with_its_diff():
    comparison = against(row(LARGE), SMALL, holds_when=AtLeast(-1.0), seeds=range(6))
    assert (comparison.status, comparison.red) == (Status.AMENDED, False)
    assert "region: 'value: ≥ 1' -> 'value: ≥ -1'" in comparison.message
    assert "seeds: '0, 1, 2, 3, 4' -> '0, 1, 2, 3, 4, 5'" in comparison.message
    assert against(row(LARGE), SMALL, Mode.STRICT, seeds=range(6)).red


@pytest.mark.parametrize(("values", "red"), [(LARGE, False), (BETWEEN, False), (SMALL, True)])
def test_an_unrecorded_claim_fails_when_refuted(values, red):
    comparison = against(None, values)
    assert (comparison.status, comparison.red) == (Status.UNRECORDED, red)


def test_a_users_checkpoint_is_never_red_and_never_recorded():
    found = results(SMALL)
    found["verdicts"][0]["own_checkpoint"] = True
    assert not compare(found["verdicts"][0], found["claims"][0], row(LARGE), Mode.STRICT).red
    assert updated({}, found, complete=True) == {}


def test_partial_runs_are_not_recorded():
    found = results(LARGE)
    found["verdicts"][0]["partial"] = True
    assert updated({}, found, complete=False) == {}


def test_only_a_complete_run_forgets_vanished_claims():
    old = {"gone/dice": row(SMALL)}
    assert "gone/dice" in updated(old, results(LARGE), complete=False)
    assert "gone/dice" not in updated(old, results(LARGE), complete=True)


def test_a_complete_run_of_the_cpu_tier_keeps_what_larger_tiers_declare():
    old = {"large/dice": row(LARGE), "gone/dice": row(SMALL)}
    found = updated(old, results(LARGE), complete=True, declared=["large/dice"])
    assert found.keys() == {"large/dice", "toy.mean/dice"}


def test_round_trip_through_toml(tmp_path):
    path = tmp_path / "claims" / "ledger.toml"
    rows = {"toy.mean/dice": row(LARGE)}
    write_ledger(path, rows, {"python": "3.11"})
    assert read_ledger(path) == rows
    assert tomllib.loads(path.read_text())["environment"] == {"python": "3.11"}
    assert list(path.parent.iterdir()) == [path]


def test_nan_estimates_survive(tmp_path):
    path = tmp_path / "ledger.toml"
    write_ledger(path, {"toy.mean/dice": row((float("nan"), 1.0))}, {})
    assert str(read_ledger(path)["toy.mean/dice"]["estimates"]["value"][0]) == "nan"


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "ledger.toml"
    path.write_text("[[[")
    with pytest.raises(InputError, match=r"ledger\.toml"):
        read_ledger(path)
    assert read_ledger(tmp_path / "none.toml") == {}


def with_measure(found, measure):
    """The same run, by code of this hash; of none where it is empty."""
    claim = declare()
    return found | {"claims": [describe_claim(claim, Path("/"), measure)]}


def measured_by(values, measure, recorded, mode=Mode.CHECK):
    found = with_measure(results(values), measure)
    return compare(found["verdicts"][0], found["claims"][0], recorded, mode)


@pytest.mark.parametrize("before", ["", "aaaa"])
@pytest.mark.parametrize("mode", [Mode.CHECK, Mode.STRICT])
def test_another_measure_that_leaves_every_number_is_accepted_silently(before, mode):
    nothing_defined = (float("nan"), *LARGE[1:])
    for values in (LARGE, BETWEEN, nothing_defined):
        recorded = updated({}, with_measure(results(values), before), complete=True)["toy.mean/dice"]
        comparison = measured_by(values, "bbbb", recorded, mode)
        assert (comparison.status, comparison.red, comparison.message) == (Status.SAME, False, "")


@pytest.mark.parametrize("before", ["", "aaaa"])
@pytest.mark.parametrize(
    "now", [SMALL, BETWEEN, (*LARGE[1:], LARGE[0] + 1e-4), (2.0, 2.2, 1.8, 2.05, 1.95)]
)  # the last has the same mean, and a wider interval
def test_another_measure_with_other_numbers_is_amended(before, now):
    recorded = updated({}, with_measure(results(LARGE), before), complete=True)["toy.mean/dice"]
    comparison = measured_by(now, "bbbb", recorded)
    assert (comparison.status, comparison.red) == (Status.AMENDED, False)
    assert comparison.message.startswith("amended: measure of toy.mean/dice: HOLDS -> ")
    assert "2 [1.925, 2.075] -> " in comparison.message
    assert f"measure: '{before}' -> 'bbbb'" in comparison.message
    assert measured_by(now, "bbbb", recorded, Mode.STRICT).red


def with_controls(found, null=1.0, beside=1.0, ceiling=3.0):
    """Results whose verdicts have a null that qualifies, one that is printed only, and a ceiling."""

    def control(name, value, **more):
        numbers = {"part": "value", "estimate": value, "low": value - 0.1, "high": value + 0.1}
        return {"name": name, "parts": [numbers], **more}

    nulls = [control("chance", null, qualifies=True), control("beside", beside, qualifies=False)]
    found["verdicts"][0] |= {"nulls": nulls, "ceilings": [control("perfect", ceiling)]}
    return found


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, Status.SAME),
        ({"beside": 2.0}, Status.SAME),
        ({"null": 1.001}, Status.AMENDED),
        ({"ceiling": 3.001}, Status.AMENDED),
        ({"null": math.nan}, Status.AMENDED),
        ({"null": 1.0 + 1e-9}, Status.SAME),
    ],
)
def test_another_measure_that_moves_a_control_is_amended(changed, status):
    """What is better than chance, and what is in reach, rests on these numbers."""
    recorded = updated({}, with_controls(with_measure(results(LARGE), "aaaa")), complete=True)[
        "toy.mean/dice"
    ]
    found = with_controls(with_measure(results(LARGE), "bbbb"), **changed)
    assert compare(found["verdicts"][0], found["claims"][0], recorded, Mode.CHECK).status is status
    older = {name: value for name, value in recorded.items() if name != "controls"}
    assert compare(found["verdicts"][0], found["claims"][0], older, Mode.CHECK).status is Status.SAME
    (line, *_) = amendments_of(found | RUN, {"toy.mean/dice": recorded}) or [{"rows": {}}]
    moved = [pair["controls"] for pair in line["rows"].values()]
    assert moved == [[recorded["controls"], controls_digest(found["verdicts"][0])]] * (
        status is Status.AMENDED
    )


def test_another_measure_that_changes_what_chance_does_is_amended():
    """Word and numbers are those of the record; that a null does as well is new."""
    recorded = updated({}, with_measure(results(LARGE), "aaaa"), complete=True)["toy.mean/dice"]
    found = with_measure(results(LARGE), "bbbb")
    found["verdicts"][0]["qualifiers"] = ["by chance too"]
    comparison = compare(found["verdicts"][0], found["claims"][0], recorded, Mode.CHECK)
    assert comparison.status is Status.AMENDED
    assert "HOLDS -> HOLDS, by chance too" in comparison.message


def test_the_same_measure_with_other_numbers_still_flips():
    recorded = updated({}, with_measure(results(LARGE), "aaaa"), complete=True)["toy.mean/dice"]
    assert recorded["declaration"]["measure"] == "aaaa"
    assert measured_by(SMALL, "aaaa", recorded).status is Status.FLIP


def test_the_measure_is_part_of_what_is_recorded_and_hashed():
    claim = declare()
    first, second = (describe_claim(claim, Path("/"), measure) for measure in ("aaaa", "bbbb"))
    assert first["declaration_hash"] != second["declaration_hash"] != claim.declaration_hash
    assert "measure" not in claim.declaration
    assert describe_claim(claim, Path("/"))["declaration_hash"] == claim.declaration_hash
