"""Whether the declared seeds of a claim can decide it at all, which is known before anything is measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from energylens.harness.declare.claim import Claim
from energylens.harness.declare.reach import UNKNOWN, Reach, words
from energylens.harness.judge import COMPETENT_SHARE
from energylens.harness.parts import ALPHA
from energylens.harness.verdict import Word

CAP = 1000
"""Largest number of seeds that is tried."""


class UndecidableClaimWarning(UserWarning):
    """Warning about a claim whose declared seeds can never reach HOLDS, or never REFUTED."""


@dataclass(frozen=True)
class Decides:
    """Words that a claim can reach with a number of seeds: HOLDS if all parts can, REFUTED if one part can."""

    seeds: int
    holds: bool | None
    refutes: bool | None
    parts: Mapping[str, Reach]

    @property
    def words(self) -> str:
        """`both`, `HOLDS only`, `REFUTED only`, `neither` or `unknown`."""
        return words(self.holds, self.refutes)


def decides(claim: Claim, seeds: int) -> Decides:
    """Words that a claim and its parts can reach with so many seeds; None for a statistic without `reaches`."""
    parts = {part: _reach(claim, part, seeds) for part in claim.parts}
    return Decides(
        seeds,
        holds=_all([reach.holds for reach in parts.values()]),
        refutes=_any([_refutes(reach, len(parts)) for reach in parts.values()]),
        parts=parts,
    )


def words_decided(claim: Claim, model: str) -> str:
    """Words that the declared seeds of a model can reach; `every seed` for a gate, which is a rule for every seed."""
    return "every seed" if claim.role == "gate" else decides(claim, len(claim.seeds_of(model))).words


def with_one_fewer(claim: Claim, seeds: int) -> Decides:
    """`decides` with one seed fewer, excluded by a competence gate or undefined; neither if that is over a fifth."""
    if seeds - 1 >= COMPETENT_SHARE * seeds:
        return decides(claim, seeds - 1)
    gone = Reach(False, False, f"neither: {seeds - 1} of {seeds} seeds are fewer than four fifths")
    return Decides(seeds - 1, False, False, dict.fromkeys(claim.parts, gone))


def fewest_seeds(claim: Claim, word: Word) -> int | None:
    """Smallest number of seeds with which a claim can reach HOLDS, or REFUTED; None where CAP seeds can't."""

    def can(seeds: int) -> bool:
        found = decides(claim, seeds)
        return (found.holds if word is Word.HOLDS else found.refutes) is not False

    return next(filter(can, range(1, CAP + 1)), None) if can(CAP) else None


def described(claim: Claim) -> dict[str, Any]:
    """For results.json, by model: words that its declared seeds, and one fewer, can reach. Empty for a gate."""
    if claim.role == "gate":
        return {}
    counts = {model: len(claim.seeds_of(model)) for model in claim.models}
    return {
        model: _told(decides(claim, n)) | {"fewer": _told(with_one_fewer(claim, n))}
        for model, n in counts.items()
    }


def undecidable(claim: Claim) -> str:
    """Warning text: words that a claim's seeds can't reach, on which models, and the seeds needed; empty if none."""
    counts: dict[int, list[str]] = {}
    for model in claim.models if claim.role != "gate" else ():
        counts.setdefault(len(claim.seeds_of(model)), []).append(model)
    short, lost = [], set()
    for n, models in counts.items():
        found = decides(claim, n)
        missing = [w for w, can in ((Word.HOLDS, found.holds), (Word.REFUTED, found.refutes)) if can is False]
        if missing:
            lost.update(missing)
            short.append(
                f"{n} seed{'s' * (n != 1)} on {', '.join(models)} can't reach {' or '.join(missing)}"
            )
    if not short:
        return ""
    rule = "; ".join(f"{part}: {r}, {claim.statistics[part].describes}" for part, r in claim.regions.items())
    needs = ", ".join(_needs(claim, word) for word in (Word.HOLDS, Word.REFUTED) if word in lost)
    return (
        f"claim {claim.id!r} in {claim.where} is undecidable as declared: {'; '.join(short)} ({rule}). {needs}. "
        "Declare more seeds (`seeds`, or `seeds_on` for some models), another region or another statistic"
    )


def _reach(claim: Claim, part: str, seeds: int) -> Reach:
    reaches = getattr(claim.statistics[part], "reaches", None)
    found: Reach = reaches(claim.regions[part], seeds) if reaches else UNKNOWN
    return found


def _refutes(reach: Reach, parts: int) -> bool | None:
    return reach.refutes and reach.least_p * parts <= ALPHA


def _all(can: list[bool | None]) -> bool | None:
    return False if False in can else None if None in can else True


def _any(can: list[bool | None]) -> bool | None:
    return True if True in can else None if None in can else False


def _told(found: Decides) -> dict[str, Any]:
    parts = {
        part: {
            "holds": r.holds,
            "refutes": r.refutes,
            "text": r.text,
            "least_p": r.least_p,
            "chance": r.chance,
        }
        for part, r in found.parts.items()
    }
    return {"seeds": found.seeds, "holds": found.holds, "refutes": found.refutes, "parts": parts}


def _needs(claim: Claim, word: Word) -> str:
    seeds = fewest_seeds(claim, word)
    return (
        f"{word} needs at least {seeds} seeds" if seeds else f"no number of seeds up to {CAP} reaches {word}"
    )
