"""A store in a local folder: atomic renames, fsync, and locks that die with their holder."""

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from energylens.store.files import MANIFEST, PAYLOAD, Folder, Payload
from energylens.store.key import LOCKS
from energylens.store.trouble import explained

_LOCK_POLL_SECONDS = 0.1


class LocalFiles:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.root = str(root)

    def manifest(self, folder: str) -> bytes | None:
        """Read the whole file."""
        with self._explained("read"):
            try:
                return (self._root / folder / MANIFEST).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def payload(self, folder: str) -> Payload | None:
        """Hash the file; loading maps it into memory."""
        from safetensors.numpy import load_file

        path = self._root / folder / PAYLOAD
        with self._explained("read"):
            try:
                with path.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                    return Payload(sha256, file.tell(), lambda: load_file(path))
            except FileNotFoundError:
                return None

    def publish(self, folder: str, payload: bytes, manifest: bytes) -> None:
        """Write a temporary folder beside the target, force it to the disk, then rename it in one step."""
        target = self._root / folder
        temporary = target.parent / f".tmp-{uuid.uuid4().hex}"
        with self._explained("write", bytes_needed=len(payload) + len(manifest)):
            try:
                temporary.mkdir(parents=True)
                _write(temporary / PAYLOAD, payload)
                _write(temporary / MANIFEST, manifest)
                _sync_folder(temporary)
                self._move(temporary, target)
                _sync_folder(target.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _move(self, temporary: Path, target: Path) -> None:
        try:
            os.rename(temporary, target)
        except OSError:
            if (target / MANIFEST).is_file():
                return  # somebody published the same key first
            if not self.set_aside(target.relative_to(self._root).as_posix(), f".damaged-{time.time_ns()}"):
                raise
            os.rename(temporary, target)

    def set_aside(self, folder: str, suffix: str) -> bool:
        """Rename in one step."""
        try:
            os.rename(self._root / folder, self._root / f"{folder}{suffix}")
        except OSError:
            return False
        return True

    def remove(self, folder: str) -> None:
        """Rename out of sight first, so that no reader meets half an artifact."""
        with self._explained("remove from"):
            doomed = (self._root / folder).parent / f".tmp-{uuid.uuid4().hex}"
            with suppress(FileNotFoundError):
                os.rename(self._root / folder, doomed)
                shutil.rmtree(doomed)

    def folders(self) -> Iterator[Folder]:
        """Walk <kind>/<two digits>/<any folder>."""
        with self._explained("list"):
            for path in sorted(self._root.glob("*/??/*/")):
                with suppress(FileNotFoundError):
                    sizes = [file.stat().st_size for file in path.iterdir()]
                    name = path.relative_to(self._root).as_posix()
                    yield Folder(name, sum(sizes), path.stat().st_mtime)

    def require_writable(self, kind: str) -> None:
        """Create a file that has no name, so that a kill leaves nothing."""
        with self._explained("write"):
            (self._root / kind).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root / kind):
                pass

    @contextmanager
    def lock(self, key: str, patience_seconds: float) -> Iterator[bool]:
        """Lock a file beside the artifacts; the kernel frees it when its holder dies."""
        from filelock import FileLock, Timeout

        held = None
        try:
            (self._root / LOCKS).mkdir(parents=True, exist_ok=True)
            one = FileLock(self._root / LOCKS / f"{key}.lock")
            held = one.acquire(timeout=patience_seconds, poll_interval=_LOCK_POLL_SECONDS)
        except (Timeout, OSError, NotImplementedError):
            pass
        try:
            yield held is not None
        finally:
            if held is not None:
                one.release()

    def sweep_locks(self) -> None:
        """Delete each lock file that can be locked at once."""
        for path in (self._root / LOCKS).glob("*.lock"):
            with self.lock(path.stem, patience_seconds=0) as held, suppress(OSError):
                if held:
                    path.unlink()

    @contextmanager
    def _explained(self, doing: str, bytes_needed: int | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explained(error, self.root, doing, bytes_needed) from error


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Make a rename survive a power cut. Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
