"""replications.jsonl: one line per machine on which the findings were run again.

A line tells when and where (`at`, `commit`, `machine`, `against`: the machine of record), how many verdicts both runs
judged and how many have the same word, z of every part, the correlation of seeds, and what differs or does not
replicate. A machine that runs again replaces its line.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energylens.harness.compare.replication import FAR, NOTABLE, PartPair, Replication, share_beyond
from energylens.harness.jsonl import read_lines, write_lines

REPLICATIONS = "replications.jsonl"
"""File name, in the folder of reports."""

_KEYS = {"at", "commit", "machine", "against", "verdicts", "same", "z", "differs", "not_replicated"}
_DIGITS = 3


def replication_line(found: Replication) -> dict[str, Any]:
    """The line of a comparison; z to three digits, undefined z left out, infinite z as text."""
    return {
        "at": found.at,
        "commit": found.commit,
        "machine": found.machine,
        "against": found.against,
        "verdicts": found.verdicts,
        "same": found.same,
        "parts": len(found.parts),
        "correlation": round(found.correlation, _DIGITS) if math.isfinite(found.correlation) else "NaN",
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
    """Add the line, or replace the line of the same machine; the file is replaced in one step."""
    others = [each for each in read_replications(path) if each["machine"] != line["machine"]]
    write_lines(path, [*others, line])


def read_replications(path: Path) -> list[dict[str, Any]]:
    """All lines; none where there is no file. Raises InputError, naming file and line, for any other line."""
    return read_lines(path, "replication", lambda line: line.keys() >= _KEYS)


def share_notable(line: Mapping[str, Any]) -> float:
    """Share of a line's |z| beyond NOTABLE; NaN where it has no z."""
    return share_beyond(map(float, line["z"]))
