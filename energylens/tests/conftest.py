"""Check the declared array shapes of the numerical packages at run time in every test; one thread per process."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

CHECKED = ("families", "interventions", "lenses", "metrics", "models", "sae")

install_import_hook([f"energylens.{package}" for package in CHECKED], "beartype.beartype")

settings.register_profile("energylens", deadline=None)  # on a busy machine an example may take seconds
settings.load_profile("energylens")


@pytest.fixture(scope="session")
def python_text():
    """The running interpreter's corpus, built once."""
    from energylens.models.corpus import PythonText
    from energylens.store import no_progress

    return PythonText().build([], no_progress)
