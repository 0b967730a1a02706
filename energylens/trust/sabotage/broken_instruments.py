"""Broken instruments: tests whether a claim's controls notice when its measuring code is broken on purpose.

A sabotage replaces named functions by broken ones, runs claims with all their nulls and gates as `pytest claims/` does,
and has them judged. A gate notices if the verdict becomes INVALID; a null notices if the claim holds by chance too. A
control that shows the same with nothing broken can't show a sabotage.
"""

import runpy
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from energylens.errors import EnergylensError, InputError
from energylens.harness.chance import by_chance_too
from energylens.harness.declare.cases import Case
from energylens.harness.verdict import BY_CHANCE_TOO, PartResult, Verdict, Word
from energylens.trust.sabotage.trial import MUST_FAIL, Bench, Breaks, Notices, controls_of

TABLE = "sabotage.py"
"""File beside claims, with SABOTAGES, the broken instruments, and IN_TRUTH, controls that show with nothing broken."""

SEEDS = 5
"""Number of declared seeds that are measured with nothing broken."""

IN_ITS_REGION = "in its region"
REFUSED = "refused"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Sabotage:
    """One broken instrument, and the controls that have to notice it.

    says: what is broken, and where, in words. breaks, notices: see `Breaks` and `Notices`.
    seeds: how many of the declared seeds are measured.
    refuses: errors of the instrument's own; to raise one is to notice as well.
    """

    name: str
    says: str
    breaks: Breaks
    notices: Notices
    seeds: int = SEEDS
    refuses: tuple[type[EnergylensError], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The reaction of one control on one row. how: how it showed the sabotage, or empty. before: with nothing broken.

    verdict: the verdict on the sabotaged claim.
    """

    sabotage: str
    row: str
    control: str
    how: str
    before: str
    verdict: str

    @property
    def noticed(self) -> bool:
        """Whether the control showed, and only because of the sabotage."""
        return bool(self.how) and not self.before

    def __str__(self) -> str:
        found = f"{self.before} with nothing broken" if self.before else self.how or "UNNOTICED"
        return f"{self.sabotage}: {self.row}, {self.control}: {found}; the verdict is {self.verdict}"


@dataclass(frozen=True)
class Tables:
    """The declarations of all TABLE files of a folder of claims."""

    sabotages: tuple[Sabotage, ...]
    in_truth: Notices


def read_tables(claims: Path) -> Tables:
    """Every TABLE below a folder of claims, in order of their paths. Errors: InputError for none, or one name twice."""
    tables = [runpy.run_path(str(path)) for path in sorted(claims.rglob(TABLE))]
    sabotages = [each for table in tables for each in table["SABOTAGES"]]
    names = Counter(each.name for each in sabotages)
    rows = [row for table in tables for row in table["IN_TRUTH"]]
    twice = [name for name, times in (names + Counter(rows)).items() if times > 1]
    if not tables or twice:
        wrong = f"declare {', '.join(twice)} twice" if tables else f"are missing: no file is called {TABLE}"
        raise InputError(f"the tables of broken instruments below {claims} {wrong}")
    return Tables(
        tuple(sabotages), {row: table["IN_TRUTH"][row] for table in tables for row in table["IN_TRUTH"]}
    )


def tried(sabotage: Sabotage, bench: Bench, progress: Progress = print) -> list[Outcome]:
    """One outcome for each control that has to notice. An error that the sabotage does not name is raised."""
    rows, outcomes = bench.rows(sabotage.notices), []
    before = {}
    for case, _ in rows:
        progress(f"{sabotage.name}: {case.row}, with nothing broken")
        before[case.row] = bench.intact(sabotage.seeds).verdict(case)
    with bench.broken(sabotage.breaks, sabotage.seeds) as trial:
        for case, controls in rows:
            progress(f"{sabotage.name}: {case.row}")
            found: Verdict | EnergylensError
            try:
                found = trial.verdict(case)
            except sabotage.refuses as error:
                found = error
            outcomes += [_outcome(sabotage.name, case, each, before[case.row], found) for each in controls]
    return outcomes


def in_truth(notices: Notices, seeds: int, bench: Bench, progress: Progress = print) -> list[Outcome]:
    """Outcomes of controls with nothing broken."""
    outcomes = []
    for case, controls in bench.rows(notices):
        progress(f"{case.row}, with nothing broken")
        found = bench.intact(seeds).verdict(case)
        outcomes += [_outcome("nothing", case, control, found, found) for control in controls]
    return outcomes


def _outcome(
    sabotage: str, case: Case, control: str, before: Verdict, found: Verdict | EnergylensError
) -> Outcome:
    how, words = REFUSED, f"none: {found}"
    if isinstance(found, Verdict):
        how, words = shows(found, control), ", ".join((found.word, *found.qualifiers))
    return Outcome(sabotage, case.row, control, how, shows(before, control), words)


def shows(verdict: Verdict, control: str) -> str:
    """How a verdict shows that one of its controls noticed something; empty if it does not."""
    if verdict.word is Word.INVALID:
        gates = [gate.claim for gate in verdict.gates if gate.failed or gate.unnoticed]
        passing = [null.name for null in verdict.nulls if null.word is not Word.REFUTED]
        unreachable = [ceiling.name for ceiling in verdict.ceilings if ceiling.out_of_reach]
        must_fail = [MUST_FAIL for part in verdict.parts if not gates and _some_seed_passes(part)]
        return str(Word.INVALID) if control in (*gates, *passing, *unreachable, *must_fail) else ""
    null = next((null for null in verdict.nulls if null.name == control), None)
    if null is None:
        return ""
    if null.qualifies:
        return BY_CHANCE_TOO if verdict.word is Word.HOLDS and by_chance_too([null]) else ""
    return IN_ITS_REGION if null.word is Word.HOLDS else ""


def _some_seed_passes(part: PartResult) -> bool:
    """Whether some seed of a gate passes; `low` and `high` of a gate are its smallest and largest seed."""
    return any(part.region_low <= value <= part.region_high for value in (part.low, part.high))


def untried(bench: Bench, tables: Iterable[Notices]) -> list[str]:
    """Claims of the `cpu` tier with a control that no table names, as "CLAIM, CONTROL"."""
    spoken = {
        (case.claim.id, control)
        for table in tables
        for case, controls in bench.rows(table)
        for control in controls
    }
    pairs = [(claim.id, control) for claim in bench.claims() for control in controls_of(claim)]
    return [", ".join(pair) for pair in pairs if pair not in spoken]


def run(progress: Progress, claims: Path = Path("claims")) -> dict[str, Any]:
    """Try all declared sabotages. Controls that show with nothing broken are counted separately: they prove nothing."""
    from energylens.lab import Lab, open_store
    from energylens.models.threads import torch_threads

    tables = read_tables(claims)
    with TemporaryDirectory() as folder, torch_threads(1):
        bench = Bench(claims, Lab(open_store(None)), Path(folder))
        found = [outcome for each in tables.sabotages for outcome in tried(each, bench, progress)]
        true = in_truth(tables.in_truth, SEEDS, bench, progress)
    noticed = [outcome for outcome in found if outcome.noticed]
    return {
        "broken instruments": {each.name: each.says for each in tables.sabotages},
        "claims and controls declared": sum(len(controls_of(claim)) for claim in bench.claims()),
        "claims and controls proved": len({(each.row.partition("/")[0], each.control) for each in noticed}),
        "claims and controls that show with nothing broken": [str(each) for each in true if each.before],
        "claims and controls never tried": untried(
            bench, [tables.in_truth, *(each.notices for each in tables.sabotages)]
        ),
        "controls tried": len(found),
        "noticed": len(noticed),
        "noticed how": dict(Counter(each.how for each in noticed)),
        "unnoticed": [str(each) for each in found if not each.noticed],
    }
