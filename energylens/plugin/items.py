"""pytest items that are cases of claims: the code that they will run, and the artifacts that they need."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from energylens.errors import StoreError
from energylens.harness.declare.cases import Case
from energylens.harness.declare.measurement import Unavailable
from energylens.run.needs import build_missing, recipes_needed
from energylens.run.session import Session
from energylens.run.witness import bodies_of


def case_of(item: pytest.Item) -> Case | None:
    """The claim case behind a pytest item, if it is one."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("claim_case") if callspec else None
    return case if isinstance(case, Case) else None


def selected(items: Iterable[pytest.Item]) -> list[Case]:
    """The cases among the items."""
    return [case for item in items if (case := case_of(item))]


@contextmanager
def calling(claim: str) -> Iterator[None]:
    """Context of a call of a claim's body: pytest.skip means that nothing can be measured, pytest.xfail is an error."""
    try:
        yield
    except pytest.skip.Exception as reason:
        raise Unavailable(str(reason)) from None
    except pytest.xfail.Exception as reason:
        raise RuntimeError(
            f"claim {claim!r} called pytest.xfail ({reason}); a claim can't: record its verdict in the ledger"
        ) from None


def note_code(items: Iterable[pytest.Item], session: Session, ours: str) -> None:
    """Record the code that the cases will run, claim by claim. ours: the module with the fixtures of energylens."""
    modules: dict[str, set[str]] = {}
    for item in items:
        case = case_of(item)
        if case and case.claim.id not in modules:
            modules[case.claim.id] = set(_modules(item, case, session, ours))
    session.witness.code(modules)


def _modules(item: pytest.Item, case: Case, session: Session, ours: str) -> Iterator[str]:
    """Modules of the bodies that a verdict runs, and of the fixtures that these bodies use."""
    bodies = bodies_of(case.claim, session)
    yield from (body.__module__ for body in bodies)
    asked = {name for body in bodies for name in inspect.signature(body).parameters}
    for name in sorted(asked | set(item.fixturenames)):  # type: ignore[attr-defined]
        for fixture in item.session._fixturemanager.getfixturedefs(name, item) or ():
            if fixture.func.__module__ != ours:
                yield fixture.func.__module__
            elif name == "lab":
                yield from session.project.lab_modules()


def prebuild(config: pytest.Config, session: Session, cases: Iterable[Case]) -> None:
    """Build the artifacts that cases need and the store lacks. A failed build fails the cases that need the artifact.

    Raises UsageError for a store that can't be written, which would fail every case.
    """
    if not any(declared.claim.needs for declared in session.declared.values()):
        return
    recipes = list(recipes_needed(session, cases))
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        outcomes = build_missing(recipes, session.store)
    for _, error in outcomes:
        if isinstance(error, StoreError):
            raise pytest.UsageError(str(error)) from error
