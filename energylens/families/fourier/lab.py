"""The lab's part for Fourier claims: networks that add modulo p, on all their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from energylens.families import Part
from energylens.store import key_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Grid:
    """Values that a modular-addition network computes on all p * p inputs, at the readout. Rows are a * p + b."""

    logits: torch.Tensor
    neurons: torch.Tensor


class FourierPart(Part):
    """The part of the lab on one network of Fourier claims."""

    def grid(self, model: str, seed: int) -> Grid:
        """Logits over the p answers and last-layer neurons on all inputs, from one forward pass."""
        network = self.lab.network(model, seed)
        last = network.n_layers - 1
        neurons, logits = f"blocks.{last}.mlp.hook_post", "unembed.hook_out"

        def run() -> Grid:
            found = network.run([neurons, logits])
            return Grid(found[logits][:, : network.modadd.p], found[neurons])

        return self.lab.remember(("grid", key_of(self.lab.recipe(model, seed))), run)

    def accuracies(self, model: str, seed: int) -> tuple[float, float]:
        """Accuracy on training and on held-out pairs; see `energylens.families.fourier.probes.accuracies`."""
        from energylens.families.fourier.probes import accuracies

        task = self.lab.network(model, seed).modadd
        return accuracies(self.grid(model, seed).logits, task, self.lab.recipe(model, seed))

    def leak_rates(self, model: str, seed: int = 0) -> dict[str, float]:
        """Rates of predictions that follow a swapped label; see `energylens.families.fourier.probes.leak_rates`."""
        import torch

        from energylens.families.fourier.probes import leak_rates

        def probe() -> dict[str, float]:
            return leak_rates(self.lab.network(model, seed), torch.Generator().manual_seed(seed))

        return self.lab.remember(("leak", key_of(self.lab.recipe(model, seed)), seed), probe)


PART = FourierPart
