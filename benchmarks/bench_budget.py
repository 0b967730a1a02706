"""What a user waits for: help, collection, and a cold and a warm run of the cpu claims, with peak memory.

Usage: python benchmarks/bench_budget.py [--cold]

Peak memory is the sum of resident memory over the process and its workers, sampled ten times a second.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time

import psutil

LIMITS = {"energylens --help": 1.5, "pytest --collect-only": 1.5, "warm claims": 210.0, "cold claims": 2520.0}
MEMORY_LIMIT_GIB = 4.0


def peak_memory_bytes(process, stop):
    """Largest sum of resident memory over a process tree until `stop` is set."""
    peak = 0
    while not stop.wait(0.1):
        try:
            tree = [process, *process.children(recursive=True)]
            peak = max(peak, sum(each.memory_info().rss for each in tree))
        except psutil.NoSuchProcess:
            continue
    return peak


def measure(name, command):
    """Run a command; print seconds and peak memory beside their limits."""
    started, stop, peaks = time.perf_counter(), threading.Event(), []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        watcher = threading.Thread(
            target=lambda: peaks.append(peak_memory_bytes(psutil.Process(running.pid), stop))
        )
        watcher.start()
        status = running.wait()
        seconds = time.perf_counter() - started
        stop.set()
        watcher.join()
    limit, gib = LIMITS[name], peaks[0] / 2**30
    print(
        f"{name:24} {seconds:8.2f} s of {limit:6.1f} s  {gib:5.2f} GiB of {MEMORY_LIMIT_GIB} GiB  exit {status}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="also measure a run with an empty store")
    options = parser.parse_args()
    pytest = [sys.executable, "-m", "pytest", "claims/", "-m", "cpu"]
    two = ["-n", "2"]
    for _ in range(3):
        measure("energylens --help", [sys.executable, "-m", "energylens.cli", "--help"])
        measure("pytest --collect-only", [*pytest, "--collect-only", "-q"])
    with tempfile.TemporaryDirectory() as reports:
        if options.cold:
            with tempfile.TemporaryDirectory() as store:
                for name in ("cold claims", "warm claims"):
                    measure(name, [*pytest, *two, f"--store={store}", f"--report-dir={reports}"])
        else:
            measure("warm claims", [*pytest, *two, f"--report-dir={reports}"])


if __name__ == "__main__":
    main()
