"""Processes that race for one artifact and are killed, with SIGKILL, wherever they happen to be.

The race runs in a process without torch, which forks the racers (see `racer`). They note in shared memory what they are
doing, so that it is known where a kill struck. What they did to the store is judged from its files, not by its code.
"""

import json
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from energylens.errors import EnergylensError
from energylens.store import Store, key_of
from energylens.store import local as local_store
from energylens.store.files import MANIFEST, PAYLOAD
from energylens.store.key import LOCKS
from energylens.trust.store_faults.broken_stores import broken_store
from energylens.trust.store_faults.disk import ignore, watched_disk
from energylens.trust.store_faults.racer import NOTES, PHASES, Numbers, Racer, is_complete, place

PROCESSES = 16

TRIES = 200
"""Tries for the lock after which the survivors of a round are stuck, if all of them do nothing else."""

LIMIT_SECONDS = 300.0
"""Seconds without a survivor's end after which survivors are stuck as well."""

LOOK_SECONDS = 0.002
"""How often the artifact's place is looked at."""

LOCK_POLL_SECONDS = 0.02
"""How often racers try for the lock: the store's own interval would make most of a round."""

STARTS = ("nothing", "a flipped bit", "a truncated manifest", "no manifest")
"""What lies at the artifact's place when a round begins, in turn."""

VIOLATIONS = (
    "corrupt_reads", "lost_artifacts", "half_written_artifacts", "needless_rebuilds", "stuck", "errors",
)  # fmt: skip
"""What must never happen: see `race`."""

_HAPPENED = (
    "rounds", "kills", "kills_while_locked", "survivors", "builds_started", "builds_completed", "reads",
    "reads_verified", "set_aside",
)  # fmt: skip


def race(
    rounds: int,
    seed: int = 0,
    broken: str = "",
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """In every round PROCESSES race for one artifact, and all but 1 to 4 of them, drawn, are doomed to be killed.

    broken: name in BROKEN of a store that is broken on purpose; then the first round with a violation is the last.
    Returns sums over the rounds. corrupt_reads: artifacts handed out with wrong numbers. lost_artifacts: rounds in
    which a complete artifact disappeared, was replaced, or was missing in the end; half_written_artifacts: in which an
    incomplete one stood at the final place. needless_rebuilds: builds begun while a complete artifact was there. stuck:
    survivors that did not finish, and locks still held when all have ended. errors: racers that raised; said: what was
    printed then. Beside these what happened: builds and reads, and kills by what the victim was doing.
    Raises EnergylensError, with what it printed, if the process that runs the race fails.
    """
    given = json.dumps({"rounds": rounds, "seed": seed, "broken": broken})
    command = [sys.executable, "-c", f"from {__name__} import serve; serve()", given]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    line = ""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                if not line.startswith("{"):
                    progress(line.rstrip())
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        errors.seek(0)
        said = errors.read()[-2000:]
        if process.wait():
            raise EnergylensError(f"the race ended with status {process.returncode}: {said}")
    return {**json.loads(line), "said": said}


def serve() -> None:
    """The racing process: one store, one artifact per round; prints progress, and the sums as its last line."""
    import filelock  # noqa: F401  imported once here, not by every racer
    import safetensors.numpy  # noqa: F401

    given = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    rng, sums, phases, began = random.Random(given["seed"]), Counter[str](), Counter[str](), time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        broken_store(given["broken"]),
        patch.object(local_store, "_LOCK_POLL_SECONDS", LOCK_POLL_SECONDS),
    ):
        store = Store(folder)
        for number in range(given["rounds"]):
            one = _Round(store, number, rng)
            one.run()
            sums.update(one.sums())
            phases.update(one.kills)
            if number % 10 == 9:
                print(f"race: {number + 1} rounds, {sums['kills']} kills", flush=True)
            if given["broken"] and any(sums[name] for name in VIOLATIONS):
                break
        after = _tidied(store, sums["rounds"])
    if "torch" in sys.modules:
        raise EnergylensError("a process of the race has imported torch")
    counts = {name: sums[name] for name in (*VIOLATIONS, *_HAPPENED)} | after
    by_phase = {name: phases[name] for name in PHASES}
    print(
        json.dumps(
            {
                "processes": PROCESSES,
                **counts,
                "kills_by_phase": by_phase,
                "seconds": time.monotonic() - began,
            }
        )
    )


def _tidied(store: Store, rounds: int) -> dict[str, int]:
    """Files that killed racers left behind, whether `gc` removes old ones, and whether all artifacts are there."""
    left = list(Path(store.url).rglob(".tmp-*"))
    for path in left:
        os.utime(path, (0, 0))
    store.gc({key_of(Numbers(number)) for number in range(rounds)})
    return {
        "temporaries_left_by_kills": len(left),
        "temporaries_left_after_gc": sum(path.exists() for path in left),
        "sound_at_the_end": sum(is_complete(place(store, Numbers(n)), Numbers(n)) for n in range(rounds)),
    }


