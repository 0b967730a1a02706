"""history.jsonl: one line per full run, so that estimates can be seen over time.

A line tells when and where it ran (`at`: UTC, `commit`, `dirty`, `environment`: a digest of versions and machine)
and the verdict of every `claim/model/variant` that was reached: `word`, `qualifiers`, `declaration` (start of its
hash) and per part [estimate, low, high, word], numbers to six significant digits. A run with the results of the run
before it, in the same environment, has no line: see `is_news`.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from energylens.harness.compare.ledger import short
from energylens.harness.declare.claim import MEASURE, hash_of, without_measure
from energylens.harness.json_values import plain, replace_file
from energylens.harness.jsonl import read_lines, to_line
from energylens.harness.provenance import environment
from energylens.harness.results import ERROR
from energylens.harness.verdict import Word, row_key

HISTORY = "history.jsonl"

_KEYS = {"at", "commit", "dirty", "environment", "rows"}
_DIGITS = 8


def history_line(results: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a run; see the module. A user's own checkpoints and verdicts that did not run are left out."""
    provenance = results["provenance"]
    declared = {claim["id"]: _declared(claim)[:_DIGITS] for claim in results["claims"]}
    reached = [
        v for v in results["verdicts"] if v["word"] not in (Word.NOT_RUN, ERROR) and not v["own_checkpoint"]
    ]
    return {
        "at": results["started"],
        "commit": provenance["commit"],
        "dirty": provenance["dirty"],
        "environment": _digest(environment(provenance)),
        "rows": {
            row_key(v["claim"], v["model"], v["variant"]): {
                "word": v["word"],
                **({"qualifiers": v["qualifiers"]} if v["qualifiers"] else {}),
                "declaration": declared[v["claim"]],
                "parts": {
                    part["part"]: [*(short(part[name]) for name in ("estimate", "low", "high")), part["word"]]
                    for part in v["parts"]
                },
            }
            for v in reached
        },
    }


def _declared(claim: Mapping[str, Any]) -> str:
    """Hash of a declaration without its measuring code, whose edits are in `amendments.jsonl`."""
    texts = claim.get("declaration", {})
    return hash_of(without_measure(texts)) if MEASURE in texts else str(claim["declaration_hash"])


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def is_news(line: Mapping[str, Any], history: Sequence[Mapping[str, Any]], timed: Collection[str]) -> bool:
    """Whether a run has other verdicts or numbers than the last run of the history, or another environment.

    timed: claims that measure time, whose numbers always differ and are no news.
    """
    return not history or _told(line, timed) != _told(history[-1], timed)


def _told(line: Mapping[str, Any], timed: Collection[str]) -> Any:
    """A row as the file holds it: NaN is text there."""
    rows = {
        key: {name: value for name, value in row.items() if name != "parts" or _claim_of(key) not in timed}
        for key, row in line["rows"].items()
    }
    return plain([line["environment"], rows])


def _claim_of(key: str) -> str:
    return key.partition("/")[0]


def append_history(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line at the end. The file is replaced in one step, so that a run that is killed leaves no half line."""
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    replace_file(path, before + to_line(line))


def read_history(path: Path) -> list[dict[str, Any]]:
    """All runs, in order of time (a merge of two branches may mix them); none where there is no file.

    Raises InputError, naming file and line, for what is no line of a history.
    """
    runs = read_lines(path, "run", lambda run: run.keys() >= _KEYS)
    return sorted(runs, key=lambda run: str(run["at"]))
