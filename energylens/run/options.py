"""The options of a run."""

from dataclasses import dataclass
from pathlib import Path

from energylens.harness.compare.ledger import Mode

PARTIAL_REPORTS = Path(".energylens", "last-run")
"""Folder for the report of a run that does not cover every declared claim."""


@dataclass(frozen=True)
class Options:
    """Models, seeds and store of a run, and where claims, ledger and reports are.

    models: "NAME=PATTERN" of the user's own checkpoints. seeds: number of declared seeds to measure, None for all.
    """

    models: tuple[str, ...]
    seeds: int | None
    store: str | None
    ledger: Mode
    report_dir: Path | None
    claims_folder: Path
    ledger_path: Path
    reports_folder: Path
