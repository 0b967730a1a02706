"""The lab: what claims measure on. Networks, SAEs and activations, found in the store or built.

A null control runs a claim's own body in a *swapped* lab, which hands out something else under the same name:
the network at initialisation, or another dictionary in place of the trained SAE's decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from energylens.energy.site import SITES, site_hook
from energylens.energy.tuned import TuneLens
from energylens.errors import InputError
from energylens.harness.control import Null
from energylens.harness.measurement import Unavailable
from energylens.harness.one_network import SEVERAL
from energylens.models.checkpoint import UntrainedCheckpoint
from energylens.models.corpus import PythonText
from energylens.models.recipe import TrainNetwork
from energylens.models.tasks import Text
from energylens.models.wired import WireInduction
from energylens.models.zoo import ZOO, untrained, zoo
from energylens.sae.planted import PLANTED_VARIANTS, PlantedDictionary, planted_saes
from energylens.sae.recipe import SEEDS, TrainSAEs
from energylens.sae.variants import MatchedReLU, ReLU, TopK, Variant
from energylens.store import Artifact, Recipe, Store, key_of

if TYPE_CHECKING:
    import torch

    from energylens.energy.dictionary import Dictionary
    from energylens.energy.effects import AgainstRandom, Effects, SteeringShifts
    from energylens.energy.reading import Reading
    from energylens.energy.study import EnergyStudy
    from energylens.heads import HeadStudy
    from energylens.models.network import Network
    from energylens.sae.sae import SAEs

PLANTED = "planted-dictionary"
WIRED = "induction-wired"

MODEL_TASKS = {
    **{name: entry.task.name for name, entry in ZOO.items()},
    PLANTED: "planted",
    WIRED: "induction-wired",
}
"""Every model that claims may name, with its task."""

SAE_SEEDS = SEEDS[:3]
"""Of the SAEs on network 0: the first of the published seeds. They train as one batch, and are compared within it."""

SAE_SEED_STRIDE = 10_000
"""Between the SAE seeds of one network and of the next: seeds are nested in networks, none is shared by two."""

TEXT_SAE_SEEDS = SEEDS[:3]
"""Seeds of the SAEs that are trained on every network that reads text, as one batch; its controls have the first."""

TEXT_SAE_KINDS: Mapping[str, Variant] = {"topk": TopK(k=32), "relu": ReLU(l1=0.17)}
"""SAE kinds on text. The L1 of relu is what a search for the L0 of topk found at the middle site of pygpt-2l seed 0."""

TEXT_VARIANTS = tuple(f"{kind}-{site}" for kind in TEXT_SAE_KINDS for site in SITES)
"""Variants of claims about latents on text: kind of SAE and site."""

SAE_KINDS: Mapping[str, Variant] = {
    "topk": TopK(k=32),
    "relu": ReLU(l1=0.0),
    "relu-matched": MatchedReLU(l0=32.0, start=0.16),
}
"""SAE kinds by the name that claims use as a variant. relu-matched is ReLU with L1 at the L0 of topk."""

UNTRAINED = Null("untrained", "the network at initialisation", swap={"network": "untrained"})
STEP_0 = Null("step-0", "the SAEs before training", swap={"dictionary": "initial"})
FROZEN = Null("frozen", "SAEs with a frozen random decoder", swap={"dictionary": "frozen"})
ISOTROPIC = Null("isotropic", "independent random directions", swap={"dictionary": "isotropic"})
COVARIANCE = Null(
    "covariance",
    "random directions drawn with the covariance of the activations",
    swap={"dictionary": "covariance"},
)

REMEMBERED = 200
"""Networks, grids (about 32 MB each at p = 113) and SAEs that a lab keeps in memory."""

NetworkState = Literal["trained", "untrained"]

DictionaryState = Literal["trained", "initial", "frozen", "isotropic", "covariance"]


@dataclass(frozen=True)
class Grid:
    """What a modular-addition network computes on all p * p inputs, at the readout. Rows are a * p + b."""

    logits: torch.Tensor
    neurons: torch.Tensor


@dataclass(frozen=True)
class Lab:
    """Hands out networks, SAEs and activations by name. `swapped` gives the same lab with other inputs.

    checkpoints: a user's own networks by name; index i is seed i, but for a single one, whose seeds are samples of data
    (`energylens.models.samples`). on_artifact: called with the recipe of every artifact that is used, also where what
    was computed from it is remembered; for provenance.
    """

    store: Store
    checkpoints: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    on_artifact: Callable[[Recipe], None] = lambda recipe: None
    network_state: NetworkState = "trained"
    dictionary: DictionaryState = "trained"
    _memory: dict[Any, tuple[Any, Iterable[Recipe]]] = field(default_factory=dict, repr=False)
    _computing: list[dict[Recipe, None]] = field(default_factory=list, repr=False)

    def swapped(self, network: str | None = None, dictionary: str | None = None) -> Lab:
        """The same lab with other inputs, sharing what it has computed. Errors: InputError for no such swap."""
        for name, allowed in ((network, NetworkState), (dictionary, DictionaryState)):
            if name is not None and name not in get_args(allowed):
                raise InputError(f"no such swap: {name!r}; known: {', '.join(get_args(allowed))}")
        state, stands_in = network or self.network_state, dictionary or self.dictionary
        return replace(
            self, network_state=cast(NetworkState, state), dictionary=cast(DictionaryState, stands_in)
        )

    @property
    def is_swapped(self) -> bool:
        """Whether a null control is being measured; what a claim prints beside its verdict need not be."""
        return (self.network_state, self.dictionary) != ("trained", "trained")

    def recipe(self, model: str, seed: int = 0) -> Recipe:
        """The recipe of a network (or of a planted dictionary). Raises InputError for an unknown name."""
        if model == PLANTED and self.network_state == "untrained":
            raise InputError(f"{PLANTED} is no network: it has no untrained twin")
        if model == PLANTED:
            return PlantedDictionary(seed=seed)
        if model == WIRED:
            return self._wired(seed)
        if model in self.checkpoints:
            found = self.checkpoints[model][0 if self.is_one_network(model) else seed]
            return UntrainedCheckpoint(found) if self.network_state == "untrained" else found
        trained = zoo(model, seed)
        return untrained(trained) if self.network_state == "untrained" else trained

    def _wired(self, seed: int) -> WireInduction:
        if self.network_state == "untrained":
            raise InputError(f"{WIRED} is set by hand: it has no untrained twin")
        return WireInduction(seed)

    def is_one_network(self, model: str) -> bool:
        """Whether a user gave one network of this name only: its seeds are samples of data."""
        return len(self.checkpoints.get(model, ())) == 1

    def seeds(self, model: str, declared: Iterable[int]) -> list[int]:
        """The networks that there are of a model: the declared seeds, or one for each of a user's checkpoints.

        Raises Unavailable where there is one only: there is nothing to compare it with.
        """
        if self.is_one_network(model):
            raise Unavailable(SEVERAL)
        return list(range(len(self.checkpoints[model]))) if model in self.checkpoints else list(declared)

    def sae_recipe(self, model: str, kind: str, seed: int) -> TrainSAEs:
        """The recipe of the SAEs of one kind on one network (or planted dictionary), see `sae_seeds`."""
        if kind not in SAE_KINDS:
            raise InputError(f"unknown kind of SAE {kind!r}; known: {', '.join(SAE_KINDS)}")
        source = self.recipe(model, seed)
        saes = (
            planted_saes(PLANTED_VARIANTS[kind], source)
            if isinstance(source, PlantedDictionary)
            else TrainSAEs(source=source, variant=SAE_KINDS[kind])
        )
        decoder: Literal["trained", "frozen"] = "frozen" if self.dictionary == "frozen" else "trained"
        return replace(saes, seeds=sae_seeds(seed), decoder=decoder)

    def artifact(self, recipe: Recipe) -> Artifact:
        """Find or build an artifact."""
        found = self.store.get(recipe)
        self._note(recipe)
        return found

    def network(self, model: str, seed: int = 0) -> Network:
        """A trained (or, when swapped, untrained) network, ready for hooks; a single one on the inputs of a sample."""
        whole = self._network(model, seed)
        if not self.is_one_network(model):
            return whole
        from energylens.models.samples import sampled

        key = ("sample", key_of(self.recipe(model, seed)), seed)
        return self._remember(key, lambda: replace(whole, task=sampled(whole.task, seed)))

    def _network(self, model: str, seed: int) -> Network:
        from energylens.models.network import Network

        recipe = self.recipe(model, seed)

        def load() -> Network:
            network = Network.from_artifact(self.artifact(recipe))
            if not isinstance(network.task, Text):
                return network
            return replace(network, task=network.task.with_data(self.artifact(PythonText())))

        return self._remember(("network", key_of(recipe)), load)

    def snapshots(self, model: str, seed: int) -> Iterable[tuple[int, Network]]:
        """(step, network) at the steps of its training that its recipe kept; use each before asking for the next."""
        from energylens.models.network import Network

        return Network.snapshots_from(self.artifact(self.recipe(model, seed)))

    def heads(self, model: str, seed: int) -> HeadStudy:
        """Gaps and causal importance of every attention head; see `energylens.heads`."""
        from energylens.heads import study_heads

        recipe = self.recipe(model, seed)
        key = ("heads", key_of(recipe), seed)
        return self._remember(key, lambda: study_heads(self.network(model, seed), seed))

    def accuracies(self, model: str, seed: int) -> tuple[float, float]:
        """Accuracy on training and on held-out pairs; see `energylens.models.probes.accuracies`."""
        from energylens.models.probes import accuracies

        task = self.network(model, seed).modadd
        return accuracies(self.grid(model, seed).logits, task, self.recipe(model, seed))

    def leak_rates(self, model: str, seed: int = 0) -> dict[str, float]:
        """How far the prediction follows a swapped-in label; see `energylens.models.probes.leak_rates`."""
        import torch

        from energylens.models.probes import leak_rates

        def probe() -> dict[str, float]:
            return leak_rates(self.network(model, seed), torch.Generator().manual_seed(seed))

        return self._remember(("leak", key_of(self.recipe(model, seed)), seed), probe)

    def curves(self, model: str, seed: int) -> dict[str, list[float]]:
        """Training curves of a zoo network by name; empty for a network whose training is not known."""
        return dict(self.network(model, seed).meta.get("curves", {}))

    def saes(self, model: str, kind: str, seed: int) -> SAEs:
        """The SAEs of one kind on one network."""
        from energylens.sae.sae import SAEs

        recipe = self.sae_recipe(model, kind, seed)
        return self._remember(("saes", key_of(recipe)), lambda: SAEs.from_artifact(self.artifact(recipe)))

    def explained_variance(self, model: str, kind: str, seed: int) -> float:
        """Explained variance on held-out activations, mean over the SAEs of one network."""
        from energylens.metrics.reconstruction import explained_variance

        saes, held_out = self.saes(model, kind, seed), self._split(model, kind, seed)[1]
        return fmean(explained_variance(held_out, saes.reconstruct(held_out, each)) for each in saes.seeds)

    def sae_setting(self, model: str, kind: str, seed: int) -> dict[str, float]:
        """What the SAEs of one network were trained on and how they came out: numbers to print beside a verdict.

        Means over the SAEs. Explained variance and L0 are of held-out activations; dead latents fire on no training
        activation.
        """
        from energylens.metrics import reconstruction, stability

        saes = self.saes(model, kind, seed)
        train, held_out = self._split(model, kind, seed)
        rank_key = ("rank", key_of(self.sae_recipe(model, kind, seed).source))
        return {
            "explained variance": self.explained_variance(model, kind, seed),
            "L0": fmean(reconstruction.l0(saes.encode(held_out, each)) for each in saes.seeds),
            "dead latents": fmean(
                reconstruction.dead_fraction(saes.encode(train, each)) for each in saes.seeds
            ),
            "effective rank of activations": self._remember(
                rank_key, lambda: stability.effective_rank(self.activations(model, seed))
            ),
            "leak rate": max(self.leak_rates(model, seed).values()),
        }

    def _split(self, model: str, kind: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        from energylens.sae.activations import split

        return split(self.activations(model, seed), self.sae_recipe(model, kind, seed))

    def planted_dictionary(self, seed: int) -> torch.Tensor:
        """The true atoms of a planted dictionary [n_atoms, d_in]."""
        import torch

        return torch.tensor(self.artifact(self.recipe(PLANTED, seed)).tensors["dictionary"])

    def decoders(self, model: str, kind: str, seed: int) -> list[torch.Tensor]:
        """Decoders of the SAEs of one network, in the order of their seeds; see `decoder`."""
        return [self.decoder(model, kind, seed, sae_seed) for sae_seed in sae_seeds(seed)]

    def decoder(self, model: str, kind: str, seed: int, sae_seed: int) -> torch.Tensor:
        """Decoder of one SAE [d_sae, d_in], or the dictionary that stands in for it in a swapped lab.

        seed: the network's. A dictionary that is drawn depends on the kind and on both seeds.
        """
        import torch

        from energylens.metrics import stability

        saes = self.saes(model, kind, seed)
        if self.dictionary == "initial":
            return saes.initial_decoder(sae_seed)
        if self.dictionary in ("trained", "frozen"):
            return saes.decoder(sae_seed)
        # Kinds draw apart: a control in which two kinds share their dictionary would be equal by construction.
        drawn = 1_000_003 * (1 + list(SAE_KINDS).index(kind)) + 10_007 * seed + sae_seed
        generator = torch.Generator().manual_seed(drawn)
        d_sae, d_in = saes.decoder(sae_seed).shape
        if self.dictionary == "isotropic":
            return stability.random_unit_rows(d_sae, d_in, generator).float()
        return stability.covariance_matched(self.activations(model, seed), d_sae, generator).float()

    def activations(self, model: str, seed: int) -> torch.Tensor:
        """What the SAEs of one network were trained on, all inputs, float32 [n, d_in]."""
        from energylens.sae.activations import activations

        recipe = self.sae_recipe(model, "topk", seed)
        key = ("activations", key_of(recipe.source), recipe.hook_name)
        return self._remember(key, lambda: activations(self.artifact(recipe.source), recipe))

    def text_sae_recipe(self, model: str, seed: int, variant: str) -> TrainSAEs:
        """The recipe of the SAEs of a TEXT_VARIANTS variant on one network: TEXT_SAE_SEEDS, of a control the first."""
        kind, site = self._kind_and_site(variant)
        is_control = self.dictionary == "frozen" or self.network_state == "untrained"
        return TrainSAEs(
            source=self.recipe(model, seed),
            hook_name=self.site_hook(model, seed, site),
            variant=TEXT_SAE_KINDS[kind],
            steps=800,
            lr=3e-3,
            seeds=TEXT_SAE_SEEDS[:1] if is_control else TEXT_SAE_SEEDS,
            decoder="frozen" if self.dictionary == "frozen" else "trained",
            n_heldout=10_000,
            data=PythonText(),
            n_train=200_000,
        )

    def tuned_lens_recipe(self, model: str, seed: int, site: str) -> TuneLens:
        """The recipe of the tuned lens of one network at a site."""
        return TuneLens(self.recipe(model, seed), PythonText(), self.site_hook(model, seed, site))

    def site_hook(self, model: str, seed: int, site: str) -> str:
        """Name of the residual stream at a site of `energy.SITES`; no network is built for it."""
        recipe = self.recipe(model, seed)
        n_layers = (
            recipe.config.n_layers
            if isinstance(recipe, TrainNetwork)
            else self._network(model, seed).n_layers
        )
        return site_hook(n_layers, site)

    def reading(self, model: str, seed: int, site: str, split: str, tuned: bool = False) -> Reading:
        """Held-out text of one split as the logit lens (or the tuned lens) reads it at a site."""
        from energylens.energy.fit import tuned_lens
        from energylens.energy.lenses import logit_lens
        from energylens.energy.reading import read
        from energylens.energy.text import held_out_text
        from energylens.models.tasks.text import TextOnCorpus

        def make() -> Reading:
            recipe = self.tuned_lens_recipe(model, seed, site)
            network = self.network(model, seed)
            if tuned:
                return self.reading(model, seed, site, split).under(
                    tuned_lens(network, self.artifact(recipe))
                )
            corpus = cast(TextOnCorpus, network.task).corpus
            text = held_out_text(network, split, seed)
            return read(network, corpus, recipe.hook_name, text, logit_lens(network))

        return self._remember(("reading", key_of(self.recipe(model, seed)), seed, site, split, tuned), make)

    def energy_study(
        self, model: str, seed: int, variant: str, sae_seed: int = TEXT_SAE_SEEDS[0], tuned: bool = False
    ) -> EnergyStudy:
        """Latents of one SAE (or of what stands in for it in a swapped lab) against energies of held-out text."""
        from energylens.energy.study import EnergyStudy

        _, site = self._kind_and_site(variant)

        def make() -> EnergyStudy:
            readings = {
                split: self.reading(model, seed, site, split, tuned)
                for split in ("discovery", "confirmation")
            }
            return EnergyStudy(self._text_dictionary(model, seed, variant, sae_seed), readings, seed)

        recipe = self.text_sae_recipe(model, seed, variant)
        key = ("energy", key_of(recipe), self.dictionary, seed, sae_seed, tuned)
        return self._remember(key, make)

    def ablation_effects(self, model: str, seed: int, variant: str) -> Effects:
        """What exact ablation of single latents does on confirmation documents; see `energy.effects`."""
        import torch

        from energylens.energy.effects import ablated_latents, ablation_effects
        from energylens.metrics.alignment import LEAST_FIRING

        study, recipe = self.energy_study(model, seed, variant), self.text_sae_recipe(model, seed, variant)

        def measure() -> Effects:
            reading = study.readings["confirmation"]
            of_splits = (study.alignment(split).firing_counts for split in study.readings)
            counts = torch.stack(list(of_splits)).amin(0)
            latents = ablated_latents(counts, LEAST_FIRING, seed)
            network = self.network(model, seed)
            return ablation_effects(network, recipe.hook_name or "", study.dictionary, reading, latents)

        return self._remember(("effects", key_of(recipe), self.dictionary, seed), measure)

    def ablation_against_random(self, model: str, seed: int, variant: str) -> AgainstRandom:
        """Every fourth latent of `ablation_effects` beside a random direction of equal norm; see `energy.effects`."""
        from energylens.energy.effects import ablation_against_random

        study, recipe = self.energy_study(model, seed, variant), self.text_sae_recipe(model, seed, variant)
        latents = self.ablation_effects(model, seed, variant).latents[::4]
        network, reading = self.network(model, seed), study.readings["confirmation"]

        def measure() -> AgainstRandom:
            return ablation_against_random(
                network, recipe.hook_name or "", study.dictionary, reading, latents, seed
            )

        return self._remember(("ablation beside random", key_of(recipe), self.dictionary, seed), measure)

    def steering_shifts(self, model: str, seed: int, variant: str) -> SteeringShifts:
        """What steering along the top latents does to the loss; see `energy.effects`."""
        from energylens.energy.effects import steering_shifts

        study, recipe = self.energy_study(model, seed, variant), self.text_sae_recipe(model, seed, variant)
        network, reading = self.network(model, seed), study.readings["confirmation"]
        return self._remember(
            ("steering", key_of(recipe), self.dictionary, seed),
            lambda: steering_shifts(network, recipe.hook_name or "", reading, study.top_directions),
        )

    def random_shifts(self, model: str, seed: int, variant: str) -> SteeringShifts:
        """The same along random directions: once for all dictionaries at a site; see `energy.effects`."""
        from energylens.energy.effects import random_shifts

        hook_name = self.text_sae_recipe(model, seed, variant).hook_name or ""
        reading = self.energy_study(model, seed, variant).readings["confirmation"]
        return self._remember(
            ("random steering", key_of(self.recipe(model, seed)), hook_name, seed),
            lambda: random_shifts(self.network(model, seed), hook_name, reading, seed),
        )

    def steering_against_random(self, model: str, seed: int, variant: str) -> AgainstRandom:
        """Both over fewer documents, read in full: loss, lens energy and divergence; see `energy.effects`."""
        from energylens.energy.effects import steering_against_random

        study, recipe = self.energy_study(model, seed, variant), self.text_sae_recipe(model, seed, variant)
        network, reading = self.network(model, seed), study.readings["confirmation"]
        return self._remember(
            ("steering beside random", key_of(recipe), self.dictionary, seed),
            lambda: steering_against_random(
                network, recipe.hook_name or "", reading, study.top_directions, seed
            ),
        )

    def _text_dictionary(self, model: str, seed: int, variant: str, sae_seed: int) -> Dictionary:
        import torch

        from energylens.energy.dictionary import of_saes, random_dictionary
        from energylens.sae.sae import SAEs

        recipe = self.text_sae_recipe(model, seed, variant)
        if self.dictionary in ("trained", "frozen"):
            return of_saes(SAEs.from_artifact(self.artifact(recipe)), sae_seed)
        if self.dictionary == "covariance":
            x = self.reading(model, seed, self._kind_and_site(variant)[1], "discovery").x
            generator = torch.Generator().manual_seed(1_000_003 * (1 + TEXT_VARIANTS.index(variant)) + seed)
            return random_dictionary(x, recipe.d_sae, 32, generator)
        raise InputError(f"on text no dictionary stands in for an SAE by the name of {self.dictionary!r}")

    def _kind_and_site(self, variant: str) -> tuple[str, str]:
        if variant not in TEXT_VARIANTS:
            raise InputError(f"latents on text are one of {', '.join(TEXT_VARIANTS)}, received {variant!r}")
        kind, _, site = variant.partition("-")
        return kind, site

    def grid(self, model: str, seed: int) -> Grid:
        """Logits over the p answers and last-layer neurons on all inputs, from one forward pass."""
        network = self.network(model, seed)
        last = network.n_layers - 1
        neurons, logits = f"blocks.{last}.mlp.hook_post", "unembed.hook_out"

        def run() -> Grid:
            found = network.run([neurons, logits])
            return Grid(found[logits][:, : network.modadd.p], found[neurons])

        return self._remember(("grid", key_of(self.recipe(model, seed))), run)

    def _remember(self, key: Any, compute: Callable[[], Any]) -> Any:
        """Keep what this process computed; the oldest entries go first, so that memory stays bounded."""
        if key not in self._memory:
            while len(self._memory) >= REMEMBERED:
                del self._memory[next(iter(self._memory))]
            used: dict[Recipe, None] = {}
            self._computing.append(used)
            try:
                self._memory[key] = compute(), used
            finally:
                self._computing.pop()
        value, rests_on = self._memory[key]
        for recipe in rests_on:
            self._note(recipe)
        return value

    def _note(self, recipe: Recipe) -> None:
        """Tell of an artifact, by way of what is being computed from it: that tells of it whenever it is used."""
        if self._computing:
            self._computing[-1][recipe] = None
        else:
            self.on_artifact(recipe)


def sae_seeds(seed: int) -> tuple[int, ...]:
    """Seeds of the SAEs on the network of this seed."""
    return tuple(each + SAE_SEED_STRIDE * seed for each in SAE_SEEDS)


@cache
def open_store(url: str | None) -> Store:
    """The store at `url`, once per process."""
    return Store(url)


def needs_network(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
    """For claims whose seeds are the network's."""
    recipe = lab.recipe(model, seed)
    reads_text = getattr(recipe, "task_name", "") == Text.name
    return [recipe, PythonText()] if reads_text else [recipe]


def needs_text_saes(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
    """For claims on latents on text: the network's SAEs of the variant."""
    return [lab.text_sae_recipe(model, seed, variant)]


def needs_tuned_lens(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
    """For claims that compare the logit lens with the tuned lens at the variant's site."""
    site = variant.rpartition("-")[2]
    return [lab.text_sae_recipe(model, seed, variant), lab.tuned_lens_recipe(model, seed, site)]


def needs_saes(*kinds: str) -> Callable[[Lab, str, str, int], Iterable[Recipe]]:
    """For claims on the SAEs of a network, of these kinds; without kinds, of the kind that the variant names."""

    def needs(lab: Lab, model: str, variant: str, seed: int) -> Iterable[Recipe]:
        return [lab.sae_recipe(model, kind, seed) for kind in kinds or (variant,)]

    return needs
