"""Warnings at collection about selected claims that their seeds can't decide."""

from collections.abc import Iterable

import pytest

from energylens.harness.declare.cases import Case
from energylens.harness.declare.decidable import UndecidableClaimWarning, undecidable
from energylens.run.session import Session


def warn_undecidable(config: pytest.Config, session: Session, selected: Iterable[Case]) -> None:
    """Warn of every claim among the selected cases that its declared seeds can't decide.

    No warning where other seeds were asked for, by --seeds or by --model.
    Raises UsageError, naming all such claims, where the project's filters turn the warning into an error.
    """
    if session.options.seeds or session.options.models:
        return
    refused = []
    for claim in {case.claim.id: case.claim for case in selected}.values():
        if told := undecidable(claim):
            warning = UndecidableClaimWarning(told)
            try:
                config.issue_config_time_warning(warning, stacklevel=2)
            except UndecidableClaimWarning:
                refused.append(f"{type(warning).__name__}: {told}")
    if refused:
        raise pytest.UsageError(*refused)
