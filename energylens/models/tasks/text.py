"""Text: predict the next token at every position, on documents that the corpus keeps whole in one split.

Importing this module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from energylens.errors import InputError
from energylens.models.corpus import BOS, HELD_OUT, Corpus
from energylens.models.tasks.base import Examples, Forward
from energylens.store.recipe import Artifact

if TYPE_CHECKING:
    import torch

N_HELD_OUT = 64
"""Held-out windows that a training curve is measured on; fewer, where the corpus has fewer."""

EVALUATED_AT_ONCE = 16
"""Windows per forward pass of `scores`: their logits take 17 MB at 128 positions and 2048 tokens."""


class TrainingText(NamedTuple):
    """Training documents as `batch` draws from them; a document of m tokens holds m - n_ctx + 1 windows.

    tokens: int64 [n_tokens], document after document. ends: int64 [n_documents], windows up to and with each
    document: window i stands in the first document d with ends[d] > i, and begins at token i + d (n_ctx - 1).
    """

    tokens: torch.Tensor
    ends: torch.Tensor


class Windows(NamedTuple):
    """Windows of n_ctx tokens, each within one document, no two overlapping.

    tokens: int64 [n, n_ctx], BOS and all targets but the last, so that `tokens == BOS` is position 0 and no other.
    targets: int64 [n, n_ctx], the document's tokens. documents: int64 [n], numbers in the corpus: the sampling
    unit. starts: int64 [n], where in its document targets[:, 0] stands.
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    documents: torch.Tensor
    starts: torch.Tensor


