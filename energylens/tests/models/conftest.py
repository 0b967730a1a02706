import pytest

from energylens.models.corpus import PythonText
from energylens.store import Artifact, no_progress


@pytest.fixture(scope="session")
def python_text() -> Artifact:
    """The running interpreter's corpus, built once."""
    return PythonText().build([], no_progress)
