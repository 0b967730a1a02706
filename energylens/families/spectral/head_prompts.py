"""Prompts that heads are judged on, by task: clean and corrupted sides, metric, and positions that count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.interventions import LogitDiff, Metric, NextTokenLoss
from energylens.models.network import Network
from energylens.models.tasks import IOI, Induction, Text
from energylens.models.tasks.text import TextOnCorpus

N_PROMPTS = 256
N_WINDOWS = 32
WINDOW = 64
"""Number of tokens of a window of text that heads are judged on, with BOS."""
PROMPT_STREAM = 2


@dataclass(frozen=True)
class HeadPrompts:
    """Prompt pairs of equal length, aligned token by token.

    corrupted: the other side of a patch; for text, windows of other documents. metric: read on both.
    counted: positions that gaps are computed over (no padding, no BOS). real: positions that are no padding.
    sign: what makes damage positive: 1 where the metric falls when a head is damaged, -1 where it rises (a loss).
    aligned: whether the metric means something on the corrupted prompts; other text has other next tokens.
    """

    clean: Int[Tensor, "prompt pos"]
    corrupted: Int[Tensor, "prompt pos"]
    metric: Metric
    counted: Bool[Tensor, "prompt pos"]
    real: Bool[Tensor, "prompt pos"]
    sign: int
    aligned: bool = True


def head_prompts(network: Network, seed: int, n: int | None = None) -> HeadPrompts:
    """n prompts of the network's task, 256 by default (32 windows of text), on held-out inputs.

    Errors: InputError for a task without prompts.
    """
    if network.task.name not in PROMPTS:
        raise InputError(f"no prompts for the task {network.task.name!r}; there are for {', '.join(PROMPTS)}")
    make, by_default = PROMPTS[network.task.name]
    return make(network, seed, by_default if n is None else n)


def induction_prompts(
    network: Network, seed: int, n: int = N_PROMPTS, corrupt: Literal["key", "value"] = "key"
) -> HeadPrompts:
    """Induction prompts by corruption.

    "key": two tokens of the first occurrence trade places, so that the induction head must look elsewhere.
    "value": only the token that the induction head copies is another one; see `Induction.pairs`.
    """
    generator = prompt_generator(seed)
    pairs = cast(Induction, network.task).pairs(n, generator, corrupt=corrupt)
    everywhere = torch.ones_like(pairs.clean, dtype=torch.bool)
    metric = LogitDiff(pairs.answer, pairs.wrong, pairs.pos)
    return HeadPrompts(pairs.clean, pairs.corrupted, metric, everywhere, everywhere, sign=1)


def ioi_prompts(
    network: Network,
    seed: int,
    n: int = N_PROMPTS,
    pairs: Literal["train", "held-out"] = "held-out",
    corrupt: Literal["abc", "swap"] = "abc",
) -> HeadPrompts:
    """Name pairs of one side of the network's split.

    "abc": three other names stand in the corrupted prompts, so that nobody is asked for. "swap": IO stands at S2,
    so that S is the answer and the logit difference turns its sign.
    """
    task, generator = cast(IOI, network.task), prompt_generator(seed)
    split_seed = network.meta.get("split_seed", network.seed)
    prompts = task.prompts(n, generator, pairs, split_seed=split_seed)
    corrupted = task.abc(prompts, generator) if corrupt == "abc" else task.swapped(prompts)
    metric = LogitDiff(prompts.io, prompts.s, prompts.end)
    return HeadPrompts(prompts.tokens, corrupted, metric, _without_bos(prompts.mask), prompts.mask, sign=1)


def text_prompts(network: Network, seed: int, n: int = N_WINDOWS) -> HeadPrompts:
    """Windows of WINDOW tokens of held-out documents; the corrupted side of each is a window of another document."""
    task = cast(TextOnCorpus, network.task)
    windows = task.held_out_windows(2 * n, prompt_generator(seed))
    other = torch.arange(n)
    for row in range(n):
        different = (windows.documents[n:] != windows.documents[row]).nonzero().flatten()
        if not len(different):
            raise InputError(f"all {n} windows to resample from are of one document; draw more than {n}")
        other[row] = n + different[row % len(different)]
    clean = windows.tokens[:n, :WINDOW]
    real = torch.ones_like(clean, dtype=torch.bool)
    metric = NextTokenLoss(windows.targets[:n, :WINDOW])
    return HeadPrompts(
        clean, windows.tokens[other, :WINDOW], metric, _without_bos(real), real, sign=-1, aligned=False
    )


def prompt_generator(seed: int) -> torch.Generator:
    """A stream apart from those of the same seed that a network was trained and tested on."""
    return torch.Generator().manual_seed(
        int(np.random.SeedSequence((seed, PROMPT_STREAM)).generate_state(1)[0])
    )


def _without_bos(real: Tensor) -> Tensor:
    counted = real.clone()
    counted[:, 0] = False
    return counted


Maker = Callable[[Network, int, int], HeadPrompts]

PROMPTS: Mapping[str, tuple[Maker, int]] = MappingProxyType(
    {
        Induction.name: (induction_prompts, N_PROMPTS),
        IOI.name: (ioi_prompts, N_PROMPTS),
        Text.name: (text_prompts, N_WINDOWS),
    }
)
"""Per task, the function that makes its prompts, and their default number; a task for claims on heads adds one row."""
