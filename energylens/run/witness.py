"""The witness of a run, which notes the artifacts that each case used and the code that it ran."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylens.harness.declare.cases import Case
from energylens.harness.declare.claim import Claim
from energylens.harness.run_folder import RunFolder

if TYPE_CHECKING:
    from energylens.run.session import Session
    from energylens.store import Recipe, Store

SHORT = 16
"""Number of hex digits of a key that tell the artifacts of a run apart."""

_FROM_OUTSIDE = ("fingerprint", "weights_sha256", "config_sha256")
"""Fields of recipes that identify data from outside: text, checkpoints."""


class Witness:
    """Notes, in the run's folder, the artifacts and code behind its measurements. One per process."""

    def __init__(self, run: RunFolder, root: Path) -> None:
        self.run = run
        self.root = root
        self._described: set[str] = set()
        self._used: set[str] = set()
        self._bits: dict[str, tuple[str, tuple[str, ...]]] = {}

    @contextmanager
    def measuring(self, case: Case) -> Iterator[None]:
        """Context in which artifacts told to `artifact` count as used by this case."""
        self._used = set()
        yield
        self.run.record_note("used", name_of(case), sorted(self._used))

    def artifact(self, recipe: "Recipe", store: "Store") -> None:
        """Note that the case being measured used this artifact of the store."""
        from energylens.store import key_of

        self._used.add(key_of(recipe))
        waiting = [recipe]
        while waiting:
            each = waiting.pop()
            if (key := key_of(each)) not in self._described:
                self._described.add(key)
                self.run.record_note("artifact", key, describe_artifact(each, store))
                waiting += each.inputs()

    def artifacts_behind(self, cases: Iterable[Case]) -> str:
        """Digest of the bits of every artifact, inputs included, that these measured cases used; empty for none."""
        waiting = {key for case in cases for key in self.run.note("used", name_of(case)) or ()}
        reached: dict[str, str] = {}
        while waiting:
            key = waiting.pop()
            if key not in reached:
                reached[key], inputs = self._bits_of(key)
                waiting |= set(inputs)
        return digest_of(reached.values()) if reached else ""

    def _bits_of(self, key: str) -> tuple[str, tuple[str, ...]]:
        if key not in self._bits:
            described = self.run.note("artifact", key)
            self._bits[key] = described["payload"], tuple(described["inputs"])
        return self._bits[key]

    def code(self, modules: Mapping[str, Iterable[str]]) -> None:
        """Note the code that cases will run: by claim, the modules of `bodies_of` and of their fixtures."""
        from energylens.harness import judge
        from energylens.run import measure
        from energylens.run.measured_code.sources import file_name, sources_of

        judges = (judge.__name__, measure.__name__)
        every = {claim: {*judges, *named} for claim, named in modules.items()}
        for claim, named in every.items():
            names = {file_name(module, self.root) for module in named}
            self.run.record_note("code", claim, sorted(names - {""}))
        for name, source in sources_of(sorted(set().union(*every.values())), self.root).items():
            self.run.record_note("source", name, source)


def bodies_of(claim: Claim, session: "Session") -> list[Callable[..., Any]]:
    """The functions that a verdict runs: the claim's body, those of its gates and of its controls."""
    gates = [session.resolve(gate.claim, asked_by=claim).body for gate in claim.gates]
    measures = [each.measure for each in claim.controls if each.measure]
    return [session.resolve(claim.id, asked_by=claim).body, *gates, *measures]


def describe_artifact(recipe: "Recipe", store: "Store") -> dict[str, Any]:
    """The parts of an artifact's key, separately (recipe, data, code, inputs), and the hash of its stored bits.

    payload: first digits of the payload's sha256. built_with: versions that made it; neither is part of the key.
    """
    from energylens.store import describe, key_of
    from energylens.store.code import code_hash

    codes = {code_hash(type(recipe).__module__)}
    fields = {"class": type(recipe).__qualname__} | dict(_flat(describe(recipe)["fields"], "", codes))
    data = {name: value for name, value in fields.items() if value and name.split(".")[-1] in _FROM_OUTSIDE}
    manifest = store.manifest(recipe)
    return {
        "label": recipe.label(),
        "kind": recipe.kind,
        "recipe": {name: value for name, value in fields.items() if name not in data},
        "data": data,
        "code": digest_of(codes),
        "inputs": [key_of(each) for each in recipe.inputs()],
        "payload": manifest.sha256[:SHORT] if manifest else "",
        "built_with": dict(manifest.environment) if manifest else {},
    }


def _flat(value: Any, name: str, codes: set[str]) -> Iterator[tuple[str, Any]]:
    """Fields as `optimiser.lr`; the code of nested dataclasses goes into `codes`, nested recipes stand by their class.

    The forms are those of `energylens.store.describe`.
    """
    if isinstance(value, Mapping) and "class" in value:
        yield name, value["class"]
        if "code" in value:
            codes.add(value["code"])
            yield from _flat(value["fields"], name, codes)
    elif isinstance(value, Mapping) and value.keys() == {"enum", "name", "value"}:
        yield name, value["name"]
    elif isinstance(value, Mapping):
        inner = value["map"] if value.keys() == {"map"} else value
        for key, item in inner.items():
            yield from _flat(item, f"{name}.{key}".lstrip("."), codes)
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for i, item in enumerate(value):
            yield from _flat(item, f"{name}[{i}]", codes)
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else value


def digest_of(hashes: Iterable[str]) -> str:
    """First digits of the sha256 over hashes, independent of their order."""
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()[:SHORT]


def name_of(case: Case) -> str:
    """Name of a case's notes."""
    return f"{case.row}/{case.null}/{case.seed}"