@dataclass(frozen=True)
class Text:
    """Next tokens of the PythonText corpus; `with_data` gives the task its text.

    A window is BOS and n_ctx - 1 tokens of one document, cut anywhere in it; the targets are these tokens and
    the one that follows, so that n_ctx tokens are predicted. BOS before every window, in training and in every
    measurement, is what transformer_lens does with prompts (`prepend_bos`): an attention sink, if one forms, has
    one known place, and nothing before the window is hinted at. Documents shorter than n_ctx hold no window.
    fingerprint: of the corpus that a network was trained on, if it is known; then no other is accepted.
    Errors: InputError for sizes below 2.
    """

    name: ClassVar[str] = "text"
    samples: ClassVar[int] = 5
    n_ctx: int = 128
    d_vocab: int = 2048
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if min(self.n_ctx, self.d_vocab) < 2:
            raise InputError(f"n_ctx and d_vocab must be at least 2, got {self.n_ctx!r} and {self.d_vocab!r}")

    @property
    def n_answers(self) -> int:
        """Every token can come next; BOS never does."""
        return self.d_vocab

    @property
    def readout(self) -> None:
        """Every position is read."""

    def with_data(self, data: Artifact | None) -> TextOnCorpus:
        """The same task on the corpus that PythonText made. Errors: InputError if it is another than asked for."""
        if data is None:
            self._no_corpus()
        corpus = Corpus.from_artifact(data)
        if corpus.d_vocab != self.d_vocab:
            raise InputError(f"the corpus has {corpus.d_vocab} tokens, the task d_vocab {self.d_vocab}")
        if self.fingerprint not in (None, corpus.fingerprint):
            raise InputError(
                f"the corpus has the fingerprint {corpus.fingerprint}, the task {self.fingerprint}: "
                f"its networks were trained on another Python's text"
            )
        return TextOnCorpus(self.n_ctx, self.d_vocab, corpus.fingerprint, corpus=corpus)

    def split(self, train_fraction: float, seed: int) -> tuple[TrainingText, Examples]:
        """As of TextOnCorpus. Errors: InputError, since this task has no text yet."""
        self._no_corpus()

    def batch(self, train: TrainingText, size: int | None, generator: torch.Generator) -> Examples:
        """`size` windows, each drawn uniformly from all that lie within one training document."""
        import torch

        if size is None:
            raise InputError("text has no full batch: the batch must be a number of windows, got None")
        window = torch.randint(int(train.ends[-1]), (size,), generator=generator)
        document = torch.searchsorted(train.ends, window, right=True)
        start = window + document * (self.n_ctx - 1)
        targets = train.tokens[start[:, None] + torch.arange(self.n_ctx)]
        return Examples(_after_bos(targets), targets)

    def loss(self, logits: torch.Tensor, examples: Examples) -> torch.Tensor:
        """Mean cross entropy in nats per token, over all positions."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits.flatten(0, 1), examples.targets.flatten())

    def scores(self, forward: Forward, train: TrainingText, held_out: Examples) -> dict[str, float]:
        """As of TextOnCorpus. Errors: InputError, since this task does not know its tokens' bytes."""
        self._no_corpus()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON from which `task_from_json` makes the same task."""
        return {
            "name": self.name,
            "n_ctx": self.n_ctx,
            "d_vocab": self.d_vocab,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Text:
        """The inverse of `to_json`; fields that are left out take their defaults."""
        unknown = sorted(set(fields) - {"name", "n_ctx", "d_vocab", "fingerprint"})
        if unknown:
            raise InputError(f"task {cls.name!r} has no field {', '.join(unknown)}")
        given = {key: value for key, value in fields.items() if key != "name"}
        for key, value in given.items():
            known = str | None if key == "fingerprint" else int
            if not isinstance(value, known) or isinstance(value, bool):
                raise InputError(f"task {cls.name!r}: {key} can't be {value!r}")
        return Text(**given)

    def _no_corpus(self) -> NoReturn:
        raise InputError("text needs a corpus: task.with_data(the artifact of PythonText()), got none")


@dataclass(frozen=True, eq=False)
class TextOnCorpus(Text):
    """Text with its corpus: what a network is trained and measured on."""

    corpus: Corpus = field(kw_only=True, repr=False)

    def split(self, train_fraction: float, seed: int) -> tuple[TrainingText, Examples]:
        """The training documents, and up to N_HELD_OUT windows of held-out ones; the same for every seed.

        Errors: InputError unless train_fraction is 1: the corpus says which documents may be trained on.
        """
        import torch

        if train_fraction != 1:
            raise InputError(
                f"the corpus holds documents out itself: train_fraction must be 1, got {train_fraction!r}"
            )
        documents = [self._document(index) for index in self._long_enough("train")]
        n_windows = torch.tensor([len(tokens) - self.n_ctx + 1 for tokens in documents])
        train = TrainingText(torch.cat(documents), n_windows.cumsum(0))
        n_held_out = min(N_HELD_OUT, len(self.windows(HELD_OUT).tokens))
        chosen = self.held_out_windows(n_held_out, torch.Generator().manual_seed(0))
        return train, Examples(chosen.tokens, chosen.targets)

    def scores(self, forward: Forward, train: TrainingText, held_out: Examples) -> dict[str, float]:
        """On held-out windows: loss in nats per token, share of tokens predicted, and bits per byte.

        bits_per_byte = nats of all targets / ln 2 / UTF-8 bytes of these targets.
        """
        import torch

        nats, hits = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64)
        for chunk in zip(*(part.split(EVALUATED_AT_ONCE) for part in held_out), strict=True):
            examples = Examples(*chunk)
            logits = forward(examples.tokens).float()
            nats += self.loss(logits, examples).double() * examples.targets.numel()
            hits += (logits.argmax(-1) == examples.targets).sum()
        n_bytes = int(self.corpus.token_bytes[held_out.targets.numpy()].sum())
        return {
            "test_loss_nats": nats.item() / held_out.targets.numel(),
            "test_accuracy": hits.item() / held_out.targets.numel(),
            "bits_per_byte": nats.item() / math.log(2) / n_bytes,
        }

    def windows(self, split: str) -> Windows:
        """All windows of a split's documents, end to end in order; the last m mod n_ctx tokens are left out."""
        import torch

        targets, documents, starts = [], [], []
        for index in self._long_enough(split):
            cut = self._document(index)
            rows = cut[: len(cut) // self.n_ctx * self.n_ctx].unflatten(0, (-1, self.n_ctx))
            targets.append(rows)
            documents.append(torch.full((len(rows),), index))
            starts.append(torch.arange(len(rows)) * self.n_ctx)
        found = torch.cat(targets)
        return Windows(_after_bos(found), found, torch.cat(documents), torch.cat(starts))

    def held_out_windows(self, n: int, generator: torch.Generator, split: str = HELD_OUT) -> Windows:
        """n windows of "held-out", "discovery" or "confirmation" documents: documents first, then windows.

        Every document gives one window before any gives a second; which documents and which windows is random,
        and a long document is no more likely than a short one. Errors: InputError for the training split, or
        more windows than there are.
        """
        import torch

        if split == "train":
            raise InputError(f"{split!r} is not held out")
        every = self.windows(split)
        if not 0 < n <= len(every.tokens):
            raise InputError(f"{split} documents hold {len(every.tokens)} windows, got n = {n}")
        shuffled = torch.randperm(len(every.tokens), generator=generator)
        documents = every.documents[shuffled]
        turn = (documents[:, None] == documents).tril(-1).sum(1)
        rank = torch.randperm(len(self.corpus.names), generator=generator)[documents]
        rows = shuffled[(turn * len(self.corpus.names) + rank).argsort()[:n]]
        return Windows(*(part[rows] for part in every))

    def _document(self, index: int) -> torch.Tensor:
        import torch

        return torch.tensor(self.corpus.document(index), dtype=torch.int64)

    def _long_enough(self, split: str) -> Sequence[int]:
        """Numbers of the documents that hold a window. Errors: InputError if there is none."""
        found = [i for i in self.corpus.indices(split) if len(self.corpus.document(i)) >= self.n_ctx]
        if not found:
            raise InputError(f"no {split} document has n_ctx = {self.n_ctx} tokens")
        return found


def _after_bos(targets: torch.Tensor) -> torch.Tensor:
    """Inputs that predict the targets [n, n_ctx]: BOS and all of them but the last."""
    import torch

    return torch.cat([torch.full_like(targets[:, :1], BOS), targets[:, :-1]], dim=1)
