"""Edits of declarations and measures in a project's git history, since its first recorded ledger.

Recorded rows are read commit by commit. The code that measures a claim is hashed from the tree of the commit; its edit
counts from the first commit that measures the claim again, and only if a number moved then.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energylens.errors import InputError
from energylens.harness.compare.amendments import changes, move, moved, row_of
from energylens.harness.compare.repository import Commit, Repository, first_with
from energylens.harness.compare.revision import COMMITTED
from energylens.harness.declare.claim import MEASURE, without_measure
from energylens.harness.quiet import timed_claims
from energylens.harness.results import ERROR, parse_results
from energylens.harness.verdict import Word, row_key
from energylens.run.measured_code.definitions import SourceFile
from energylens.run.measured_code.measured import MeasuredCode

FULL = ("-full", "_full")
"""Suffixes that `in_full` adds to a claim's id, and to the name of its body."""

Rows = dict[str, dict[str, Any]]


@dataclass
class _State:
    """The record up to a commit: rows by key, declarations and bodies by claim, and the claims that it measured anew.

    ledger: its rows as they stand in the file. run: start (older files tell it), commit and rows of the last full run.
    """

    rows: Rows = field(default_factory=dict)
    declared: dict[str, Mapping[str, str]] = field(default_factory=dict)
    bodies: dict[str, tuple[str, str]] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    ledger: Mapping[str, Any] = field(default_factory=dict)
    run: tuple[str, str, Rows] = ("", "", {})

    def record(self, key: str, row: dict[str, Any], declaration: Mapping[str, str]) -> None:
        """Record a row that was measured, and hash its measuring code anew, since that code may have changed."""
        claim = key.partition("/")[0]
        self.rows[key] = row
        self.declared[claim] = without_measure(declaration)
        self.measured.add(claim)


@dataclass(frozen=True)
class _Reference:
    """The record of the last commit that measured a claim, with which the claim's next record is compared."""

    declared: Mapping[str, str]
    measure: str
    rows: Rows


def edits(
    folder: Path, ledger: str, progress: Callable[[int, int], None] = lambda done, of: None
) -> list[dict[str, Any]]:
    """Lines as of `amendments.jsonl`, the oldest first. ledger: its path below the folder.

    progress: called with the number of commits that were looked at, and of all. Errors: InputError outside of git and
    where no commit holds the ledger.
    """
    with Repository(folder) as repository:
        commits = list(first_with(repository.commits(ledger, COMMITTED), repository, ledger))
        if not commits:
            raise InputError(
                f"no commit in {folder.resolve()} holds {ledger}: record with `pytest --ledger=update`, and commit"
            )
        found: list[dict[str, Any]] = []
        references: dict[str, _Reference] = {}
        state = _State()
        parsed: dict[str, SourceFile] = {}
        for done, commit in enumerate(commits):
            progress(done, len(commits))
            state.measured = set()
            _read_ledger(state, repository.read(commit, ledger))
            _read_results(state, repository.read(commit, COMMITTED))
            code = MeasuredCode(_reader(repository, commit), parsed)
            found += _edits_in(commit, state, references, code)
        progress(len(commits), len(commits))
    return found


def _edits_in(
    commit: Commit, state: _State, references: dict[str, _Reference], code: MeasuredCode
) -> Iterator[dict[str, Any]]:
    """Edits of the claims that this commit records anew; its records become the next references."""
    for claim in sorted(state.measured):
        rows = {key: row for key, row in state.rows.items() if key.partition("/")[0] == claim}
        old = references.get(claim)
        now = _Reference(state.declared[claim], _measure(code, state, claim), rows)
        references[claim] = now
        if old is None:
            continue
        if not now.measure:  # unknown: the next that is known is compared with the last that was
            references[claim] = _Reference(now.declared, old.measure, rows)
        both = {key: (old.rows.get(key), rows.get(key)) for key in sorted({*old.rows, *rows})}
        changed = changes(old.declared, now.declared)
        told = {key: pair for key, pair in both.items() if moved(*pair)}
        if told and old.measure and now.measure and old.measure != now.measure:
            changed.append(MEASURE)
        if changed:
            yield {
                "at": commit.at,
                "commit": commit.hash,
                "claim": claim,
                "changed": changed,
                "rows": {key: move(*pair) for key, pair in told.items()},
            }


def _read_ledger(state: _State, content: bytes | None) -> None:
    """Rows that differ from the rows before; none for a ledger that can't be read."""
    try:
        rows = tomllib.loads((content or b"").decode()).get("verdicts", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return
    for key, row in rows.items():
        if str(row) != str(state.ledger.get(key)):
            state.record(key, row, row["declaration"])
    for key in state.ledger.keys() - rows.keys():
        state.rows.pop(key, None)
    state.ledger = rows


def _read_results(state: _State, content: bytes | None) -> None:
    """Verdicts of a new run, and the places of the claims' bodies."""
    try:
        results = parse_results(content or b"", COMMITTED)
    except InputError:
        return
    declared = {claim["id"]: claim["declaration"] for claim in results["claims"]}
    for claim in results["claims"]:
        state.bodies[claim["id"]] = (claim["file"], claim["rerun"].partition("::")[2])
    rows = {
        row_key(verdict["claim"], verdict["model"], verdict["variant"]): row_of(verdict)
        for verdict in results["verdicts"]
        if verdict["word"] not in (Word.NOT_RUN, ERROR) and not verdict["own_checkpoint"]
    }
    timed, (started, commit, before) = timed_claims(results), state.run
    kept = {key: row for key, row in rows.items() if key.partition("/")[0] not in timed}
    state.run = (results.get("started", ""), results.get("provenance", {}).get("commit", ""), rows)
    same = commit == state.run[1] and ("" in (started, state.run[0]) or started == state.run[0])
    if same and not any(moved(before.get(key), row) for key, row in kept.items()):
        return
    for key, row in kept.items():
        state.record(key, row, declared[key.partition("/")[0]])


def _measure(code: MeasuredCode, state: _State, claim: str) -> str:
    """Hash of the measuring code of a claim; empty where the tree lacks its file, or the file is no Python."""
    of_id, of_body = FULL
    file, function = state.bodies.get(claim.removesuffix(of_id), ("", ""))
    try:
        return code.measure(file, function + (of_body if claim not in state.bodies else ""))
    except InputError:
        return ""


def _reader(repository: Repository, commit: Commit) -> Callable[[str], str | None]:
    files = repository.files(commit)

    def read(path: str) -> str | None:
        content = repository.read(commit, path) if path in files else None
        return None if content is None else content.decode(errors="replace")

    return read
