"""The artifact store: finds what a recipe made earlier, or builds and keeps it.

Layout: <root>/<kind>/<first two digits of key>/<key>/{payload.safetensors, manifest.json}. A reader trusts
only a complete manifest and matching checksums; a damaged artifact is set aside and built again. Locks keep two
processes from doing the same work, and from setting aside a damaged artifact twice (the second time it would be its
successor). Even without locks no reader accepts a wrong artifact.
"""

import os
import time
import warnings
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from energylens.errors import StoreError
from energylens.store.files import Files, Folder
from energylens.store.key import checked_name, key_of
from energylens.store.local import LocalFiles
from energylens.store.manifest import Manifest, decode_manifest, encode
from energylens.store.recipe import Artifact, Progress, Recipe, no_progress
from energylens.store.remote import RemoteFiles
from energylens.store.trouble import DamagedArtifactWarning

LOCK_PATIENCE_SECONDS = 3600.0
"""Seconds that `get` waits for another process that builds the same artifact, before it builds its own."""

STALE_SECONDS = 3600.0
"""Age after which `gc` takes a temporary folder for the remains of a killed process."""


@dataclass(frozen=True)
class Entry:
    """A stored artifact; bytes counts payload and manifest, created is UTC in ISO 8601."""

    key: str
    kind: str
    label: str
    bytes: int
    created: str


@dataclass(frozen=True)
class Checked:
    """Outcome of verifying one folder of the store; `problem` is None for a sound artifact."""

    folder: str
    problem: str | None


@dataclass(frozen=True)
class Removed:
    """A folder that `gc` deleted."""

    folder: str
    bytes: int


