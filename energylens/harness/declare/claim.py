"""Declarations of claims: the finding, its source, the models and seeds that it is checked on, its region."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from energylens.errors import DeclarationError
from energylens.harness.declare.control import Ceiling, Control, Gate, Null
from energylens.harness.declare.figure import Figure
from energylens.harness.declare.measurement import SINGLE
from energylens.harness.declare.region import Region
from energylens.harness.declare.statistic import Mean, Statistic

TIERS = ("cpu", "full", "pretrained", "gpu")
MEASURE = "measure"
"""Entry of a recorded declaration: hash of the measuring code; no claim declares it."""


def without_measure(declaration: Mapping[str, str]) -> dict[str, str]:
    """A recorded declaration without the hash of its measuring code."""
    return {name: text for name, text in declaration.items() if name != MEASURE}


_ID = re.compile(r"(?=.{1,100}\Z)[a-z0-9]+(?:[.-][a-z0-9]+)*")

Body = TypeVar("Body", bound=Callable[..., Any])


@dataclass(frozen=True)
class Claim:
    """One finding, frozen. Built by the `claim` and `gate` decorators; see `claim` for the fields."""

    id: str
    says: str
    source: str
    regions: Mapping[str, Region]
    statistics: Mapping[str, Statistic]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: tuple[str, ...]
    nulls: tuple[Null, ...]
    ceilings: tuple[Ceiling, ...]
    gates: tuple[Gate, ...]
    tier: str
    reported: str
    stated: str
    unit: str
    note: str
    figure: Figure | None
    needs: Callable[..., Iterable[Any]] | None
    role: str
    competence: bool
    must_fail: tuple[str, ...]
    function: str = field(compare=False)
    where: str = field(compare=False)
    extends: str = ""
    published_on: tuple[str, ...] | None = None
    seeds_on: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    undefined_is: str = ""
    timed: bool = False

    @property
    def controls(self) -> tuple[Control, ...]:
        """Nulls and ceilings, which are measured in addition to the claim's own body."""
        return (*self.nulls, *self.ceilings)

    def seeds_of(self, model: str) -> tuple[int, ...]:
        """The declared seeds of a model."""
        return self.seeds_on.get(model, self.seeds)

    @property
    def declaration(self) -> dict[str, str]:
        """The parts of the declaration that decide a verdict, as text: what the ledger compares."""
        return {
            "region": "; ".join(f"{part}: {region}" for part, region in sorted(self.regions.items())),
            "statistic": "; ".join(f"{part}: {s.describes}" for part, s in sorted(self.statistics.items())),
            "seeds": ", ".join(map(str, self.seeds))
            + "".join(f"; {model}: {', '.join(map(str, s))}" for model, s in sorted(self.seeds_on.items())),
            "nulls": ", ".join(sorted(null.declaration for null in self.nulls if null.qualifies)),
            **(
                {"ceilings": ", ".join(sorted(c.declaration for c in self.ceilings))} if self.ceilings else {}
            ),
            "gates": ", ".join(sorted(f"{g.claim} on {g.on}" if g.on else g.claim for g in self.gates)),
            **({"must fail": ", ".join(sorted(self.must_fail))} if self.must_fail else {}),
            **({"competence": "seeds that fail are excluded"} if self.competence else {}),
        }

    @property
    def declaration_hash(self) -> str:
        """First 16 hex digits of the sha256 of the declaration."""
        return hash_of(self.declaration)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts; a claim that names none has the part `value`."""
        return tuple(self.regions)


def hash_of(declaration: Mapping[str, Any]) -> str:
    """First 16 hex digits of the sha256 of a declaration, or of another value in JSON types, as text."""
    return hashlib.sha256(json.dumps(declaration, sort_keys=True).encode()).hexdigest()[:16]


def claim(
    id: str,
    *,
    says: str,
    source: str,
    holds_when: Region | Mapping[str, Region],
    models: Iterable[str],
    seeds: Iterable[int],
    controls: Sequence[Control] = (),
    gates: Sequence[Gate | str] = (),
    published_on: Iterable[str] | None = None,
    seeds_on: Mapping[str, Iterable[int]] | None = None,
    undefined_is: str = "",
    timed: bool = False,
    variants: Iterable[str] = (),
    statistic: Statistic | Mapping[str, Statistic] | None = None,
    tier: str = "cpu",
    reported: str = "",
    stated: str = "as stated",
    unit: str = "",
    note: str = "",
    figure: Figure | None = None,
    needs: Callable[..., Iterable[Any]] | None = None,
) -> Callable[[Body], Body]:
    """Declare a finding as an executable claim. The decorated function only measures; the harness judges.

    id: stable and unique, "family.name".
    says: the statement, one sentence. source: where it was published. reported: the number as published.
    holds_when: the region in which the claim is true, or one region per named part (all must hold).
    models, seeds, variants: every combination is one pytest case; fixed and ordered before the first run.
    controls: nulls and ceilings. gates: ids of claims that every seed must satisfy first. At least one of either.
    statistic: how seeds become an estimate (`Mean`, `FisherZ`, `GeometricMean`, `HitRate`, `Pairs`, or your own
        `Statistic`), one for all parts or by part.
    stated: "as stated" (the published threshold and setting) or "restated" (the strongest careful version).
    published_on: the models that the finding was published on, whether or not they are among `models`; empty where no
        network took part. Left out, the finding counts as published on all of `models`.
    seeds_on: seeds of models that have other seeds than `seeds`.
    undefined_is: id of the claim that says what is found where this claim is undefined (NaN).
    timed: whether the claim measures time or memory: its numbers differ from run to run, replicate nothing, and are
        kept in timings.json, which is not committed.
    figure: how to draw the `series` of the measurements.
    needs: function (lab, model, variant, seed) -> recipes to build ahead of the measurements.
    Raises DeclarationError, naming claim and file, for a declaration that could not be judged.
    """

    def declare(where: str, function: str) -> Claim:
        regions = dict(holds_when) if isinstance(holds_when, Mapping) else {SINGLE: holds_when}
        return Claim(
            id=id, says=says, source=source, reported=reported, stated=stated, unit=unit, note=note, tier=tier,
            regions=regions,
            statistics=_statistics(statistic, regions),
            models=_tuple_of(models, str, "models"),
            seeds=_tuple_of(seeds, int, "seeds"),
            variants=_tuple_of(variants, str, "variants"),
            nulls=tuple(c for c in _tuple_of(controls, Control, "controls") if isinstance(c, Null)),
            ceilings=tuple(c for c in controls if isinstance(c, Ceiling)),
            gates=tuple(Gate(g) if isinstance(g, str) else g for g in _tuple_of(gates, str | Gate, "gates")),
            figure=figure, needs=needs,
            role="claim", competence=False, must_fail=(), function=function, where=where,
            published_on=None if published_on is None else _tuple_of(published_on, str, "published_on"),
            seeds_on={name: _tuple_of(s, int, f"seeds_on {name}") for name, s in (seeds_on or {}).items()},
            undefined_is=undefined_is, timed=timed,
        )  # fmt: skip

    return _declaring(id, declare)


def gate(
    id: str,
    *,
    says: str,
    source: str,
    passes_when: Region,
    models: Iterable[str],
    seeds: Iterable[int],
    must_fail: Iterable[str] = (),
    rejects: Sequence[Null] = (),
    competence: bool = False,
    timed: bool = False,
    tier: str = "cpu",
    reported: str = "",
    unit: str = "",
    note: str = "",
    figure: Figure | None = None,
    needs: Callable[..., Iterable[Any]] | None = None,
) -> Callable[[Body], Body]:
    """Declare an instrument check: a plain predicate on every seed, without interval.

    must_fail: models among `models` that the gate has to reject; a gate that lets one pass is INVALID.
    rejects: broken instruments: sabotaged versions of the check, which no seed may pass. A gate needs at least one
        `must_fail` or `rejects`.
    competence: the gate asks whether a network can do its task. Seeds that fail it are excluded and
    counted; with fewer than four fifths left the claim is INVALID. Any other failed gate is INVALID at once.
    timed: whether the gate measures time or memory, as of a claim.
    """

    def declare(where: str, function: str) -> Claim:
        return Claim(
            id=id, says=says, source=source, reported=reported, stated="gate", unit=unit, note=note, tier=tier,
            regions={SINGLE: passes_when},
            statistics={SINGLE: Mean()},
            models=_tuple_of(models, str, "models"),
            seeds=_tuple_of(seeds, int, "seeds"),
            variants=(), nulls=_tuple_of(rejects, Null, "rejects"), ceilings=(), gates=(),
            figure=figure, needs=needs,
            role="gate", competence=competence, must_fail=_tuple_of(must_fail, str, "must_fail"),
            function=function, where=where, timed=timed,
        )  # fmt: skip

    return _declaring(id, declare)


def claim_of(function: Callable[..., Any] | None) -> Claim | None:
    """The claim that a function declares, if any."""
    return getattr(function, "__energylens_claim__", None)


def _declaring(id: str, declare: Callable[[str, str], Claim]) -> Callable[[Body], Body]:
    """The decorator that makes a declaration, validates it and attaches it to the body. Errors name claim and file."""

    def decorate(body: Body) -> Body:
        where = f"{body.__code__.co_filename}:{body.__code__.co_firstlineno}"
        try:
            declared = declare(where, body.__name__)
            _validate(declared)
        except DeclarationError as error:
            raise DeclarationError(f"claim {id!r} in {where}: {error}") from None
        body.__energylens_claim__ = declared  # type: ignore[attr-defined]
        return body

    return decorate


def _statistics(
    given: Statistic | Mapping[str, Statistic] | None, regions: Mapping[str, Region]
) -> dict[str, Statistic]:
    """One statistic per part; a part without a statistic takes the mean."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(regions, given or Mean())
    unknown = sorted(set(given) - set(regions))
    if unknown:
        raise DeclarationError(
            f"no region for statistic {unknown}; the parts with a region are {sorted(regions)}"
        )
    return {part: given.get(part, Mean()) for part in regions}


