"""Where a pytest configuration keeps the run of its process."""

import pytest

from energylens.run.session import Session

SESSION = pytest.StashKey[Session]()
"""The run of a pytest process."""
