"""Hooks that a project's conftest.py may implement."""

from collections.abc import Callable, Mapping

import pytest


@pytest.hookspec
def pytest_energylens_models() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Name the models that claims may speak of, each with its task ("" when it has none).

    A project whose claims are not about the embedded zoo names its own models here and overrides the
    `lab` fixture with whatever its claims measure on.
    """


@pytest.hookspec
def pytest_energylens_data() -> Mapping[str, Callable[[], str]]:  # type: ignore[empty-body]
    """By task, what tells the fingerprint of the data that its models are trained on, where data can differ.

    A verdict on other data than the ledger's drifts; it does not flip.
    """
