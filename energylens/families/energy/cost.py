"""The cost of the energy family: processor seconds against text length, and memory."""

import math
import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import linear_regression
from time import process_time

import torch

from energylens.errors import InputError
from energylens.families.energy.energy_study import EnergyStudy, align
from energylens.metrics.energy import energy_and_gradient

LENGTHS = (16, 32, 64, 127)
ROUNDS = 3
SHARE = 4


def seconds_by_length(study: EnergyStudy) -> dict[int, float]:
    """Least processor seconds for energies, gradients and alignments on the first positions of one window in SHARE."""
    reading = study.readings["confirmation"]
    n_windows = len(reading.text.tokens)

    def on_first(length: int) -> Callable[[], object]:
        def first(rows: torch.Tensor) -> torch.Tensor:
            return rows.unflatten(0, (n_windows, -1))[::SHARE, :length].flatten(0, 1).contiguous()

        x, targets, covariates = (first(each) for each in (reading.x, reading.targets, reading.covariates))

        def run() -> object:
            _, gradient = energy_and_gradient(reading.lens, x, targets)
            return align(study.dictionary.W_dec, study.dictionary.in_parts(x, gradient, covariates))

        return run

    return _least({length: on_first(length) for length in LENGTHS})


def seconds_of_scores(d_head: int = 32, n_heads: int = 8, n_queries: int | None = None) -> dict[int, float]:
    """Least processor seconds for attention scores of random queries and keys, which are quadratic in length.

    Of the first `n_queries` queries alone they are linear.
    """

    def of(length: int) -> Callable[[], object]:
        q = torch.randn(n_heads, length, d_head, generator=torch.Generator().manual_seed(0))
        return lambda: torch.einsum("hqd,hkd->hqk", q[:, :n_queries], q).softmax(-1)

    return _least({length: of(length) for length in (128, 256, 512, 1024)})


def exponent(seconds: Mapping[int, float]) -> float:
    """Slope of log seconds on log length, least squares. Errors: InputError for fewer than two lengths."""
    if len(seconds) < 2:
        raise InputError(f"an exponent needs two lengths at least, received {list(seconds)}")
    return linear_regression(
        *([math.log(value) for value in values] for values in (seconds, seconds.values()))
    ).slope


def peak_gigabytes() -> float:
    """Peak memory in GB of two simultaneous processes: twice the peak of this process since the last call.

    For the second process the peak of a finished build process counts where it is larger. Only Linux can reset a peak;
    elsewhere it is the largest so far.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    own, child = (
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        own = int(status.partition("VmHWM:")[2].split()[0])
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the peak, nothing else
    return (own + max(own, child)) * unit / 1e9


def _least(runs: Mapping[int, Callable[[], object]]) -> dict[int, float]:
    """Least processor seconds of each function, run in turns after one uncounted run: other work only adds seconds."""
    found: dict[int, list[float]] = {length: [] for length in runs}
    for turn in range(ROUNDS + 1):
        for length, run in runs.items():
            start = process_time()
            run()
            if turn:
                found[length].append(process_time() - start)
    return {length: min(times) for length, times in found.items()}
