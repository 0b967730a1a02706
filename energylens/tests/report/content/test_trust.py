import copy

import pytest

from energylens.report.content.trust import trust_section
from energylens.report.write import write_report
from energylens.tests.report.helpers.example import whole_report

RATE = {"rate": 0.049, "monte_carlo_error": 0.003}
LOW = {"rate": 0.01, "monte_carlo_error": 0.003}
CELL = {
    "population": "normal", "statistic": "mean", "seeds": 3, "repetitions": 4000, "keeps_level": True,
    "promised_coverage": [0.88, 0.92], "coverage": {"rate": 0.901, "monte_carlo_error": 0.005},
    "decisions": [
        {"region": "at least", "truth": "at the boundary", "holds": LOW, "refuted": RATE},
        {"region": "at most", "truth": "at the boundary", "holds": RATE, "refuted": LOW},
        {"region": "at least", "truth": "inside", "holds": {"rate": 0.9}, "refuted": {"rate": 0.0}},
    ],
}  # fmt: skip
COMPARED = {
    "wrong": "better than chance", "case": "ratios; null exact", "seeds": 3, "repetitions": 2000, "promised": True,
    "rate": 0.047, "monte_carlo_error": 0.004,
}  # fmt: skip
CURVE = {"seeds": 3, "decided": [0.1, 0.9], "x_at_80_percent": 1.7}
POWER = {
    "title": "one boundary", "x_label": "distance", "x": [0.0, 2.0], "curves": [CURVE],
    "simulated": [{"seeds": 3, "x": 1.0, "rate": 0.5, "monte_carlo_error": 0.01}],
}  # fmt: skip
NUMBERS = {
    "calibration": {
        "level": 0.05, "cells": [CELL, CELL | {"seeds": 5}],
        "comparisons": [COMPARED, COMPARED | {"seeds": 5, "rate": 0.031}],
        "power": [POWER], "broken_promises": [],
    },
    "sabotage": {
        "controls tried": 3, "noticed": 2, "noticed how": {"INVALID": 1, "by chance too": 1},
        "unnoticed": ["x | <b>y</b>"], "claims and controls proved": 2,
        "claims and controls that show with nothing broken": [], "claims and controls never tried": [],
        "broken instruments": {"leaky": "The answer | is in the prompt."},
    },
    "store": {
        "race": {
            "processes": 16, "rounds": 200, "kills": 2700, "kills_while_locked": 300, "corrupt_reads": 0,
            "lost_artifacts": 0, "half_written_artifacts": 0, "needless_rebuilds": 0, "stuck": 0, "errors": 0,
        },
        "violations_found_in_broken_stores": {"trusts": ["corrupt_reads"], "sleeps": []},
        "damage": {"injected": 1200, "detected": 1200, "set_aside": 1200, "rebuilt": 1200},
        "refusals": {"ENOSPC": {"attempts": 9, "refused": 8, "done": 1, "half_written": 0, "unclear": []}},
    },
    "same-answer": {
        "selection": "a or b", "left out": "times are",
        "layouts": {
            "two workers": {
                "verdicts": 8, "measurements": 40, "different verdicts": ["v"], "different measurements": [],
            }
        },
        "built again": {"network": {"identical": True}},
        "other thread count": {
            "network": "n", "threads": [1, 2], "largest difference of a weight": 1e-3, "same verdicts": True,
            "verdicts": {"c": []},
        },
    },
    "mutation": {
        "modules": {"stats/scale.py": {"mutants": 50, "tried": 40, "killed": 38, "survivors": {"equivalent": 2}}},
        "mutants": 50, "tried": 40, "killed": 38, "killed_share_of_tried": 0.95,
    },
}  # fmt: skip


@pytest.fixture
def trust():
    made = {
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 61.2,
        "commit": "abcdef1234567",
        "dirty": False,
    }
    return {name: {"numbers": copy.deepcopy(numbers), **made} for name, numbers in NUMBERS.items()}


