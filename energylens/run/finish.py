"""The end of a run: results.json, timings.json, report and ledger."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from energylens.harness.compare.history import HISTORY, append_history, history_line, is_news
from energylens.harness.compare.ledger import Mode, compare, is_recorded, updated, write_ledger
from energylens.harness.json_values import plain
from energylens.harness.provenance import provenance
from energylens.harness.quiet import timed_claims
from energylens.harness.results import ERROR, assemble, write_results
from energylens.harness.trust_file import read_sections
from energylens.harness.verdict import Word, row_key
from energylens.run.amendments import record_amendments
from energylens.run.evidence import add_basis
from energylens.run.options import PARTIAL_REPORTS
from energylens.run.session import Session


@dataclass(frozen=True)
class Finished:
    """The outcome of a run: the content of results.json, and the folder of the report."""

    results: dict[str, Any]
    folder: Path


def finish(
    session: Session, selection: Mapping[str, Any], started: float, interrupted: bool
) -> Finished | None:
    """Write the results of a run, also of an interrupted one; None, and no file, for a run without any result.

    selection: how the user chose what to run, for results.json. started: seconds since the epoch.
    """
    if not session.run.has_results():
        return None
    results = results_of(session, selection, started, interrupted)
    add_basis(results, session)
    complete = is_complete(results)
    folder = session.options.report_dir or (
        session.options.reports_folder if complete else session.root / PARTIAL_REPORTS
    )
    results["complete"] = complete
    history = _history(results, folder, session)
    amendments = record_amendments(results, session) if history else []
    if session.options.ledger is Mode.UPDATE:
        _update_ledger(results, session)
    committed = write_results(folder / "results.json", results)
    from energylens.report import write_report

    trust = read_sections(session.options.reports_folder) if history else {}
    write_report(committed, folder, history, trust, amendments)
    return Finished(results, folder)


def _update_ledger(results: dict[str, Any], session: Session) -> None:
    """Record the verdicts; each of them is then compared with its own row, as the next run will compare it."""
    rows = updated(session.ledger, results, results["complete"], declared=session.run.notes("row"))
    write_ledger(session.options.ledger_path, rows, _environment(results["provenance"]))
    claims = {claim["id"]: claim for claim in results["claims"]}
    for verdict in filter(is_recorded, results["verdicts"]):
        row = rows[row_key(verdict["claim"], verdict["model"], verdict["variant"])]
        verdict["ledger"] = plain(compare(verdict, claims[verdict["claim"]], row, Mode.CHECK))


def results_of(
    session: Session, selection: Mapping[str, Any], started: float, interrupted: bool
) -> dict[str, Any]:
    """The content of results.json without the basis of verdicts; see `finish`."""
    return assemble(
        session.run,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        seconds=round(time.time() - started, 1),
        interrupted=interrupted,
        selection={**selection, "seeds": session.options.seeds, "models": list(session.options.models)},
        provenance=provenance(session.root, session.options.reports_folder)
        | session.run.notes("environment")
        | {"artifacts": {key: each["label"] for key, each in session.run.notes("artifact").items()}},
    )


def _history(results: Mapping[str, Any], folder: Path, session: Session) -> list[dict[str, Any]]:
    """All full runs so far; this run is added if it is full, goes into the project's reports, and is news."""
    if not results["complete"] or folder.resolve() != session.options.reports_folder.resolve():
        return []
    line = history_line(results)
    if not is_news(line, session.history, timed_claims(results)):
        return session.history
    append_history(folder / HISTORY, line)
    return [*session.history, line]


def is_complete(results: Mapping[str, Any]) -> bool:
    """Whether every declared verdict of the `cpu` tier was reached with all its seeds, on the declared models."""
    tier = {claim["id"]: claim["tier"] for claim in results["claims"]}
    rows = [verdict for verdict in results["verdicts"] if tier[verdict["claim"]] == "cpu"]
    reached = all(v["word"] not in (Word.NOT_RUN, ERROR) and not v["partial"] for v in rows)
    return reached and not results["interrupted"] and not results["selection"]["models"]


def _environment(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "python": found["python"],
        "platform": found["platform"],
        "cpu": found["cpu"],
        **found["packages"],
    }
