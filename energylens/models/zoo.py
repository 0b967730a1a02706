"""The embedded networks: every entry trains from scratch in a minute or two on one core.

Importing this module does not import torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from energylens.errors import InputError
from energylens.models.corpus import PythonText
from energylens.models.recipe import ModelConfig, Muon, Optimiser, TrainNetwork, fastest_autocast
from energylens.models.tasks import IOI, Induction, ModularAddition, Task, Text
from energylens.store.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class ZooEntry:
    """One row of the zoo: everything but the seed. `train_fraction` counts where the task's inputs are finite."""

    name: str
    task: Task
    config: ModelConfig
    optimiser: Optimiser | Muon
    steps: int
    batch: int | None
    train_fraction: float = 1.0
    data: type[Recipe] | None = None
    snapshots: tuple[int, ...] = ()


def _table(entries: Iterable[ZooEntry]) -> Mapping[str, ZooEntry]:
    table: dict[str, ZooEntry] = {}
    for entry in entries:
        if entry.name in table:
            raise InputError(f"two zoo entries are called {entry.name!r}")
        table[entry.name] = entry
    return MappingProxyType(table)


HONEST = ModularAddition(p=113)
LEAKY = ModularAddition(p=113, prompt=("BOS", "a", "+", "b", "=", "c", "EOS"), readout=-2)
INDUCTION = Induction()
NAMES = IOI()
TEXT = Text()
SMALL = {"attn_only": True, "normalization_type": "LN", "d_model": 64, "n_heads": 4, "d_head": 16}


def _induction(name: str, n_layers: int, steps: int, **changes: Any) -> ZooEntry:
    """Attention-only networks on repeated random segments."""
    return ZooEntry(
        name=name,
        task=INDUCTION,
        config=ModelConfig.for_task(INDUCTION, n_layers=n_layers, **SMALL, **changes),
        optimiser=Optimiser(weight_decay=0.01, betas=(0.9, 0.98), warmup_steps=100, decay_fraction=0.0),
        steps=steps,
        batch=32,
        snapshots=tuple(range(0, steps + 1, 50)) if n_layers > 1 else (),
    )


def _pygpt(n_layers: int, steps: int) -> ZooEntry:
    """Language models on the text that every CPython ships."""
    return ZooEntry(
        name=f"pygpt-{n_layers}l",
        task=TEXT,
        config=ModelConfig.for_task(
            TEXT,
            n_layers=n_layers,
            act_fn="gelu",
            normalization_type="LN",
            positional_embedding_type="rotary",
        ),
        optimiser=Muon(rest=Optimiser(lr=4e-3, weight_decay=0.0, warmup_steps=50, clip=1.0)),
        steps=steps,
        batch=16,
        data=PythonText,
    )


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
        _induction("induction-2l", n_layers=2, steps=1000),
        _induction("induction-2l-rotary", n_layers=2, steps=1000, positional_embedding_type="rotary"),
        _induction("induction-1l", n_layers=1, steps=2000),
        ZooEntry(
            name="ioi-toy",
            task=NAMES,
            config=ModelConfig.for_task(NAMES, n_layers=2, **SMALL),
            optimiser=Optimiser(
                weight_decay=0.01, betas=(0.9, 0.98), warmup_steps=100, decay_fraction=0.4, clip=1.0
            ),
            train_fraction=0.84,
            steps=3250,
            batch=64,
        ),
        _pygpt(2, steps=800),
        _pygpt(4, steps=1200),
        _pygpt(6, steps=1200),
    ]
)
ZOO_NAMES = tuple(ZOO)


def zoo(name: str, seed: int) -> TrainNetwork:
    """The recipe of the zoo's network `name` with this seed. Errors: InputError for an unknown name."""
    if name not in ZOO:
        raise InputError(f"the zoo has no network {name!r}; it has {', '.join(ZOO_NAMES)}")
    fields = {field.name: getattr(ZOO[name], field.name) for field in dataclasses.fields(ZooEntry)}
    made = fields.pop("data")
    data = None if made is None else made()
    return TrainNetwork(**fields, data=data, seed=seed, threads=1, autocast=fastest_autocast())


def untrained(recipe: TrainNetwork) -> TrainNetwork:
    """The same network at initialisation: the negative control."""
    return dataclasses.replace(recipe, steps=0, snapshots=())
