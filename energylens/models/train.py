"""The one trainer: a task's examples, its loss in nats, AdamW or Muon."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import EnergylensError
from energylens.models.muon import Float32Muon
from energylens.models.recipe import SNAPSHOTS, Muon, TrainNetwork
from energylens.models.tasks.base import Task
from energylens.models.threads import torch_threads
from energylens.models.transformer import Transformer
from energylens.store.recipe import JSON, Artifact, Progress

RECORDS = 20
RECORD_EVERY = 50
EVALUATED_AT_ONCE = 1024
Curve = dict[str, int | float]


def train(recipe: TrainNetwork, data: Artifact | None, progress: Progress) -> Artifact:
    """Train the recipe's network and return its weights, its curves and what it cost.

    Errors: EnergylensError naming step and loss if the loss stops being finite.
    """
    with torch_threads(recipe.threads):
        started = time.perf_counter()
        network = Transformer(recipe.config, recipe.seed)
        task = recipe.task.with_data(data)
        train_side, held_out = task.split(recipe.train_fraction, recipe.seed)

        def record(step: int) -> Curve:
            return {"step": step, **task.scores(_evaluated(network, task), train_side, held_out)}

        tensors: dict[str, np.ndarray] = {}
        curves = [record(0)]
        _keep(tensors, recipe, network, 0)
        every = max(RECORD_EVERY, recipe.steps // RECORDS)
        for step, loss_nats in _steps(recipe, task, network, train_side):
            _keep(tensors, recipe, network, step)
            if step % every == 0 or step == recipe.steps:
                curves.append(record(step))
            progress(
                step, recipe.steps, {"loss_nats": loss_nats, "test_accuracy": curves[-1]["test_accuracy"]}
            )
        seconds = time.perf_counter() - started
    tensors |= {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return Artifact(tensors, _meta(recipe, task, curves, seconds))


def _steps(
    recipe: TrainNetwork, task: Task, network: Transformer, train_side: Any
) -> Iterator[tuple[int, float]]:
    """Run the optimiser; yield (step counted from 1, loss in nats of that step's batch)."""
    generator = torch.Generator().manual_seed(recipe.seed)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimisers, schedules = _optimisers(recipe, network)
    clip = _schedule_of(recipe).clip
    for step in range(1, recipe.steps + 1):
        examples = task.batch(train_side, recipe.batch, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.autocast == "bf16"):
            logits = network(examples.tokens, task.readout)
        loss = task.loss(logits.float(), examples)
        loss_nats = loss.item()
        if not loss.isfinite():
            raise EnergylensError(
                f"{recipe.label()}: the loss is {loss_nats} nats at step {step} of {recipe.steps}"
            )
        network.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(trained, clip)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
        yield step, loss_nats


def _schedule_of(recipe: TrainNetwork) -> Any:
    return recipe.optimiser.rest if isinstance(recipe.optimiser, Muon) else recipe.optimiser


def _optimisers(
    recipe: TrainNetwork, network: Transformer
) -> tuple[list[torch.optim.Optimizer], list[torch.optim.lr_scheduler.LambdaLR]]:
    """AdamW on all parameters, or Muon on the blocks' matrices and AdamW on the rest; one schedule each."""
    settings, chosen = _schedule_of(recipe), recipe.optimiser
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    matrices = {
        name for name, parameter in named.items() if name.startswith("blocks.") and parameter.ndim == 2
    }
    found: list[torch.optim.Optimizer] = []
    if isinstance(chosen, Muon):
        blocks = [named.pop(name) for name in sorted(matrices)]
        found.append(
            torch.optim.Muon(blocks, lr=chosen.lr, momentum=chosen.momentum, weight_decay=0.0)
            if recipe.autocast == "bf16"
            else Float32Muon(blocks, chosen.lr, chosen.momentum)
        )
    found.append(
        torch.optim.AdamW(
            list(named.values()),
            lr=settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )
    )

    def factor(step: int) -> float:
        return settings.lr_factor(step, recipe.steps)

    return found, [torch.optim.lr_scheduler.LambdaLR(optimiser, factor) for optimiser in found]


def _evaluated(network: Transformer, task: Task) -> Callable[[Int[Tensor, "n pos"]], Float[Tensor, "n ..."]]:
    """Logits at the task's readout, without gradients, in float32 whatever the training uses."""

    @torch.no_grad()
    def forward(tokens: Int[Tensor, "n pos"]) -> Float[Tensor, "n ..."]:
        return torch.cat([network(chunk, task.readout) for chunk in tokens.split(EVALUATED_AT_ONCE)])

    return forward


def _keep(tensors: dict[str, np.ndarray], recipe: TrainNetwork, network: Transformer, step: int) -> None:
    """Copy the weights of a step that the recipe names."""
    if step in recipe.snapshots:
        state = network.state_dict()
        tensors |= {f"{SNAPSHOTS}{step}/{name}": state[name].numpy().copy() for name in state}


def _meta(recipe: TrainNetwork, task: Task, curves: list[Curve], seconds: float) -> dict[str, JSON]:
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        "split_seed": recipe.seed,
        "config": asdict(recipe.config),
        "task": task.to_json(),
        "snapshots": list(recipe.snapshots),
        "curves": {key: [record[key] for record in curves] for key in curves[0]},
        "seconds": seconds,
        "steps_per_second": recipe.steps / seconds,
    }
