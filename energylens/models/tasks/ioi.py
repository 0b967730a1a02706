"""Indirect objects: "when Ada and Boris went to the park , Boris gave the book to" is followed by Ada.

Sentences are synthetic, over a closed vocabulary of words (`ioi_templates`). IO is the name that is asked for,
S the one that stands twice (S1, S2), END the position whose logits answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from energylens.errors import InputError
from energylens.models.tasks import ioi_templates as text
from energylens.models.tasks.base import IGNORED, Examples, Forward

if TYPE_CHECKING:
    import torch

TRAIN_FRACTION = 0.84
HELD_OUT = 1
N_NAMES, D_VOCAB = len(text.NAMES), len(text.VOCABULARY)
PAD = text.TOKEN[text.PAD]


class IOIPrompts(NamedTuple):
    """Prompts that end at END: the answer is not among their tokens.

    tokens [n, n_ctx], mask [n, n_ctx] true where a token is not PAD; end, io, s [n] the last real position, the
    right answer and the repeated name (token ids); io_pos, s1_pos, s2_pos [n] where the names stand.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    end: torch.Tensor
    io: torch.Tensor
    s: torch.Tensor
    io_pos: torch.Tensor
    s1_pos: torch.Tensor
    s2_pos: torch.Tensor


class NamePairs(NamedTuple):
    """Unordered pairs of names [n, 2], split: those that may meet in a training sentence, and the others."""

    train: torch.Tensor
    held_out: torch.Tensor


