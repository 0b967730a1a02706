"""timings.json: durations of a run, beside results.json and not committed, because no two runs agree in them.

`of`: sha256 of the results.json that it belongs to. `run`: when the run started, how long it took, how many cores it
had, and the commit it ran on, which results.json tells only of the first run with its results. `cases`: seconds of
every measurement. `timed`: the numbers of claims that measure the machine, by row and by measurement.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energylens.harness.json_values import write_json
from energylens.harness.quiet import HOST, TIMES, case_key, sorted_keys, timed_claims
from energylens.harness.verdict import row_key

JSON = Mapping[str, Any]

TIMINGS = "timings.json"
"""Beside results.json."""

_OF_COMMIT = ("commit", "dirty")
_OF_VERDICT = ("word", "reason", "parts", "as_published", "nulls", "ceilings", "beside", "holm")
_OF_CASE = ("value", "as_published", "beside", "series")


def timings_of(results: JSON) -> dict[str, Any]:
    """The times in the results of a run; empty for quiet results."""
    if not any(name in results for name in TIMES):
        return {}
    provenance, timed = results.get("provenance", {}), timed_claims(results)
    return {
        "run": _told(results, TIMES) | _told(provenance, (*HOST, *_OF_COMMIT)),
        "cases": {case_key(case): case["seconds"] for case in results["cases"] if "seconds" in case},
        "timed": {
            "verdicts": {
                row_key(v["claim"], v["model"], v["variant"]): _told(v, _OF_VERDICT)
                for v in results["verdicts"]
                if v["claim"] in timed
            },
            "cases": {case_key(c): _told(c, _OF_CASE) for c in results["cases"] if c["claim"] in timed},
        },
    }


def write_timings(beside: Path, timings: JSON) -> None:
    """Write timings beside the results.json that they belong to."""
    if timings:
        write_json(beside.with_name(TIMINGS), sorted_keys({"of": _digest(beside), **timings}))


def read_times(beside: Path) -> dict[str, Any]:
    """When the run behind a results.json started and how long it took; nothing where no timings belong to the file."""
    try:
        found = json.loads(beside.with_name(TIMINGS).read_bytes())
        return _told(found["run"], TIMES) if found["of"] == _digest(beside) else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _told(found: JSON, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
