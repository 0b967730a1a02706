"""Interface of all methods, by which recipes, builds and trained SAEs know them; it needs no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch

    from energylens.sae.train import Progress, Trained
    from energylens.sae.weights import Settings


@dataclass(frozen=True)
class Fitted:
    """SAEs after training, in the units in which they trained. meta: JSON that the method adds to the artifact's."""

    trained: Trained
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class Method(ABC):
    """One way to train SAEs, and what their latents are; subclasses are frozen dataclasses of JSON values.

    A method is one file of this folder, called as its `name` is ("matched-relu": matched_relu.py). It is a field of
    `TrainSAEs`, so that the keys of its SAEs cover the file and what it imports, and no other method.
    """

    name: ClassVar[str]

    @abstractmethod
    def label(self) -> str:
        """Short name for people: "TopK 32"."""

    def check(self, d_sae: int, seeds: Sequence[int]) -> None:  # noqa: B027 - most have nothing to refuse
        """Raise InputError where SAEs of this size, or of these seeds, can't be trained."""

    @abstractmethod
    def fit(self, x: torch.Tensor, seeds: Sequence[int], settings: Settings, progress: Progress) -> Fitted:
        """Train one SAE per seed on scaled activations x [n, d_in]; see `train` and `train_by` of `sae.train`."""

    @abstractmethod
    def latent_acts(self, pre_acts: torch.Tensor) -> torch.Tensor:
        """Latent activations of pre-activations [n, d_sae], as claims see them.

        They are multiplied by a positive factor where the pre-activations are: SAEs train on scaled activations.
        """

    def to_json(self) -> dict[str, Any]:
        """Plain JSON from which `method_from_json` makes the same method."""
        return {"name": self.name, **asdict(self)}
