"""Recipes that cases need, and the build of those whose artifacts are missing."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from energylens.harness.declare.cases import Case, cases_behind
from energylens.harness.declare.measurement import Unavailable
from energylens.run.session import Session

if TYPE_CHECKING:
    from energylens.store import Recipe, Store


def build_missing(
    recipes: Iterable["Recipe"], store: "Store", jobs: int | None = None, executor: str = "local"
) -> list[Any]:
    """Build missing artifacts in as many processes as there are cores (one thread each), showing progress."""
    from energylens.store import build_all, progress_display

    with progress_display() as on_event:
        return build_all(recipes, store.url, jobs or available_cores(), on_event, executor)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def recipes_needed(session: Session, cases: Iterable[Case]) -> Iterator["Recipe"]:
    """Recipes that the cases need, gates and nulls included, each once, in the order of first need."""
    seen = set()
    for case in cases:
        for each in cases_behind(case, session.seeds_by_model, session.resolve):
            for recipe in _needed(session, each):
                if recipe not in seen:
                    seen.add(recipe)
                    yield recipe


def _needed(session: Session, case: Case) -> Iterable["Recipe"]:
    if case.claim.needs is None:
        return ()
    null = next((each for each in case.claim.controls if each.name == case.null), None)
    used = session.lab.swapped(**null.swap) if null and null.swap else session.lab
    try:
        return list(case.claim.needs(used, case.model, case.variant, case.seed))
    except Unavailable:  # said by the case itself, which is then NOT RUN
        return ()
