"""Build of many artifacts, inputs first, the missing ones in parallel in several processes."""

import os
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from energylens.errors import EnergylensError, InputError
from energylens.store.events import OnEvent, event_of, ignore_event, one_line, reporting
from energylens.store.executors.base import Executor
from energylens.store.executors.table import LOCAL, executor_named
from energylens.store.key import key_of
from energylens.store.recipe import Recipe
from energylens.store.store import Store

Outcome: TypeAlias = tuple[Recipe, Exception | None]


def build_all(
    recipes: Iterable[Recipe],
    store_url: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    on_event: OnEvent = ignore_event,
    executor: str = LOCAL,
) -> list[Outcome]:
    """Make sure that the artifacts of `recipes` are in the store, building what is missing, inputs included.

    jobs: processes to build in; 1 builds in this one, unless another executor than the local one is named. Workers are
    spawned, so recipes must be importable, and a script that calls this needs `if __name__ == "__main__":`. A worker's
    OMP_NUM_THREADS is 1 unless set.
    executor: who builds, by name (`energylens.store.executors`).
    on_event: called in this process for every change of state and, at most five times a second, for steps.
    Returns (recipe, None) for each artifact that is there now and (recipe, exception) for each that failed, inputs
    first. An interrupt stops the workers; finished artifacts stay.
    """
    store = Store(store_url)
    if jobs < 1 or (jobs > 1 and store.url.startswith("memory:")):
        raise InputError(f"jobs must be at least 1, and 1 for memory:// stores; got {jobs} for {store.url}")
    make_executor = executor_named(executor)
    found, missing = _plan(recipes, store)
    for recipe in found.values():
        on_event(event_of(recipe, "found"))
    for recipe in missing.values():
        on_event(event_of(recipe, "queued"))
    schedule = _Schedule(missing, on_event)
    at_once = min(jobs, len(missing))
    if at_once > 1 or (missing and executor != LOCAL):
        with make_executor(store.url, at_once, on_event) as running:
            _run(schedule, running)
    else:
        _run_here(schedule, store, on_event)
    return [(recipe, schedule.outcomes.get(key)) for key, recipe in (found | missing).items()]


def _plan(recipes: Iterable[Recipe], store: Store) -> tuple[dict[str, Recipe], dict[str, Recipe]]:
    """(found, missing) recipes by key, inputs first. Inputs of found recipes are not looked for."""
    found: dict[str, Recipe] = {}
    missing: dict[str, Recipe] = {}

    def visit(recipe: Recipe) -> None:
        key = key_of(recipe)
        if key in found or key in missing:
            return
        if store.find(recipe) is not None:
            found[key] = recipe
            return
        for needed in recipe.inputs():
            visit(needed)
        missing[key] = recipe

    for recipe in recipes:
        visit(recipe)
    return found, missing


class _Schedule:
    """Schedule of the builds: the recipe that may be built next, and the outcomes of the others."""

    def __init__(self, missing: Mapping[str, Recipe], on_event: OnEvent) -> None:
        self._recipes = missing
        inputs = {key: {key_of(one) for one in recipe.inputs()} for key, recipe in missing.items()}
        self._waiting_for = {key: needed & set(missing) for key, needed in inputs.items()}
        self._on_event = on_event
        self.outcomes: dict[str, Exception | None] = {}

    def start(self) -> tuple[str, Recipe] | None:
        """Take the first recipe whose inputs are all there, if there is one."""
        for key, needed in self._waiting_for.items():
            if not needed:
                del self._waiting_for[key]
                self._on_event(event_of(self._recipes[key], "started"))
                return key, self._recipes[key]
        return None

    def finish(self, key: str, error: Exception | None) -> None:
        """Record what became of a recipe. If it failed, so has everything that reads it."""
        recipe = self._recipes[key]
        self.outcomes[key] = error
        self._on_event(event_of(recipe, "failed", one_line(error)) if error else event_of(recipe, "done"))
        readers = [reader for reader, needed in self._waiting_for.items() if key in needed]
        for reader in readers:
            if error is None:
                self._waiting_for[reader].discard(key)
            elif self._waiting_for.pop(reader, None) is not None:
                self.finish(reader, EnergylensError(f"its input {recipe.label()} failed: {one_line(error)}"))


def _run_here(schedule: _Schedule, store: Store, on_event: OnEvent) -> None:
    while started := schedule.start():
        key, recipe = started
        try:
            store.get(recipe, reporting(recipe, on_event))
        except Exception as error:
            schedule.finish(key, error)
        else:
            schedule.finish(key, None)


def _run(schedule: _Schedule, executor: Executor) -> None:
    while True:
        while executor.idle and (started := schedule.start()):
            executor.submit(*started)
        if executor.idle == executor.jobs:
            return
        for key, error in executor.wait():
            schedule.finish(key, error)
