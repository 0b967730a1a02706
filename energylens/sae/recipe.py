"""The complete, frozen description of the SAEs trained on one network: one recipe, all seeds.

Importing this module does not import torch; `TrainSAEs.build` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from energylens.errors import InputError
from energylens.models.recipe import Autocast, fastest_autocast
from energylens.sae.kernels import Kernel, fastest_kernel
from energylens.sae.methods.base import Method
from energylens.sae.methods.table import default_method
from energylens.store.recipe import Artifact, Progress, Recipe

SEEDS = (42, 123, 456, 789, 1011)


@dataclass(frozen=True)
class TrainSAEs(Recipe):
    """SAEs of several seeds on the activations of one network (or on planted data).

    `variant` is the method (`energylens.sae.methods`), TopK with 32 latents by default; its code enters the key.
    `hook_name` None is the last layer's `resid_post` at the task's readout, or the samples of a
    PlantedDictionary. `n_heldout` activations, drawn with `split_seed`, are kept from training and from the
    L1 search. `decoder` "frozen" leaves the decoder at its random unit rows: encoder and biases are trained.
    One step takes `batch` samples per seed. `kernel` is what trains them (`energylens.sae.kernels`). The same recipe on
    the same machine gives the same bits.

    For a network that reads text, `data` makes the text: `n_train` tokens of training documents and `n_heldout`
    of held-out ones, in whole windows, drawn with `split_seed`; BOS, the same in every window, is left out.
    """

    kind: ClassVar[str] = "saes"
    source: Recipe
    hook_name: str | None = None
    variant: Method = field(default_factory=default_method)
    d_sae: int = 1024
    steps: int = 500
    batch: int = 512
    lr: float = 1e-3
    seeds: tuple[int, ...] = SEEDS
    decoder: Literal["trained", "frozen"] = "trained"
    n_heldout: int = 2000
    split_seed: int = 0
    data: Recipe | None = None
    n_train: int | None = None
    threads: int = 1
    autocast: Autocast = field(default_factory=fastest_autocast)
    kernel: Kernel = field(default_factory=fastest_kernel)

    def __post_init__(self) -> None:
        counts = (self.d_sae, self.steps, self.batch, self.n_heldout, self.threads)
        if min(counts) < 1 or not self.lr > 0:
            raise InputError(
                f"d_sae, steps, batch, n_heldout, threads, lr must be positive, received {self!r}"
            )
        if (self.data is None) != (self.n_train is None) or (self.n_train is not None and self.n_train < 1):
            raise InputError(f"data and n_train go together, received {self.data!r} and {self.n_train!r}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise InputError(f"seeds must be different and not negative, received {self.seeds}")
        if self.decoder not in ("trained", "frozen") or self.autocast not in ("bf16", "fp32"):
            raise InputError(f"no such decoder or autocast: {self.decoder!r}, {self.autocast!r}")
        if self.kernel not in ("sparse", "dense"):
            raise InputError(f"the kernel must be 'sparse' or 'dense', received {self.kernel!r}")
        self.variant.check(self.d_sae, self.seeds)

    def label(self) -> str:
        """The short name shown while they train."""
        frozen = ", frozen decoder" if self.decoder == "frozen" else ""
        where = f" at {self.hook_name}" if self.hook_name else ""
        return f"{self.variant.label()} SAEs{frozen} on {self.source.label()}{where}"

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Train them; see `energylens.sae.build`."""
        from energylens.sae.build import build

        return build(self, inputs, progress)
