"""The store under fire, at a size for every run; `energylens trust store` does 200 rounds and every byte."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from energylens.store import Store
from energylens.store.local import LocalFiles
from energylens.tests.store.recipes import Noise
from energylens.trust.store_faults.broken_stores import BROKEN, broken_store
from energylens.trust.store_faults.disk import ignore, watched_disk
from energylens.trust.store_faults.faults import REFUSALS, damage, refusals
from energylens.trust.store_faults.race import STARTS, VIOLATIONS, race
from energylens.trust.store_faults.racer import GETS, PHASES, Numbers, is_complete, place

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks, and sends SIGKILL")

ROUNDS = 40
HOLDING = list(PHASES)[list(PHASES).index("looking again") : list(PHASES).index("reading")]

PRELUDE = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from energylens.errors import StoreError
from energylens.store import Store
from energylens.tests.store.recipes import Noise

def asked(recipe):
    try:
        return "read" if Store(sys.argv[1]).get(recipe) else ""
    except StoreError as error:
        return str(error)
"""
SMALL_FILES = """
import resource
Store(sys.argv[1]).get(Noise(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
print(asked(Noise(1)))
print(asked(Noise(2, size=10_000)))
"""
NOBODY = """
import filelock, safetensors.numpy
asked(Noise(1))
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(asked(Noise(1)))
print(asked(Noise(2)))
"""


@pytest.fixture(scope="module")
def raced():
    return race(ROUNDS)


def test_whoever_is_killed_the_others_lose_nothing(raced):
    assert {name: raced[name] for name in VIOLATIONS} == dict.fromkeys(VIOLATIONS, 0), raced["said"]
    assert raced["rounds"] == raced["sound_at_the_end"] == ROUNDS
    assert raced["reads_verified"] == raced["reads"] >= GETS * raced["survivors"] >= GETS * ROUNDS
    assert raced["set_aside"] == ROUNDS * (len(STARTS) - 1) // len(STARTS)
    assert raced["temporaries_left_after_gc"] == 0


def test_kills_strike_wherever_the_store_is_changed(raced):
    struck = {phase for phase, kills in raced["kills_by_phase"].items() if kills}
    assert {"looking", "waiting for the lock", "reading"} <= struck
    assert len(struck & set(HOLDING)) >= len(HOLDING) - 1
    assert raced["kills"] > 10 * ROUNDS
    assert raced["kills_while_locked"] > ROUNDS
    assert raced["builds_started"] > ROUNDS
    assert raced["temporaries_left_by_kills"] > 0


CAUGHT_BY = {
    "writes in place": {"half_written_artifacts"},
    "believes without a checksum": {"corrupt_reads"},
    "has no locks": {"lost_artifacts", "needless_rebuilds"},
    "has locks that outlive their holder": {"stuck"},
    "sets aside without looking again": {"lost_artifacts", "errors"},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_store_is_caught(name):
    # The counter-check: it ends with the first round that shows anything.
    found = race(100, broken=name)
    assert {violation for violation in VIOLATIONS if found[violation]} & CAUGHT_BY[name], found


def test_the_racers_judge_completeness_themselves(tmp_path):
    store = Store(tmp_path)
    store.get(Numbers(1))
    folder = place(store, Numbers(1))
    assert is_complete(folder, Numbers(1))
    assert not is_complete(folder, Numbers(2))
    for name in ("payload.safetensors", "manifest.json"):
        content = (folder / name).read_bytes()
        for changed in (content[:-3], b"", None):
            (folder / name).unlink()
            if changed is not None:
                (folder / name).write_bytes(changed)
            assert not is_complete(folder, Numbers(1))
        (folder / name).write_bytes(content)


def test_every_damage_is_detected_set_aside_and_rebuilt():
    found = damage(every=25)
    assert found["injected"] == found["detected"] == found["set_aside"] == found["rebuilt"] > 100
    assert found["without_meaning"] < 5


def test_damage_that_is_believed_is_noticed():
    with broken_store("believes without a checksum"):
        found = damage(every=50)
    assert 0 < found["detected"] < found["injected"]
    assert found["rebuilt"] < found["injected"]


def test_a_disk_that_refuses_leaves_nothing_half_written_and_says_what_to_do():
    for name, found in refusals().items():
        assert found["attempts"] == found["refused"] + found["done"] >= 10, (name, found)
        assert found["refused"] > found["done"], (name, found)
        assert (found["unclear"], found["half_written"]) == ([], 0), (name, found)
        assert (found["temporaries_left"], found["blocked"]) == (0, 0), (name, found)


def test_a_store_that_writes_in_place_is_half_written_when_the_disk_is_full(monkeypatch):
    monkeypatch.setattr("energylens.trust.store_faults.faults.REFUSALS", {"ENOSPC": REFUSALS["ENOSPC"]})
    with broken_store("writes in place"):
        found = refusals()["ENOSPC"]
    assert found["half_written"] > 0
    assert any("No space left" in text for text in found["unclear"])


def test_temporaries_that_nobody_removes_are_noticed(monkeypatch):
    monkeypatch.setattr("energylens.trust.store_faults.faults.REFUSALS", {"EFBIG": REFUSALS["EFBIG"]})
    monkeypatch.setattr("energylens.store.local.shutil", SimpleNamespace(rmtree=lambda *args, **kwargs: None))
    assert refusals()["EFBIG"]["temporaries_left"] > 0


def test_everything_that_changes_the_disk_is_seen(tmp_path):
    seen = set()
    with watched_disk(lambda operation, where: seen.add(operation)):
        Store(tmp_path / "new").get(Noise(1))
        LocalFiles(tmp_path / "new").remove("noise")
    assert seen == {"read", "create", "write", "fsync", "mkdir", "rename", "unlink", "rmdir"}
    content = bytes(range(256)) * 100
    with watched_disk(ignore), (tmp_path / "file").open("wb") as file:
        file.write(content)
    assert (tmp_path / "file").read_bytes() == content


def test_what_tries_whether_a_store_is_writable_has_no_name(tmp_path):
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_RDWR))
    except (AttributeError, OSError):
        pytest.skip("files without a name need Linux, and not on every file system")
    operations = []
    with watched_disk(lambda operation, where: operations.append(operation)):
        LocalFiles(tmp_path).require_writable("noise")
    assert set(operations) <= {"mkdir", "create"}
    assert list((tmp_path / "noise").iterdir()) == []


def test_a_real_limit_on_the_size_of_files(tmp_path):
    read, refused = _asked(SMALL_FILES, tmp_path / "store")
    assert read == "read"
    assert refused.startswith(f"can't write the store {tmp_path}/store (File too large); move the store with")
    assert [path.name for path in tmp_path.rglob(".tmp-*")] == []
    assert len(Store(tmp_path / "store").ls()) == 1


@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("mode", "reads"), [(0o755, True), (0o700, False)])
def test_a_real_lack_of_permission(mode, reads):
    with tempfile.TemporaryDirectory() as place_of_all:
        os.chmod(place_of_all, 0o755)
        root = Path(place_of_all, "store")
        root.mkdir(mode=mode)
        read, refused = _asked(NOBODY, root)
        before = sorted(root.rglob("*"))
        doing = "write" if reads else "read"
        told = f"can't {doing} the store {root} (Permission denied); move the store with ENERGYLENS_STORE="
        assert read == "read" if reads else read.startswith(told)
        assert refused.startswith(told)
        assert not any(path.name.startswith(".tmp-") for path in before)
        assert len(Store(root).ls()) == 1


def _asked(code: str, root: Path) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(root)], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()
