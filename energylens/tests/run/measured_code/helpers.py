"""A project of one claim that reaches its code in every way there is, as files."""

CLAIM = '''
"""A claim."""

from energylens import AtLeast, Ceiling, Figure, Gate, Measurement, Null, Pairs, claim
from energylens.harness.declare.in_full import in_full
from helpers import centre, shapes
import tables

SOURCE = "us"
POINTS = 3


def other():
    return 1


def distance(first, second):
    return first - second


def nothing(seed):
    return Measurement(centre([0.0]))


def perfect(seed):
    return Measurement(9.0)


@claim("toy.a", says="Large.", source=SOURCE, holds_when=AtLeast(1), models=["dice"], seeds=range(5), note="n",
       statistic=Pairs(distance), gates=[Gate("toy.b")], figure=Figure("lines", "x", ("y",)),
       controls=[Null("nothing", "none", measure=nothing), Ceiling("perfect", "all", {}, perfect)])
def test_a(seed, lab, drawn):
    """What it measures."""
    import late

    study = lab.study(seed)  # a study
    return Measurement(centre(drawn) + study.level + tables.KNOWN["a"](POINTS) + late.shift())


test_a_full = in_full(test_a, seeds=range(8))


@claim("toy.c", says="Own.", source=SOURCE, holds_when=AtLeast(1), models=["dice"], seeds=range(5))
def test_c(seed):
    return Measurement(1.0)
'''

FILES = {
    "claims/test_a.py": CLAIM,
    "claims/conftest.py": '''
import pytest


@pytest.fixture
def drawn(seed, raw):
    return [raw + seed]


@pytest.fixture(name="raw")
def made():
    return 4.0


@pytest.fixture
def unasked():
    return 5.0
''',
    "conftest.py": '''
from lab import Lab


def pytest_energylens_lab(store):
    return Lab(store)
''',
    "lab.py": '''
from dataclasses import dataclass

from energylens.store import Recipe
from studies import made


@dataclass(frozen=True)
class Lab:
    store: object
    depth: int = 2

    def __post_init__(self):
        checked(self.depth)

    def study(self, seed):
        return made(seed)

    def swapped(self, **inputs):
        return Lab(inputs)

    def unused(self):
        return 3


@dataclass(frozen=True)
class Train(Recipe):
    n: int = 2

    def build(self, inputs, progress):
        return 3


def checked(depth):
    return depth > 0
''',
    "studies.py": '''
import threading
from functools import cached_property

SHARE = 0.5


class Study:
    def __init__(self, seed):
        self.seed = seed

    @cached_property
    def level(self):
        return SHARE * self.seed

    def spread(self):
        return 1


class Worker(threading.Thread):
    def run(self):
        return 7


class Elsewhere:
    def level(self):
        return 8


def made(seed):
    Worker().start()
    return Study(seed)
''',
    "helpers.py": '''
"""Helpers."""

from deeper import scaled as scale


def centre(values):
    """Mean."""
    total = sum(values)  # all of them
    return scale(total) / len(values)


def unrelated(x):
    return x


def shapes():
    return 1
''',
    "deeper.py": '''
FACTOR = 2
UNUSED = 3


def scaled(x):
    return FACTOR * x


def neighbour(x):
    FACTOR = 9
    return FACTOR
''',
    "tables.py": '''
from deeper import neighbour

KNOWN = {}


def first(x):
    return x


def second(x):
    return x


KNOWN["a"] = first
KNOWN.update({"b": second})
''',
    "late.py": '''
def shift():
    return getattr(Shift(), "by")


class Shift:
    by = 3
    @property
    def far(self):
        return 4
''',
}  # fmt: skip
