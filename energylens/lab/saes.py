"""SAEs of networks whose inputs are few enough to be listed, and replacements of their decoders in controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from energylens.families import Part
from energylens.lab.kinds import of_kind, place
from energylens.sae.planted import PLANTED_VARIANTS, PlantedDictionary, planted_saes
from energylens.sae.recipe import SEEDS, TrainSAEs
from energylens.sae.variants import MatchedReLU, ReLU, TopK, Variant
from energylens.store import key_of

if TYPE_CHECKING:
    import torch

    from energylens.sae.sae import SAEs

SAE_SEEDS = SEEDS[:3]
"""Seeds of the SAEs on network 0, the first of the published seeds; they train as one batch and are compared in it."""

SAE_SEED_STRIDE = 10_000
"""Distance between the SAE seeds of one network and of the next: no seed is shared by two networks."""

SAE_KINDS: Mapping[str, Variant] = {
    "topk": TopK(k=32),
    "relu": ReLU(l1=0.0),
    "relu-matched": MatchedReLU(l0=32.0, start=0.16),
}
"""SAE kinds by the name that claims use as a variant. relu-matched is ReLU with L1 at the L0 of topk.

Every other method (`energylens.sae.methods`) is a kind by its own name, as it is by default.
"""


class SAEPart(Part):
    """The SAEs of one network, by kind."""

    def recipe(self, model: str, kind: str, seed: int) -> TrainSAEs:
        """The recipe of the SAEs of one kind on one network (or planted dictionary), see `sae_seeds`."""
        source = self.lab.recipe(model, seed)
        saes = (
            planted_saes(of_kind(kind, PLANTED_VARIANTS), source)
            if isinstance(source, PlantedDictionary)
            else TrainSAEs(source=source, variant=of_kind(kind, SAE_KINDS))
        )
        decoder: Literal["trained", "frozen"] = "frozen" if self.lab.dictionary == "frozen" else "trained"
        return replace(saes, seeds=sae_seeds(seed), decoder=decoder)

    def trained(self, model: str, kind: str, seed: int) -> SAEs:
        """The SAEs of one kind on one network."""
        from energylens.sae.sae import SAEs

        recipe = self.recipe(model, kind, seed)
        return self.lab.remember(
            ("saes", key_of(recipe)), lambda: SAEs.from_artifact(self.lab.artifact(recipe))
        )

    def explained_variance(self, model: str, kind: str, seed: int) -> float:
        """Explained variance on held-out activations, mean over the SAEs of one network."""
        from energylens.metrics.reconstruction import explained_variance

        saes, held_out = self.trained(model, kind, seed), self.split(model, kind, seed)[1]
        return fmean(explained_variance(held_out, saes.reconstruct(held_out, each)) for each in saes.seeds)

    def split(self, model: str, kind: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Training and held-out activations of the SAEs of one network, each float32 [n, d_in]."""
        from energylens.sae.activations import split

        return split(self.activations(model, seed), self.recipe(model, kind, seed))

    def decoders(self, model: str, kind: str, seed: int) -> list[torch.Tensor]:
        """Decoders of the SAEs of one network, in the order of their seeds; see `decoder`."""
        return [self.decoder(model, kind, seed, sae_seed) for sae_seed in sae_seeds(seed)]

    def decoder(self, model: str, kind: str, seed: int, sae_seed: int) -> torch.Tensor:
        """Decoder of one SAE [d_sae, d_in], or its replacement in a swapped lab.

        seed: the network's. A replacement that is drawn at random depends on the kind and on both seeds.
        """
        import torch

        from energylens.metrics import stability

        saes = self.trained(model, kind, seed)
        if self.lab.dictionary == "initial":
            return saes.initial_decoder(sae_seed)
        if self.lab.dictionary in ("trained", "frozen"):
            return saes.decoder(sae_seed)
        # Kinds draw apart: a control in which two kinds share their dictionary would be equal by construction.
        drawn = 1_000_003 * (1 + place(kind, list(SAE_KINDS))) + 10_007 * seed + sae_seed
        generator = torch.Generator().manual_seed(drawn)
        d_sae, d_in = saes.decoder(sae_seed).shape
        if self.lab.dictionary == "isotropic":
            return stability.random_unit_rows(d_sae, d_in, generator).float()
        return stability.covariance_matched(self.activations(model, seed), d_sae, generator).float()

    def activations(self, model: str, seed: int) -> torch.Tensor:
        """Activations, on all inputs, that the SAEs of one network were trained on, float32 [n, d_in]."""
        from energylens.sae.activations import activations

        recipe = self.recipe(model, "topk", seed)
        key = ("activations", key_of(recipe.source), recipe.hook_name)
        return self.lab.remember(key, lambda: activations(self.lab.artifact(recipe.source), recipe))


def sae_seeds(seed: int) -> tuple[int, ...]:
    """Seeds of the SAEs on the network of this seed."""
    return tuple(each + SAE_SEED_STRIDE * seed for each in SAE_SEEDS)
