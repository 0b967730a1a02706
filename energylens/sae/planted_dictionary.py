"""Recipe of data with a known dictionary, which imports no code of SAEs, so that their changes don't redraw it.

Importing this module does not import torch; a build does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from energylens.errors import InputError
from energylens.store.recipe import Artifact, Progress, Recipe


@dataclass(frozen=True)
class PlantedDictionary(Recipe):
    """x = codes @ dictionary + noise: n samples in d_in dimensions from n_atoms > d_in unit-norm atoms.

    Atoms are uniform on the sphere. Each is active in a sample with probability `l0` / n_atoms,
    independently, with a magnitude uniform in [0.5, 1.5]. `noise` is the root mean square norm of the
    Gaussian noise of a sample. Tensors: x [n d_in], dictionary [n_atoms d_in], codes [n n_atoms].
    """

    kind: ClassVar[str] = "planted"
    d_in: int = 64
    n_atoms: int = 128
    l0: int | float = 4
    noise: int | float = 0.1
    n: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.d_in, self.n_atoms, self.n) < 1 or not 0 < self.l0 <= self.n_atoms or self.noise < 0:
            raise InputError(f"sizes must be positive, 0 < l0 <= n_atoms and noise >= 0, received {self!r}")

    def label(self) -> str:
        """The short name shown while it is drawn."""
        return f"planted dictionary of {self.n_atoms} atoms in {self.d_in} dimensions"

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Draw codes, noise and atoms from one generator.

        The atoms come last: drawn first, they would be the first decoder rows of an SAE with the same seed.
        """
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        active = torch.rand(self.n, self.n_atoms, generator=generator) < self.l0 / self.n_atoms
        codes = active * (0.5 + torch.rand(self.n, self.n_atoms, generator=generator))
        noise = torch.randn(self.n, self.d_in, generator=generator) * (self.noise / self.d_in**0.5)
        dictionary = torch.randn(self.n_atoms, self.d_in, generator=generator)
        dictionary /= torch.linalg.vector_norm(dictionary, dim=-1, keepdim=True)
        x = torch.einsum("na,ad->nd", codes, dictionary) + noise
        tensors = {"x": x, "dictionary": dictionary, "codes": codes}
        return Artifact({name: tensor.numpy() for name, tensor in tensors.items()})
