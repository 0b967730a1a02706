"""The implementations of the hooks for the embedded zoo: its models, data and lab."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from energylens.plugin.stash import SESSION
from energylens.run.project import Zoo

if TYPE_CHECKING:
    from energylens.store import Store


def pytest_energylens_models() -> Mapping[str, str]:
    """See the hook."""
    return Zoo().models()


def pytest_energylens_data() -> Mapping[str, Callable[[], str]]:
    """See the hook."""
    return Zoo().data()


@pytest.hookimpl(trylast=True)
def pytest_energylens_lab(config: pytest.Config, store: "Store") -> Any:
    """See the hook."""
    return Zoo().lab(config.stash[SESSION], store)
