"""Induction: random segments that repeat, so that what follows a token can be looked up earlier in the context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from energylens.errors import InputError
from energylens.models.tasks.base import IGNORED, Examples, Forward

if TYPE_CHECKING:
    import torch

HELD_OUT = 1


class Sequences(NamedTuple):
    """tokens [n, n_ctx]: in row i a segment of period[i] tokens, over and over. period [n]."""

    tokens: torch.Tensor
    period: torch.Tensor


class Pairs(NamedTuple):
    """Prompts for patching. Read at `pos`: the clean prompt asks for `answer`, the corrupted one for `wrong`.

    clean, corrupted [n, n_ctx]; answer, wrong, pos [n]. No prompt is padded; a causal network does not see what
    comes after `pos`, which is the same in both.
    """

    clean: torch.Tensor
    corrupted: torch.Tensor
    answer: torch.Tensor
    wrong: torch.Tensor
    pos: torch.Tensor


@dataclass(frozen=True)
class Induction:
    """Predict every next token of repeated random segments.

    The period is uniform in min_period .. max_period for each sequence: a fixed one could be learned as an
    offset between positions. The tokens of a segment are all different, so that after its first occurrence each
    token has one right successor. Training sequences are drawn afresh for every batch; `n_test` others are held
    out. Without any circuit the loss is ln(d_vocab), 4.16 nats at 64; choosing among the tokens that the
    segment has shown is worth about ln(period). Errors: InputError unless 2 <= min_period <= max_period, two
    occurrences fit into n_ctx and max_period < d_vocab.
    Source: Elhage et al. 2021; Olsson et al. 2022 (arXiv:2209.11895).
    """

    name: ClassVar[str] = "induction"
    samples: ClassVar[int] = 5
    readout: ClassVar[None] = None
    d_vocab: int = 64
    n_ctx: int = 64
    min_period: int = 8
    max_period: int = 32
    n_test: int = 256

    def __post_init__(self) -> None:
        values = asdict(self)
        if any(isinstance(value, bool) or not isinstance(value, int) for value in values.values()):
            raise InputError(f"the induction task is described by integers, got {values}")
        if not 2 <= self.min_period <= self.max_period <= self.n_ctx // 2 or self.max_period >= self.d_vocab:
            raise InputError(
                "the induction task needs 2 <= min_period <= max_period <= n_ctx / 2 and max_period < d_vocab, "
                f"got {values}"
            )
        if self.n_test < 1:
            raise InputError(f"n_test must be at least 1, got {self.n_test}")

    @property
    def n_answers(self) -> int:
        """Every token can be an answer."""
        return self.d_vocab

    def with_data(self, data: object) -> Induction:
        """Itself: the task makes its own inputs."""
        return self

    def sequences(self, n: int, generator: torch.Generator) -> Sequences:
        """n fresh sequences: a segment without repetition, repeated until n_ctx is full."""
        order, period = self._draw(n, generator)
        return Sequences(self._repeat(order, period), period)

    def pairs(self, n: int, generator: torch.Generator, corrupt: Literal["value", "key"] = "value") -> Pairs:
        """Clean and corrupted prompts that ask, in the second occurrence, what followed a token in the first.

        The token q at place j of the segment (j uniform, not the last place) is read at pos = period + j.
        "value": the token after the first q becomes `wrong`, a token outside the segment; nothing else changes.
        An induction head then looks where it looked and copies something else, and what a previous-token head
        writes there stays the same: this corruption does not see it.
        "key": the first q trades places with the token at another place k of the first occurrence, so that
        q is followed by `wrong`, the segment's token k + 1. Two tokens change, none of them the answers: the
        induction head must look elsewhere, which previous-token heads tell it. k is not next to j.
        """
        import torch

        if corrupt not in ("value", "key"):
            raise InputError(f'pairs are corrupted by "value" or "key", got {corrupt!r}')
        if corrupt == "key" and self.min_period < 5:
            raise InputError(f'corrupt="key" needs min_period >= 5, got {self.min_period}')
        order, period = self._draw(n, generator)
        clean, row = self._repeat(order, period), torch.arange(n)
        at = _below(period - 1, generator)
        if corrupt == "value":
            corrupted, wrong = clean.clone(), order[row, period]
            corrupted[row, at + 1] = wrong
        else:
            other = _apart(at, period - 1, generator)
            corrupted, wrong = clean.clone(), order[row, other + 1]
            corrupted[row, at], corrupted[row, other] = clean[row, other], clean[row, at]
        return Pairs(clean, corrupted, order[row, at + 1], wrong, period + at)

    def repeats(self, period: torch.Tensor) -> torch.Tensor:
        """Bool [n, n_ctx]: where the token and the next one both lie in the second occurrence of the segment.

        There the next token can be looked up. The second occurrence's first token is not asked for: nothing
        announces it. Later occurrences can be answered from two places and don't count.
        """
        import torch

        pos = torch.arange(self.n_ctx)
        return (pos >= period[:, None]) & (pos < 2 * period[:, None] - 1)

    def split(self, train_fraction: float, seed: int) -> tuple[None, Examples]:
        """(None, n_test held-out sequences). There is nothing to divide: `train_fraction` is not used.

        The held-out stream is seeded apart from a training stream of the same seed.
        """
        import torch

        held_out = int(np.random.SeedSequence((seed, HELD_OUT)).generate_state(1)[0])
        sequences = self.sequences(self.n_test, torch.Generator().manual_seed(held_out))
        return None, _examples(sequences.tokens)

    def batch(self, train: None, size: int | None, generator: torch.Generator) -> Examples:
        """`size` fresh sequences. Errors: InputError for None, since there is no such thing as all of them."""
        if size is None:
            raise InputError("induction sequences are drawn afresh, so a batch needs a size; got None")
        return _examples(self.sequences(size, generator).tokens)

    def loss(self, logits: torch.Tensor, examples: Examples) -> torch.Tensor:
        """Mean cross-entropy in nats over every next token; logits [n, n_ctx, d_vocab]."""
        return _cross_entropy(logits, examples.targets).mean()

    def scores(self, forward: Forward, train: None, held_out: Examples) -> dict[str, float]:
        """test_loss_nats over every next token; repeat_loss_nats and test_accuracy where `repeats` is true."""
        import torch

        tokens, targets = held_out
        # A segment holds no token twice, so it starts again where its first token comes back.
        period = 1 + (tokens[:, 1:] == tokens[:, :1]).int().argmax(1)
        asked = self.repeats(period)[:, :-1]
        logits = forward(tokens)
        losses = _cross_entropy(logits, targets)
        right = torch.eq(logits.argmax(-1), targets)[:, :-1]
        return {
            "test_loss_nats": losses.mean().item(),
            "repeat_loss_nats": losses[asked].mean().item(),
            "test_accuracy": right[asked].float().mean().item(),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON from which `task_from_json` makes the same task."""
        return {"name": self.name, **asdict(self)}

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Induction:
        """The inverse of `to_json`; fields that are left out take their defaults."""
        unknown = sorted(set(json) - {"name"} - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(f"task {cls.name!r} has no field {', '.join(unknown)}")
        return cls(**{key: value for key, value in json.items() if key != "name"})

    def _draw(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Per sequence the vocabulary in random order [n, d_vocab], which starts with the segment; periods [n]."""
        import torch

        if n < 1:
            raise InputError(f"at least one sequence must be drawn, got {n}")
        period = torch.randint(self.min_period, self.max_period + 1, (n,), generator=generator)
        return torch.rand(n, self.d_vocab, generator=generator).argsort(1), period

    def _repeat(self, order: torch.Tensor, period: torch.Tensor) -> torch.Tensor:
        import torch

        return order.gather(1, torch.arange(self.n_ctx) % period[:, None])


def _examples(tokens: torch.Tensor) -> Examples:
    targets = tokens.roll(-1, dims=1)
    targets[:, -1] = IGNORED
    return Examples(tokens, targets)


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Nats per next token, [n, n_ctx - 1]: the last position asks for nothing."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits[:, :-1].transpose(1, 2), targets[:, :-1], reduction="none")


def _below(bounds: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Uniform integers 0 .. bounds - 1, elementwise."""
    import torch

    return torch.randint(0, 2**31, bounds.shape, generator=generator) % bounds


def _apart(at: torch.Tensor, bounds: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Uniform integers 0 .. bounds - 1 (at least 4 of them) that are neither `at` nor next to it."""
    import torch

    places = torch.arange(int(bounds.max()))
    free = (places < bounds[:, None]) & ((places - at[:, None]).abs() > 1)
    return free.float().multinomial(1, generator=generator)[:, 0]
