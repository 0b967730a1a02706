"""Events of builds, as values that can be sent between processes and feed progress displays."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from energylens.store.key import key_of
from energylens.store.recipe import Progress, Recipe

State: TypeAlias = Literal["found", "queued", "started", "step", "done", "failed"]

_STEP_SECONDS = 0.2


@dataclass(frozen=True)
class Event:
    """Something that happened to one artifact. `step`, `total` and `numbers` belong to the state "step"."""

    key: str
    label: str
    state: State
    step: int = 0
    total: int = 0
    numbers: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


OnEvent: TypeAlias = Callable[[Event], None]


def ignore_event(event: Event) -> None:
    """An on_event that nobody watches."""


def event_of(recipe: Recipe, state: State, error: str = "") -> Event:
    """An event that concerns a recipe as a whole."""
    return Event(key_of(recipe), recipe.label(), state, error=error)


def reporting(recipe: Recipe, on_event: OnEvent) -> Progress:
    """Progress of one recipe as "step" events: at most five a second, and always the last."""
    key, label, latest = key_of(recipe), recipe.label(), -float("inf")

    def progress(step: int, total: int, numbers: Mapping[str, float]) -> None:
        nonlocal latest
        now = time.monotonic()
        if step >= total or now - latest >= _STEP_SECONDS:
            latest = now
            plain = {name: float(number) for name, number in numbers.items()}
            on_event(Event(key, label, "step", int(step), int(total), plain))

    return progress


def one_line(error: Exception) -> str:
    """An exception as one line of text."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
