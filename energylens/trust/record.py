"""The file of measurements of the harness itself, by section, from which the report is rendered."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from energylens.errors import InputError
from energylens.harness.json_values import write_json
from energylens.harness.provenance import provenance
from energylens.harness.trust_file import read_trust

SECTIONS = {
    "calibration": "simulated claims with known truth: wrong verdicts, coverage, power",
    "store": "processes killed while they race for an artifact, damaged files, full disks",
    "same-answer": "one process or two, any order, interrupted: identical verdicts (needs the networks)",
    "sabotage": "every control and gate against a broken instrument (needs the networks)",
}
"""Sections that `energylens trust` can measure, with a short description."""


def measure_trust(name: str, progress: Callable[[str], None]) -> dict[str, Any]:
    """Run one section at its full size. Errors: InputError for an unknown name."""
    if name not in SECTIONS:
        raise InputError(f"there is no section {name!r}; choose from {', '.join(SECTIONS)}")
    return _run_of(name)(progress)


def _run_of(name: str) -> Callable[[Callable[[str], None]], dict[str, Any]]:
    """The function that measures a section; only its own module is imported."""
    if name == "calibration":
        from energylens.trust.calibration.wrong_words import run
    elif name == "store":
        from energylens.trust.store_faults.faults import run
    elif name == "same-answer":
        from energylens.trust.same_answer import run
    else:
        from energylens.trust.sabotage.broken_instruments import run
    return run


def record_trust(
    path: Path, name: str, measure: Callable[[], Mapping[str, Any]], root: Path
) -> dict[str, Any]:
    """Measure a section, and keep numbers, commit, versions, machine and seconds under `name` in the file `path`."""
    made_by, started, before = provenance(root), datetime.now(UTC), perf_counter()
    numbers = dict(measure())
    section = {
        "numbers": numbers,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(perf_counter() - before, 1),
        "commit": made_by["commit"],
        "dirty": made_by["dirty"],
        "cpu": made_by["cpu"],
    }
    write_json(path, read_trust(path) | {name: section})
    return section
