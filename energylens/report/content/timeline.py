"""History of a claim's verdicts over full runs: estimates, changes of the word, amendments of the declaration."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from energylens.harness.compare.ledger import Status
from energylens.harness.verdict import AS_IT_MUST, Word, row_key
from energylens.report.content.amendments import amendments_tables
from energylens.report.content.entries import JSON, Entry, place
from energylens.report.content.readable import bold, count, link, table
from energylens.report.figures.interval_strips import Mark

TURNS_LISTED = 20
"""Number of changed verdicts that the report lists, the latest first."""

RUNS_DRAWN = 40
"""Number of runs, the last ones, that the figures of the history show."""


@dataclass(frozen=True)
class Track:
    """One verdict over time, by the number of the run. Runs without this verdict are left out.

    turns: (word before, word now) of runs whose verdict is not that of the run before. amended: runs with another
    declaration than the run before.
    """

    label: str
    marks: Mapping[int, Mark]
    turns: Mapping[int, tuple[str, str]]
    amended: tuple[int, ...]

    @property
    def defined(self) -> dict[int, Mark]:
        """The marks that have an estimate."""
        return {run: mark for run, mark in self.marks.items() if math.isfinite(mark.estimate)}


def tracks_of(entry: Entry, part: str, history: Sequence[JSON]) -> list[Track]:
    """One track for each verdict of the claim that some run has, in the order of declaration."""
    found = [_track(verdict, part, history) for verdict in entry.verdicts if not verdict["own_checkpoint"]]
    return [track for track in found if track.marks]


def is_flip(old: str, new: str) -> bool:
    """Whether two words differ and neither is INCONCLUSIVE; a change into or out of INCONCLUSIVE is drift."""
    return old != new and Word.INCONCLUSIVE not in (old, new)


def history_section(
    found: Sequence[Entry], history: Sequence[JSON], figures: Sequence[JSON], amendments: Sequence[JSON] = ()
) -> dict[str, Any] | None:
    """The context of `history.md.j2`; None without a history. figures: name and alternative text of each picture.

    amendments: lines of `amendments.jsonl`.
    """
    if not history:
        return None
    times = [str(run["at"])[:16].replace("T", " ") for run in history]
    turned = list(_turns(found, history))
    headers = ["run (UTC)", "commit", "claim", "model", "verdict", "change", "declaration"]
    return {
        "runs": len(history),
        "first": times[0],
        "last": times[-1],
        "turned": count(len(turned), "verdict changed", "verdicts changed"),
        "turns": table(headers, turned[:TURNS_LISTED]) if turned else None,
        "not_listed": max(0, len(turned) - TURNS_LISTED),
        "figures": figures,
        "amended": count(len(amendments), "edit"),
        "latest": amendments_tables(amendments)[:1],
        "earlier": amendments_tables(amendments)[1:],
    }


def _turns(found: Sequence[Entry], history: Sequence[JSON]) -> Iterator[list[Any]]:
    """Rows of the table of changed verdicts, the latest first."""
    tracks = [(entry, _track(verdict, "", history)) for entry in found for verdict in entry.verdicts]
    by_run = sorted(((run, e, t) for e, t in tracks for run in t.turns), key=lambda each: -each[0])
    for run, entry, track in by_run:
        old, new = track.turns[run]
        kind = Status.FLIP if is_flip(old, new) else Status.DRIFT
        amended = "amended" if run in track.amended else ""
        at, commit = str(history[run]["at"])[:16].replace("T", " "), history[run]["commit"][:9]
        yield [at, commit, link(entry.id), track.label, bold(f"{old} → {new}"), kind, amended]


def _track(verdict: JSON, part: str, history: Sequence[JSON]) -> Track:
    key = row_key(verdict["claim"], verdict["model"], verdict["variant"])
    rows = {run: found["rows"][key] for run, found in enumerate(history) if key in found["rows"]}
    runs = list(rows)
    turns, amended = {}, []
    for before, run in pairwise(runs):
        old, new = rows[before], rows[run]
        if old["word"] != new["word"]:
            turns[run] = (old["word"], new["word"])
        if old["declaration"] != new["declaration"]:
            amended.append(run)
    marks = {run: _mark(row, part) for run, row in rows.items() if part in row["parts"]}
    return Track(place(verdict), marks, turns, tuple(amended))


def _mark(row: JSON, part: str) -> Mark:
    """The mark of a part: coloured by the part's own word where the verdict was judged on numbers."""
    estimate, low, high, word = row["parts"][part]
    kind = AS_IT_MUST if AS_IT_MUST in row.get("qualifiers", ()) else row["word"]
    judged = kind in (Word.HOLDS, Word.REFUTED, Word.INCONCLUSIVE)
    return Mark("", word if judged else kind, float(estimate), float(low), float(high))
