"""Disjoint samples of a task's inputs, which take the place of seeds where there is a single network.

A sampled task is the task itself with fewer inputs: every prompt belongs to one sample, by a checksum of its tokens,
and every held-out document to one sample, by a fixed random draw. So inputs drawn from a sampled task, by whatever
generator, never belong to another sample. How well a network does its task (`split`, `scores`) is still measured on all
held-out inputs: competence belongs to the network, not to a sample.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.models.corpus import SHARES
from energylens.models.tasks import IOI, Induction, Task, Text
from energylens.models.tasks.base import Examples
from energylens.models.tasks.ioi import TRAIN_FRACTION, IOIPrompts
from energylens.models.tasks.text import TextOnCorpus, TrainingText

PRIME = 2**31 - 1
ROUNDS = 40
"""Largest number of draws until a sample has as many prompts as are asked for."""

ELSEWHERE = "another sample"
"""Name of the split of held-out documents that belong to other samples."""


@runtime_checkable
class DealsItsInputs(Protocol):
    """A task that has disjoint samples of its own."""

    def sampled(self, sample: int) -> Task:
        """The task on one of its `samples` samples."""


def sampled(task: Task, sample: int) -> Task:
    """The task on one of its `samples` disjoint samples; itself where all inputs are always measured.

    A task that is not in SAMPLED deals its inputs itself, by a method `sampled(sample)`. Errors: InputError for no such
    sample, for a task that has no samples, or too few documents to deal.
    """
    if not 0 <= sample < task.samples:
        raise InputError(f"the task {task.name!r} has samples 0 to {task.samples - 1}, received {sample}")
    if task.samples == 1:
        return task
    if task.name in SAMPLED:
        return SAMPLED[task.name](task, sample)
    if isinstance(task, DealsItsInputs):
        return task.sampled(sample)
    raise InputError(
        f"no samples for the task {task.name!r}; there are for {', '.join(SAMPLED)}, and for tasks with `sampled`"
    )


def sample_of(tokens: Int[Tensor, "row pos"], of: int) -> Int[Tensor, " row"]:
    """Number of the sample that every prompt belongs to, 0 .. of - 1: equal rows belong to one.

    sum_i w_i (t_i + 1) modulo a prime, modulo `of`; the weights w are drawn once, with a fixed seed.
    """
    weights = torch.randint(1, PRIME, (tokens.shape[1],), generator=Generator().manual_seed(0))
    return ((tokens + 1) * weights % PRIME).sum(1) % PRIME % of


def deal(sizes: Mapping[int, int], of: int, least: int = 2) -> list[list[int]]:
    """Documents by sample: of every `of` documents of about the same size (windows) each sample gets one at random.

    So every sample has about as many documents and windows as any other. Errors: InputError if one would have fewer
    than `least`.
    """
    if len(sizes) < least * of:
        raise InputError(
            f"{of} samples need {least * of} documents with a window at least, there are {len(sizes)}"
        )
    generator = Generator().manual_seed(0)
    by_size = sorted(sizes, key=lambda document: (-sizes[document], document))
    dealt: list[list[int]] = [[] for _ in range(of)]
    for start in range(0, len(by_size), of):
        order = torch.randperm(of, generator=generator).tolist()
        for sample, document in zip(order, by_size[start : start + of], strict=False):
            dealt[sample].append(document)
    return dealt


@dataclass(frozen=True)
class InductionSample(Induction):
    """Induction on the sequences of one sample; `pairs` and `sequences` draw until they have enough of them."""

    sample: int = 0

    @property
    def whole(self) -> Induction:
        """The task on all sequences."""
        return Induction(**{each.name: getattr(self, each.name) for each in fields(Induction)})

    def split(self, train_fraction: float, seed: int) -> tuple[None, Examples]:
        """As of the whole task."""
        return self.whole.split(train_fraction, seed)

    def to_json(self) -> dict[str, Any]:
        """As of the whole task."""
        return self.whole.to_json()

    def _draw(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        whole = super()._draw
        order, period = _until_enough(
            n, self, lambda m: whole(m, generator), lambda drawn: self._repeat(*drawn)
        )
        return order, period


@dataclass(frozen=True)
class IOISample(IOI):
    """IOI on the prompts of one sample; `prompts` draws until it has enough of them."""

    sample: int = 0

    def prompts(
        self,
        n: int,
        generator: Generator,
        pairs: Literal["train", "held-out"] = "held-out",
        *,
        split_seed: int,
        train_fraction: float = TRAIN_FRACTION,
    ) -> IOIPrompts:
        """As of the whole task, of this sample alone."""
        whole = super().prompts

        def draw(m: int) -> IOIPrompts:
            return whole(m, generator, pairs, split_seed=split_seed, train_fraction=train_fraction)

        return IOIPrompts(*_until_enough(n, self, draw, lambda drawn: drawn[0]))


@dataclass(frozen=True, eq=False)
class TextSample(TextOnCorpus):
    """Text whose held-out documents are those of one sample. Training documents are as they are."""

    whole: TextOnCorpus = field(kw_only=True, repr=False)

    def split(self, train_fraction: float, seed: int) -> tuple[TrainingText, Examples]:
        """As of the whole task."""
        return self.whole.split(train_fraction, seed)


def _induction(task: Task, sample: int) -> Task:
    whole = cast(Induction, task)
    return InductionSample(
        **{each.name: getattr(whole, each.name) for each in fields(Induction)}, sample=sample
    )


def _ioi(task: Task, sample: int) -> Task:
    return IOISample(cast(IOI, task).n_test, sample)


def _text(task: Task, sample: int) -> Task:
    if not isinstance(task, TextOnCorpus):
        raise InputError("documents are dealt when the task has its text: sampled(task.with_data(...), ...)")
    own: set[int] = set()
    for split in SHARES:
        documents, counts = task.windows(split).documents.unique(return_counts=True)
        sizes = dict(zip(documents.tolist(), counts.tolist(), strict=True))
        own |= set(deal(sizes, task.samples)[sample])
    splits = tuple(
        split if split not in SHARES or index in own else ELSEWHERE
        for index, split in enumerate(task.corpus.splits)
    )
    corpus = replace(task.corpus, splits=splits)
    return TextSample(task.n_ctx, task.d_vocab, task.fingerprint, corpus=corpus, whole=task)


def _until_enough(
    n: int,
    task: InductionSample | IOISample,
    draw: Callable[[int], tuple[Tensor, ...]],
    tokens: Callable[[tuple[Tensor, ...]], Tensor],
) -> Sequence[Tensor]:
    """n rows of the task's sample from draws of all samples. Errors: InputError where these hold too few."""
    kept: list[list[Tensor]] = []
    have = 0
    for _ in range(ROUNDS):
        drawn = draw(n * task.samples)
        own = sample_of(tokens(drawn), task.samples) == task.sample
        kept.append([part[own] for part in drawn])
        have += int(own.sum())
        if have >= n:
            return [torch.cat(parts)[:n] for parts in zip(*kept, strict=True)]
    raise InputError(
        f"{ROUNDS * n * task.samples} prompts held {have} of sample {task.sample}, {n} were asked for: the task "
        f"{task.name!r} has too few prompts for {task.samples} samples"
    )


SAMPLED: Mapping[str, Callable[[Task, int], Task]] = MappingProxyType(
    {Induction.name: _induction, IOI.name: _ioi, Text.name: _text}
)
"""The task on one sample, for tasks whose modules are part of the keys of trained networks: others bring `sampled`."""
