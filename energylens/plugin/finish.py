"""The end of a session: results.json, report, ledger, and the table in the terminal."""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from energylens.harness.history import HISTORY, append_history, history_line
from energylens.harness.ledger import Mode, Status, updated, write_ledger
from energylens.harness.provenance import provenance
from energylens.harness.replication import NOTABLE, share_beyond
from energylens.harness.results import ERROR, NOT_SELECTED, assemble, write_results
from energylens.harness.verdict import Word
from energylens.plugin.amendments import record_amendments
from energylens.plugin.basis import add_basis
from energylens.plugin.options import PARTIAL_REPORTS
from energylens.plugin.outcome import NOT_REPLICATED
from energylens.plugin.session import ClaimSession
from energylens.trust.record import read_sections

WRITTEN = pytest.StashKey[dict[str, Any]]()
"""What `finish` wrote: results and folder, for the terminal summary."""


def finish(config: pytest.Config, session: ClaimSession, started: float, interrupted: bool) -> None:
    """Write what this run found. A run that was cut short keeps what it measured, beside the full report."""
    if not session.run.has_results():
        return
    results = assemble(
        session.run,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        seconds=round(time.time() - started, 1),
        interrupted=interrupted,
        selection={
            "markers": config.option.markexpr, "keywords": config.option.keyword, "seeds": session.options.seeds,
            "models": list(session.options.models), "paths": [str(argument) for argument in config.args],
        },
        provenance=provenance(session.root)
        | session.run.notes("environment")
        | {"artifacts": {key: each["label"] for key, each in session.run.notes("artifact").items()}},
    )  # fmt: skip
    add_basis(results, session)
    complete = is_complete(results)
    folder = session.options.report_dir or (
        session.options.reports_folder if complete else session.root / PARTIAL_REPORTS
    )
    results["complete"] = complete
    write_results(folder / "results.json", results)
    history = _history(results, folder, session)
    if session.options.ledger is Mode.UPDATE:
        rows = updated(session.ledger, results, complete, declared=session.run.notes("row"))
        write_ledger(session.options.ledger_path, rows, _environment(results["provenance"]))
    from energylens.report import write_report

    write_report(
        results, folder, history, read_sections(session.options.reports_folder) if history else {},
        record_amendments(results, session) if history else [],
    )  # fmt: skip
    config.stash[WRITTEN] = {"results": results, "folder": folder}


def _history(results: Mapping[str, Any], folder: Path, session: ClaimSession) -> list[dict[str, Any]]:
    """All full runs so far, where this one is full and goes into the project's reports: then it is recorded."""
    if not results["complete"] or folder.resolve() != session.options.reports_folder.resolve():
        return []
    line = history_line(results)
    append_history(folder / HISTORY, line)
    return [*session.history, line]


def is_complete(results: Mapping[str, Any]) -> bool:
    """Whether every declared verdict of the `cpu` tier was reached with all its seeds, on the declared models."""
    tier = {claim["id"]: claim["tier"] for claim in results["claims"]}
    rows = [verdict for verdict in results["verdicts"] if tier[verdict["claim"]] == "cpu"]
    reached = all(v["word"] not in (Word.NOT_RUN, ERROR) and not v["partial"] for v in rows)
    return reached and not results["interrupted"] and not results["selection"]["models"]


def show(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The verdict table and where the report is."""
    written = config.stash.get(WRITTEN, None)
    if written is None:
        return
    from energylens.report import terminal_table
    from energylens.report.text import clean_lines

    results, folder = written["results"], written["folder"]
    shown = [verdict for verdict in results["verdicts"] if verdict["reason"] != NOT_SELECTED]
    claims = {verdict["claim"] for verdict in shown}
    selected = {**results, "verdicts": shown, "claims": [c for c in results["claims"] if c["id"] in claims]}
    terminal.section("claims", "=")
    writer = config.get_terminal_writer()
    terminal.write_line(terminal_table(selected, width=writer.fullwidth, color=writer.hasmarkup))
    if hidden := len(results["verdicts"]) - len(shown):
        terminal.write_line(f"{hidden} declared verdicts were {NOT_SELECTED}")
    for verdict in shown:
        comparison = verdict["ledger"]
        if comparison and comparison["message"] and not comparison["red"]:
            markup = NOT_REPLICATED if comparison["status"] == Status.NOT_REPLICATED else {"yellow": True}
            message = comparison["message"].removeprefix(f"{comparison['status']}: ")
            terminal.write_line(clean_lines(f"{comparison['status']}: {message}"), **markup)
    if told := _replication(shown):
        terminal.write_line(told)
    path = _shown(folder / "results.json", config.rootpath)
    if any((verdict["ledger"] or {}).get("z") for verdict in shown):
        terminal.write_line(f"what replicates: energylens replicate HEAD {path}")
    if any((verdict["ledger"] or {}).get("status") in (Status.FLIP, Status.DRIFT) for verdict in shown):
        terminal.write_line(f"what may have changed them: energylens diff HEAD {path}")
    terminal.write_line(f"report: {_shown(folder / 'VALIDATION.md', config.rootpath)}")


def _replication(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """How a run on other artifacts, or another machine, compares with the recorded one; empty for no such run."""
    compared = [v["ledger"] for v in verdicts if v["ledger"] and v["ledger"]["z"]]
    if not compared:
        return ""
    counts = Counter(each["status"] for each in compared)
    z = [float(value) for each in compared for value in each["z"].values()]
    known = [value for value in z if not math.isnan(value)]
    notable = f"{100 * share_beyond(known):.1f} % of {len(known)} estimates" if known else "no estimate is"
    return (
        f"another machine or other artifacts than recorded: of {len(compared)} verdicts "
        f"{counts[Status.DIFFERS]} differ here, {counts[Status.NOT_REPLICATED]} do not replicate; {notable} more than "
        f"{NOTABLE:g} standard errors away"
    )


def _shown(path: Path, root: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(root) if resolved.is_relative_to(root) else resolved)


def _environment(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "python": found["python"],
        "platform": found["platform"],
        "cpu": found["cpu"],
        **found["packages"],
    }
