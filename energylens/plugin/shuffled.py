"""A pytest plugin, for `-p energylens.plugin.shuffled`: cases run in an order drawn with $ENERGYLENS_SHUFFLE."""

import os
import random

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers of pytest-xdist must collect in the same order, so the seed is given, not drawn."""
    random.Random(int(os.environ["ENERGYLENS_SHUFFLE"])).shuffle(items)
