"""Every model that claims may name, and the source that has it."""

from functools import cache

from energylens.by_name import Folder
from energylens.errors import InputError
from energylens.lab.sources.base import Source

SOURCES = Folder(__package__)
"""Sources by name: each is the file of this folder that is called as it is."""

MODEL_TASKS = {model: task for source in SOURCES.values() for model, task in source().models().items()}
"""Every model that claims may name, with its task."""


@cache
def source_of(model: str) -> Source:
    """The source that has a model. Errors: InputError for an unknown name."""
    for source in SOURCES.values():
        found: Source = source()
        if model in found.models():
            return found
    raise InputError(f"unknown model {model!r}; known: {', '.join(MODEL_TASKS)}")
