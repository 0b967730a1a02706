"""Display of builds: live bars on a terminal, plain lines every 15 seconds anywhere else."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from energylens.store.events import Event, OnEvent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_LINE_SECONDS = 15.0


@contextmanager
def progress_display(stream: TextIO | None = None) -> Iterator[OnEvent]:
    """Context manager that yields an `on_event` for `build_all` or `reporting`.

    stream: default standard error. A terminal gets one bar per artifact being built (label, step/total,
    steps/s, numbers such as the loss, time left); anything else gets lines: at the start of each artifact,
    about every 15 s, and at its end.
    """
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield PlainLines(stream)
        return
    with _bars(stream) as bars:
        yield LiveBars(bars)


@dataclass
class Pace:
    """Steps per second and time left, counted from the first step seen: starting a worker is not a step."""

    started: float
    first_step: int | None = None
    first_time: float = 0.0
    rate: float = 0.0

    def update(self, step: int, now: float) -> None:
        """See a step at a time in seconds."""
        if self.first_step is None:
            self.first_step, self.first_time = step, now
        elif now > self.first_time:
            self.rate = (step - self.first_step) / (now - self.first_time)

    def seconds_left(self, step: int, total: int) -> float | None:
        """Time to the last step; None while the pace is unknown."""
        return (total - step) / self.rate if self.rate > 0 else None


@dataclass
class PlainLines:
    """on_event for logs: few, complete lines."""

    stream: TextIO
    clock: Callable[[], float] = time.monotonic
    _paces: dict[str, Pace] = field(default_factory=dict)
    _printed: dict[str, float] = field(default_factory=dict)
    _queued: int = 0
    _finished: int = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        now = self.clock()
        if event.state == "queued":
            self._queued += 1
        elif event.state == "started":
            self._start(event.key, now)
            self._print(f"{event.label}: started")
        elif event.state == "step":
            self._step(event, now)
        elif event.state in ("done", "failed"):
            self._finished += 1
            seconds = now - self._start(event.key, now).started
            outcome = f"done in {seconds:.0f} s" if event.state == "done" else f"failed: {event.error}"
            of = f" ({self._finished} of {self._queued})" if self._queued > 1 else ""
            self._print(f"{event.label}: {outcome}{of}")

    def _start(self, key: str, now: float) -> Pace:
        self._printed.setdefault(key, now)
        return self._paces.setdefault(key, Pace(now))

    def _step(self, event: Event, now: float) -> None:
        pace = self._start(event.key, now)
        pace.update(event.step, now)
        if now - self._printed[event.key] < _LINE_SECONDS:
            return
        self._printed[event.key] = now
        left = pace.seconds_left(event.step, event.total)
        parts = [
            f"step {event.step}/{event.total}",
            f"{pace.rate:.1f} steps/s",
            format_numbers(event.numbers),
        ]
        parts.append("" if left is None else f"{left:.0f} s left")
        self._print(f"{event.label}: {', '.join(part for part in parts if part)}")

    def _print(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


@dataclass
class LiveBars:
    """on_event for terminals: a rich progress bar per running artifact, and one for all."""

    bars: "Bars"
    clock: Callable[[], float] = time.monotonic
    _tasks: dict[str, int] = field(default_factory=dict)
    _paces: dict[str, Pace] = field(default_factory=dict)
    _queued: int = 0
    _all: int | None = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.state == "queued":
            self._queued += 1
        elif event.state == "started":
            self._start(event)
        elif event.state == "step":
            pace = self._start(event)
            pace.update(event.step, self.clock())
            note = f"{pace.rate:.1f} steps/s  {format_numbers(event.numbers)}"
            self.bars.update(self._tasks[event.key], completed=event.step, total=event.total, note=note)  # type: ignore[arg-type]
        elif event.state in ("done", "failed"):
            self._finish(event)

    def _start(self, event: Event) -> Pace:
        if self._all is None and self._queued > 1:
            self._all = self.bars.add_task("all", total=self._queued, note="artifacts")
        if event.key not in self._tasks:
            self._tasks[event.key] = self.bars.add_task(event.label, total=None, note="starting")
            self._paces[event.key] = Pace(self.clock())
        return self._paces[event.key]

    def _finish(self, event: Event) -> None:
        if event.key in self._tasks:
            self.bars.remove_task(self._tasks.pop(event.key))  # type: ignore[arg-type]
            seconds = self.clock() - self._paces.pop(event.key).started
        else:
            seconds = 0.0
        good = event.state == "done"
        outcome = f"done in {seconds:.0f} s" if good else f"failed: {event.error}"
        self.bars.console.print(
            f"{event.label}: {outcome}", style=None if good else "red", markup=False, highlight=False
        )
        if self._all is not None:
            self.bars.advance(self._all)  # type: ignore[arg-type]


def format_numbers(numbers: Mapping[str, float]) -> str:
    """{"loss": 0.01234} as "loss 0.0123"."""
    return "  ".join(f"{name} {number:.3g}" for name, number in numbers.items())


def _bars(stream: TextIO) -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(file=stream))
