"""Metrics of patched runs: one number per prompt, from the logits at the positions that a metric names.

A metric says first which positions it reads, so that nothing else is computed; it then turns logits
[run, prompt, read, d_vocab] of many runs at once into values [run, prompt]. All are differentiable, in float32
or float64.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.models.tasks.base import IGNORED

Logits = Float[Tensor, "run prompt read d_vocab"]
Values = Float[Tensor, "run prompt"]
TOKENS_AT_ONCE = 1024
"""Log-probabilities are taken in slices of about so many tokens, which stay in the cache."""


@runtime_checkable
class Metric(Protocol):
    """A metric over a fixed list of prompts."""

    def __len__(self) -> int:
        """Number of prompts."""

    def positions(self, n_pos: int) -> Int[Tensor, "prompt read"]:
        """Where logits are needed, for prompts of `n_pos` tokens."""

    def rows(self, part: slice) -> "Metric":
        """The same metric for some of the prompts."""

    def __call__(self, logits: Logits) -> Values:
        """One value per run and prompt, from logits at `positions`."""


@dataclass(frozen=True, eq=False)
class LogitDiff:
    """logit(correct) - logit(incorrect) at one position per prompt; `pos` may count from the end (-1 is the last).

    Source: Zhang & Nanda 2023 (arXiv:2309.16042), who recommend it over probabilities.
    """

    correct: Int[Tensor, " prompt"]
    incorrect: Int[Tensor, " _"]
    pos: int | Int[Tensor, " _"] = -1

    def __post_init__(self) -> None:
        sizes = {len(each) for each in (self.correct, self.incorrect, self.pos) if isinstance(each, Tensor)}
        if len(sizes) != 1:
            raise InputError(
                f"correct, incorrect and pos must name one token per prompt, got sizes {sorted(sizes)}"
            )

    def __len__(self) -> int:
        return len(self.correct)

    def positions(self, n_pos: int) -> Int[Tensor, "prompt 1"]:
        """The one position of each prompt, counted from the start."""
        pos = torch.as_tensor(self.pos).expand(len(self))[:, None]
        return from_start(pos, n_pos)

    def rows(self, part: slice) -> "LogitDiff":
        """The same metric for some of the prompts."""
        pos = self.pos[part] if isinstance(self.pos, Tensor) else self.pos
        return LogitDiff(self.correct[part], self.incorrect[part], pos)

    def __call__(self, logits: Logits) -> Values:
        """Difference of two logits, in nats."""
        prompts = torch.arange(len(self), device=logits.device)
        read = logits[:, :, 0]
        return (
            read[:, prompts, self.correct.to(logits.device)]
            - read[:, prompts, self.incorrect.to(logits.device)]
        )


@dataclass(frozen=True, eq=False)
class NextTokenLoss:
    """Mean cross-entropy in nats over the positions of a prompt whose target is not IGNORED (-100).

    targets: the token that comes next, per position. A prompt without targets has NaN.
    """

    targets: Int[Tensor, "prompt pos"]

    def __len__(self) -> int:
        return len(self.targets)

    def positions(self, n_pos: int) -> Int[Tensor, "prompt read"]:
        """Positions with a target; where prompts have fewer than others, their first one again."""
        if self.targets.shape[1] != n_pos:
            raise InputError(f"targets are for {self.targets.shape[1]} positions, the prompts have {n_pos}")
        return self._read()

    def rows(self, part: slice) -> "NextTokenLoss":
        """The same metric for some of the prompts."""
        return NextTokenLoss(self.targets[part])

    def __call__(self, logits: Logits) -> Values:
        """Sum of -log p(target) over the targets of a prompt, over their number."""
        read, counts = self._read(), (self.targets != IGNORED).sum(1)
        targets = self.targets.gather(1, read)
        repeated = torch.arange(read.shape[1]) >= counts[:, None]
        targets = targets.masked_fill(repeated, IGNORED).to(logits.device)
        size = max(1, TOKENS_AT_ONCE // max(1, logits[0].shape[:2].numel()))
        sums = [_summed_loss(part, targets.expand(len(part), -1, -1)) for part in logits.split(size)]
        return torch.cat(sums) / counts.to(logits.device)

    def _read(self) -> Int[Tensor, "prompt read"]:
        asked = self.targets != IGNORED
        width = int(asked.sum(1).max()) if len(asked) else 0
        order = (~asked).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(width, 1)]
        return torch.where(asked.gather(1, order), order, order[:, :1])


@dataclass(frozen=True, eq=False)
class KL:
    """Mean over the read positions of KL(reference || run) = sum_v p_ref (log p_ref - log p_run), in nats.

    reference: log-probabilities of the run to compare with, say `logits_at(bridge, clean, pos).log_softmax(-1)`;
    pos may count from the end.
    """

    reference: Float[Tensor, "prompt read d_vocab"]
    pos: Int[Tensor, "_ _"]

    def __post_init__(self) -> None:
        if self.reference.shape[:2] != self.pos.shape:
            raise InputError(
                f"reference {tuple(self.reference.shape)} and pos {tuple(self.pos.shape)} do not match"
            )
        if not torch.allclose(self.reference.logsumexp(-1), self.reference.new_zeros(()), atol=1e-3):
            raise InputError("reference must hold log-probabilities; its rows do not sum to 1 after exp")

    def __len__(self) -> int:
        return len(self.pos)

    def positions(self, n_pos: int) -> Int[Tensor, "prompt read"]:
        """The given positions, counted from the start."""
        return from_start(self.pos, n_pos)

    def rows(self, part: slice) -> "KL":
        """The same metric for some of the prompts."""
        return KL(self.reference[part], self.pos[part])

    def __call__(self, logits: Logits) -> Values:
        """KL divergence from the reference, 0 for the reference itself."""
        reference = self.reference.to(logits.device)
        return (reference.exp() * (reference - logits.log_softmax(-1))).sum(-1).mean(-1)


def _summed_loss(logits: Logits, targets: Int[Tensor, "run prompt read"]) -> Values:
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 2), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.unflatten(0, targets.shape).sum(-1)


def from_start(pos: Int[Tensor, "prompt read"], n_pos: int) -> Int[Tensor, "prompt read"]:
    """Positions counted from the start. Errors: InputError for one outside the prompt."""
    counted = torch.where(pos < 0, pos + n_pos, pos)
    outside = (counted < 0) | (counted >= n_pos)
    if outside.any():
        row = int(outside.any(1).nonzero()[0])
        raise InputError(f"position {pos[row].tolist()} of prompt {row} lies outside {n_pos} tokens")
    return counted.long()
