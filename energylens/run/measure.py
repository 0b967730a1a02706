"""Running of one case: measure a seed, or judge all seeds of a verdict."""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energylens.errors import InputError
from energylens.harness.compare.ledger import Comparison, compare
from energylens.harness.declare.cases import Case, gate_cases
from energylens.harness.declare.claim import Claim
from energylens.harness.declare.control import Gate
from energylens.harness.declare.figure import read_series
from energylens.harness.declare.measurement import Measurement, Unavailable
from energylens.harness.json_values import plain
from energylens.harness.judge import judge
from energylens.harness.one_network import told, unanswerable
from energylens.harness.verdict import GateResult, Unit, Verdict, Word

if TYPE_CHECKING:
    from energylens.run.session import Session


class Measurer:
    """Measures and judges the cases of one run.

    fixture: gives the value of a body's argument by its name. calling: context manager, entered with a claim's id
    around every call of a body; it turns exceptions of the body's framework into `Unavailable` or an error.
    """

    def __init__(
        self,
        session: "Session",
        fixture: Callable[[str], Any],
        calling: Callable[[str], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.session = session
        self.fixture = fixture
        self.calling = calling

    def measure(self, case: Case, body: Callable[..., Any]) -> Measurement:
        """The measurement of one seed (or of a null at that seed), once per run."""

        def take() -> Measurement:
            with self.session.witness.measuring(case):
                return self._call(case, body)

        return self.session.run.measured(case, take)

    def verdict(self, case: Case, body: Callable[..., Any]) -> Verdict:
        """Judge a (claim, model, variant), measuring what this run has not measured yet."""
        claim = case.claim
        own = case.model in self.session.own_checkpoints
        unit = self.session.unit_of(claim, case.model)
        try:
            if unit is not Unit.NETWORK and (reason := unanswerable(claim)):
                raise Unavailable(reason)
            seeds = self._seeds(claim, case.model)
            gates = tuple(self._check(gate, case, seeds) for gate in claim.gates)
            measured = {seed: self.measure(replace(case, seed=seed), body) for seed in seeds}
            nulls, ceilings = (
                {
                    each.name: {
                        seed: self.measure(replace(case, seed=seed, null=each.name), body) for seed in seeds
                    }
                    for each in controls
                }
                for controls in (claim.nulls, claim.ceilings)
            )
        except Unavailable as reason:
            return Verdict(
                claim.id, case.model, case.variant, Word.NOT_RUN, str(reason), own_checkpoint=own, unit=unit
            )
        partial = not own and len(seeds) < len(claim.seeds_of(case.model))
        found = judge(claim, case.model, case.variant, measured, nulls, gates, partial, ceilings, unit)
        verdict = told(found)
        return replace(verdict, own_checkpoint=own, data="" if own else self.session.data_of(case.model))

    def _call(self, case: Case, body: Callable[..., Any]) -> Measurement:
        null = next((each for each in case.claim.controls if each.name == case.null), None)
        function = null.measure if null and null.measure else body
        given = {"model": case.model, "variant": case.variant, "seed": case.seed}
        names = [name for name in inspect.signature(function).parameters if name not in given]
        fixtures = {name: self.fixture(name) for name in names}
        if null and null.swap:
            fixtures["lab"] = self.fixture("lab").swapped(**null.swap)
        wanted = {
            name: value for name, value in given.items() if name in inspect.signature(function).parameters
        }
        with self.calling(case.claim.id):
            found = function(**wanted, **fixtures)
        if not isinstance(found, Measurement):
            raise TypeError(
                f"claim {case.claim.id!r}: {function.__name__} must return a Measurement, got {found!r}"
            )
        if case.claim.figure and found.series and not case.null:
            read_series(plain(case.claim.figure), plain(found.series))
        return found

    def _seeds(self, claim: Claim, model: str) -> tuple[int, ...]:
        """The run's seeds for this model; a gate's own model (`on`) keeps the declared ones."""
        by_model = self.session.seeds_by_model(claim)
        return by_model.get(model, claim.seeds_of(model)[: self.session.options.seeds])

    def _check(self, gate: Gate, case: Case, seeds: tuple[int, ...]) -> GateResult:
        """Check a gate seed by seed. On a single network one failure concerns all seeds."""
        declared = self.session.resolve(gate.claim, asked_by=case.claim)
        alone = self.session.unit_of(case.claim, case.model) is not Unit.NETWORK
        for_all = alone and declared.claim.competence
        ((part, region),) = declared.claim.regions.items()
        values: dict[str, float] = {}
        failed: set[int | None] = set()
        unnoticed: set[str] = set()
        for each in gate_cases(gate, declared.claim, case, seeds):
            value = self.measure(each, declared.body).value[part]  # type: ignore[index]
            values[f"{each.variant} {each.seed}".strip()] = value
            if not region.contains(value):
                failed |= set(seeds) if for_all else {each.seed}
            for null in declared.claim.nulls if declared.claim.role == "gate" else ():
                sabotaged = self.measure(replace(each, null=null.name), declared.body)
                if region.contains(sabotaged.value[part]):  # type: ignore[index]
                    unnoticed.add(null.name)
        return GateResult(
            gate.claim, gate.on or case.model, str(region), declared.claim.competence, values,
            failed=tuple(seed for seed in seeds if seed in failed), unnoticed=", ".join(sorted(unnoticed)),
        )  # fmt: skip


def judged(session: "Session", case: Case) -> Verdict:
    """The verdict on a row, with bodies that get nothing but the lab; missing measurements are taken."""
    measurer = Measurer(session, lambda name: only_lab(session, name))
    return measurer.verdict(case, session.resolve(case.claim.id, asked_by=case.claim).body)


def only_lab(session: "Session", name: str) -> Any:
    """A `fixture` without pytest: gives the lab. Errors: InputError for any other argument."""
    if name != "lab":
        raise InputError(
            f"a claim's body asks for {name!r}, received nothing of this name: without pytest there is the lab and no "
            "other fixture; run such a claim with pytest"
        )
    return session.lab


def record(session: "Session", verdict: Verdict, case: Case) -> Comparison:
    """Keep a verdict in the run's folder, with its basis and its comparison with the ledger."""
    verdict = replace(verdict, artifacts=session.artifacts_behind(case), machine=session.machine)
    described = session.described(case.claim)
    comparison = compare(plain(verdict), described, session.ledger.get(verdict.key), session.options.ledger)
    session.run.record_verdict(verdict)
    session.run.record_note("ledger", verdict.key, comparison)
    return comparison
