"""The lab's part for claims on energies: latents against the energy of held-out text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylens.families import Part
from energylens.store import key_of

if TYPE_CHECKING:
    from energylens.families.energy.effects import AgainstRandom, Effects, SteeringShifts
    from energylens.families.energy.energy_study import EnergyStudy


class EnergyPart(Part):
    """The part of the lab on energies, for one network and one TEXT_VARIANTS variant."""

    def study(
        self, model: str, seed: int, variant: str, sae_seed: int | None = None, tuned: bool = False
    ) -> EnergyStudy:
        """Latents of one SAE (or of its replacement in a swapped lab) against energies of held-out text."""
        from energylens.families.energy.energy_study import EnergyStudy

        _, site = self.lab.text.kind_and_site(variant)
        recipe = self.lab.text.sae_recipe(model, seed, variant)
        of_seed = recipe.seeds[0] if sae_seed is None else sae_seed

        def make() -> EnergyStudy:
            readings = {
                split: self.lab.text.reading(model, seed, site, split, tuned)
                for split in ("discovery", "confirmation")
            }
            return EnergyStudy(self.lab.text.of_sae(model, seed, variant, of_seed), readings, seed)

        key = ("energy", key_of(recipe), self.lab.dictionary, seed, of_seed, tuned)
        return self.lab.remember(key, make)

    def ablation_effects(self, model: str, seed: int, variant: str) -> Effects:
        """Effects of exact ablation of single latents on confirmation documents; see `effects`."""
        import torch

        from energylens.families.energy.effects import ablated_latents, ablation_effects
        from energylens.metrics.alignment import LEAST_FIRING

        study, recipe = self.study(model, seed, variant), self.lab.text.sae_recipe(model, seed, variant)

        def measure() -> Effects:
            reading = study.readings["confirmation"]
            of_splits = (study.alignment(split).firing_counts for split in study.readings)
            counts = torch.stack(list(of_splits)).amin(0)
            latents = ablated_latents(counts, LEAST_FIRING, seed)
            network = self.lab.network(model, seed)
            return ablation_effects(network, recipe.hook_name or "", study.dictionary, reading, latents)

        return self.lab.remember(("effects", key_of(recipe), self.lab.dictionary, seed), measure)

    def ablation_against_random(self, model: str, seed: int, variant: str) -> AgainstRandom:
        """Every fourth latent of `ablation_effects` beside a random direction of equal norm; see `effects`."""
        from energylens.families.energy.effects import ablation_against_random

        study, recipe = self.study(model, seed, variant), self.lab.text.sae_recipe(model, seed, variant)
        latents = self.ablation_effects(model, seed, variant).latents[::4]
        network, reading = self.lab.network(model, seed), study.readings["confirmation"]

        def measure() -> AgainstRandom:
            return ablation_against_random(
                network, recipe.hook_name or "", study.dictionary, reading, latents, seed
            )

        return self.lab.remember(
            ("ablation beside random", key_of(recipe), self.lab.dictionary, seed), measure
        )

    def steering_shifts(self, model: str, seed: int, variant: str) -> SteeringShifts:
        """Changes of the loss by steering along the top latents; see `effects`."""
        from energylens.families.energy.effects import steering_shifts

        study, recipe = self.study(model, seed, variant), self.lab.text.sae_recipe(model, seed, variant)
        network, reading = self.lab.network(model, seed), study.readings["confirmation"]
        return self.lab.remember(
            ("steering", key_of(recipe), self.lab.dictionary, seed),
            lambda: steering_shifts(network, recipe.hook_name or "", reading, study.top_directions),
        )

    def random_shifts(self, model: str, seed: int, variant: str) -> SteeringShifts:
        """Changes of the loss by steering along random directions, one set for all dictionaries at a site."""
        from energylens.families.energy.effects import random_shifts

        hook_name = self.lab.text.sae_recipe(model, seed, variant).hook_name or ""
        reading = self.study(model, seed, variant).readings["confirmation"]
        return self.lab.remember(
            ("random steering", key_of(self.lab.recipe(model, seed)), hook_name, seed),
            lambda: random_shifts(self.lab.network(model, seed), hook_name, reading, seed),
        )

    def steering_against_random(self, model: str, seed: int, variant: str) -> AgainstRandom:
        """Steering along top latents and random directions over fewer documents: loss, lens energy and divergence."""
        from energylens.families.energy.effects import steering_against_random

        study, recipe = self.study(model, seed, variant), self.lab.text.sae_recipe(model, seed, variant)
        network, reading = self.lab.network(model, seed), study.readings["confirmation"]
        return self.lab.remember(
            ("steering beside random", key_of(recipe), self.lab.dictionary, seed),
            lambda: steering_against_random(
                network, recipe.hook_name or "", reading, study.top_directions, seed
            ),
        )


PART = EnergyPart
