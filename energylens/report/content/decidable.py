"""Verdicts that the declared seeds of a claim can reach at all, in words, from its `reach` in results.json."""

from collections.abc import Sequence

from energylens.harness.declare.reach import RATE, words
from energylens.harness.quiet import parts_of
from energylens.report.content.entries import JSON
from energylens.report.content.readable import number


def decides(claim: JSON) -> str:
    """`HOLDS at 5 of 5, REFUTED at 0 of 5; with one seed fewer: neither`; models named where they differ.

    Empty for gates, and for results without `reach`.
    """
    models: dict[str, list[str]] = {}
    reaches, parts = claim.get("reach", {}), parts_of(claim)
    for model in (model for model in claim.get("models", reaches) if model in reaches):
        models.setdefault(_text(reaches[model], parts), []).append(model)
    if len(models) == 1:
        return next(iter(models))
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in models.items())


def can_decide(claim: JSON, model: str) -> str:
    """The words in reach on one model, for a table cell: `HOLDS only`, or, of hit rates, `both, 33 % of runs`."""
    reach = claim.get("reach", {}).get(model)
    if not reach:
        return ""
    chance = _chance(reach["parts"])
    return words(reach["holds"], reach["refutes"]) + (f", in {chance} of runs" if chance else "")


def _text(reach: JSON, parts: Sequence[str]) -> str:
    now, fewer = _parts(reach, parts), _parts(reach["fewer"], parts)
    chance = _chance(reach["parts"])
    told = f"{now}; with one seed fewer{' as well' if fewer == now else f': {fewer}'}"
    return f"{told}; at a true rate of {number(RATE)} decided in {chance} of runs" if chance else told


def _parts(reach: JSON, parts: Sequence[str]) -> str:
    texts = {part: str(reach["parts"][part]["text"]) for part in parts or reach["parts"]}
    same = set(texts.values())
    text = same.pop() if len(same) == 1 else "; ".join(f"{part}: {text}" for part, text in texts.items())
    by_holm = reach["refutes"] is False and any(part["refutes"] for part in reach["parts"].values())
    return f"{text} (the claim is never REFUTED: no p survives Holm over its parts)" if by_holm else text


def _chance(parts: JSON) -> str:
    """`33 %`; a range over parts that differ."""
    found = sorted({round(100 * part["chance"]) for part in parts.values() if part["chance"] is not None})
    return f"{found[0]} %" if len(found) == 1 else f"{found[0]} to {found[-1]} %" if found else ""
