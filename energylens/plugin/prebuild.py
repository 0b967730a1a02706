"""What the selected cases need from the store, built ahead: side by side and with progress bars."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from energylens.errors import StoreError
from energylens.harness.cases import Case, cases_behind
from energylens.harness.catalogue import Declared
from energylens.harness.claim import Claim
from energylens.harness.measurement import Unavailable
from energylens.plugin.labs import lab_of, store_of
from energylens.plugin.session import ClaimSession

if TYPE_CHECKING:
    from energylens.store import Recipe, Store


def prebuild(config: pytest.Config, session: ClaimSession, cases: Iterable[Case]) -> None:
    """Build what is missing. A failure is left to the case that needs the artifact, which then reports it.

    A store that can't be written would fail every case: raises UsageError, which says so once.
    """
    if not any(declared.claim.needs for declared in session.declared.values()):
        return
    recipes = list(plan(lab_of(config, session), cases, session.seeds_by_model, session.resolve))
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        outcomes = build_missing(recipes, store_of(session))
    for _, error in outcomes:
        if isinstance(error, StoreError):
            raise pytest.UsageError(str(error)) from error


def build_missing(recipes: Iterable["Recipe"], store: "Store", jobs: int | None = None) -> list[Any]:
    """Build in as many processes as there are cores (recipes use one thread each), showing progress."""
    from energylens.store import build_all, progress_display

    with progress_display() as on_event:
        return build_all(recipes, store.url, jobs or available_cores(), on_event)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan(
    lab: Any,
    cases: Iterable[Case],
    seeds_by_model: Callable[[Claim], dict[str, tuple[int, ...]]],
    resolve: Callable[[str, Claim], Declared],
) -> Iterator["Recipe"]:
    """Recipes that the cases need, gates and nulls included, each once, in the order of first need."""
    seen = set()
    for case in cases:
        for each in cases_behind(case, seeds_by_model, resolve):
            for recipe in _needed(lab, each):
                if recipe not in seen:
                    seen.add(recipe)
                    yield recipe


def _needed(lab: Any, case: Case) -> Iterable["Recipe"]:
    if case.claim.needs is None:
        return ()
    null = next((each for each in case.claim.controls if each.name == case.null), None)
    used = lab.swapped(**null.swap) if null and null.swap else lab
    try:
        return list(case.claim.needs(used, case.model, case.variant, case.seed))
    except Unavailable:  # said by the case itself, which is then NOT RUN
        return ()
