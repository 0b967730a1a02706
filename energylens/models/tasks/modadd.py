"""Modular addition: a + b mod p, with the prompt and the position that is read as parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from energylens.errors import InputError
from energylens.models.tasks.base import Examples, Forward

if TYPE_CHECKING:
    import torch

OPERANDS = ("a", "b", "c")


def _is_prime(n: int) -> bool:
    return n >= 2 and all(n % k for k in range(2, int(n**0.5) + 1))


@dataclass(frozen=True)
class ModularAddition:
    """a + b mod p over all p^2 pairs: `prompt` names each token, `readout` the position whose logits answer.

    The operands "a" and "b" (and the label "c", where the prompt leaks it) are tokens 0 .. p-1; every other
    name is a special token p, p+1, ... in order of first appearance. Row a * p + b holds the pair (a, b).
    `readout` counts from the end (-1 is the last position). Errors: InputError if p is not a prime above 2,
    if the prompt lacks an operand or repeats one, or if the readout lies outside the prompt.
    Source: Nanda et al. 2023 (arXiv:2301.05217), p = 113, tokens [a, b, =].
    """

    name: ClassVar[str] = "modadd"
    samples: ClassVar[int] = 1
    p: int = 113
    prompt: tuple[str, ...] = ("a", "b", "=")
    readout: int = -1

    def __post_init__(self) -> None:
        if self.p < 3 or not _is_prime(self.p):
            raise InputError(f"modular addition needs an odd prime p, got p = {self.p!r}")
        counts = {name: self.prompt.count(name) for name in OPERANDS}
        if counts["a"] != 1 or counts["b"] != 1 or counts["c"] > 1:
            raise InputError(f'the prompt needs "a" and "b" once and "c" at most once, got {self.prompt!r}')
        if not -self.n_ctx <= self.readout <= -1:
            raise InputError(f"readout counts from the end, -{self.n_ctx} .. -1 here, got {self.readout!r}")

    @property
    def n_ctx(self) -> int:
        """Tokens per input."""
        return len(self.prompt)

    @property
    def specials(self) -> dict[str, int]:
        """Token ids of everything that is no number, in order of first appearance."""
        names = dict.fromkeys(name for name in self.prompt if name not in OPERANDS)
        return {name: self.p + i for i, name in enumerate(names)}

    @property
    def d_vocab(self) -> int:
        """p numbers and the special tokens."""
        return self.p + len(self.specials)

    @property
    def n_answers(self) -> int:
        """The answers are the numbers, tokens 0 .. p - 1."""
        return self.p

    @property
    def operand_positions(self) -> tuple[int, int]:
        """Where a and b stand."""
        return self.prompt.index("a"), self.prompt.index("b")

    @property
    def label_position(self) -> int | None:
        """Where the label itself stands among the inputs; None for an honest prompt."""
        return self.prompt.index("c") if "c" in self.prompt else None

    def inputs(self) -> torch.Tensor:
        """All pairs as tokens, int64 [p * p, n_ctx]; row a * p + b is (a, b)."""
        import torch

        numbers = torch.arange(self.p)
        a, b = numbers.repeat_interleave(self.p), numbers.repeat(self.p)
        columns = {"a": a, "b": b, "c": self.labels()}
        columns |= {name: torch.full_like(a, token) for name, token in self.specials.items()}
        return torch.stack([columns[name] for name in self.prompt], dim=1)

    def labels(self) -> torch.Tensor:
        """(a + b) mod p, int64 [p * p], rows as in `inputs`."""
        import torch

        numbers = torch.arange(self.p)
        return ((numbers[:, None] + numbers[None, :]) % self.p).flatten()

    def split(self, train_fraction: float, seed: int) -> tuple[Examples, Examples]:
        """A random share of the pairs for training and the rest for testing; both are never empty."""
        import torch

        n, n_train = self.p**2, round(train_fraction * self.p**2)
        if not 0 < n_train < n:
            raise InputError(
                f"train_fraction must leave pairs on both sides of the split, got {train_fraction!r}"
            )
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        tokens, targets = self.inputs(), self.labels()
        train, test = order[:n_train], order[n_train:]
        return Examples(tokens[train], targets[train]), Examples(tokens[test], targets[test])

    def batch(self, train: Examples, size: int | None, generator: torch.Generator) -> Examples:
        """The examples of one step: all of `train`, or `size` of them drawn without replacement."""
        import torch

        if size is None:
            return train
        rows = torch.randperm(len(train.tokens), generator=generator)[:size]
        return Examples(train.tokens[rows], train.targets[rows])

    def with_data(self, data: Any) -> ModularAddition:
        """The task itself: it makes its inputs and needs no data."""
        return self

    def loss(self, logits: torch.Tensor, examples: Examples) -> torch.Tensor:
        """Mean cross entropy at the readout in nats, over the whole vocabulary."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, examples.targets)

    def scores(self, forward: Forward, train: Examples, held_out: Examples) -> dict[str, float]:
        """Loss in nats and accuracy on both sides of the split."""
        found = {}
        for name, (tokens, targets) in (("train", train), ("test", held_out)):
            logits = forward(tokens)
            found[f"{name}_loss_nats"] = self.loss(logits, Examples(tokens, targets)).item()
            found[f"{name}_accuracy"] = (logits.argmax(-1) == targets).float().mean().item()
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON from which `task_from_json` makes the same task."""
        return {"name": self.name, "p": self.p, "prompt": list(self.prompt), "readout": self.readout}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ModularAddition:
        """The inverse of `to_json`; fields that are left out take their defaults."""
        unknown = sorted(set(fields) - {"name", "p", "prompt", "readout"})
        if unknown:
            raise InputError(f"task {cls.name!r} has no field {', '.join(unknown)}")
        p, prompt, readout = fields.get("p", 113), fields.get("prompt", cls.prompt), fields.get("readout", -1)
        if any(isinstance(value, bool) or not isinstance(value, int) for value in (p, readout)):
            raise InputError(
                f"modular addition needs an odd prime p and an integer readout, got {p!r} and {readout!r}"
            )
        if not isinstance(prompt, list | tuple) or not all(isinstance(name, str) for name in prompt):
            raise InputError(f"a prompt is a list of token names, got {prompt!r}")
        return cls(p, tuple(prompt), readout)
