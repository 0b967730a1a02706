"""Words, letters and colours of claim cases in pytest's own output."""

from collections.abc import Mapping
from typing import Any

import pytest

from energylens.harness.compare.ledger import Status
from energylens.harness.verdict import Word

MEASURED = "measured"
"""Outcome of a case that measured one seed."""

_LETTERS = {
    Word.HOLDS: ("holds", "H", {"green": True}),
    Word.REFUTED: ("refuted", "R", {"red": True}),
    Word.INCONCLUSIVE: ("inconclusive", "?", {"yellow": True}),
    Word.INVALID: ("invalid", "X", {"purple": True}),
    Word.NOT_RUN: ("not run", "N", {"blue": True}),
}

NOT_REPLICATED = {"white": True, "Purple": True, "bold": True}
"""Colours of a verdict whose estimates lie too far from the recorded ones."""

Outcome = tuple[str, str, str | tuple[str, Mapping[str, bool]]]


def attach(report: pytest.TestReport, outcome: Mapping[str, Any]) -> None:
    """Put the outcome of a claim case on its pytest report, in JSON types, which workers can send."""
    report.energylens = dict(outcome)  # type: ignore[attr-defined]


def status_of(report: pytest.TestReport) -> Outcome | None:
    """pytest's (category, letter, word) for a claim case; None for everything else."""
    outcome = getattr(report, "energylens", None)
    if outcome is None or report.when != "call":
        return None
    if outcome.get("error"):
        return "error", "E", ("ERROR", {"red": True})
    if outcome["word"] == MEASURED:
        return "passed", "·", ("MEASURED", {"cyan": True})
    category, letter, markup = _LETTERS[Word(outcome["word"])]
    one = " for this network" if outcome["told"] != outcome["word"] else ""
    category, text = category + one, ", ".join([outcome["told"], *outcome["qualifiers"]])
    if not one and outcome["status"] != Status.SAME:
        text += f" ({outcome['status']})"
    if outcome["status"] == Status.NOT_REPLICATED:
        markup = NOT_REPLICATED
    if report.failed:
        return "failed", letter, (text, {"red": True, "bold": True})
    return category, letter, (text, markup)
