"""Record of the edits that a full run accepts, written when the ledger is updated."""

from collections.abc import Mapping
from typing import Any

from energylens.harness.compare.amendments import AMENDMENTS, add_amendments, amendments_of
from energylens.harness.compare.ledger import Mode
from energylens.run.session import Session


def record_amendments(results: Mapping[str, Any], session: Session) -> list[dict[str, Any]]:
    """All edits so far; with `--ledger=update`, edits whose rows this full run rewrites are added to the file."""
    accepted = amendments_of(results, session.ledger) if session.options.ledger is Mode.UPDATE else []
    return add_amendments(session.options.reports_folder / AMENDMENTS, accepted)
