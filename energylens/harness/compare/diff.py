"""Changes of verdicts and estimates between two runs, with their possible causes.

The functions are pure: they take the contents of two results.json and return changes.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from energylens.harness.compare.causes import JSON, Cause, causes, declarations
from energylens.harness.compare.ledger import declaration_diff, short
from energylens.harness.results import ERROR, NOT_SELECTED
from energylens.harness.verdict import Word, row_key


class Status(StrEnum):
    """Kinds of change of a verdict, the most important first."""

    FLIP = "flip"
    AMENDED = "amended"
    DRIFT = "drift"
    MOVED = "moved"
    NOT_RUN = "not run"
    APPEARED = "appeared"
    VANISHED = "vanished"
    NOT_SELECTED = "not selected"
    SAME = "same"


@dataclass(frozen=True)
class Change:
    """One claim on one model and variant. old, new: its verdict in each run, None where the run has no such row."""

    claim: str
    model: str
    variant: str
    status: Status
    old: JSON | None
    new: JSON | None
    causes: tuple[Cause, ...] = ()


def diff(old: JSON, new: JSON) -> list[Change]:
    """Changes of every row of either run, the most important first, then in the order of declaration.

    Verdicts compare as in the ledger: between HOLDS, REFUTED and INVALID they flip, into and out of INCONCLUSIVE they
    drift, with another declaration they are amended. The same verdict has moved if any of its numbers differs in six
    significant digits, or a qualifier does.
    """
    before, after = _rows(old), _rows(new)
    changes = [_change(old, new, before.get(key), after.get(key)) for key in {**after, **before}]
    return sorted(changes, key=lambda change: list(Status).index(change.status))


def _rows(results: JSON) -> dict[str, JSON]:
    return {row_key(v["claim"], v["model"], v["variant"]): v for v in results["verdicts"]}


def _change(old: JSON, new: JSON, before: JSON | None, after: JSON | None) -> Change:
    found = before if after is None else after
    assert found is not None  # the key is of one of them
    row = (found["claim"], found["model"], found["variant"])
    if before is None or after is None:
        return Change(*row, Status.APPEARED if before is None else Status.VANISHED, before, after)
    status = _status(old, new, before, after)
    told = () if status in (Status.SAME, Status.NOT_SELECTED) else causes(old, new, before, after)
    return Change(*row, status, before, after, tuple(told))


def _status(old: JSON, new: JSON, before: JSON, after: JSON) -> Status:
    words = {before["word"], after["word"]}
    if NOT_SELECTED in (before["reason"], after["reason"]):
        return Status.NOT_SELECTED
    if words & {Word.NOT_RUN, ERROR}:
        return Status.SAME if len(words) == 1 else Status.NOT_RUN
    if any(declaration_diff(*declarations(old, new, before["claim"]))):
        return Status.AMENDED
    if len(words) == 2:
        return Status.DRIFT if Word.INCONCLUSIVE in words else Status.FLIP
    return Status.SAME if _numbers(before) == _numbers(after) else Status.MOVED


def _numbers(verdict: JSON) -> list[Any]:
    """Numbers and qualifiers that two equal verdicts share; as text, so that NaN equals NaN."""
    parts = [
        (part["part"], part["word"], *(str(short(part[name])) for name in ("estimate", "low", "high")))
        for part in verdict["parts"]
    ]
    return [*verdict["qualifiers"], *parts]
