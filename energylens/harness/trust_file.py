"""Measurements of the harness itself, as a report reads them: trust.json, and runs on other machines."""

import json
from pathlib import Path
from typing import Any

from energylens.errors import InputError
from energylens.harness.compare.replications import REPLICATIONS, read_replications

TRUST_FILE = "trust.json"
"""File name, beside results.json in the folder of reports."""


def read_sections(folder: Path) -> dict[str, Any]:
    """All sections on trust in a folder of reports: those of trust.json, and runs on other machines."""
    lines = read_replications(folder / REPLICATIONS)
    sections = read_trust(folder / TRUST_FILE)
    if lines:
        latest = max(lines, key=lambda line: str(line["at"]))
        sections["replication"] = {
            "numbers": {"lines": lines},
            "started": latest["at"],
            "seconds": 0.0,
            "commit": latest["commit"],
            "dirty": False,
        }
    return sections


def read_trust(path: Path) -> dict[str, Any]:
    """Sections by name; none where there is no such file yet. Errors: InputError for any other file."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict) or not all(
        isinstance(each, dict) and "numbers" in each for each in found.values()
    ):
        raise InputError(f"{path} does not hold sections with numbers, got {str(found)[:80]!r}")
    return found
