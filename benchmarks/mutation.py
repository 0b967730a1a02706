"""Would the tests notice? Each module of `metrics/`, `stats/` and the judge, changed in one place, against its tests.

    python benchmarks/mutation.py [MODULE ...] [--sample N] [--seed S] [--survivors]      (needs mutmut)

A parent imports numpy, scipy and torch once; for every mutant it forks a child that reads the mutant in place of the
module's file and runs the test file in its own process: no file is ever changed, a killed run leaves nothing behind.
The test that killed the last mutant goes first, the rest from quick to slow; Hypothesis draws the same examples every
time and does not shrink. A mutant that takes ten times the processor time of all tests is a timeout: it counts as
killed.

Results go to `reports/mutation.json` after every mutant. A run goes on where the last one stopped, and starts a module
anew if it or its test file changed; `--survivors` tries only those again, for tests that were added. `reason` of a
survivor is written there by hand and kept: "equivalent: ...", "performance: ...", or empty for not yet. The sums go to
`reports/trust.json`, from which the report draws.
"""

import argparse
import contextlib
import gc
import hashlib
import importlib
import importlib.machinery
import json
import math
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "reports" / "mutation.json"
HEAVY = {"beartype", "hypothesis", "jaxtyping", "numpy", "pandas", "scipy", "sklearn", "statsmodels", "torch"}
MEMORY_BYTES = 8 * 2**30
"""Address space of a child: a mutant that allocates without end fails instead of taking the machine."""


@dataclass
class Bench:
    """A module, its test file, and what is known of the tests so far.

    cpu_seconds: a child's limit. Processor time, because on a busy machine everything takes ten times as long.
    """

    module: Path
    tests: Path
    cpu_seconds: int = 600
    seconds: dict[str, float] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)


def modules() -> list[Path]:
    """Everything that is mutated, small things first."""
    package = ROOT / "energylens"
    rules = [package / "harness" / f"{name}.py" for name in ("judge", "parts", "chance", "ceiling")]
    found = [
        *package.glob("metrics/*.py"),
        *package.glob("families/*/as_published.py"),
        *package.glob("stats/*.py"),
        *rules,
    ]
    return sorted((path for path in found if path.stem != "__init__"), key=lambda path: path.stat().st_size)


def test_file(module: Path) -> Path:
    inside = module.relative_to(ROOT / "energylens")
    return ROOT / "energylens" / "tests" / inside.parent / f"test_{module.name}"


