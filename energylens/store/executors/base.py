"""What `build_all` asks of an executor, whichever it is."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from energylens.store.events import OnEvent
from energylens.store.recipe import Recipe


class Executor(ABC):
    """Builds recipes side by side into one store; a context manager, which is left when all is done or by an exception.

    An executor is one file of this folder, called as its `name` is. store_url: where to build into; it is reached by
    every builder. jobs: how many recipes are built at a time. on_event: told of the steps of what is being built.
    """

    name: ClassVar[str]

    def __init__(self, store_url: str, jobs: int, on_event: OnEvent) -> None:
        self.store_url, self.jobs, self.on_event = store_url, jobs, on_event

    @property
    @abstractmethod
    def idle(self) -> int:
        """How many recipes more it takes now."""

    @abstractmethod
    def submit(self, key: str, recipe: Recipe) -> None:
        """Begin to build a recipe whose inputs are in the store."""

    @abstractmethod
    def wait(self) -> list[tuple[str, Exception | None]]:
        """Pass on events for a moment; return (key, error) of what finished meanwhile."""

    @abstractmethod
    def close(self, error: BaseException | None) -> None:
        """Free what it holds. error: what ended the build before it was done; then what still runs is stopped."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close(error)