def text_of(trust, title):
    (part,) = (part for part in trust_section(trust, {})["parts"] if title in part["title"])
    return "\n".join([*part["blocks"], part["measured"]])


def test_the_report_has_a_section_with_the_power_curves(results, trust, tmp_path):
    names = {path.relative_to(tmp_path).as_posix() for path in write_report(results, tmp_path, trust=trust)}
    assert {"figures/trust_power.png", "figures/trust_power.svg"} <= names
    written = whole_report(tmp_path)
    assert "## How far can you trust this report?" in written
    assert "(../figures/trust_power.svg)" in written
    write_report(results, tmp_path)
    assert "How far" not in whole_report(tmp_path)
    assert not (tmp_path / "figures" / "trust_power.png").exists()


def test_what_was_not_measured_is_named(trust):
    nowhere_else = "Do findings come out the same on another machine?"
    assert trust_section(trust, {})["missing"] == [nowhere_else]
    del trust["store"]
    missing = trust_section(trust, {})["missing"]
    assert nowhere_else in missing
    assert any("killed process" in title for title in missing)
    assert trust_section({}, {}) is None


def test_a_cell_shows_the_worst_of_all_regions_and_the_coverage(trust):
    text = text_of(trust, "verdict wrong")
    assert "4.9 %; 90.1 %" in text
    assert "No promise was broken" in text
    trust["calibration"]["numbers"]["broken_promises"] = ["normal, 3 seeds: covers .5"]
    assert "Promises broken: normal, 3 seeds" in text_of(trust, "verdict wrong")


def test_what_went_unnoticed_is_listed_and_escaped(trust):
    text = text_of(trust, "controls fail")
    assert "2 of 3 controls" in text
    assert "Controls that did not notice:\n\n- x \\| &lt;b&gt;y&lt;/b&gt;" in text


def test_violations_and_broken_stores_that_were_missed_are_told(trust):
    text = text_of(trust, "killed process")
    assert "16 processes" in text
    assert (
        "2 implementations of the store that were broken on purpose, the same race noticed 1: not sleeps"
        in text
    )
    trust["store"]["numbers"]["race"]["stuck"] = 7
    assert "| survivors that were stuck " in text_of(trust, "killed process")


def test_other_answers_are_told(trust):
    assert "identical" in text_of(trust, "Is the answer the same")
    trust["same-answer"]["numbers"]["other thread count"]["same verdicts"] = False
    trust["same-answer"]["numbers"]["built again"]["network"]["identical"] = False
    text = text_of(trust, "Is the answer the same")
    assert "OTHER verdicts" in text
    assert "DIFFERENT" in text


def test_mutants_are_counted(trust):
    text = text_of(trust, "mistake in the mathematics")
    assert "Of 40 copies of 1 module, each with one thing changed, drawn from 50, 38 fail" in text

    assert "95.0 %" in text
    assert "2 equivalent" in text


def test_commit_and_time_are_told(trust):
    assert "Measured 2026-01-02 at commit abcdef123, in 61 s." in text_of(trust, "controls fail")
    trust["sabotage"]["dirty"] = True
    assert "with uncommitted changes" in text_of(trust, "controls fail")


def test_wrong_words_about_nulls_have_a_table_and_records_without_it_are_still_told():
    measured = {"started": "2026-01-01", "commit": "", "dirty": False, "seconds": 9}
    calibration = {"calibration": measured | {"numbers": NUMBERS["calibration"]}}
    blocks = trust_section(calibration, {})["parts"][0]["blocks"]
    (told,) = [block for block in blocks if "said wrongly" in block]
    row = [cell.strip() for cell in told.splitlines()[2].split("|")[1:-1]]
    assert row == ["better than chance", "ratios; null exact", "5 %", "4.7 %", "3.1 %"]
    old = copy.deepcopy(calibration)
    del old["calibration"]["numbers"]["comparisons"]
    assert not any("said wrongly" in block for block in trust_section(old, {})["parts"][0]["blocks"])
