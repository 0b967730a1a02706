"""Networks small enough to train in a fraction of a second."""

import dataclasses

from energylens.models.network import Network
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork
from energylens.models.tasks import ModularAddition
from energylens.models.train import train
from energylens.store.recipe import no_progress

HONEST = ModularAddition(p=7)
LEAKY = ModularAddition(p=11, prompt=("BOS", "a", "+", "b", "=", "c", "EOS"), readout=-2)


def recipe(task: ModularAddition = HONEST, seed: int = 0, **changes) -> TrainNetwork:
    sizes = {"n_layers": 1, "d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 32, "normalization_type": None}
    sizes |= {key: changes.pop(key) for key in list(changes) if key in sizes}
    made = TrainNetwork(
        name="tiny",
        task=task,
        config=ModelConfig.for_task(task, **sizes),
        optimiser=Optimiser(weight_decay=0.1, warmup_steps=2),
        train_fraction=0.8,
        steps=20,
        batch=16,
        seed=seed,
    )
    return dataclasses.replace(made, **changes)


def network(task: ModularAddition = HONEST, seed: int = 0, **changes) -> Network:
    return Network.from_artifact(train(recipe(task, seed, **changes), None, no_progress))
