"""Counts of findings by standing, separately as published, on other models, and restated."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from energylens.harness.verdict import BY_CHANCE_TOO, ERROR, Word

JSON = Mapping[str, Any]


class Standing(StrEnum):
    """Standings of a finding, the worst first."""

    ERROR = "error"
    REFUTED = "refuted"
    INVALID = "invalid"
    OPEN = "open"
    NOT_RUN = "not run here"
    BY_CHANCE = "holds by chance too"
    HOLDS = "holds"
    UNDEFINED = "undefined"


_OF_WORD = {
    ERROR: Standing.ERROR, Word.REFUTED: Standing.REFUTED, Word.INVALID: Standing.INVALID,
    Word.INCONCLUSIVE: Standing.OPEN, Word.NOT_RUN: Standing.NOT_RUN, Word.HOLDS: Standing.HOLDS,
}  # fmt: skip


@dataclass(frozen=True)
class Standings:
    """The standing of every finding. published, restated, larger: by claim. elsewhere: by (claim, model).

    undefined: models on which the measure of a claim is undefined, by claim.
    """

    published: dict[str, Standing] = field(default_factory=dict)
    elsewhere: dict[tuple[str, str], Standing] = field(default_factory=dict)
    restated: dict[str, Standing] = field(default_factory=dict)
    larger: dict[str, Standing] = field(default_factory=dict)
    undefined: dict[str, list[str]] = field(default_factory=dict)


def standings(claims: Iterable[JSON], verdicts: Iterable[JSON]) -> Standings:
    """Standing of every finding, without gates and a user's own checkpoints; claims at another size are no findings.

    An as-stated claim stands as the worst of its rows on the models it was published on, and on every other model as
    the worst of the rows there; a restated one, and one at another size, as the worst of all its rows. Rows on which
    the measure is undefined, where another claim says so (`undefined_is`), count only if there are no other rows.
    """
    found = Standings()
    rows = [verdict for verdict in verdicts if not verdict.get("own_checkpoint")]
    for claim in claims:
        if claim["role"] == "gate":
            continue
        name = claim["id"]
        by_model: dict[str, list[Standing]] = {}
        for row in (row for row in rows if row["claim"] == name):
            by_model.setdefault(row["model"], []).append(standing(claim, row))
        if claim.get("extends") or claim["stated"] == "restated":
            counted = found.larger if claim.get("extends") else found.restated
            counted[name] = _worst(each for words in by_model.values() for each in words)
        else:
            here = [each for model, words in by_model.items() if is_published(claim, model) for each in words]
            found.published[name] = _worst(here)
            others = {m: _worst(words) for m, words in by_model.items() if not is_published(claim, m)}
            found.elsewhere.update({(name, model): word for model, word in others.items()})
        if nowhere := [model for model, words in by_model.items() if Standing.UNDEFINED in words]:
            found.undefined[name] = nowhere
    return found


def headline(claims: Sequence[JSON], verdicts: Sequence[JSON]) -> dict[str, Any]:
    """The counts of `standings` for results.json, and the number of verdicts that survive Holm's correction."""
    found = standings(claims, verdicts)
    see = {claim["id"]: claim.get("undefined_is", "") for claim in claims}
    holm = [verdict["holm"] for verdict in verdicts if verdict.get("holm") and _is_decided(verdict)]
    return {
        "published": _counts(found.published.values()),
        "elsewhere": _counts(found.elsewhere.values()),
        "restated": _counts(found.restated.values()),
        "larger": _counts(found.larger.values()),
        "undefined": [
            {"claim": name, "models": models, "see": see[name]} for name, models in found.undefined.items()
        ],
        "holm": {"decided": len(holm), "survive": sum(one["survives"] for one in holm)},
    }


def is_published(claim: JSON, model: str) -> bool:
    """Whether the finding was published on this model; on all of them where the claim does not say on which."""
    models = claim.get("published_on")
    return models is None or model in models


def standing(claim: JSON, verdict: JSON) -> Standing:
    """The standing of one verdict; a verdict that holds and is not compared with chance counts as holding."""
    word = verdict["word"]
    if word == Word.HOLDS and BY_CHANCE_TOO in verdict["qualifiers"]:
        return Standing.BY_CHANCE
    if word == Word.INCONCLUSIVE and claim.get("undefined_is") and _is_undefined(verdict):
        return Standing.UNDEFINED
    return _OF_WORD[word]


def _is_undefined(verdict: JSON) -> bool:
    """Whether every open part has no value because too many of its seeds are NaN."""
    parts = [part for part in verdict["parts"] if part["word"] == Word.INCONCLUSIVE]
    return bool(parts) and all(
        math.isnan(float(part["estimate"])) and part.get("undefined", True) for part in parts
    )


def _is_decided(verdict: JSON) -> bool:
    return verdict["word"] in (Word.HOLDS, Word.REFUTED)


def _worst(words: Iterable[Standing]) -> Standing:
    found = set(words)
    return next((word for word in Standing if word in found), Standing.NOT_RUN)


def _counts(words: Iterable[Standing]) -> dict[str, int]:
    counted = Counter(words)
    return {str(word): counted[word] for word in Standing if counted[word]}
