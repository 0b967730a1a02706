"""JSON that keeps every number: numpy scalars, paths, dataclasses, NaN and infinities survive a round trip.

Strict JSON has no NaN, so non-finite floats are written as the strings "NaN", "Infinity" and "-Infinity",
which Python's `float` and JavaScript's `Number` read back.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from energylens.harness.declare.region import Region


def plain(value: Any) -> Any:
    """Reduce to dict, list, str, int, float, bool and None. Raises TypeError for anything else, naming its type."""
    if isinstance(value, Region):
        return {"low": plain(value.low), "high": plain(value.high), "text": str(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _non_finite(float(value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} can't go into results.json: {value!r}")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, in one step. Lone surrogates become JSON's escapes."""
    text = json.dumps(plain(value), indent=1, allow_nan=False, ensure_ascii=False)
    replace_file(path, f"{text}\n".encode(errors="backslashreplace"))


def write_lines_of_json(path: Path, value: Any) -> None:
    """Write a value as JSON, in one step, with a line for every object or list that contains no other."""
    replace_file(path, f"{_lined(plain(value))}\n".encode(errors="backslashreplace"))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step, and its folders: a reader sees the old file or the whole new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _lined(value: Any, indent: int = 0) -> str:
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(isinstance(item, dict | list) and item for item in items):
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    start, end = "\n" + " " * (indent + 1), "\n" + " " * indent
    told = [_lined(item, indent + 1) for item in items]
    if isinstance(value, list):
        return f"[{start}{f',{start}'.join(told)}{end}]"
    keys = (json.dumps(key, ensure_ascii=False) for key in value)
    return (
        f"{{{start}{f',{start}'.join(f'{key}: {text}' for key, text in zip(keys, told, strict=True))}{end}}}"
    )


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
