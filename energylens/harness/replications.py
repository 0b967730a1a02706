"""replications.jsonl: one line per machine on which the findings were run beside the run of record.

A line tells when and where (`at`, `commit`, `machine`, `against`: the machine of record), how many verdicts both runs
judged and how many have the same word, z of every part, and what differs or does not replicate. A machine that runs
again replaces its line.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energylens.errors import InputError
from energylens.harness.plain import replace_file
from energylens.harness.replication import FAR, NOTABLE, PartPair, Replication, share_beyond

REPLICATIONS = "replications.jsonl"
"""In the folder of reports."""

_KEYS = {"at", "commit", "machine", "against", "verdicts", "same", "z", "differs", "not_replicated"}
_DIGITS = 3


def replication_line(found: Replication) -> dict[str, Any]:
    """What is kept of a comparison; z to three digits, undefined ones left out, infinite ones as text."""
    return {
        "at": found.at,
        "commit": found.commit,
        "machine": found.machine,
        "against": found.against,
        "verdicts": found.verdicts,
        "same": found.same,
        "parts": len(found.parts),
        "far": FAR,
        "notable": NOTABLE,
        "z": [round(z, _DIGITS) if math.isfinite(z) else str(z) for z in found.z],
        "differs": [_told(part) for part in found.differs],
        "not_replicated": [_told(part) for part in found.not_replicated],
    }


def _told(part: PartPair) -> dict[str, Any]:
    numbers = {"here": part.here, "there": part.there, "z": (part.z,)}
    return {"row": part.row, "words": list(part.words)} | {
        name: [float(f"{x:.4g}") if math.isfinite(x) else str(x) for x in values]
        for name, values in numbers.items()
    }


def record_replication(path: Path, line: Mapping[str, Any]) -> None:
    """Add the line, or replace that of the same machine; the file is replaced in one step."""
    others = [each for each in read_replications(path) if each["machine"] != line["machine"]]
    text = "".join(
        json.dumps(each, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
        for each in [*others, dict(line)]
    )
    replace_file(path, text.encode())


def read_replications(path: Path) -> list[dict[str, Any]]:
    """All lines; none where there is no file. Raises InputError, naming file and line, for what is none."""
    found = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), 1):
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number} is not JSON: {error}") from None
        if not isinstance(line, dict) or _KEYS - line.keys():
            raise InputError(f"{path}, line {number} is no replication: {text[:60]!r}")
        found.append(line)
    return found


def share_notable(line: Mapping[str, Any]) -> float:
    """Share of a line's |z| beyond NOTABLE; NaN where it has none."""
    return share_beyond(map(float, line["z"]))
