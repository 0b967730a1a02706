"""The lab's part for spectral claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylens.families import Part
from energylens.store import key_of

if TYPE_CHECKING:
    from energylens.families.spectral.head_study import HeadStudy


class SpectralPart(Part):
    """The part of the lab on one network of spectral claims."""

    def heads(self, model: str, seed: int) -> HeadStudy:
        """Gaps and causal importance of every attention head; see `energylens.families.spectral.head_study`."""
        from energylens.families.spectral.head_study import study_heads

        recipe = self.lab.recipe(model, seed)
        key = ("heads", key_of(recipe), seed)
        return self.lab.remember(key, lambda: study_heads(self.lab.network(model, seed), seed))


PART = SpectralPart
