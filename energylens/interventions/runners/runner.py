"""Interface of all executors of interventions: one unedited run, and many edited runs that continue it.

An edit changes head outputs z (before W_O). `NativeRunner` works on the weights, `BridgedRunner` on hooks; the
sweeps know neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from energylens.interventions.prompts import Mask

if TYPE_CHECKING:
    pass

HeadOutputs = Float[Tensor, "prompt pos head d_head"]
Where = slice | Int[Tensor, "prompt read"]
"""A range of positions, or some positions of each prompt."""


@runtime_checkable
class Run(Protocol):
    """One unedited run: head outputs per layer, and logits at the read positions."""

    z: list[HeadOutputs]
    logits: Float[Tensor, "prompt read d_vocab"]


R = TypeVar("R", bound=Run)


@runtime_checkable
class Runner(Protocol[R]):
    """Runs a network, unedited and edited."""

    n_layers: int
    n_heads: int
    causal: bool

    @property
    def device(self) -> torch.device:
        """Device of the weights."""

    def run(
        self, tokens: Int[Tensor, "prompt pos"], mask: Mask | None, read: Int[Tensor, "prompt read"]
    ) -> R:
        """The unedited run; memory grows with the number of prompts."""

    def edited(self, run: R, edit: "Edit") -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits of `edit.n` runs per prompt; recomputes what the edits can reach and the read positions need."""

    def written(self, layer: int, head: int, z: Float[Tensor, "... d_head"]) -> Float[Tensor, "... d_model"]:
        """z W_O of one head, what it adds to the residual stream."""

    def received(
        self,
        run: R,
        layer: int,
        head: int,
        kind: Literal["q", "k", "v"],
        added: Float[Tensor, "run prompt pos d_model"],
    ) -> Float[Tensor, "run prompt pos d_head"]:
        """z of a head whose queries (keys, values) alone read the residual stream plus `added`."""

    def direct(
        self, run: R, added: Float[Tensor, "run prompt pos d_model"]
    ) -> Float[Tensor, "run prompt read d_vocab"]:
        """Logits where `added` joins the residual stream after the last block."""


def take(x: Shaped[Tensor, "run _ pos *rest"], where: Where) -> Shaped[Tensor, "run _ some *rest"]:
    """x at the positions `where`, axis 2; axis 1 may be 1 for all prompts alike."""
    if isinstance(where, slice):
        return x[:, :, where]
    return x.expand(-1, len(where), *x.shape[2:])[
        :, torch.arange(len(where), device=where.device)[:, None], where
    ]


def hardest(mask: Mask | None) -> slice:
    """The prompt with the most padding, on which executors are tested."""
    row = 0 if mask is None else int(mask.sum(1).argmin())
    return slice(row, row + 1)


def rounding(x: Tensor) -> float:
    """By how much two ways of computing x may differ: sqrt(eps) of its type, 3e-4 in float32, of its largest value."""
    return torch.finfo(x.dtype).eps ** 0.5 * (1 + x.abs().max().item())


@dataclass(frozen=True, eq=False)
class Replace:
    """Puts `z` in the place of head outputs, where the masks say so.

    masks: per layer, which run replaces which heads at which positions; z: per layer, the same for all runs
    (run axis 1) or one each.
    """

    masks: Mapping[int, Bool[Tensor, "run pos head"]]
    z: Mapping[int, Float[Tensor, "_ prompt pos head d_head"]]
    span: tuple[int, int]

    @property
    def n(self) -> int:
        """Number of runs."""
        return len(next(iter(self.masks.values())))

    @property
    def layers(self) -> list[int]:
        """Edited layers, in order."""
        return sorted(self.masks)

    def __call__(
        self, layer: int, z: Float[Tensor, "_ prompt some head d_head"], where: Where
    ) -> Float[Tensor, "run prompt some head d_head"]:
        """The edited head outputs at the positions `where`."""
        mask = take(self.masks[layer][:, None], where)
        return torch.where(mask[..., None], take(self.z[layer], where), z)


@dataclass(frozen=True, eq=False)
class Shift:
    """Adds `by` to head outputs in one run; the gradient with respect to `by` is that with respect to z."""

    by: Mapping[int, Float[Tensor, "prompt pos head d_head"]]
    n: int = 1

    @property
    def layers(self) -> list[int]:
        """Edited layers, in order."""
        return sorted(self.by)

    @property
    def span(self) -> tuple[int, int]:
        """All positions."""
        return 0, next(iter(self.by.values())).shape[1]

    def __call__(
        self, layer: int, z: Float[Tensor, "1 prompt some head d_head"], where: Where
    ) -> Float[Tensor, "1 prompt some head d_head"]:
        """The shifted head outputs at the positions `where`."""
        return z + take(self.by[layer][None], where)


Edit = Replace | Shift
"""`n` ways of changing z, run side by side. `span`: the positions beyond which layers[0] changes nothing, from the
first position that changes in any layer to the last one in layers[0]."""
