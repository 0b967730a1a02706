"""Comparison of runs of the same claims: in one process or two, in other orders, one verdict alone, trained again.

Every comparison is exact: two runs of the same claims may differ in nothing but their durations.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from energylens.errors import EnergylensError, InputError
from energylens.harness.declare.cases import Case
from energylens.harness.declare.catalogue import load_claims
from energylens.harness.json_values import plain
from energylens.harness.results import ERROR, read_results
from energylens.harness.verdict import Verdict, Word, row_key
from energylens.lab import Lab, open_store
from energylens.models.recipe import TrainNetwork
from energylens.models.threads import torch_threads
from energylens.models.zoo import zoo
from energylens.sae.recipe import TrainSAEs
from energylens.sae.variants import ReLU
from energylens.store import Progress as Steps
from energylens.store import Recipe, Store
from energylens.trust.sabotage.trial import Trial

Progress = Callable[[str], None]

OF_THE_SELECTION = ("holm", "ledger")
"""Entries of a verdict in results.json that depend on other claims or on the ledger, and so on the selection."""

SELECTION = "(stability or fourier) and (modadd-1l or modadd-leaky) or energy.sinks"
ALONE = (
    "fourier.r2-below-5pct and modadd-leaky and verdict",
    "stability.pwmcc-level.topk and modadd-1l and verdict",
)
LEFT_OUT = "energy.budget measures time and memory, which no two runs have in common"

THREADED, THREADS = "modadd-leaky", 2
THREADED_CLAIMS = ("fourier.r2-below-5pct", "fourier.no-leak")

_SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class Layout:
    """One way to run the same claims: arguments for pytest, and what the environment adds."""

    name: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def layouts(alone: Sequence[str] = ()) -> list[Layout]:
    """One process, two workers, two other orders, one of them in two workers; and selections that run by themselves."""
    shuffled = ("-p", "energylens.plugin.shuffled")
    return [
        Layout("one process"),
        Layout("two workers", ("-n", "2")),
        Layout("shuffled", shuffled, {"ENERGYLENS_SHUFFLE": "1"}),
        Layout("shuffled, two workers", (*shuffled, "-n", "2"), {"ENERGYLENS_SHUFFLE": "2"}),
        *(Layout(f"alone: {selection}", ("-k", selection)) for selection in alone),
    ]


def run(progress: Progress, claims: Path = Path("claims")) -> dict[str, Any]:
    """Claims of the repository, a network and its SAEs: some ten minutes on two cores if the store has the networks."""
    store, network = open_store(None), zoo(THREADED, 0)
    saes = TrainSAEs(source=network, variant=ReLU(l1=0.0))
    return {
        "selection": SELECTION,
        "left out": LEFT_OUT,
        "layouts": compare_layouts(claims, layouts(ALONE), progress, ("-k", SELECTION)),
        "built again": compare_built([network, saes], store, progress),
        "other thread count": compare_threads(claims, THREADED, THREADED_CLAIMS, THREADS, store, progress),
    }


def compare_layouts(
    claims: Path, ways: Sequence[Layout], progress: Progress, arguments: Sequence[str] = ()
) -> dict[str, Any]:
    """Run the claims in every way, and list by name the verdicts and measurements that differ from the first way.

    arguments: for pytest, in every way; arguments of one way come after them, and so win.
    Errors: EnergylensError, with the end of the output, for a run that fails.
    """
    found: dict[str, Any] = {}
    first: dict[str, Any] = {}
    for way in ways:
        progress(f"{way.name}: started")
        started = time.perf_counter()
        results = run_claims(claims, (*arguments, *way.arguments), way.environment)
        first = first or results
        found[way.name] = {
            "verdicts": len(judged(results)),
            "measurements": len(measured(results)),
            "different verdicts": differences(judged(first), judged(results)),
            "different measurements": differences(measured(first), measured(results)),
            "seconds": round(time.perf_counter() - started, 1),
        }
        progress(f"{way.name}: {found[way.name]}")
    return found


def run_claims(
    claims: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """results.json of `pytest claims` in a process of its own, started where the folder of claims is."""
    if not claims.is_dir():
        raise InputError(
            f"no folder {claims} in {Path.cwd()}: run the command in the folder that holds {claims.name}"
        )
    with TemporaryDirectory() as folder:
        own = ("--ledger=ignore", f"--report-dir={folder}", "-p", "no:cacheprovider", "-q")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", claims.name, *own, *arguments],
            cwd=claims.absolute().parent, env=os.environ | dict(environment or {}),
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            tail = (done.stdout + done.stderr)[-2000:]
            raise EnergylensError(f"pytest {' '.join(arguments)} ended with {done.returncode}:\n{tail}")
        return read_results(Path(folder, "results.json"))


def judged(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every verdict by row, with all that it rests on."""
    return {
        row_key(verdict["claim"], verdict["model"], verdict["variant"]): {
            name: value for name, value in verdict.items() if name not in OF_THE_SELECTION
        }
        for verdict in results["verdicts"]
        if verdict["word"] not in (Word.NOT_RUN, ERROR)
    }


