"""Claims, store and session of a project, found by the options of a command."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from energylens.harness.declare.claim import Claim
    from energylens.run.session import Session


def catalogue(folder: Path) -> list[Any]:
    """The claims declared below a folder. Errors: InputError if there is no such folder."""
    from energylens.errors import InputError
    from energylens.harness.declare.catalogue import load_claims

    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the folder that holds the claims with --claims")
    return list(load_claims(folder).values())


def open_store(options: argparse.Namespace) -> Any:
    """The store that --store names."""
    from energylens.store import Store

    return Store(options.store)


@contextmanager
def session_of(options: argparse.Namespace) -> Iterator["Session"]:
    """A session with the claims of --claims and the store of --store, open while a command runs."""
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from energylens.plugin.project import project_of
    from energylens.run.session import Session

    known = {declared.claim.id: declared for declared in catalogue(options.claims)}
    project, asked, root = project_of(options.claims)
    asked = replace(asked, claims_folder=options.claims.resolve(), store=options.store)
    with TemporaryDirectory() as folder:
        yield Session(asked, root, Path(folder), project, known)


def needed(session: "Session", claims: Iterable["Claim"]) -> list[Any]:
    """The recipes that these claims need, at all their seeds."""
    from energylens.harness.declare.cases import cases_of
    from energylens.run.needs import recipes_needed

    cases = [case for claim in claims for case in cases_of(claim, session.seeds_by_model(claim))]
    return list(recipes_needed(session, cases))