@dataclass(frozen=True)
class IOI:
    """Predict every next word of synthetic sentences, the indirect object above all.

    164 words, 48 of them names, which come first in the vocabulary; contexts of 46 tokens. A sentence is BOS, in
    40 % a distractor sentence (30 % of these name somebody), 0-8 filler words, one of 6 openings with two names,
    0-5 filler words, and one of 5 endings: 60 templates, since IO stands first (ABBA) or second (BABA). In
    training 12 % have a third name as the subject (ABC), so that either of the first two is equally right, and
    12 % end otherwise. Filler words are drawn independently, without grammar.

    Of the 1128 unordered pairs of names 16 % are held out: no two names of a training sentence are a held-out
    pair, distractors included. The pairs depend on the split's seed, so prompts name it.
    Sentences are padded on the right: real tokens then keep the positions 0, 1, ... of learned embeddings, and
    a causal network never looks at PAD, so no attention mask is needed.
    Source: Wang et al. 2022 (arXiv:2211.00593) for the task; the sentences are our own.
    """

    name: ClassVar[str] = "ioi"
    samples: ClassVar[int] = 5
    readout: ClassVar[None] = None
    d_vocab: ClassVar[int] = D_VOCAB
    n_ctx: ClassVar[int] = 46
    n_answers: ClassVar[int] = N_NAMES
    n_test: int = 512

    def __post_init__(self) -> None:
        if isinstance(self.n_test, bool) or not isinstance(self.n_test, int) or self.n_test < 1:
            raise InputError(f"n_test must be a positive integer, got {self.n_test!r}")

    def with_data(self, data: object) -> IOI:
        """Itself: the task makes its own inputs."""
        return self

    def name_pairs(self, split_seed: int, train_fraction: float = TRAIN_FRACTION) -> NamePairs:
        """The split of the unordered name pairs that training with this seed keeps to; neither side is empty."""
        import torch

        pairs = torch.combinations(torch.arange(N_NAMES))
        n_train = round(train_fraction * len(pairs))
        if not 0 < n_train < len(pairs):
            raise InputError(f"train_fraction must leave name pairs on both sides, got {train_fraction!r}")
        order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(split_seed))
        return NamePairs(pairs[order[:n_train]], pairs[order[n_train:]])

    def prompts(
        self,
        n: int,
        generator: torch.Generator,
        pairs: Literal["train", "held-out"] = "held-out",
        *,
        split_seed: int,
        train_fraction: float = TRAIN_FRACTION,
    ) -> IOIPrompts:
        """n genuine prompts (no ABC, no other endings) whose IO and S are a pair of one side of the split.

        `split_seed` is the network's, `meta["split_seed"]`: another seed holds out other pairs.
        """
        if pairs not in ("train", "held-out"):
            raise InputError(f'prompts take their names from "train" or "held-out" pairs, got {pairs!r}')
        split = self.name_pairs(split_seed, train_fraction)
        sentences = (
            text.draw(n, split.train, _meetings(split.train), generator, genuine=True)
            if pairs == "train"
            else _held_out(n, split, generator)
        )
        tokens = _examples(sentences).tokens
        mask, first, second = tokens != PAD, sentences.pos("{A}"), sentences.pos("{B}")
        return IOIPrompts(
            tokens,
            mask,
            mask.sum(1) - 1,
            io=sentences.fill("{answer}"),
            s=sentences.fill("{S}"),
            io_pos=first.where(sentences.io_first, second),
            s1_pos=second.where(sentences.io_first, first),
            s2_pos=sentences.pos("{S}"),
        )

    def abc(self, prompts: IOIPrompts, generator: torch.Generator) -> torch.Tensor:
        """Tokens [n, n_ctx] with three different names, new to the prompt, for IO, S1 and S2; nothing else changes.

        No name stands twice, so neither of the clean prompt's names is an answer. Read `prompts.io` and
        `prompts.s` at `prompts.end`. Source: p_ABC of Wang et al. 2022 (arXiv:2211.00593).
        """
        import torch

        known = torch.zeros(len(prompts.tokens), D_VOCAB, dtype=torch.bool).scatter(1, prompts.tokens, True)
        fresh = (~known[:, :N_NAMES]).float().multinomial(3, generator=generator)
        where = torch.stack([prompts.io_pos, prompts.s1_pos, prompts.s2_pos], dim=1)
        return prompts.tokens.scatter(1, where, fresh)

    def swapped(self, prompts: IOIPrompts) -> torch.Tensor:
        """Tokens [n, n_ctx] with IO's name at S2; nothing else changes. The right answer is now `prompts.s`."""
        return prompts.tokens.scatter(1, prompts.s2_pos[:, None], prompts.io[:, None])

    def words(self, tokens: torch.Tensor) -> list[str]:
        """The words of tokens [k], one each, PAD included."""
        if tokens.ndim != 1 or not ((tokens >= 0) & (tokens < D_VOCAB)).all():
            raise InputError(f"words wants one row of tokens below {D_VOCAB}, got {tokens!r}")
        return [text.VOCABULARY[token] for token in tokens.tolist()]

    def ids(self, words: Sequence[str]) -> torch.Tensor:
        """The tokens [k] of words. Errors: InputError naming a word that is not in the vocabulary."""
        import torch

        unknown = [word for word in words if word not in text.VOCABULARY]
        if unknown:
            raise InputError(f"not in the vocabulary: {', '.join(map(repr, unknown))}")
        return torch.tensor([text.TOKEN[word] for word in words])

    def split(self, train_fraction: float, seed: int) -> tuple[torch.Tensor, Examples]:
        """(name pairs for training [n_pairs, 2], n_test genuine sentences with held-out pairs).

        The held-out stream is seeded apart from a training stream of the same seed.
        """
        import torch

        held_out = int(np.random.SeedSequence((seed, HELD_OUT)).generate_state(1)[0])
        generator, pairs = torch.Generator().manual_seed(held_out), self.name_pairs(seed, train_fraction)
        return pairs.train, _examples(_held_out(self.n_test, pairs, generator))

    def batch(self, train: torch.Tensor, size: int | None, generator: torch.Generator) -> Examples:
        """`size` fresh sentences. Errors: InputError for None, since there is no such thing as all of them."""
        if size is None:
            raise InputError("sentences are drawn afresh, so a batch needs a size; got None")
        return _examples(text.draw(size, train, _meetings(train), generator, genuine=False))

    def loss(self, logits: torch.Tensor, examples: Examples) -> torch.Tensor:
        """`mix`: mean cross-entropy over all next words plus that of each sentence's last word, in nats."""
        from torch.nn.functional import cross_entropy

        everywhere = cross_entropy(logits.flatten(0, 1), examples.targets.flatten(), ignore_index=IGNORED)
        at_end, answers = _at_end(logits, examples.targets)
        return everywhere + cross_entropy(at_end, answers)

    def scores(self, forward: Forward, train: torch.Tensor, held_out: Examples) -> dict[str, float]:
        """On held-out pairs, at END: test_accuracy (IO is the argmax of all words), io_over_s, logit_diff.

        io_over_s is the share of sentences where IO's logit exceeds S's, logit_diff their mean difference.
        test_loss_nats is `loss`, whose second term alone is answer_loss_nats.
        """
        from torch.nn.functional import cross_entropy, one_hot

        logits = forward(held_out.tokens)
        at_end, io = _at_end(logits, held_out.targets)
        # S is the only name that stands twice.
        s = one_hot(held_out.tokens, D_VOCAB).sum(1)[:, :N_NAMES].argmax(1)
        difference = (at_end.gather(1, io[:, None]) - at_end.gather(1, s[:, None]))[:, 0]
        return {
            "test_loss_nats": self.loss(logits, held_out).item(),
            "answer_loss_nats": cross_entropy(at_end, io).item(),
            "test_accuracy": (at_end.argmax(1) == io).float().mean().item(),
            "io_over_s": (difference > 0).float().mean().item(),
            "logit_diff": difference.mean().item(),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON from which `task_from_json` makes the same task."""
        return {"name": self.name, "n_test": self.n_test}

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> IOI:
        """The inverse of `to_json`; fields that are left out take their defaults."""
        unknown = sorted(set(json) - {"name", "n_test"})
        if unknown:
            raise InputError(f"task {cls.name!r} has no field {', '.join(unknown)}")
        return cls(**{key: value for key, value in json.items() if key != "name"})


def _held_out(n: int, pairs: NamePairs, generator: torch.Generator) -> text.Sentences:
    """Genuine sentences with held-out pairs. Anybody else may be named: none of them is a training sentence."""
    import torch

    anybody = ~torch.eye(N_NAMES, dtype=torch.bool)
    return text.draw(n, pairs.held_out, anybody, generator, genuine=True)


def _meetings(pairs: torch.Tensor) -> torch.Tensor:
    """Bool [names, names]: whether two names are one of the pairs."""
    import torch

    meet = torch.zeros(N_NAMES, N_NAMES, dtype=torch.bool)
    meet[pairs[:, 0], pairs[:, 1]] = True
    return meet | meet.T


def _examples(sentences: text.Sentences) -> Examples:
    """Every word but the last as tokens, each next word as the target; PAD and IGNORED after that."""
    words = sentences.filled()
    targets = words[:, 1:].masked_fill(words[:, 1:] == text.ABSENT, IGNORED)
    return Examples(words[:, :-1].masked_fill(targets == IGNORED, PAD), targets)


def _at_end(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [n, d_vocab] where each sentence's last word is asked for, and that word [n]."""
    import torch

    row, end = torch.arange(len(targets)), (targets != IGNORED).sum(1) - 1
    return logits[row, end], targets[row, end]
