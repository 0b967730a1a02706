"""Faults of the store: files damaged bit by bit, disks that refuse, and `run`, which adds the race of `race`."""

import errno
import itertools
import json
import os
import random
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from energylens.errors import StoreError
from energylens.store import DamagedArtifactWarning, Store
from energylens.store.files import MANIFEST, PAYLOAD
from energylens.trust.store_faults.broken_stores import BROKEN
from energylens.trust.store_faults.disk import CHANGING, Before, ignore, watched_disk
from energylens.trust.store_faults.race import VIOLATIONS, race
from energylens.trust.store_faults.racer import Numbers, is_complete, place

ROUNDS = 200

REFUSALS: Mapping[str, tuple[str, ...]] = {
    "ENOSPC": ("create", "write", "fsync", "mkdir", "rename"),
    "EDQUOT": ("create", "write", "fsync", "mkdir", "rename"),
    "EFBIG": ("write",),
    "EROFS": ("create", "write", "mkdir", "rename", "unlink", "rmdir"),
    "EACCES": ("create", "mkdir", "rename", "unlink", "rmdir"),
    "EIO": ("read", *CHANGING),
}
"""Answers of a disk, and the operations that can meet with them."""

_WAY_OUT = "ENERGYLENS_STORE"


def run(progress: Callable[[str], None]) -> dict[str, Any]:
    """Race, damage and refusals at full size, in about two minutes; numbers for the report."""
    raced = race(ROUNDS, progress=progress)
    caught = {}
    for name in BROKEN:
        progress(f"faults: a store that {name}")
        found = race(100, broken=name)
        caught[name] = [violation for violation in VIOLATIONS if found[violation]]
    return {
        "race": raced,
        "violations_found_in_broken_stores": caught,
        "damage": damage(progress=progress),
        "refusals": refusals(progress),
    }


def damage(
    every: int = 1, seed: int = 0, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Damage one artifact in every way, each time ask the store for it, and look at what it does.

    A bit, drawn, of every `every`-th byte of both files is flipped, and both are truncated there; files are removed,
    and replaced by those of another artifact. Returns counts. injected: damages that change what the files say.
    detected: of them, those after which `find` gives nothing. set_aside: detected, and the damaged files kept as they
    were. rebuilt: then built again, bit by bit the same. without_meaning: changes of a manifest's bytes, not of its
    content.
    """
    counts = Counter[str]()
    with tempfile.TemporaryDirectory() as root, watched_disk(ignore):
        store = Store(root)
        good, other = (_files(store, Numbers(number)) for number in (1, 2))
        for number, files in enumerate(_damages(good, other, every, random.Random(seed))):
            counts.update(_damaged(store, files, good))
            if number % 200 == 199:
                progress(f"faults: {number + 1} damages")
    kinds = ("injected", "detected", "set_aside", "rebuilt", "without_meaning")
    return {"bytes": sum(map(len, good.values())), **{name: counts[name] for name in kinds}}


def refusals(progress: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Let the disk refuse the n-th operation of an upload, for every n there is, and from then on, or only once.

    Returns per error: attempts; refused: ended in a StoreError that names the store and the way out; done: ended well
    all the same; unclear: ended in any other way, in words; half_written: an artifact's place held something that was
    no complete artifact, or what was there before was hurt; temporaries_left: although they could be removed;
    blocked: what could not be built after the disk had recovered.
    """
    found = {}
    kinds = ("attempts", "refused", "done", "half_written", "temporaries_left", "blocked")
    for name, operations in REFUSALS.items():
        counts = Counter[str]()
        for lasting in (False, True):
            for n in itertools.count(1):
                if not (said := list(_refused(getattr(errno, name), operations, n, lasting))):
                    break
                counts.update(said)
        progress(f"faults: {counts['attempts']} times {name}")
        unclear = sorted(each for each in counts if each not in kinds)
        found[name] = {**{kind: counts[kind] for kind in kinds}, "unclear": unclear}
    return found


def _files(store: Store, recipe: Numbers) -> dict[str, bytes]:
    """An artifact, built if need be, as the content of its files."""
    store.get(recipe)
    return {name: (place(store, recipe) / name).read_bytes() for name in (PAYLOAD, MANIFEST)}


def _damages(
    good: Mapping[str, bytes], other: Mapping[str, bytes], every: int, rng: random.Random
) -> Iterator[Mapping[str, bytes | None]]:
    """Damages to an artifact, as the new content of its files; None removes a file."""
    for name, content in good.items():
        for at in range(0, len(content), every):
            flipped = bytearray(content)
            flipped[at] ^= 1 << rng.randrange(8)
            yield {name: bytes(flipped)}
            yield {name: content[:at]}
        yield {name: content + b"\0"}
        yield {name: other[name]}
        yield {name: None}
    yield other


def _damaged(store: Store, files: Mapping[str, bytes | None], good: Mapping[str, bytes]) -> Iterator[str]:
    """Damage the artifact, look for it, and have it built again; yields the counts that describe the outcome."""
    recipe, folder = Numbers(1), place(store, Numbers(1))
    for name, content in files.items():
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    damaged = {path.name: path.read_bytes() for path in folder.iterdir()}
    if _same_json(files.get(MANIFEST), good[MANIFEST]):
        yield "without_meaning"
        return
    yield "injected"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedArtifactWarning)
        if store.find(recipe) is None:
            yield "detected"
        store.get(recipe)
    for aside in folder.parent.glob(f"{folder.name}.damaged-*"):
        if {path.name: path.read_bytes() for path in aside.iterdir()} == damaged:
            yield "set_aside"
        shutil.rmtree(aside)
    if _files(store, recipe)[PAYLOAD] == good[PAYLOAD] and is_complete(folder, recipe):
        yield "rebuilt"


def _same_json(changed: bytes | None, original: bytes) -> bool:
    try:
        return changed is not None and json.loads(changed) == json.loads(original)
    except ValueError:
        return False


def _refused(code: int, operations: tuple[str, ...], n: int, lasting: bool) -> Iterator[str]:
    """One upload to a disk that refuses the n-th of these operations; yields nothing if there is no n-th."""
    seen, can_tidy_up = 0, True

    def before(operation: str, where: str) -> None:
        nonlocal seen, can_tidy_up
        if operation in operations:
            seen += 1
            if seen == n or (lasting and seen > n):
                can_tidy_up &= operation not in ("read", "unlink", "rmdir")
                raise OSError(code, os.strerror(code), where)

    with tempfile.TemporaryDirectory() as root:
        store = Store(root)
        with watched_disk(ignore):
            store.get(Numbers(1))
        outcome = _outcome(store, Numbers(2), before)
        if seen < n:
            return
        yield "attempts"
        yield outcome
        there, kept = place(store, Numbers(2)), place(store, Numbers(1))
        if (there.exists() and not is_complete(there, Numbers(2))) or not is_complete(kept, Numbers(1)):
            yield "half_written"
        if can_tidy_up and list(Path(root).rglob(".tmp-*")):
            yield "temporaries_left"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamagedArtifactWarning)
            if not np.array_equal(store.get(Numbers(2)).tensors["x"], Numbers(2).numbers()):
                yield "blocked"


def _outcome(store: Store, recipe: Numbers, before: Before) -> str:
    try:
        with watched_disk(before):
            found = store.get(recipe)
    except StoreError as error:
        return "refused" if store.url in str(error) and _WAY_OUT in str(error) else f"unclear: {error}"
    except Exception as error:
        return f"unclear: {type(error).__name__}: {error}"
    return "done" if np.array_equal(found.tensors["x"], recipe.numbers()) else "unclear: other numbers"
