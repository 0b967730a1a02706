"""The summary at the end of a pytest session: verdicts, differences from the ledger, the place of the report."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from energylens.harness.compare.ledger import Status
from energylens.harness.compare.replication import NOTABLE, share_beyond
from energylens.harness.results import NOT_SELECTED
from energylens.plugin.outcome import NOT_REPLICATED
from energylens.run.finish import Finished


def show(terminal: pytest.TerminalReporter, config: pytest.Config, finished: Finished) -> None:
    """Print the summary of a finished run."""
    from energylens.report import terminal_table
    from energylens.report.content.readable import clean_lines

    results, folder = finished.results, finished.folder
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
        terminal.write_line(f"compare with the recorded run: energylens replicate HEAD {path}")
    if any((verdict["ledger"] or {}).get("status") in (Status.FLIP, Status.DRIFT) for verdict in shown):
        terminal.write_line(f"possible causes of changed verdicts: energylens diff HEAD {path}")
    terminal.write_line(f"report: {_shown(folder / 'VALIDATION.md', config.rootpath)}")


def _replication(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on how a run on another machine, or on other artifacts, compares with the record; else empty."""
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