class Store:
    """Artifacts by the key of their recipe, in a local folder or behind an fsspec URL ("s3://bucket/path").

    url: default $ENERGYLENS_STORE, else the platform's user cache.
    Every method raises StoreError, saying what to do, when the place can't be read or written.
    """

    def __init__(self, url: str | os.PathLike[str] | None = None) -> None:
        self._files = _files(default_url() if url is None else os.fspath(url))

    @property
    def url(self) -> str:
        """Where the store is: a path or a URL that `Store` accepts."""
        return self._files.root

    def get(self, recipe: Recipe, progress: Progress = no_progress) -> Artifact:
        """The artifact of a recipe: found, else built (inputs first) and kept. Always as the store has it."""
        found = self.find(recipe)
        if found is not None:
            return found
        self._files.require_writable(checked_name(recipe.kind, "kind"))
        inputs = [self.get(needed, progress) for needed in recipe.inputs()]
        with self._files.lock(key_of(recipe), LOCK_PATIENCE_SECONDS):
            found = self._find(recipe)
            if found is None:
                started = time.perf_counter()
                built = recipe.build(inputs, progress)
                self._put(recipe, built, seconds=time.perf_counter() - started)
                found = self._find(recipe)
        if found is None:
            raise StoreError(f"{recipe.label()} was written to the store {self.url} but can't be read back")
        return found

    def find(self, recipe: Recipe) -> Artifact | None:
        """The stored artifact of a recipe, or None. A damaged one is set aside: DamagedArtifactWarning.

        Waits where another process repairs a damaged artifact meanwhile.
        """
        with suppress(ValueError):
            return self._read(_folder(recipe.kind, key_of(recipe)))
        # By the time it is renamed, a sound one may stand in its place: only the holder of the lock can be sure.
        with self._files.lock(key_of(recipe), LOCK_PATIENCE_SECONDS):
            return self._find(recipe)

    def manifest(self, recipe: Recipe) -> Manifest | None:
        """What is known about the stored artifact of a recipe; None without a sound manifest."""
        return self._manifest(Folder(_folder(recipe.kind, key_of(recipe)), bytes=0, modified=0.0))

    def put(self, recipe: Recipe, artifact: Artifact, seconds: float | None = None) -> str:
        """Keep an artifact under its recipe's key, and return the key. One that is there already stays."""
        with self._files.lock(key_of(recipe), LOCK_PATIENCE_SECONDS):
            return self._put(recipe, artifact, seconds)

    def ls(self) -> list[Entry]:
        """Every artifact with a sound manifest; payloads are not read (see `verify`)."""
        found = []
        for folder in self._files.folders():
            manifest = self._manifest(folder)
            if isinstance(manifest, Manifest):
                found.append(
                    Entry(manifest.key, manifest.kind, manifest.label, folder.bytes, manifest.created)
                )
        return found

    def verify(self) -> list[Checked]:
        """Check manifest and payload of every artifact, and list what was set aside. Changes nothing."""
        checked = []
        for folder in self._files.folders():
            if _is_leftover(folder):
                if ".damaged-" in folder.name:
                    checked.append(Checked(folder.name, "set aside as damaged"))
                continue
            try:
                problem = (
                    None if self._read(folder.name) is not None else "no manifest: an interrupted upload"
                )
            except ValueError as error:
                problem = str(error)
            checked.append(Checked(folder.name, problem))
        return checked

    def gc(self, keep: Set[str]) -> list[Removed]:
        """Delete artifacts whose key is not in `keep`, damaged ones, stale temporaries and unused locks."""
        removed = []
        for folder in self._files.folders():
            if self._is_garbage(folder, keep):
                self._files.remove(folder.name)
                removed.append(Removed(folder.name, folder.bytes))
        self._files.sweep_locks()
        return removed

    def _find(self, recipe: Recipe) -> Artifact | None:
        """`find` for the holder of the recipe's lock."""
        folder = _folder(recipe.kind, key_of(recipe))
        try:
            return self._read(folder)
        except ValueError as problem:
            suffix = f".damaged-{time.time_ns()}"
            aside = self._files.set_aside(folder, suffix)
            where = f"set aside as {folder}{suffix}" if aside else f"left at {folder}"
            text = f"{recipe.label()} in the store {self.url} is damaged: {problem}; {where}"
            warnings.warn(text, DamagedArtifactWarning, stacklevel=3)
            return None

    def _put(self, recipe: Recipe, artifact: Artifact, seconds: float | None) -> str:
        """`put` for the holder of the recipe's lock."""
        key = key_of(recipe)
        if self._find(recipe) is None:
            payload, manifest = encode(recipe, key, artifact, seconds)
            self._files.publish(_folder(recipe.kind, key), payload, manifest)
        return key

    def _is_garbage(self, folder: Folder, keep: Set[str]) -> bool:
        if ".damaged-" in folder.name:
            return True
        if _is_leftover(folder) or self._files.manifest(folder.name) is None:
            return time.time() - folder.modified > STALE_SECONDS
        return folder.name.rpartition("/")[2] not in keep

    def _read(self, folder: str) -> Artifact | None:
        """Artifact in a folder; None without manifest; ValueError, saying why, when it is damaged or just removed."""
        from safetensors import SafetensorError

        text = self._files.manifest(folder)
        if text is None:
            return None
        kind, _, key = folder.split("/")
        manifest = decode_manifest(text, kind, key)
        payload = self._files.payload(folder)
        if payload is None:
            raise ValueError("the payload is missing")
        if payload.sha256 != manifest.sha256:
            raise ValueError(f"checksum mismatch in {payload.bytes} of {manifest.bytes} bytes")
        try:
            tensors = payload.load()
        except (FileNotFoundError, SafetensorError) as error:
            raise ValueError(f"the payload can't be loaded: {error}") from error
        return Artifact(tensors=dict(sorted(tensors.items())), meta=manifest.meta)

    def _manifest(self, folder: Folder) -> Manifest | None:
        text = None if _is_leftover(folder) else self._files.manifest(folder.name)
        kind, _, key = folder.name.split("/")
        try:
            return None if text is None else decode_manifest(text, kind, key)
        except ValueError:
            return None


def default_url() -> str:
    """$ENERGYLENS_STORE, else the platform's user cache."""
    from platformdirs import user_cache_path

    return os.environ.get("ENERGYLENS_STORE") or str(user_cache_path("energylens"))


def _files(url: str) -> Files:
    if url.startswith("file://"):
        return LocalFiles(Path(unquote(urlparse(url).path)))
    if "://" in url:
        return RemoteFiles(url)
    return LocalFiles(Path(url).expanduser().absolute())


def _folder(kind: str, key: str) -> str:
    return f"{checked_name(kind, 'kind')}/{key[:2]}/{checked_name(key, 'key')}"


def _is_leftover(folder: Folder) -> bool:
    return "." in folder.name.rpartition("/")[2]
