"""Interface of the place where artifacts lie, implemented by `local` and `remote`.

Artifact folders are named relative to the root ("network/ab/ab12..."). This module does not know the meaning of a
payload.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

PAYLOAD = "payload.safetensors"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Payload:
    """A payload at rest: its checksum and size, and how to load it."""

    sha256: str
    bytes: int
    load: Callable[[], Mapping[str, "np.ndarray"]]


@dataclass(frozen=True)
class Folder:
    """A folder at the depth of artifacts; `modified` is when it last changed, in Unix time."""

    name: str
    bytes: int
    modified: float


class Files(Protocol):
    """What a store needs from a file system. Every method raises StoreError when the file system refuses."""

    root: str

    def manifest(self, folder: str) -> bytes | None:
        """Text of the manifest; None when there is none."""

    def payload(self, folder: str) -> Payload | None:
        """The payload; None when there is none."""

    def publish(self, folder: str, payload: bytes, manifest: bytes) -> None:
        """Make a complete artifact appear. One that is already there stays: it has the same key."""

    def set_aside(self, folder: str, suffix: str) -> bool:
        """Rename a folder to folder + suffix, out of the readers' way. False when that was not possible."""

    def remove(self, folder: str) -> None:
        """Delete a folder."""

    def folders(self) -> Iterator[Folder]:
        """Every folder at the depth of artifacts, leftovers included, sorted by name."""

    def require_writable(self, kind: str) -> None:
        """Raise StoreError unless an artifact of this kind could be written now."""

    def lock(self, key: str, patience_seconds: float) -> AbstractContextManager[bool]:
        """Hold the lock of a key, if it can be had within the patience. Yields whether it is held."""

    def sweep_locks(self) -> None:
        """Delete the lock files that nobody holds."""
