"""Every model that claims may name."""

from energylens.models.zoo import ZOO

PLANTED = "planted-dictionary"
WIRED = "induction-wired"

MODEL_TASKS = {
    **{name: entry.task.name for name, entry in ZOO.items()},
    PLANTED: "planted",
    WIRED: "induction-wired",
}
"""Every model that claims may name, with its task."""
