"""Trials of sabotaged claims: verdicts as pytest's runs reach them, while named functions are broken."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from inspect import getattr_static
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from energylens.errors import InputError, StoreError
from energylens.harness.compare.ledger import Mode
from energylens.harness.declare.cases import Case
from energylens.harness.declare.catalogue import Declared, load_claims
from energylens.harness.declare.claim import Claim
from energylens.harness.verdict import Verdict
from energylens.lab import Lab
from energylens.run.measure import judged
from energylens.run.options import Options
from energylens.run.project import OneLab
from energylens.run.session import Session
from energylens.store import Artifact, Progress, Recipe, Store, no_progress

MUST_FAIL = "must fail"
"""Name of the control of a gate that has to reject a model; other controls have the names of nulls and gates."""

Notices = Mapping[str, Sequence[str]]
"""Names of controls by "CLAIM/MODEL/VARIANT"; MODEL and VARIANT default to the first. CLAIM may be a pattern."""

Breaks = Mapping[str, Callable[[Any], Any]]
"""real -> broken, by the name under which the real one is looked up: "energylens.lab.core.Lab.network" is a method,
"fourier.neurons:shuffled_share" what stands in the file of a claim."""


class Bench:
    """A bench on which claims are judged as they are, and with something broken.

    lab: the claims' lab. folder: keeps measurements with nothing broken; processes may share it.
    """

    def __init__(self, claims: Path, lab: Any, folder: Path) -> None:
        self.declared = load_claims(claims)
        self.lab = lab
        self.folder = folder

    def claims(self) -> list[Claim]:
        """Claims and gates of the `cpu` tier."""
        return [each.claim for each in self.declared.values() if each.claim.tier == "cpu"]

    def rows(self, notices: Notices) -> list[tuple[Case, list[str]]]:
        """The rows that are asked for, each with its controls. Errors: InputError for an unknown row."""
        cases: dict[str, Case] = {}
        controls: dict[str, list[str]] = {}
        for key, names in notices.items():
            for name in names:
                fitting = list(self._fitting(key, name))
                if not fitting:
                    raise InputError(f"no claim of the cpu tier fits {key!r} and has the control {name!r}")
                for case in fitting:
                    cases[case.row] = case
                    controls.setdefault(case.row, []).append(name)
        return [(case, controls[row]) for row, case in cases.items()]

    def _fitting(self, key: str, control: str) -> Iterator[Case]:
        id, model, variant = [*key.split("/"), "", ""][:3]
        for claim in self.claims():
            known = model in ("", *claim.models) and variant in ("", *claim.variants)
            if fnmatchcase(claim.id, id) and control in controls_of(claim) and known:
                yield Case(claim, model or claim.models[0], variant or next(iter(claim.variants), ""), None)

    def intact(self, seeds: int) -> "Trial":
        """A trial with nothing broken; earlier measurements are used again."""
        return Trial(self.declared, self.lab, self.folder, seeds)

    @contextmanager
    def broken(self, breaks: Breaks, seeds: int) -> Iterator["Trial"]:
        """Context of a trial with the named functions broken: all is measured anew, in a lab that remembers nothing."""
        lab = Lab(FoundOnly(self.lab.store.url)) if isinstance(self.lab, Lab) else self.lab
        with TemporaryDirectory() as folder, breaking(breaks, self.declared):
            yield Trial(self.declared, lab, Path(folder), seeds)


class Trial:
    """A run that reports nothing: claims at their first `seeds` seeds, measured in `folder`."""

    def __init__(self, declared: Mapping[str, Declared], lab: Any, folder: Path, seeds: int) -> None:
        options = Options(
            models=(), seeds=seeds, store=None, ledger=Mode.IGNORE, report_dir=None,
            claims_folder=folder, ledger_path=folder, reports_folder=folder,
        )  # fmt: skip
        self._session = Session(options, folder, folder, OneLab(lab), declared)

    def verdict(self, case: Case) -> Verdict:
        """The verdict on a row; measurements that the folder lacks are taken."""
        return judged(self._session, case)


class FoundOnly(Store):
    """A store that builds nothing, so that no artifact of broken code gets into it."""

    def get(self, recipe: Recipe, progress: Progress = no_progress) -> Artifact:
        """The stored artifact. Errors: StoreError where there is none."""
        found = self.find(recipe)
        if found is None:
            raise StoreError(f"{recipe.label()} is not in the store {self.url}: run `energylens build` first")
        return found


@contextmanager
def breaking(breaks: Breaks, declared: Mapping[str, Declared]) -> Iterator[None]:
    """Context in which the named functions are broken. Errors: InputError for an unknown name."""
    with ExitStack() as undone:
        for name, broken in breaks.items():
            claim, _, helper = name.rpartition(":")
            owner, _, attribute = name.rpartition(".")
            try:
                if claim:
                    beside = declared[claim].body.__globals__
                    real = beside[helper]
                    undone.callback(beside.__setitem__, helper, real)
                    beside[helper] = broken(real)
                else:
                    where = resolve_name(owner)
                    instead = broken(getattr_static(where, attribute))
                    undone.enter_context(patch.object(where, attribute, instead))
            except (KeyError, ValueError, ImportError, AttributeError) as error:
                raise InputError(
                    f"a sabotage breaks {name!r}, which does not exist: {error}; correct its name in `breaks`"
                ) from error
        yield


def reads(value: float) -> Callable[[Any], Callable[..., float]]:
    """A broken measure that gives `value` whatever its arguments, so that claim and control get the same number.

    The sign test decides about equal numbers on all seeds, with five seeds or more.
    """
    return lambda real: lambda *given, **named: value


def controls_of(claim: Claim) -> list[str]:
    """Names of all controls of a claim: nulls, ceilings, gates, and MUST_FAIL."""
    must_fail = [MUST_FAIL] if claim.must_fail else []
    return [*(each.name for each in claim.controls), *(gate.claim for gate in claim.gates), *must_fail]
