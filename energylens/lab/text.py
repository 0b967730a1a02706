"""Held-out text as read by lenses, and SAEs on text with their replacements in controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from energylens.errors import InputError
from energylens.families import Part
from energylens.lab.kinds import of_kind, place
from energylens.lenses.site import SITES, site_hook
from energylens.lenses.tuned import TuneLens
from energylens.models.corpus import PythonText
from energylens.models.recipe import TrainNetwork
from energylens.sae.methods.table import METHODS
from energylens.sae.recipe import SEEDS, TrainSAEs
from energylens.sae.variants import ReLU, TopK, Variant
from energylens.store import key_of

if TYPE_CHECKING:
    from energylens.lenses.reading import Reading
    from energylens.sae.dictionary import Dictionary

TEXT_SAE_SEEDS = SEEDS[:3]
"""Seeds of the SAEs that are trained, as one batch, on every network that reads text; controls use the first seed."""

TEXT_SAE_KINDS: Mapping[str, Variant] = {"topk": TopK(k=32), "relu": ReLU(l1=0.17)}
"""SAE kinds on text. The L1 of relu was found by a search for the L0 of topk at the middle site of pygpt-2l seed 0."""

TEXT_VARIANTS = tuple(f"{kind}-{site}" for kind in TEXT_SAE_KINDS for site in SITES)
"""Variants of claims about latents on text: kind of SAE and site."""


class TextPart(Part):
    """The lab's part on networks that read text: lenses at their sites, SAEs of a TEXT_VARIANTS variant."""

    def sae_recipe(self, model: str, seed: int, variant: str) -> TrainSAEs:
        """The recipe of the SAEs of a variant, KIND-SITE, on one network: TEXT_SAE_SEEDS, of a control the first."""
        kind, site = self.kind_and_site(variant)
        is_control = self.lab.dictionary == "frozen" or self.lab.network_state == "untrained"
        return TrainSAEs(
            source=self.lab.recipe(model, seed),
            hook_name=self.site_hook(model, seed, site),
            variant=of_kind(kind, TEXT_SAE_KINDS),
            steps=800,
            lr=3e-3,
            seeds=TEXT_SAE_SEEDS[:1] if is_control else TEXT_SAE_SEEDS,
            decoder="frozen" if self.lab.dictionary == "frozen" else "trained",
            n_heldout=10_000,
            data=PythonText(),
            n_train=200_000,
        )

    def tuned_lens_recipe(self, model: str, seed: int, site: str) -> TuneLens:
        """The recipe of the tuned lens of one network at a site."""
        return TuneLens(self.lab.recipe(model, seed), PythonText(), self.site_hook(model, seed, site))

    def site_hook(self, model: str, seed: int, site: str) -> str:
        """Name of the residual stream at a site of `energy.SITES`; no network is built for it."""
        recipe = self.lab.recipe(model, seed)
        n_layers = (
            recipe.config.n_layers
            if isinstance(recipe, TrainNetwork)
            else self.lab.whole_network(model, seed).n_layers
        )
        return site_hook(n_layers, site)

    def reading(self, model: str, seed: int, site: str, split: str, tuned: bool = False) -> Reading:
        """Held-out text of one split, read by the logit lens (or the tuned lens) at a site."""
        from energylens.lenses.fit import tuned_lens
        from energylens.lenses.held_out import held_out_text
        from energylens.lenses.logit import logit_lens
        from energylens.lenses.reading import read
        from energylens.models.tasks.text import TextOnCorpus

        def make() -> Reading:
            recipe = self.tuned_lens_recipe(model, seed, site)
            network = self.lab.network(model, seed)
            if tuned:
                return self.reading(model, seed, site, split).under(
                    tuned_lens(network, self.lab.artifact(recipe))
                )
            corpus = cast(TextOnCorpus, network.task).corpus
            text = held_out_text(network, split, seed)
            return read(network, corpus, recipe.hook_name, text, logit_lens(network))

        return self.lab.remember(
            ("reading", key_of(self.lab.recipe(model, seed)), seed, site, split, tuned), make
        )

    def of_sae(self, model: str, seed: int, variant: str, sae_seed: int) -> Dictionary:
        """Directions and activations of one SAE, or of its replacement in a swapped lab."""
        import torch

        from energylens.sae.dictionary import of_saes, random_dictionary
        from energylens.sae.sae import SAEs

        recipe = self.sae_recipe(model, seed, variant)
        if self.lab.dictionary in ("trained", "frozen"):
            return of_saes(SAEs.from_artifact(self.lab.artifact(recipe)), sae_seed)
        if self.lab.dictionary == "covariance":
            x = self.reading(model, seed, self.kind_and_site(variant)[1], "discovery").x
            generator = torch.Generator().manual_seed(1_000_003 * (1 + place(variant, TEXT_VARIANTS)) + seed)
            return random_dictionary(x, recipe.d_sae, 32, generator)
        raise InputError(f"on text no dictionary stands in for an SAE by the name of {self.lab.dictionary!r}")

    def kind_and_site(self, variant: str) -> tuple[str, str]:
        """Kind of SAE and site of a variant, KIND-SITE."""
        kind, _, site = variant.rpartition("-")
        if site not in SITES or (kind not in TEXT_SAE_KINDS and kind not in METHODS):
            raise InputError(f"latents on text are one of {', '.join(TEXT_VARIANTS)}, received {variant!r}")
        return kind, site
