"""Sign-flip test over seeds, which assumes no normal distribution, for claims with enough seeds."""

from collections.abc import Sequence

from energylens.report.content.entries import JSON, Entry, cases_at, judged_seeds, part_of, place, rows_of
from energylens.report.content.readable import Md, number, table
from energylens.stats import MOST_FLIPPED, sign_flip_p, smallest_sign_flip_p

ENOUGH = 8
"""Smallest number of seeds with which sign flips can give p < .01."""


def attainable(entry: Entry) -> str:
    """Smallest p that sign flips could give on models with few seeds; empty for gates. See `flips_table` for others."""
    claim = entry.claim
    models: dict[int, list[str]] = {}
    for model in claim["models"]:
        models.setdefault(len(claim.get("seeds_on", {}).get(model, claim["seeds"])), []).append(model)
    few = {n: names for n, names in sorted(models.items()) if 1 < n < ENOUGH}
    if entry.is_gate or not few:
        return ""
    told = {
        n: f"a sign-flip test of {n} seeds can't give p below {number(smallest_sign_flip_p(n), 2)}"
        for n in few
    }
    return "; ".join(f"{', '.join(few[n])}: {text}" if len(models) > 1 else text for n, text in told.items())


def flips_table(entry: Entry) -> Md | None:
    """Two-sided p by sign flips of the seeds' distances to the nearest boundary, for parts with a value per seed."""
    if entry.is_gate:
        return None
    rows = []
    for verdict, name, part in rows_of(entry):
        values = _values(entry, verdict, name)
        if part and ENOUGH <= len(values) <= MOST_FLIPPED and all(value == value for value in values):
            boundary = _nearest_boundary(part)
            rows.append([
                place(verdict), name if len(entry.parts) > 1 else "", len(values), number(boundary),
                number(sign_flip_p(values, boundary), 2), number(smallest_sign_flip_p(len(values)), 2),
            ])  # fmt: skip
    headers = ["model", "part", "seeds", "boundary", "p, two-sided", "smallest possible p"]
    return table(headers, rows) if rows else None


def _values(entry: Entry, verdict: JSON, name: str) -> Sequence[float]:
    """The part's value on every judged seed; empty where seeds have none, as for statistics over pairs of seeds."""
    judged = judged_seeds(verdict, part_of(verdict["parts"], name))
    cases = [case for case in cases_at(entry, verdict) if case["seed"] in judged]
    found = [float(case["value"][name]) for case in cases if name in case.get("value", {})]
    return found if len(found) == len(cases) else ()


def _nearest_boundary(part: JSON) -> float:
    ends = [float(part[name]) for name in ("region_low", "region_high")]
    return min(
        (end for end in ends if abs(end) != float("inf")), key=lambda end: abs(end - float(part["estimate"]))
    )
