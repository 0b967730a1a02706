"""Executors by name: each is the file of this folder that is called as it is, imported when it is asked for."""

from energylens.by_name import Folder
from energylens.errors import InputError
from energylens.store.executors.base import Executor

LOCAL = "local"
"""The executor unless another is asked for."""

EXECUTORS = Folder(__package__)
"""Classes of executors by name."""


def executor_named(name: str) -> type[Executor]:
    """The executor of a name. Errors: InputError for an unknown one."""
    if name not in EXECUTORS:
        raise InputError(f"unknown executor {name!r}; known: {', '.join(EXECUTORS)}")
    return EXECUTORS[name]
