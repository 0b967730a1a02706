"""Hooks that a project's conftest.py may implement."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from energylens.store import Store


@pytest.hookspec
def pytest_energylens_models() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the names of the models that claims may use, each with its task ("" when it has none).

    A project whose claims are not about the embedded zoo names its own models here, and gives claims access to them
    with `pytest_energylens_lab`.
    """


@pytest.hookspec(firstresult=True)
def pytest_energylens_lab(config: pytest.Config, store: "Store") -> Any:
    """Return the lab: the object that claims and their `needs` get as argument `lab`, in place of the zoo's lab.

    Controls that swap an input call its method `swapped(**inputs)`. The hook is called once in every process that
    measures or builds. store: `store.get(recipe)` finds the recipe's artifact or builds it.
    """


@pytest.hookspec
def pytest_energylens_data() -> Mapping[str, Callable[[], str]]:  # type: ignore[empty-body]
    """Return, by task, a function that gives the fingerprint of the training data, for tasks whose data can differ.

    A verdict on other data than the recorded one drifts; it does not flip.
    """
