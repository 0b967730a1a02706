"""One process of a race: it gets an artifact, slowly, notes what it is about to do, and may be doomed to be killed."""

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import ClassVar
from unittest.mock import patch

import numpy as np

from energylens.store import Artifact, Progress, Recipe, Store, key_of
from energylens.store.files import MANIFEST, PAYLOAD
from energylens.store.key import LOCKS
from energylens.store.local import LocalFiles
from energylens.trust.store_faults.disk import watched_disk

GETS = 3
"""Times that a racer asks for the artifact, if it lives."""

PAUSE_SECONDS = 0.002
"""Longest wait ahead of every operation on the disk, and of a kill after its phase began; both are drawn."""

SLEEP_SECONDS = 0.2
"""Longest wait, drawn, before a damaged artifact is set aside, every other time: meanwhile, others may replace it."""

PHASES = {
    "looking": 1,
    "waiting for the lock": 1,
    "looking again": 1,
    "setting the damaged one aside": 4,
    "building": 6,
    "making a folder": 3,
    "writing the payload": 3,
    "writing the manifest": 3,
    "about to rename": 3,
    "renamed": 3,
    "reading back": 3,
    "reading": 1,
}
"""What a racer can be doing, in order, with how often it is doomed to die of it: mostly where it changes the store.

From "looking again" to "reading back" it holds the lock.
"""

NOTES = (
    "phase", "locked", "tries", "builds_started", "builds_completed", "needless_rebuilds", "reads", "corrupt_reads",
)  # fmt: skip
"""What a racer notes: number of its phase, whether it holds the lock, how often it has tried for it, and counts."""


@dataclass(frozen=True)
class Numbers(Recipe):
    """Seeded numbers, made in four steps."""

    kind: ClassVar[str] = "raced"
    seed: int

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Tells of its steps, the first one before anything is done."""
        for step in range(5):
            progress(step, 4, {})
        return Artifact({"x": self.numbers()})

    def numbers(self) -> np.ndarray:
        """What the artifact has to hold."""
        return np.random.default_rng(self.seed).normal(size=64)


def place(store: Store, recipe: Recipe) -> Path:
    """Folder of an artifact in a local store."""
    return Path(store.url, recipe.kind, key_of(recipe)[:2], key_of(recipe))


def is_complete(folder: Path, recipe: Numbers) -> bool:
    """Whether manifest and payload are there, agree, and hold the right numbers; judged without the store's code."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        payload, manifest = (folder / PAYLOAD).read_bytes(), json.loads((folder / MANIFEST).read_bytes())
        agree = manifest["sha256"] == hashlib.sha256(payload).hexdigest()
        return agree and np.array_equal(load(payload)["x"], recipe.numbers())
    except (OSError, ValueError, KeyError, SafetensorError):
        return False


class Racer:
    """Gets an artifact. doom: phase after whose begin it is killed, or while it reads, if it does not get there."""

    def __init__(
        self, store: Store, recipe: Numbers, notes: Mapping[str, np.ndarray], doom: str, seed: float
    ) -> None:
        self.store, self.recipe, self.notes, self.doom = store, recipe, notes, doom
        self.rng, self.judges = random.Random(seed), False
        self.folder = place(store, recipe)

    def run(self) -> None:
        """All of it, in this process."""
        with watched_disk(self._before), patch.object(LocalFiles, "lock", self._noted(LocalFiles.lock)):
            for _ in range(GETS):
                found = self.store.get(self.recipe, self._step)
                self.notes["corrupt_reads"] += not np.array_equal(found.tensors["x"], self.recipe.numbers())
                self.notes["reads"] += 1

    def _note(self, phase: str) -> None:
        self.notes["phase"][:] = list(PHASES).index(phase)
        if self.doom and phase in (self.doom, "reading"):
            self.doom = ""
            Timer(self._drawn(PAUSE_SECONDS), os.kill, (os.getpid(), signal.SIGKILL)).start()

    def _before(self, operation: str, where: str) -> None:
        if self.judges:
            return
        phase = self._phase(operation, where)
        self._note(phase)
        self.notes["tries"][:] = self.notes["tries"] + 1 if phase == "waiting for the lock" else 0
        asleep = phase == "setting the damaged one aside" and self.rng.random() < 0.5
        time.sleep(self._drawn(SLEEP_SECONDS if asleep else PAUSE_SECONDS))

    def _step(self, step: int, steps: int, numbers: Mapping[str, float]) -> None:
        self._note("building")
        self.judges = True
        self.notes["builds_started"] += step == 0
        self.notes["needless_rebuilds"] += step == 0 and is_complete(self.folder, self.recipe)
        self.judges = False
        self.notes["builds_completed"] += step == steps
        time.sleep(self._drawn(PAUSE_SECONDS))

    def _noted(self, real):  # type: ignore[no-untyped-def]
        @contextmanager
        def lock(files: LocalFiles, key: str, patience_seconds: float) -> Iterator[bool]:
            self._note("waiting for the lock")
            with real(files, key, patience_seconds) as held:
                self.notes["locked"][:] = held
                try:
                    yield held
                finally:
                    self.notes["locked"][:] = False

        return lock

    def _phase(self, operation: str, where: str) -> str:
        """What it is about to do, by the operation on the disk that comes next; else what it did before."""
        if f"/{LOCKS}/" in where:
            return "waiting for the lock"
        if operation == "rename":
            return "setting the damaged one aside" if ".damaged-" in where else "about to rename"
        if where == str(self.folder.parent):
            return "renamed"
        if operation == "mkdir" and "/.tmp-" in where:
            return "making a folder"
        if operation in ("create", "write") and where.endswith((PAYLOAD, MANIFEST)):
            return "writing the payload" if where.endswith(PAYLOAD) else "writing the manifest"
        if operation == "read" and where.startswith(str(self.folder)):
            if self.notes["locked"]:
                return "reading back" if self.notes["builds_completed"] else "looking again"
            return "reading" if self.notes["reads"] else "looking"
        return list(PHASES)[int(self.notes["phase"][0])]

    def _drawn(self, longest_seconds: float) -> float:
        return self.rng.uniform(0, longest_seconds)
