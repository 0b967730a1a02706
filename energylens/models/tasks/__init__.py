"""The tasks that networks are trained on, one module each, found by name (`table`). No torch is imported here.

Code that enters keys of artifacts imports tasks from their modules, not from here: else every key covers every task.
"""

from energylens.models.tasks.base import IGNORED, Examples, Task
from energylens.models.tasks.induction import Induction
from energylens.models.tasks.ioi import IOI
from energylens.models.tasks.modadd import ModularAddition
from energylens.models.tasks.table import TASKS, task_from_json
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