def measured(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every measurement by row, null and seed, without its duration."""
    return {
        f"{row_key(case['claim'], case['model'], case['variant'])}/{case['null']}/{case['seed']}": {
            name: value for name, value in case.items() if name != "seconds"
        }
        for case in results["cases"]
    }


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Differences of `second` from `first`, as "name: field, field", or "name: missing" where `first` lacks it."""
    found = []
    for name, fields in second.items():
        other = first.get(name, {})
        unlike = [field for field in {**other, **fields} if other.get(field) != fields.get(field)]
        if unlike:
            found.append(f"{name}: {', '.join(unlike) if other else 'missing'}")
    return found


def compare_built(recipes: Sequence[Recipe], store: Store, progress: Progress) -> dict[str, Any]:
    """Build artifacts again in an empty store, and compare the bits of their payloads with what `store` holds.

    `store` builds the artifacts that it lacks.
    """
    found: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        again = Store(folder)
        for recipe in recipes:
            sha256 = []
            for where in (store, again):
                where.get(recipe, steps_as_lines(recipe, progress))
                manifest = where.manifest(recipe)
                sha256.append(manifest.sha256 if manifest else "")
            found[recipe.label()] = {"sha256": sha256, "identical": len(set(sha256)) == 1}
            progress(f"{recipe.label()}: {found[recipe.label()]}")
    return found


@dataclass(frozen=True)
class ThreadedLab(Lab):
    """The lab of the zoo with networks trained in a given number of threads: other recipes, so other artifacts."""

    threads: int = 1

    def recipe(self, model: str, seed: int = 0) -> Recipe:
        """See `Lab.recipe`."""
        found = super().recipe(model, seed)
        return replace(found, threads=self.threads) if isinstance(found, TrainNetwork) else found


def compare_threads(
    claims: Path, model: str, ids: Sequence[str], threads: int, store: Store, progress: Progress
) -> dict[str, Any]:
    """Verdicts on networks trained in one thread (those of `store`) and in several (trained here, and not kept).

    Sums in another order have other bits, so estimates differ; verdicts should not.
    """
    declared = load_claims(claims)
    seeds = sorted({seed for id in ids for seed in declared[id].claim.seeds})
    with TemporaryDirectory() as folder, torch_threads(1):
        labs = [Lab(store), ThreadedLab(Store(Path(folder, "store")), threads=threads)]
        furthest = max(_largest_difference(labs, model, seed, progress) for seed in seeds)
        verdicts = {}
        for id in ids:
            case = Case(declared[id].claim, model, "", None)
            trials = [Trial(declared, lab, Path(folder, str(i)), len(seeds)) for i, lab in enumerate(labs)]
            verdicts[id] = [_told(trial.verdict(case)) for trial in trials]
            progress(f"{id} on {model}: {verdicts[id]}")
    return {
        "network": model,
        "seeds": len(seeds),
        "threads": [1, threads],
        "largest difference of a weight": furthest,
        "verdicts": verdicts,
        "same verdicts": all(
            (one["word"], one["qualifiers"]) == (other["word"], other["qualifiers"])
            for one, other in verdicts.values()
        ),
    }


def steps_as_lines(recipe: Recipe, progress: Progress) -> Steps:
    """Progress of a build as lines of text, one every few seconds."""
    printed = time.monotonic()

    def told(step: int, total: int, numbers: Mapping[str, float]) -> None:
        nonlocal printed
        if time.monotonic() - printed > _SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            progress(f"{recipe.label()}: step {step} of {total}")

    return told


def _largest_difference(labs: Sequence[Lab], model: str, seed: int, progress: Progress) -> float:
    """Largest difference between the weights of one network in two labs."""
    recipes = [lab.recipe(model, seed) for lab in labs]
    one, other = (
        lab.store.get(recipe, steps_as_lines(recipe, progress)).tensors
        for lab, recipe in zip(labs, recipes, strict=True)
    )
    return max(float(abs(one[name] - other[name]).max()) for name in one)


def _told(verdict: Verdict) -> dict[str, Any]:
    numbers = ("part", "estimate", "low", "high")
    parts = [
        {name: value for name, value in asdict(part).items() if name in numbers} for part in verdict.parts
    ]
    found: dict[str, Any] = plain({"word": verdict.word, "qualifiers": verdict.qualifiers, "parts": parts})
    return found
