"""Results of a run by name: a results.json, or a git revision that committed one."""

import subprocess
from pathlib import Path
from typing import Any

from energylens.errors import InputError
from energylens.harness.results import parse_results, read_results
from energylens.harness.timings import read_times

COMMITTED = "reports/results.json"
"""Path of the results in a revision, from the top folder of the repository."""

_COMPARED = {"provenance", "claims", "verdicts"}


def results_of(name: str) -> dict[str, Any]:
    """Results of a file, of a revision (its `reports/results.json`), or of `revision:path`.

    The start of the run is included where its timings.json lies beside the file.
    Raises InputError for any other name, and for results that this version can't read.
    """
    path = Path(name)
    found = read_results(path) | read_times(path) if path.is_file() else _committed(name)
    if missing := _COMPARED - found.keys():
        raise InputError(f"{name!r} tells no {', '.join(sorted(missing))}: it is not the results of a run")
    return found


def _committed(name: str) -> dict[str, Any]:
    revision, _, path = name.partition(":")
    inside = _git("rev-parse", "--is-inside-work-tree")
    if inside.returncode:
        raise InputError(
            f"{name!r} is no file, and no revision either: {Path.cwd()} is not in a git repository"
        )
    if _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").returncode:
        raise InputError(f"{name!r} is neither a file nor a git revision; name a results.json or a revision")
    shown = f"{revision}:{path or COMMITTED}"
    done = _git("show", shown)
    if done.returncode:
        raise InputError(f"{shown!r} is not there: {_last_line(done.stderr)}")
    return parse_results(done.stdout, shown)


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False)
    except OSError as error:
        raise InputError(f"git can't be run to look up a revision: {error}") from None


def _last_line(text: bytes) -> str:
    return (text.decode(errors="replace").strip().splitlines() or ["git says nothing"])[-1]
