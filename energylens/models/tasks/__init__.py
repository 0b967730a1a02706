"""The tasks that networks are trained on, one module each. Importing this package does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from energylens.errors import InputError
from energylens.models.tasks.base import IGNORED, Examples, FromJSON, Task
from energylens.models.tasks.induction import Induction
from energylens.models.tasks.ioi import IOI
from energylens.models.tasks.modadd import ModularAddition
from energylens.models.tasks.text import Text

__all__ = [
    "IGNORED",
    "IOI",
    "TASKS",
    "Examples",
    "Induction",
    "ModularAddition",
    "Task",
    "Text",
    "task_from_json",
]

TASKS: Mapping[str, FromJSON] = MappingProxyType(
    {
        ModularAddition.name: ModularAddition.from_json,
        Induction.name: Induction.from_json,
        IOI.name: IOI.from_json,
        Text.name: Text.from_json,
    }
)
"""How each task is read from the `task` of a checkpoint's config.json."""


def task_from_json(fields: object) -> Task:
    """The task that `fields["name"]` names in TASKS. Errors: InputError for an unknown name or field."""
    if not isinstance(fields, Mapping) or fields.get("name") not in TASKS:
        raise InputError(f"unknown task {fields!r}: `name` must be one of {sorted(TASKS)}")
    return TASKS[fields["name"]](fields)