class Order:
    """A pytest plugin: tests in the order that finds a fault soonest, their times, and the one that failed."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.seconds, self.failed = bench, {}, ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """The last killers first, then by time."""
        first, seconds = self.bench.first, self.bench.seconds
        place = {name: i for i, name in enumerate(first)}
        items.sort(key=lambda item: (place.get(item.nodeid, len(first)), seconds.get(item.nodeid, 0.0)))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note it."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed = self.failed or report.nodeid


def in_child(bench: Bench, source: str | None) -> dict[str, Any]:
    """Run the test file in a fork of this process with `source` for the module: code (0: all passed), failed, cpu.

    `code` is None where the child used up its time. It writes no bytecode, so that nothing of a mutant stays.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            _test(bench, source, writer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    _, status, used = os.wait4(child, 0)
    late = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    nothing = {"code": None if late else -1, "failed": ""}
    return nothing | json.loads(answer or "{}") | {"cpu": used.ru_utime + used.ru_stime}


def _test(bench: Bench, source: str | None, writer: int) -> None:
    import pytest

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (bench.cpu_seconds, bench.cpu_seconds + 1))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    if source is not None:
        _serve(bench.module, source)
    order = Order(bench)
    without = [f"no:{plugin}" for plugin in ("cacheprovider", "energylens", "xdist")]
    quick = [
        "--tb=native",
        "--hypothesis-profile=mutation",
        *(word for name in without for word in ("-p", name)),
    ]
    # pytest rewrites the asserts of a plugin's whole package, from the file: plain, so that the mutant is read.
    plain = ["--assert=plain", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    arguments = [str(bench.tests), "-x", "-q", "--rootdir", str(ROOT), *quick, *plain]
    code = int(pytest.main(arguments, plugins=[order]))
    loaded = [name for name in sys.modules if name.partition(".")[0] in HEAVY]
    answer = {"code": code, "failed": order.failed, "seconds": order.seconds, "loaded": loaded}
    with os.fdopen(writer, "w") as pipe:
        json.dump(answer if source is None else {"code": code, "failed": order.failed}, pipe)


def _serve(module: Path, source: str) -> None:
    """From now on imports of this process read `source` for the module, and never its bytecode."""
    sys.dont_write_bytecode = True
    plain, loader = importlib.machinery.SourceFileLoader.get_data, importlib.machinery.SourceFileLoader

    def get_data(self: importlib.machinery.SourceFileLoader, path: str) -> bytes:
        if Path(path) == module:
            return source.encode()
        if self.path == str(module):
            raise FileNotFoundError(path)
        return plain(self, path)

    loader.get_data = get_data  # type: ignore[method-assign]


def warmed(module: Path) -> Bench:
    """Time every test, and import here what they import, so that no child has to. Raises SystemExit if one fails."""
    bench = Bench(module, test_file(module))
    for _ in range(2):  # the first run compiles and imports: its times say nothing
        found = in_child(bench, None)
        if found["code"] != 0:
            raise SystemExit(f"{bench.tests} does not pass unchanged ({found['failed'] or found['code']})")
        for name in found["loaded"]:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    gc.freeze()  # what is here is never garbage: no child need look
    bench.seconds, bench.cpu_seconds = found["seconds"], math.ceil(10 * found["cpu"])
    if in_child(bench, "raise ImportError")["code"] == 0:
        raise SystemExit(f"{bench.tests} passes without {module}")
    return bench


def run_module(module: Path, state: dict[str, Any], options: argparse.Namespace) -> None:
    """Try the module's mutants that have no result yet, or the survivors, and store each result."""
    from mutants import mutants  # mutmut is needed here only: `summary` is for the report

    name, every = str(module.relative_to(ROOT)), mutants(module.read_text())
    digests = {"source": _digest(module), "tests": _digest(test_file(module))}
    old = state.get(name, {"results": {}, "survivors": []})
    reasons = {(each["was"], each["now"]): each["reason"] for each in old["survivors"]}
    same = ["source"] if options.survivors else ["source", "tests"]
    results = dict(old["results"]) if all(old.get(part) == digests[part] for part in same) else {}
    wanted = "survived" if options.survivors else None
    todo = [mutant for mutant in every if results.get(mutant.key) == wanted]
    if options.sample:
        todo = random.Random(options.seed).sample(todo, min(options.sample, len(todo)))
    bench = warmed(module) if todo else None
    for i, mutant in enumerate(todo):
        found = in_child(bench, mutant.source)
        results[mutant.key] = {0: "survived", None: "timeout"}.get(found["code"], "killed")
        if found["failed"]:
            bench.first = [found["failed"], *(each for each in bench.first if each != found["failed"])]
        left = [
            dict(line=each.line, was=each.was, now=each.now, reason=reasons.get((each.was, each.now), ""))
            for each in every
            if results.get(each.key) == "survived"
        ]
        state[name] = digests | dict(mutants=len(every), survivors=left, results=results)
        _write(state, options.results)
        said = f"{results[mutant.key]:8} {found['cpu']:5.1f} s  {mutant.line}: {mutant.now[:90]}"
        print(f"{name} {i + 1}/{len(todo)} {said}", flush=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _write(state: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(state, indent=1, ensure_ascii=False) + "\n")
    beside.replace(path)


def summary(path: Path = RESULTS) -> dict[str, Any]:
    """Per module and in all: mutants, tried, killed (timeouts too), and survivors by the kind of their reason.

    current: whether the module is still the one that was mutated.
    """
    rows = {}
    for name, found in json.loads(path.read_text()).items():
        count = Counter(found["results"].values())
        why = Counter((each["reason"] or "not yet").partition(":")[0] for each in found["survivors"])
        killed = count["killed"] + count["timeout"]
        numbers = dict(mutants=found["mutants"], tried=len(found["results"]), killed=killed)
        rows[name] = numbers | dict(timeouts=count["timeout"], survivors=dict(why))
        rows[name]["current"] = (ROOT / name).exists() and _digest(ROOT / name) == found["source"]
    sums = {key: sum(row[key] for row in rows.values()) for key in ("mutants", "tried", "killed", "timeouts")}
    return {"modules": rows, **sums, "killed_share_of_tried": sums["killed"] / sums["tried"]}


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("modules", nargs="*", type=Path, help="files; all by default")
    parser.add_argument("--sample", type=int, metavar="N", help="at most N of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--survivors", action="store_true", help="only those that survived the last time")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from hypothesis import Phase, settings

    quick = dict(phases=[Phase.explicit, Phase.generate], derandomize=True, database=None, deadline=None)
    settings.register_profile("mutation", **quick)
    os.chdir(ROOT)
    state = json.loads(options.results.read_text()) if options.results.exists() else {}
    for module in [path.resolve() for path in options.modules] or modules():
        run_module(module, state, options)
    from energylens.trust.record import (
        TRUST_FILE,
        record_trust,
    )  # not before: children import what is mutated

    section = record_trust(RESULTS.with_name(TRUST_FILE), "mutation", partial(summary, options.results), ROOT)
    print(json.dumps(section["numbers"], indent=1))


if __name__ == "__main__":
    main()
