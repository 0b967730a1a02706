"""Distribution of claims over the workers of pytest-xdist: cases of the same model and seed share a worker."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from energylens.harness.declare.cases import Case, cases_of
from energylens.run.session import Session


def selected_by(session: Session, ids: Collection[str]) -> Iterator[Case]:
    """The cases behind the node ids that a worker collected. All claims must be declared."""
    cases = _by_node_id(session)
    return (cases[node_id] for node_id in ids if node_id in cases)


def scheduler(config: pytest.Config, log: Any, session: Session) -> Any:
    """The scheduler for `-n N` on claims alone: one worker gets all measurements of a model and seed, and shares work.

    Largest groups come first, as xdist orders them; a verdict is a group of its own, and so comes after its
    measurements. None, which leaves the choice to xdist, for another --dist or where other tests run as well.
    """
    folder = session.options.claims_folder
    paths = [
        (Path(config.invocation_params.dir) / argument.partition("::")[0]).resolve()
        for argument in config.args
    ]
    if config.option.dist != "load" or not all(path.is_relative_to(folder.resolve()) for path in paths):
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByNetwork(LoadScopeScheduling):
        """Scopes are (model, seed)."""

        groups: Mapping[str, str] = {
            node_id: f"{case.model} {case.seed}"
            for node_id, case in _by_node_id(session).items()
            if case.seed is not None
        }

        def _split_scope(self, nodeid: str) -> str:
            return self.groups.get(nodeid, nodeid)

    return ByNetwork(config, log)


def _by_node_id(session: Session) -> dict[str, Case]:
    """Every case of every declared claim."""
    found = {}
    for declared in session.declared.values():
        claim = declared.claim
        file = Path(os.path.relpath(claim.where.rpartition(":")[0], session.root)).as_posix()
        for case in cases_of(claim, session.seeds_by_model(claim)):
            found[f"{file}::{claim.function}[{case.id}]"] = case
    return found
