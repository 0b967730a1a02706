"""The core of the lab: networks by name, their replacements in controls, and values computed from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from energylens.errors import InputError
from energylens.families import lab_part
from energylens.harness.declare.measurement import Unavailable
from energylens.harness.one_network import SEVERAL
from energylens.lab.memory import Memory
from energylens.lab.sources.table import source_of
from energylens.models.checkpoint import LoadCheckpoint, UntrainedCheckpoint
from energylens.models.corpus import PythonText
from energylens.models.tasks import Text
from energylens.store import Artifact, Recipe, Store, key_of

if TYPE_CHECKING:
    from energylens.lab.saes import SAEPart
    from energylens.lab.text import TextPart
    from energylens.models.network import Network

NetworkState = Literal["trained", "untrained"]

DictionaryState = Literal["trained", "initial", "frozen", "isotropic", "covariance"]


@dataclass(frozen=True)
class Lab:
    """The lab: gives networks by name. `swapped` gives the same lab with other inputs.

    Each family's part is reached by the family's name: `lab.energy`, `lab.spectral` (`energylens.families`); parts that
    families share are `lab.sae` and `lab.text`.

    checkpoints: a user's own networks by name; index i is seed i, except for a single network, whose seeds are samples
    of data (`energylens.models.samples`). on_artifact: called with the recipe of every artifact that is used, also
    when a remembered value was computed from it; for provenance.
    """

    store: Store
    checkpoints: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    on_artifact: Callable[[Recipe], None] = lambda recipe: None
    network_state: NetworkState = "trained"
    dictionary: DictionaryState = "trained"
    _memory: Memory = field(default_factory=Memory, repr=False)

    def __getattr__(self, name: str) -> Any:
        part = None if name.startswith("_") else lab_part(name)
        if part is None:
            raise AttributeError(f"the lab has no {name!r}, and no family of this name has a part of it")
        return part(self)

    @property
    def sae(self) -> SAEPart:
        """SAEs of networks whose inputs are few enough to be listed, and replacements of their decoders in controls."""
        from energylens.lab.saes import SAEPart

        return SAEPart(self)

    @property
    def text(self) -> TextPart:
        """Held-out text as read by lenses, and SAEs on text."""
        from energylens.lab.text import TextPart

        return TextPart(self)

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
        """Whether a null control is being measured, for which a claim need not compute numbers beside the verdict."""
        return (self.network_state, self.dictionary) != ("trained", "trained")

    def recipe(self, model: str, seed: int = 0) -> Recipe:
        """The recipe of a network (or of a planted dictionary). Raises InputError for an unknown name."""
        is_untrained = self.network_state == "untrained"
        if model not in self.checkpoints:
            return source_of(model).recipe(model, seed, is_untrained)
        found: LoadCheckpoint = self.checkpoints[model][0 if self.is_one_network(model) else seed]
        return UntrainedCheckpoint(found) if is_untrained else found

    def is_one_network(self, model: str) -> bool:
        """Whether a user gave a single network of this name, whose seeds are samples of data."""
        return len(self.checkpoints.get(model, ())) == 1

    def seeds(self, model: str, declared: Iterable[int]) -> list[int]:
        """The seeds of a model's networks: the declared seeds, or one for each of a user's checkpoints.

        Raises Unavailable for a single network, which can't be compared with another.
        """
        if self.is_one_network(model):
            raise Unavailable(SEVERAL)
        return list(range(len(self.checkpoints[model]))) if model in self.checkpoints else list(declared)

    def artifact(self, recipe: Recipe) -> Artifact:
        """Find or build an artifact."""
        found = self.store.get(recipe)
        self._memory.note(recipe, self.on_artifact)
        return found

    def network(self, model: str, seed: int = 0) -> Network:
        """A trained (or, when swapped, untrained) network, ready for hooks; a single one on the inputs of a sample."""
        whole = self.whole_network(model, seed)
        if not self.is_one_network(model):
            return whole
        from energylens.models.samples import sampled

        key = ("sample", key_of(self.recipe(model, seed)), seed)
        return self.remember(key, lambda: replace(whole, task=sampled(whole.task, seed)))

    def whole_network(self, model: str, seed: int = 0) -> Network:
        """The same network as `network` gives, on all inputs of its task."""
        from energylens.models.network import Network

        recipe = self.recipe(model, seed)

        def load() -> Network:
            network = Network.from_artifact(self.artifact(recipe))
            if not isinstance(network.task, Text):
                return network
            return replace(network, task=network.task.with_data(self.artifact(PythonText())))

        return self.remember(("network", key_of(recipe)), load)

    def snapshots(self, model: str, seed: int) -> Iterable[tuple[int, Network]]:
        """(step, network) at the steps of its training that its recipe kept; use each before asking for the next."""
        from energylens.models.network import Network

        return Network.snapshots_from(self.artifact(self.recipe(model, seed)))

    def curves(self, model: str, seed: int) -> dict[str, list[float]]:
        """Training curves of a zoo network by name; empty for a network whose training is not known."""
        return dict(self.network(model, seed).meta.get("curves", {}))

    def remember(self, key: Any, compute: Callable[[], Any]) -> Any:
        """The value computed under this key in this process, else `compute()`; kept with the artifacts behind it."""
        return self._memory.remember(key, compute, self.on_artifact)


@cache
def open_store(url: str | None) -> Store:
    """The store at `url`, once per process."""
    return Store(url)