class _Round:
    """One race for one artifact."""

    def __init__(self, store: Store, number: int, rng: random.Random) -> None:
        self.store, self.recipe, self.rng = store, Numbers(number), rng
        self.folder = place(store, self.recipe)
        self._prepare(STARTS[number % len(STARTS)])
        self.first, self.published = _inode(self.folder), 0
        shared = np.frombuffer(mmap.mmap(-1, 8 * PROCESSES * len(NOTES)), np.int64)
        self.notes = dict(zip(NOTES, shared.reshape(len(NOTES), PROCESSES), strict=True))
        self.found, self.kills = Counter[str](), Counter[str]()

    def _prepare(self, start: str) -> None:
        if start == "nothing":
            return
        with watched_disk(ignore):
            self.store.get(self.recipe)
        payload, manifest = self.folder / PAYLOAD, self.folder / MANIFEST
        if start == "no manifest":
            manifest.unlink()
        elif start == "a truncated manifest":
            manifest.write_bytes(manifest.read_bytes()[:-5])
        else:
            payload.write_bytes(payload.read_bytes()[:-1] + bytes([payload.read_bytes()[-1] ^ 1]))

    def run(self) -> None:
        """Start the racers, wait until they are killed or done, judge what they left."""
        racers = self._start()
        heard = time.monotonic()
        while racers:
            for pid in list(racers):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._end(racers.pop(pid), status)
                    heard = time.monotonic()
            tries = [self.notes["tries"][number] for number in racers.values()]
            if min(tries, default=0) >= TRIES or time.monotonic() > heard + LIMIT_SECONDS:
                self.found["stuck"] += len(racers)
                for pid in racers:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                break
            self._look()
            time.sleep(LOOK_SECONDS)
        self._look_at_the_end()

    def _start(self) -> dict[int, int]:
        """Fork the racers, which begin together; their numbers by process."""
        spared = self.rng.sample(range(PROCESSES), self.rng.randint(1, 4))
        read_end, write_end = os.pipe()
        racers = {}
        for number in range(PROCESSES):
            (doom,) = [""] if number in spared else self.rng.choices(list(PHASES), list(PHASES.values()))
            notes = {name: values[number : number + 1] for name, values in self.notes.items()}
            racer = Racer(self.store, self.recipe, notes, doom, self.rng.random())
            if not (pid := os.fork()):
                os.close(write_end)
                os.read(read_end, 1)  # returns when nobody holds the other end any more
                _run_and_exit(racer)
            racers[pid] = number
        os.close(read_end)
        os.close(write_end)
        return racers

    def _end(self, racer: int, status: int) -> None:
        if os.WIFSIGNALED(status):
            self.kills[list(PHASES)[self.notes["phase"][racer]]] += 1
            self.found["kills_while_locked"] += int(self.notes["locked"][racer])
        else:
            self.found["errors" if status else "survivors"] += 1

    def _look(self) -> None:
        """Look at the artifact's place and count violations: a complete artifact must stay, and not be replaced."""
        there = _inode(self.folder)
        if self.published and there != self.published:
            self.found["lost_artifacts"] = 1
        elif there and there != self.first:
            self.published = there
            if not is_complete(self.folder, self.recipe):
                self.found["half_written_artifacts"] = 1

    def _look_at_the_end(self) -> None:
        self._look()
        if not is_complete(self.folder, self.recipe):
            self.found["lost_artifacts"] = 1
        for aside in self.folder.parent.glob(f"{self.folder.name}.damaged-*"):
            self.found["set_aside"] += 1
            if _inode(aside) != self.first:
                what = "lost_artifacts" if is_complete(aside, self.recipe) else "half_written_artifacts"
                self.found[what] = 1
        self.found["stuck"] += _is_locked(Path(self.store.url, LOCKS, f"{self.folder.name}.lock"))

    def sums(self) -> dict[str, int]:
        """What was found, and what the racers noted."""
        noted = {name: int(values.sum()) for name, values in self.notes.items()}
        verified = noted["reads"] - noted["corrupt_reads"]
        happened = {"rounds": 1, "kills": sum(self.kills.values()), "reads_verified": verified}
        return noted | happened | self.found


def _run_and_exit(racer: Racer) -> None:
    status = 1
    try:
        racer.run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _is_locked(path: Path) -> bool:
    """Whether a process that lives or has died still holds the lock file, if there is one."""
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _inode(folder: Path) -> int:
    """Tells folders of one place apart; 0 for none."""
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return 0
