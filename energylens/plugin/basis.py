"""What a verdict rests on, for `energylens diff`: its artifacts by recipe, data and code, and the code that measured.

While a run measures, a `Witness` notes which artifacts each case used and which code it ran; at its end `add_basis`
joins the notes with the verdicts.
"""

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energylens.harness.cases import Case, cases_behind
from energylens.harness.causes import reached_from
from energylens.harness.results import ERROR
from energylens.harness.run import RunFolder
from energylens.harness.verdict import Word

if TYPE_CHECKING:
    from energylens.plugin.session import ClaimSession
    from energylens.store import Recipe, Store

JUDGES = ("energylens.harness.judge", "energylens.plugin.measure")
"""Modules that judge, whatever is measured."""

SHORT = 16
"""Hex digits of a key that tell artifacts of a run apart."""

_FROM_OUTSIDE = ("fingerprint", "weights_sha256", "config_sha256")
"""Fields of recipes that tell what was read from outside: text, checkpoints."""

_HOOKS = "energylens.pytest_plugin"


class Witness:
    """Notes in the run's folder what its measurements rest on. One per process."""

    def __init__(self, run: RunFolder, root: Path) -> None:
        self.run = run
        self.root = root
        self._described: set[str] = set()
        self._used: set[str] = set()
        self._bits: dict[str, tuple[str, tuple[str, ...]]] = {}

    @contextmanager
    def measuring(self, case: Case) -> Iterator[None]:
        """What is told to `artifact` meanwhile was used by this case."""
        self._used = set()
        yield
        self.run.record_note("used", _name(case), sorted(self._used))

    def artifact(self, recipe: "Recipe", store: "Store") -> None:
        """The case that is measured used this artifact, which is in the store."""
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
        waiting = {key for case in cases for key in self.run.note("used", _name(case)) or ()}
        reached: dict[str, str] = {}
        while waiting:
            key = waiting.pop()
            if key not in reached:
                reached[key], inputs = self._bits_of(key)
                waiting |= set(inputs)
        return _digest(reached.values()) if reached else ""

    def _bits_of(self, key: str) -> tuple[str, tuple[str, ...]]:
        if key not in self._bits:
            described = self.run.note("artifact", key)
            self._bits[key] = described["payload"], tuple(described["inputs"])
        return self._bits[key]

    def code(self, items: Iterable[pytest.Item], session: "ClaimSession") -> None:
        """Which code the cases among these items will run, claim by claim."""
        from energylens.plugin.session import case_of
        from energylens.plugin.sources import file_name, sources_of

        by_claim: dict[str, set[str]] = {}
        for item in items:
            case = case_of(item)
            if case and case.claim.id not in by_claim:
                by_claim[case.claim.id] = {*JUDGES, *_modules(item, case, session)}
        for claim, modules in by_claim.items():
            names = {file_name(module, self.root) for module in modules}
            self.run.record_note("code", claim, sorted(names - {""}))
        for name, source in sources_of(sorted(set().union(*by_claim.values())), self.root).items():
            self.run.record_note("source", name, source)


def describe_artifact(recipe: "Recipe", store: "Store") -> dict[str, Any]:
    """What decides an artifact's key, apart: recipe, data, code and inputs; and the bits that the store holds.

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
        "code": _digest(codes),
        "inputs": [key_of(each) for each in recipe.inputs()],
        "payload": manifest.sha256[:SHORT] if manifest else "",
        "built_with": dict(manifest.environment) if manifest else {},
    }


def add_basis(results: dict[str, Any], session: "ClaimSession") -> None:
    """Give every verdict its `basis`: keys of its artifacts, inputs included, and the files it starts from.

    What the keys and files mean stands once, in the `basis` of the whole run.
    """
    run = session.run
    used, roots, sources = run.notes("used"), run.notes("code"), dict(sorted(run.notes("source").items()))
    artifacts = {
        key[:SHORT]: each | {"inputs": [other[:SHORT] for other in each["inputs"]]}
        for key, each in sorted(run.notes("artifact").items())
    }
    inputs = {key: each["inputs"] for key, each in artifacts.items()}
    imports = {name: source["imports"] for name, source in sources.items()}
    results["basis"] = {"artifacts": artifacts, "sources": sources}
    for verdict in results["verdicts"]:
        if verdict["word"] in (Word.NOT_RUN, ERROR):
            continue
        claim = session.declared[verdict["claim"]].claim
        case = Case(claim, verdict["model"], verdict["variant"], None)
        behind = cases_behind(case, session.seeds_by_model, session.resolve)
        keys = {key[:SHORT] for each in behind for key in used.get(_name(each), [])}
        files = roots.get(claim.id, [])
        hashes = {sources[name]["hash"] for name in reached_from(files, imports)}
        verdict["basis"] = {
            "artifacts": sorted(reached_from(keys, inputs)), "sources": files, "code": _digest(hashes),
        }  # fmt: skip


def _modules(item: pytest.Item, case: Case, session: "ClaimSession") -> Iterator[str]:
    """Modules of the bodies that a verdict runs, and of the fixtures that they ask for."""
    claim = case.claim
    gates = [session.resolve(gate.claim, asked_by=claim).body for gate in claim.gates]
    functions = [item.obj, *gates, *(each.measure for each in claim.controls if each.measure)]  # type: ignore[attr-defined]
    yield from (function.__module__ for function in functions)
    asked = {name for function in functions for name in inspect.signature(function).parameters}
    for name in sorted(asked | set(item.fixturenames)):  # type: ignore[attr-defined]
        for fixture in item.session._fixturemanager.getfixturedefs(name, item) or ():
            module = fixture.func.__module__
            yield from [module] if module != _HOOKS else _labs(item.config) if name == "lab" else ()


def _labs(config: pytest.Config) -> Iterator[str]:
    """Modules that answer `pytest_energylens_lab`; where no project does, the lab of the zoo."""
    answers = {impl.function.__module__ for impl in config.hook.pytest_energylens_lab.get_hookimpls()}
    yield from sorted(answers - {_HOOKS}) or ["energylens.lab"]


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


def _digest(hashes: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()[:SHORT]


def _name(case: Case) -> str:
    return f"{case.row}/{case.null}/{case.seed}"
