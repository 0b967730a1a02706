from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import energylens.store.executors
from energylens.errors import InputError
from energylens.store import Artifact, Recipe, Store, build_all
from energylens.store.executors.table import EXECUTORS, executor_named

TURNS = '''
from energylens.store.executors.base import Executor
from energylens.store.store import Store


class Turns(Executor):
    """One after the other in this process, the last that was submitted first."""

    name = "turns"

    def __init__(self, *given):
        super().__init__(*given)
        self.waiting, self.order, self.closed = [], [], []
        Turns.last = self

    @property
    def idle(self):
        return self.jobs - len(self.waiting)

    def submit(self, key, recipe):
        self.waiting.append((key, recipe))

    def wait(self):
        key, recipe = self.waiting.pop()
        self.order.append(recipe.number)
        Store(self.store_url).get(recipe)
        return [(key, None)]

    def close(self, error):
        self.closed.append(error)
'''


@dataclass(frozen=True)
class Number(Recipe):
    kind: ClassVar[str] = "number"
    number: int

    def label(self):
        return f"number {self.number}"

    def build(self, inputs, progress):
        return Artifact({"x": np.full(1, float(self.number))})


def test_builds_run_in_processes_of_this_machine_unless_said_otherwise():
    assert executor_named("local").name == "local"
    assert set(EXECUTORS) == {"local"}
    with pytest.raises(InputError, match="unknown executor 'slurm'; known: local"):
        build_all([], executor="slurm")


def test_a_new_executor_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "turns.py").write_text(TURNS)
    folders = [*energylens.store.executors.__path__, str(tmp_path)]
    monkeypatch.setattr(energylens.store.executors, "__path__", folders)
    outcomes = build_all([Number(i) for i in range(3)], tmp_path / "store", jobs=2, executor="turns")
    assert [error for _, error in outcomes] == [None] * 3
    last = EXECUTORS["turns"].last
    assert (last.jobs, last.order, last.closed) == (2, [1, 2, 0], [None])
    assert Store(tmp_path / "store").find(Number(2)).tensors["x"] == 2.0
    for number in (2, 3):  # one is there already; for one alone the executor is used as well
        build_all([Number(number)], tmp_path / "store", jobs=1, executor="turns")
    last = EXECUTORS["turns"].last
    assert (last.jobs, last.order, last.closed) == (1, [3], [None])
