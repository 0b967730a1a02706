"""Files with one JSON object per line, which grow with every run: history, amendments, replications."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from energylens.errors import InputError
from energylens.harness.json_values import plain, replace_file


def to_line(value: Mapping[str, Any]) -> bytes:
    """One object as a line, with its end. Lone surrogates become JSON's escapes."""
    text = json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode(errors="backslashreplace")


def write_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    """Write all objects in one step: a run that is killed leaves the old file."""
    replace_file(path, b"".join(map(to_line, values)))


def read_lines(path: Path, what: str, fits: Callable[[Mapping[str, Any]], bool]) -> list[dict[str, Any]]:
    """All objects of the file; none where there is no file.

    what: the kind of object, as errors name it. fits: whether an object is of this kind. Errors: InputError, naming
    file and line, for a line that is not UTF-8, not JSON, or not of this kind.
    """
    found = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            value = json.loads(line.decode())
        except ValueError as error:
            raise InputError(f"{path}, line {number} is not JSON: {error}") from None
        if not isinstance(value, dict) or not fits(value):
            raise InputError(f"{path}, line {number} is no {what}: {line[:60].decode(errors='replace')!r}")
        found.append(value)
    return found
