"""Provenance of a run's numbers: commit, versions, machine; enough to say why two runs differ."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "energylens", "torch", "transformer_lens", "numpy", "scipy", "statsmodels", "pandas", "safetensors", "numba",
    "llvmlite", "pytest",
)  # fmt: skip

_NO_ENVIRONMENT = ("commit", "dirty", "artifacts", "packages", "cores")

INSTRUCTION_LIMITS = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "MKL_ENABLE_INSTRUCTIONS",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
)
"""Environment variables that forbid libraries some instructions, which makes the processor another one."""


def provenance(root: Path, written: Path | None = None) -> dict[str, Any]:
    """Commit and dirty flag of the checkout at `root`, package versions, Python, CPU, cores.

    written: a folder that runs write to; changes in it make no checkout dirty.
    """
    ours = written is not None and written.resolve().is_relative_to(root.resolve())
    but = [f":(exclude,top){_from_top(root, written)}"] if ours and written else []
    return {
        "commit": _git(root, "rev-parse", "HEAD"),
        "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", *but)),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "instruction_limits": _limits(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def environment(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a run's provenance that can change a number, beside our own code: versions, processor, threads."""
    facts = {name: fact for name, fact in provenance.items() if name not in _NO_ENVIRONMENT}
    return facts | provenance["packages"]


def machine_of(provenance: Mapping[str, Any]) -> str:
    """The machine as one line, of all that decides a recipe's bits: processor, its limits, torch, numba, threads.

    The provenance of older runs has no limits and no threads: they had no limits, and one thread.
    """
    limits = provenance.get("instruction_limits") or ""
    packages = provenance.get("packages", provenance)
    torch, numba = packages.get("torch") or "none", packages.get("numba")
    facts = [provenance.get("cpu") or "unknown processor", *([limits] if limits else []), f"torch {torch}"]
    facts += [f"numba {numba}"] if numba else []
    threads = int(provenance.get("torch_threads") or 1)
    return "; ".join([*facts, f"{threads} thread" + "s" * (threads != 1)])


def _from_top(root: Path, folder: Path) -> str:
    """The folder as seen from the top of the checkout."""
    return (
        f"{_git(root, 'rev-parse', '--show-prefix')}{folder.resolve().relative_to(root.resolve()).as_posix()}"
    )


def _limits() -> str:
    set_here = {name: os.environ.get(name, "") for name in INSTRUCTION_LIMITS}
    return ", ".join(f"{name}={value}" for name, value in set_here.items() if value)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    """Model name and the vector extensions that decide whether bf16 is native."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    by_name = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(by_name.get("flags", "").split()) & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
    return (
        f"{by_name.get('model name', platform.machine())} ({', '.join(sorted(flags)) or 'no vector flags'})"
    )