def _tuple_of(values: Any, kind: Any, name: str) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DeclarationError(f"{name} must be a sequence, got {values!r}")
    found = tuple(values)
    wrong = [value for value in found if not isinstance(value, kind) or isinstance(value, bool)]
    if wrong:
        raise DeclarationError(f"{name} must be {getattr(kind, '__name__', kind)}, got {wrong[0]!r}")
    if any(value in found[:i] for i, value in enumerate(found)):
        raise DeclarationError(f"{name} must be distinct, got {list(found)}")
    return found


def _validate(declared: Claim) -> None:
    """Refuse declarations that could not be judged."""
    wrong_regions = {
        part: region for part, region in declared.regions.items() if not isinstance(region, Region)
    }
    controls = [*(null for null in declared.nulls if null.qualifies), *declared.gates, *declared.must_fail]
    members = ("describes", "summarise")
    wrong_statistics = [s for s in declared.statistics.values() if not all(hasattr(s, m) for m in members)]
    names = [control.name for control in declared.controls]
    checks = {
        "an id is lower case words joined by '.' or '-', at most 100 characters": _ID.fullmatch(declared.id),
        "a claim says something and names its source": declared.says.strip() and declared.source.strip(),
        f"holds_when needs regions (AtLeast, AtMost, Within, Equivalent), got {wrong_regions or 'none'}":
            declared.regions and not wrong_regions,
        f"a statistic is Mean(), FisherZ(), GeometricMean(), HitRate(), Pairs(...) or has {members}, got "
        f"{wrong_statistics}":
            not wrong_statistics,
        f"figure must be a Figure, got {declared.figure!r}": isinstance(declared.figure, Figure | None),
        "models is empty": declared.models,
        "seeds is empty": declared.seeds and all(declared.seeds_on.values()),
        f"seeds_on names models that the claim does not list: {sorted(declared.seeds_on)}":
            set(declared.seeds_on) <= set(declared.models),
        "a claim without a control (null, gate, or must_fail) can't be trusted: add one": controls,
        f"two controls share a name: {names}": len(set(names)) == len(names),
        f"stated must be 'as stated' or 'restated', got {declared.stated!r}":
            declared.stated in ("as stated", "restated") or declared.role == "gate",
        f"tier must be one of {TIERS}, got {declared.tier!r}": declared.tier in TIERS,
        f"must_fail names models that the gate does not list: {declared.must_fail}":
            set(declared.must_fail) <= set(declared.models),
        f"a claim can't be its own gate: {declared.id}": declared.id not in {g.claim for g in declared.gates},
    }  # fmt: skip
    for problem, fine in checks.items():
        if not fine:
            raise DeclarationError(problem)
