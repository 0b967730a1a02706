"""What the user of a run asked for."""

from dataclasses import dataclass
from pathlib import Path

from energylens.harness.compare.ledger import Mode

PARTIAL_REPORTS = Path(".energylens", "last-run")
"""Where a run that does not cover every declared claim leaves its report."""


@dataclass(frozen=True)
class Options:
    """Models, seeds and store of a run, and where claims, ledger and reports are.

    models: "NAME=PATTERN" of the user's own checkpoints. seeds: take only the first so many of the declared ones.
    """

    models: tuple[str, ...]
    seeds: int | None
    store: str | None
    ledger: Mode
    report_dir: Path | None
    claims_folder: Path
    ledger_path: Path
    reports_folder: Path
