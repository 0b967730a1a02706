"""Hooks that a project's conftest.py may implement."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from energylens.store import Store


@pytest.hookspec
def pytest_energylens_models() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Name the models that claims may speak of, each with its task ("" when it has none).

    A project whose claims are not about the embedded zoo names its own models here, and tells with
    `pytest_energylens_lab` what its claims measure on.
    """


@pytest.hookspec(firstresult=True)
def pytest_energylens_lab(config: pytest.Config, store: "Store") -> Any:
    """What claims measure on: their argument `lab`, and that of `needs`, in place of the embedded zoo's.

    `swapped(**inputs)` of it makes controls that swap an input work. Called once in every process that measures
    or builds. store: where `store.get(recipe)` finds what a recipe made, or makes it.
    """


@pytest.hookspec
def pytest_energylens_data() -> Mapping[str, Callable[[], str]]:  # type: ignore[empty-body]
    """By task, what tells the fingerprint of the data that its models are trained on, where data can differ.

    A verdict on other data than the ledger's drifts; it does not flip.
    """
