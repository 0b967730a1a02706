"""Interception of this process's disk operations: a function runs ahead of each, to look, to wait, or to refuse."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

Before = Callable[[str, str], None]
"""Called as before(operation, where) ahead of an operation; what it raises, the disk has answered."""

CHANGING = ("create", "write", "fsync", "mkdir", "rename", "unlink", "rmdir")
"""Operations that change the disk. The only other one is "read": opening a file or a folder to read it."""

PIECES = 3
"""Writes that a file takes, as on a disk that accepts less than it is offered."""

_ONE_PATH = {"mkdir": "mkdir", "unlink": "unlink", "remove": "unlink", "rmdir": "rmdir"}
_TWO_PATHS = ("rename", "replace")


def ignore(operation: str, where: str) -> None:
    """A `before` that lets everything pass."""


@contextmanager
def watched_disk(before: Before) -> Iterator[None]:
    """Context in which file operations of Python code of this process call `before` first, and are never fsynced.

    An fsync is announced and left out: no power is cut here, and it would take most of the time. Compiled libraries
    that open files themselves (safetensors, when it loads) are not seen.
    """
    replaced: list[tuple[Any, str, Callable[..., Any]]] = [
        (os, "fsync", lambda descriptor: before("fsync", str(descriptor))),
        (os, "open", _opening(before)),
        (io, "open", _opening_files(before)),
        *((os, name, _announced(name, operation, 1, before)) for name, operation in _ONE_PATH.items()),
        *((os, name, _announced(name, "rename", 2, before)) for name in _TWO_PATHS),
    ]
    with ExitStack() as stack:
        for module, name, replacement in replaced:
            stack.enter_context(patch.object(module, name, replacement))
        yield


def _announced(name: str, operation: str, paths: int, before: Before) -> Callable[..., Any]:
    real = getattr(os, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        before(operation, " to ".join(map(str, args[:paths])))
        return real(*args, **kwargs)

    return call


def _opening(before: Before) -> Callable[..., int]:
    real = os.open

    def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        before("create" if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) else "read", str(path))
        return real(path, flags, *args, **kwargs)

    return call


def _opening_files(before: Before) -> Callable[..., Any]:
    real = io.open

    def call(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        writes = bool(set(mode) & set("wxa+"))
        if not isinstance(file, int):
            before("create" if writes else "read", str(file))
        in_pieces = writes and "b" in mode and not isinstance(file, int) and "opener" not in kwargs
        return _in_pieces(Path(file), mode, before) if in_pieces else real(file, mode, *args, **kwargs)

    return call


def _in_pieces(path: Path, mode: str, before: Before) -> BinaryIO:
    class Piecemeal(io.FileIO):
        pieces = PIECES

        def write(self, content: Any) -> int:
            before("write", str(path))
            size = -(-len(content) // max(1, self.pieces))
            self.pieces -= 1
            return super().write(bytes(content[:size])) or 0

    return io.BufferedWriter(Piecemeal(path, mode.replace("b", "")))
