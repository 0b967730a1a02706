"""Broken instruments, and the control of every claim that has to notice them: `pytest claims/sabotaged.py -n 2`.

Every row of the families' tables (`sabotage.py` beside their claims) breaks something that a measure shares with its
controls. Then a gate has to make the verdict INVALID, or a null has to come out like the claim, which so holds by
chance too. A row that goes unnoticed fails, and so does a control of the cpu tier that no row tries.
"""

from pathlib import Path

import pytest

from energylens.trust.sabotage.broken_instruments import SEEDS, in_truth, read_tables, tried, untried
from energylens.trust.sabotage.trial import Bench

CLAIMS = Path(__file__).parent
TABLES = read_tables(CLAIMS)


@pytest.fixture(scope="session")
def bench(lab, pytestconfig):
    from energylens.plugin.stash import SESSION

    shared_by_workers = pytestconfig.stash[SESSION].run_path / "intact"
    return Bench(CLAIMS, lab, shared_by_workers)


@pytest.mark.parametrize("sabotage", TABLES.sabotages, ids=lambda sabotage: sabotage.name)
def test_is_noticed(sabotage, bench):
    wrong = [str(outcome) for outcome in tried(sabotage, bench) if not outcome.noticed]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("row", TABLES.in_truth)
def test_shows_with_nothing_broken(row, bench):
    wrong = [str(each) for each in in_truth({row: TABLES.in_truth[row]}, SEEDS, bench) if not each.before]
    assert not wrong, f"a sabotage could prove these now: {wrong}"


def test_every_control_is_tried(bench):
    assert not untried(bench, [TABLES.in_truth, *(sabotage.notices for sabotage in TABLES.sabotages)])
