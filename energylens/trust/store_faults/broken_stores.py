"""Stores that are broken on purpose, which the race must notice."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from energylens.store import Store
from energylens.store.files import MANIFEST, PAYLOAD, Payload
from energylens.store.key import LOCKS
from energylens.store.local import LocalFiles


@contextmanager
def broken_store(name: str) -> Iterator[None]:
    """Context in which every store of this process is broken as BROKEN[name] says; intact without a name."""
    if not name:
        yield
        return
    owner, method, replacement = BROKEN[name]
    with patch.object(owner, method, replacement):
        yield


def _publish_in_place(files: LocalFiles, folder: str, payload: bytes, manifest: bytes) -> None:
    target = Path(files.root, folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, content in ((PAYLOAD, payload), (MANIFEST, manifest)):
        with (target / name).open("wb") as file:
            file.write(content)


_real_payload = LocalFiles.payload


def _payload_believed(files: LocalFiles, folder: str) -> Payload | None:
    found, manifest = _real_payload(files, folder), files.manifest(folder)
    return found and replace(found, sha256=json.loads(manifest or b"{}")["sha256"])


@contextmanager
def _no_lock(files: LocalFiles, key: str, patience_seconds: float) -> Iterator[bool]:
    yield False


@contextmanager
def _lasting_lock(files: LocalFiles, key: str, patience_seconds: float) -> Iterator[bool]:
    """A broken lock, which is held as long as its file exists, whether the process that made it lives or not."""
    path = Path(files.root, LOCKS, f"{key}.lasting")
    path.parent.mkdir(exist_ok=True)
    end = time.monotonic() + patience_seconds
    while time.monotonic() < end:
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            time.sleep(0.01)
            continue
        try:
            yield True
        finally:
            path.unlink()
        return
    yield False


BROKEN: Mapping[str, tuple[type, str, Any]] = {
    "writes in place": (LocalFiles, "publish", _publish_in_place),
    "believes without a checksum": (LocalFiles, "payload", _payload_believed),
    "has no locks": (LocalFiles, "lock", _no_lock),
    "has locks that outlive their holder": (LocalFiles, "lock", _lasting_lock),
    "sets aside without looking again": (Store, "find", getattr(Store, "_find", Store.find)),
}
"""Broken stores by name: what each does wrong, and the method that is replaced."""
