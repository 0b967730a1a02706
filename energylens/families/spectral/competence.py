"""Competence of a network at its task: a head can't matter for a task that the network can't do."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from energylens.errors import InputError
from energylens.models.network import Network
from energylens.models.tasks import IOI, Induction, Text
from energylens.models.tasks.ioi import TRAIN_FRACTION

Scores = Mapping[str, float]

REQUIRED: Mapping[str, tuple[str, Callable[[Scores], float]]] = MappingProxyType(
    {
        Induction.name: ("test_accuracy", lambda scores: scores["test_accuracy"] / 0.9),
        IOI.name: ("io_over_s", lambda scores: scores["io_over_s"] / 0.98),
        Text.name: ("bits_per_byte", lambda scores: 2.2 / scores["bits_per_byte"]),
    }
)
"""By task: the score, and its ratio to the required score, at least 1 for a competent network."""


@torch.no_grad()
def competence(network: Network) -> tuple[float, dict[str, float]]:
    """(score over the score required, all scores), on inputs held out of the network's training.

    Errors: InputError for a task that heads are not judged on.
    """
    task = network.task
    if task.name not in REQUIRED:
        raise InputError(
            f"no competence is known for the task {task.name!r}; there is for {', '.join(REQUIRED)}"
        )
    seed = network.meta.get("split_seed", network.seed)
    train, held_out = task.split(TRAIN_FRACTION if isinstance(task, IOI) else 1.0, seed)

    def forward(tokens: Tensor) -> Tensor:
        return torch.cat([network.bridge(chunk) for chunk in tokens.split(64)])

    name, ratio = REQUIRED[task.name]
    scores = task.scores(forward, train, held_out)
    return ratio(scores), {name.replace("_", " "): scores[name], "test loss, nats": scores["test_loss_nats"]}
