"""Tasks by name, which is that of their module in this folder. A module is imported when its task is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from energylens.by_name import Folder
from energylens.errors import InputError
from energylens.models.tasks.base import Task

TASKS = Folder("energylens.models.tasks")
"""Classes of tasks by name. Their `from_json` reads the `task` of a checkpoint's config.json."""


def task_from_json(fields: object) -> Task:
    """The task that `fields["name"]` names in TASKS. Errors: InputError for an unknown name or field."""
    if not isinstance(fields, Mapping) or fields.get("name") not in TASKS:
        raise InputError(f"unknown task {fields!r}: `name` must be one of {sorted(TASKS)}")
    return cast(Task, TASKS[fields["name"]].from_json(fields))
