"""Comparisons of a claim with chance and with its ceiling (what a perfect effect would score), in words."""

import math
from collections.abc import Iterator, Sequence

from energylens.report.content.entries import JSON, chance, part_of
from energylens.report.content.readable import interval, rounded

BETTER, NO_BETTER = "better than chance", "no better than chance"


def against(null: JSON, name: str) -> JSON | None:
    """Comparison of a claim's part with a null; None without one, as for a null that qualifies nothing."""
    return part_of(null.get("chance", ()), name)


def chance_text(found: JSON | None) -> str:
    """`better than chance by 0.050 [0.030, 0.070]`, or `no better than chance: ...`, with a reason if there is one."""
    if found is None:
        return ""
    if found["better"] is None:
        return str(found["reason"])
    if math.isnan(float(found["estimate"])):
        return f"{BETTER if found['better'] else NO_BETTER}: {found['reason']}"
    if found["better"]:
        return f"{BETTER} by {_difference(found)}"
    return f"{NO_BETTER}: {_difference(found)}" + (f" ({found['reason']})" if found["reason"] else "")


def chance_cell(verdict: JSON, name: str) -> str:
    """The closest null, and the difference to it: `0.021 (untrained), better by 0.93 [0.92, 0.94]`."""
    null = chance(verdict, name)
    if not null:
        return ""
    told = short_text(compared(verdict, null[0], name))
    return f"{rounded(null[1])} ({null[0]})" + (f", {told}" if told else "")


def compared(verdict: JSON, null_name: str, name: str) -> JSON | None:
    """The comparison with the null of this name."""
    return next((against(null, name) for null in verdict["nulls"] if null["name"] == null_name), None)


def short_text(found: JSON | None) -> str:
    """`better by ...`, `no better`, or nothing where nothing was compared."""
    if found is None or found["better"] is None:
        return ""
    if not found["better"]:
        return "no better"
    return "better" if math.isnan(float(found["estimate"])) else f"better by {_difference(found)}"


def no_better(verdicts: Sequence[JSON], name: str) -> int:
    """Number of verdicts that in this part are no better than one of their nulls."""
    return sum(
        any((found := against(null, name)) and found["better"] is False for null in verdict["nulls"])
        for verdict in verdicts
    )


def ceilings_of(verdict: JSON, name: str) -> Iterator[tuple[JSON, JSON]]:
    """(ceiling, its result) for every ceiling that measures this part."""
    for ceiling in verdict.get("ceilings", ()):
        if part := part_of(ceiling["parts"], name):
            yield ceiling, part


def ceiling_text(part: JSON) -> str:
    """`at most 0.43 [0.40, 0.45]`, in the direction of the region."""
    bound = "at least" if math.isinf(float(part["region_low"])) else "at most"
    return f"{bound} {interval(part)}"


def _difference(found: JSON) -> str:
    """A difference on the statistic's scale: plain, in Fisher's z, or as a factor."""
    if found["scale"] == "log":
        ends = {name: math.exp(float(found[name])) for name in ("estimate", "low", "high")}
        return f"a factor {interval(ends)}"
    return interval(found) + (" in Fisher's z" if found["scale"] == "fisher z" else "")
