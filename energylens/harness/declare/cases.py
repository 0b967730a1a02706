"""Cases of a claim, its measurements and verdicts, in a fixed order and with ids that can be typed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from energylens.harness.declare.catalogue import Declared
from energylens.harness.declare.claim import Claim
from energylens.harness.declare.control import Gate
from energylens.harness.verdict import row_key


@dataclass(frozen=True)
class Case:
    """One pytest case of a claim: a measurement, one of a control (`null`: its name), or (seed None) the verdict."""

    claim: Claim
    model: str
    variant: str
    seed: int | None
    null: str = ""

    @property
    def id(self) -> str:
        """`model[-variant][-null]-seed` or `...-verdict`."""
        last = "verdict" if self.seed is None else str(self.seed)
        return "-".join(part for part in (self.model, self.variant, self.null, last) if part)

    @property
    def row(self) -> str:
        """The row of the verdict table that this case belongs to."""
        return row_key(self.claim.id, self.model, self.variant)


def cases_of(claim: Claim, seeds_by_model: dict[str, tuple[int, ...]]) -> Iterator[Case]:
    """Every case: per model and variant the seeds, then the nulls over the same seeds, then the verdict."""
    for model, seeds in seeds_by_model.items():
        for variant in claim.variants or ("",):
            for null in ("", *(control.name for control in claim.controls)):
                for seed in seeds:
                    yield Case(claim, model, variant, seed, null)
            yield Case(claim, model, variant, None)


def gate_cases(gate: Gate, declared: Claim, case: Case, seeds: tuple[int, ...]) -> list[Case]:
    """The measurements of a gate (the claim `declared`) that a verdict on `case` with these seeds rests on.

    A gate is checked on the claim's model and seeds; or, with `on`, on that model at the claim's seeds. The variant
    of the same name is taken, or all if there is none.
    """
    variants = (case.variant,) if case.variant in declared.variants else declared.variants or ("",)
    return [Case(declared, gate.on or case.model, variant, seed) for variant in variants for seed in seeds]


def cases_behind(
    case: Case,
    seeds_by_model: Callable[[Claim], Mapping[str, tuple[int, ...]]],
    resolve: Callable[[str, Claim], Declared],
) -> Iterator[Case]:
    """The measurements that a verdict rests on (gates, seeds, nulls); of a measurement the measurement itself.

    resolve: gives the claim behind a gate's id, for the claim that lists the gate.
    """
    if case.seed is not None:
        yield case
        return
    claim = case.claim
    seeds = seeds_by_model(claim).get(case.model, claim.seeds_of(case.model))
    for gate in claim.gates:
        declared = resolve(gate.claim, claim).claim
        for each in gate_cases(gate, declared, case, seeds):
            yield each
            yield from (replace(each, null=null.name) for null in declared.nulls if declared.role == "gate")
    for null in ("", *(control.name for control in claim.controls)):
        yield from (replace(case, seed=seed, null=null) for seed in seeds)
