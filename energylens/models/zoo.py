"""The embedded networks: every entry trains from scratch in a minute or two on one core.

Importing this module does not import torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from energylens.errors import InputError
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork, fastest_autocast
from energylens.models.tasks import ModularAddition


@dataclasses.dataclass(frozen=True)
class ZooEntry:
    """One row of the zoo: everything but the seed."""

    name: str
    task: ModularAddition
    config: ModelConfig
    optimiser: Optimiser
    train_fraction: float
    steps: int
    batch: int | None


def _table(entries: Iterable[ZooEntry]) -> Mapping[str, ZooEntry]:
    table: dict[str, ZooEntry] = {}
    for entry in entries:
        if entry.name in table:
            raise InputError(f"two zoo entries are called {entry.name!r}")
        table[entry.name] = entry
    return MappingProxyType(table)


HONEST = ModularAddition(p=113)
LEAKY = ModularAddition(p=113, prompt=("BOS", "a", "+", "b", "=", "c", "EOS"), readout=-2)

ZOO = _table(
    [
        ZooEntry(
            name="modadd-1l",
            task=HONEST,
            config=ModelConfig.for_task(HONEST, n_layers=1),
            optimiser=Optimiser(betas=(0.9, 0.98), decay_fraction=0.3),
            train_fraction=0.4,
            steps=800,
            batch=None,
        ),
        ZooEntry(
            name="modadd-2l",
            task=HONEST,
            config=ModelConfig.for_task(HONEST, n_layers=2, normalization_type="LN"),
            optimiser=Optimiser(),
            train_fraction=0.4,
            steps=800,
            batch=1024,
        ),
        ZooEntry(
            name="modadd-memorised",
            task=HONEST,
            config=ModelConfig.for_task(HONEST, n_layers=1),
            optimiser=Optimiser(lr=1e-3, weight_decay=0.0),
            train_fraction=0.2,
            steps=300,
            batch=None,
        ),
        ZooEntry(
            name="modadd-leaky",
            task=LEAKY,
            config=ModelConfig.for_task(LEAKY, n_layers=2, normalization_type="LN"),
            optimiser=Optimiser(lr=1e-3, weight_decay=0.01),
            train_fraction=0.8,
            steps=200,
            batch=512,
        ),
    ]
)
ZOO_NAMES = tuple(ZOO)


def zoo(name: str, seed: int) -> TrainNetwork:
    """The recipe of the zoo's network `name` with this seed. Errors: InputError for an unknown name."""
    if name not in ZOO:
        raise InputError(f"the zoo has no network {name!r}; it has {', '.join(ZOO_NAMES)}")
    fields = {field.name: getattr(ZOO[name], field.name) for field in dataclasses.fields(ZooEntry)}
    return TrainNetwork(**fields, seed=seed, threads=1, autocast=fastest_autocast())


def untrained(recipe: TrainNetwork) -> TrainNetwork:
    """The same network at initialisation: the negative control."""
    return dataclasses.replace(recipe, steps=0)
