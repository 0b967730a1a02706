"""Questions that readers ask, and the claims that answer them.

A question is declared at the top level of a claims file. It holds no answer, only words for every outcome: the
report composes the answer from the verdicts, so that an answer can't say what the run did not find.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from energylens.errors import DeclarationError
from energylens.harness.verdict import BY_CHANCE_TOO, NOT_COMPARED, Word

OUTCOMES = (*map(str, Word), *(f"{Word.HOLDS}, {mark}" for mark in (BY_CHANCE_TOO, NOT_COMPARED)))
"""Outcomes for which a question may declare words."""


@dataclass(frozen=True)
class Question:
    """A question in plain words, answered by claims.

    asks: the question, as a reader would put it. answered_by: ids of claims, in the order of the answer.
    words: by claim and outcome ("HOLDS", "REFUTED", ..., "HOLDS, by chance too"), what that outcome means here; for
    some claims and outcomes, or none. The report adds where each outcome was found, and the numbers.
    Raises DeclarationError, naming the question, for words about other claims or outcomes, or without claims.
    """

    asks: str
    answered_by: tuple[str, ...]
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.answered_by, str):
            raise DeclarationError(
                f"question {self.asks!r}: answered_by is a sequence, got {self.answered_by!r}"
            )
        object.__setattr__(self, "answered_by", tuple(self.answered_by))
        outcomes = {outcome for by_outcome in self.words.values() for outcome in by_outcome}
        problems = {
            "asks nothing": self.asks.strip(),
            "needs claims that answer it": self.answered_by,
            f"names a claim twice: {self.answered_by}": len(set(self.answered_by)) == len(self.answered_by),
            f"has words about other claims: {sorted(set(self.words) - set(self.answered_by))}":
                set(self.words) <= set(self.answered_by),
            f"has words about {sorted(outcomes - set(OUTCOMES))}; outcomes are {', '.join(OUTCOMES)}":
                outcomes <= set(OUTCOMES),
        }  # fmt: skip
        for problem, fine in problems.items():
            if not fine:
                raise DeclarationError(f"question {self.asks!r} {problem}")


def questions_beside(body: Callable[..., Any]) -> list[Question]:
    """Questions at the top level of the file that declares a claim, in their order there. body: the claim's body."""
    return [value for value in body.__globals__.values() if isinstance(value, Question)]


def check_answers(questions: Iterable[Question], declared: Collection[str]) -> None:
    """Check that every claim named by a question exists. declared: ids of the whole catalogue, not of a selection.

    Raises DeclarationError, naming the question and the claim.
    """
    for question in questions:
        unknown = [name for name in question.answered_by if name not in declared]
        if unknown:
            raise DeclarationError(
                f"question {question.asks!r} is answered by {unknown[0]!r}, which is not declared anywhere"
            )
