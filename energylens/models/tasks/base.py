"""Interface of all tasks, by which the trainer and the networks know them.

Importing this module does not import torch, so that claims can name tasks while pytest collects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""Target of positions without a question; torch's cross_entropy leaves them out."""

Forward = Callable[["torch.Tensor"], "torch.Tensor"]
"""Tokens [n, n_ctx] -> logits at the task's readout."""


class Examples(NamedTuple):
    """Tokens [n, n_ctx] and the right answers at the readout.

    targets: [n] for a task that reads one position, [n, n_ctx] for one that reads all of them: the token that
    comes next, or IGNORED.
    """

    tokens: torch.Tensor
    targets: torch.Tensor


@runtime_checkable
class Task(Protocol):
    """One frozen dataclass per task; all its fields are JSON and enter the keys of networks trained on it."""

    name: ClassVar[str]
    samples: ClassVar[int]
    """Disjoint samples of inputs that one network is measured on where it is the only one; 1: all inputs, always."""

    @property
    def n_ctx(self) -> int:
        """Tokens per input."""

    @property
    def d_vocab(self) -> int:
        """Number of different tokens."""

    @property
    def n_answers(self) -> int:
        """Number of tokens that can be answers: they come first in the vocabulary."""

    @property
    def readout(self) -> int | None:
        """The position whose logits answer, counted from the end; None where every position is read."""

    def with_data(self, data: Any) -> Task:
        """The same task on the artifact of the recipe's `data`; a task that makes its inputs returns itself."""

    def split(self, train_fraction: float, seed: int) -> tuple[Any, Examples]:
        """(what `batch` draws from, held-out examples). `train_fraction` is the share that may be trained on."""

    def batch(self, train: Any, size: int | None, generator: torch.Generator) -> Examples:
        """The examples of one step; `size` None is all of them."""

    def loss(self, logits: torch.Tensor, examples: Examples) -> torch.Tensor:
        """Training loss in nats; logits float32 [n, d_vocab] at one readout, else [n, n_ctx, d_vocab]."""

    def scores(self, forward: Forward, train: Any, held_out: Examples) -> dict[str, float]:
        """What a training curve records: {"test_loss_nats": ..., "test_accuracy": ..., ...}."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON from which `task_from_json` makes the same task."""


FromJSON = Callable[[Mapping[str, Any]], Task]
