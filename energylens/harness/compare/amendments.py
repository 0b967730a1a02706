"""amendments.jsonl: one line per edit of a claim's declaration or measure, so that no edit is forgotten.

A line tells when (`at`: UTC) and in which `commit` an edit was recorded, the `claim`, what `changed` (lines like
`region: '≥ 4.5' -> '≥ 1.5'`, or `measure`), and how its `rows` moved: by `claim/model/variant` the `before` and
`after`, each with `verdict` and `estimates` as in the ledger, or null where there was no such row; `controls`, digests
before and after, where only numbers of its nulls and ceilings moved.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from energylens.harness.compare.ledger import (
    CONTROLS,
    Mode,
    Status,
    compare,
    controls_digest,
    declaration_diff,
    estimates_of,
)
from energylens.harness.declare.claim import MEASURE
from energylens.harness.json_values import plain
from energylens.harness.jsonl import read_lines, write_lines
from energylens.harness.verdict import row_key

AMENDMENTS = "amendments.jsonl"
"""File name, beside results.json in the folder of reports."""

_KEYS = {"at", "commit", "claim", "changed", "rows"}


def amendments_of(
    results: Mapping[str, Any], ledger: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The edits that a run accepts with `--ledger=update`: claims with rows that are amended, in order."""
    claims = {claim["id"]: claim for claim in results["claims"]}
    found: dict[str, dict[str, Any]] = {}
    for verdict in results["verdicts"]:
        claim, key = claims[verdict["claim"]], row_key(verdict["claim"], verdict["model"], verdict["variant"])
        row = ledger.get(key)
        if not row or compare(verdict, claim, row, Mode.CHECK).status is not Status.AMENDED:
            continue
        after = row_of(verdict)
        line = found.setdefault(
            claim["id"],
            {
                "at": results["started"],
                "commit": results["provenance"]["commit"],
                "claim": claim["id"],
                "changed": changes(row["declaration"], claim["declaration"]),
                "rows": {},
            },
        )
        if moved(row, after):
            line["rows"][key] = move(row, after)
    return list(found.values())


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Lines that tell what differs between two declarations; `measure` where the measuring code does."""
    lines = list(declaration_diff(old, new))
    return [MEASURE if line.startswith(f"{MEASURE}: ") else line for line in lines]


def row_of(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Verdict, estimates and digest of controls of a row in results.json: the entries that an edit may move."""
    controls = controls_digest(verdict)
    row = {"verdict": str(verdict["word"]), "estimates": estimates_of(verdict)}
    return row | ({CONTROLS: controls} if controls else {})


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Verdict and estimates of a row of the ledger, as a line tells them."""
    return {"verdict": row["verdict"], "estimates": row["estimates"]}


def move(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    """Before and after of a row that moved, with digests of its nulls and ceilings where only their numbers moved."""
    found: dict[str, Any] = {"before": before and shown(before), "after": after and shown(after)}
    if before and after and not _moved_itself(before, after):
        found[CONTROLS] = [before[CONTROLS], after[CONTROLS]]
    return found


def moved(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Whether word or numbers of two rows differ, those of controls too if both rows have them; NaN equals NaN."""
    controls = [row.get(CONTROLS) if row else None for row in (before, after)]
    return _moved_itself(before, after) or (all(controls) and controls[0] != controls[1])


def _moved_itself(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    texts = [json.dumps(plain(shown(row)), sort_keys=True) if row else "" for row in (before, after)]
    return texts[0] != texts[1]


def read_amendments(path: Path) -> list[dict[str, Any]]:
    """All lines of the file; none where there is no file. Raises InputError, naming file and line, for any other."""
    return read_lines(path, "amendment", lambda line: line.keys() >= _KEYS and isinstance(line["rows"], dict))


def add_amendments(path: Path, lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add to the file, in one step, the edits that it lacks; returns all edits that it then holds, in order of time.

    Two lines are the same edit if claim, changes and moves are the same, whatever their commits.
    """
    kept = read_amendments(path)
    known = {_identity(line) for line in kept}
    new = [plain(dict(line)) for line in lines if _identity(line) not in known]
    everything = sorted([*kept, *new], key=lambda line: str(line["at"]))
    if new:
        write_lines(path, everything)
    return everything


def _identity(line: Mapping[str, Any]) -> str:
    """What makes two lines the same edit, with numbers as the file holds them (NaN is text there).

    Numbers of controls are included: nothing else may tell two edits of a measure apart.
    """
    rows = {key: row for key, row in line["rows"].items() if CONTROLS not in row}
    if not rows and list(line["changed"]) == [MEASURE]:
        rows = line["rows"]
    changed: Sequence[str] = () if rows else line["changed"]
    return json.dumps(plain([line["claim"], list(changed), rows]), sort_keys=True)
