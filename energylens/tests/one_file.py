"""A method and a task as somebody adds them: each is one file."""

METHOD = '''
"""Latents that come near the largest of their sample."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from energylens.sae.methods.base import Fitted, Method
from energylens.sae.train import train_by
from energylens.sae.weights import Trainer, Weights


@dataclass(frozen=True)
class NearLargest(Method):
    name: ClassVar[str] = "near-largest"
    share: float = 0.5

    def label(self):
        return f"latents above {self.share:g} of the largest"

    def fit(self, x, seeds, settings, progress):
        trained = train_by(lambda initial: Descent(self, initial, settings), x, seeds, settings, progress)
        return Fitted(trained, {"share": self.share})

    def latent_acts(self, pre_acts):
        acts = pre_acts.relu()
        return acts * (acts >= self.share * acts.amax(-1, keepdim=True))


class Descent(Trainer):
    def __init__(self, method, initial, settings):
        self.method = method
        self.tensors = {name: tensor.clone().requires_grad_() for name, tensor in vars(initial).items()}
        self.optimiser = torch.optim.Adam(self.tensors.values(), lr=settings.lr)

    @property
    def weights(self):
        return Weights(**{name: tensor.detach() for name, tensor in self.tensors.items()})

    def step(self, x):
        W_enc, b_enc, W_dec, b_dec = self.tensors.values()
        acts = self.method.latent_acts(torch.baddbmm(b_enc[:, None], x - b_dec[:, None], W_enc))
        losses = (acts @ W_dec + b_dec[:, None] - x).square().mean((1, 2))
        self.optimiser.zero_grad()
        losses.sum().backward()
        self.optimiser.step()
        return losses.detach()
'''

TASK = '''
"""The first of three tokens is asked for at the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from energylens.models.tasks.base import Examples

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FirstToken:
    name: ClassVar[str] = "first-token"
    samples: ClassVar[int] = 2
    n_ctx: ClassVar[int] = 3
    readout: ClassVar[int] = -1
    d_vocab: int = 5
    sample: int | None = None

    @property
    def n_answers(self) -> int:
        return self.d_vocab

    def with_data(self, data: Any) -> FirstToken:
        return self

    def sampled(self, sample: int) -> FirstToken:
        return FirstToken(self.d_vocab, sample)

    def split(self, train_fraction: float, seed: int) -> tuple[None, Examples]:
        import torch

        return None, self.batch(None, 20, torch.Generator().manual_seed(seed))

    def batch(self, train: Any, size: int | None, generator: torch.Generator) -> Examples:
        import torch

        tokens = torch.randint(self.d_vocab, (size or 20, self.n_ctx), generator=generator)
        return Examples(tokens, tokens[:, 0])

    def loss(self, logits: torch.Tensor, examples: Examples) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, examples.targets)

    def scores(self, forward: Any, train: Any, held_out: Examples) -> dict[str, float]:
        logits = forward(held_out.tokens)
        hits = (logits.argmax(-1) == held_out.targets).float().mean().item()
        return {"test_loss_nats": self.loss(logits, held_out).item(), "test_accuracy": hits}

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "d_vocab": self.d_vocab}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> FirstToken:
        return cls(fields["d_vocab"])
'''
