"""Recipes that claims need built before they measure, by model, variant and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from energylens.models.corpus import PythonText
from energylens.models.tasks import Text
from energylens.store import Recipe

if TYPE_CHECKING:
    from energylens.lab.core import Lab


def needs_network(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
    """Recipes of claims whose seeds are the network's."""
    recipe = lab.recipe(model, seed)
    reads_text = getattr(recipe, "task_name", "") == Text.name
    return [recipe, PythonText()] if reads_text else [recipe]


def needs_text_saes(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
    """Recipes of claims on latents on text: the network's SAEs of the variant."""
    return [lab.text.sae_recipe(model, seed, variant)]


def needs_tuned_lens(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
    """Recipes of claims that compare the logit lens with the tuned lens at the variant's site."""
    site = variant.rpartition("-")[2]
    return [lab.text.sae_recipe(model, seed, variant), lab.text.tuned_lens_recipe(model, seed, site)]


def needs_saes(*kinds: str) -> Callable[[Lab, str, str, int], Iterable[Recipe]]:
    """Recipes of claims on the SAEs of a network, of these kinds; without kinds, of the kind that the variant names."""

    def needs(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
        return [lab.sae.recipe(model, kind, seed) for kind in kinds or (variant,)]

    return needs
