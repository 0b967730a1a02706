"""Numbers of seeds that would decide a claim, from estimates, their spread and boundaries in the results of a run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from energylens.errors import InputError
from energylens.harness.parts import NO_SPREAD
from energylens.harness.verdict import Word

if TYPE_CHECKING:
    from energylens.stats import Interval

JSON = Mapping[str, Any]

CAP = 1000
"""Largest number of seeds that is tried."""

_SCALE_OF = {"Fisher's z": "fisher z", "geometric mean": "log"}
"""Words in a statistic's description that tell a scale other than the claim's own units, and that scale."""

_ASYMMETRY = 1e-6


@dataclass(frozen=True)
class Need:
    """A number of seeds, and its range over the spreads that the data leave open (90 %).

    None stands for more than CAP. A hit rate has no spread of its own, and so no range.
    """

    seeds: int | None
    range: tuple[int | None, int | None] | None


@dataclass(frozen=True)
class Row:
    """One part of a claim on one model and variant.

    reason: why no number of seeds is told, or "". sd: standard deviation of a seed on `scale` (the claim's own units if
    "linear"); NaN for hit rates. distance: from the estimate to the nearest boundary; distance_sd: the same in sd.
    same: seeds that would decide at the same estimate and spread. powered: seeds that would decide with the power asked
    for. declared: seeds that the claim declares; decides: ranges of true values that these decide with that power.
    """

    model: str
    variant: str
    part: str
    word: str
    reason: str = ""
    region: str = ""
    boundaries: tuple[float, ...] = ()
    n: int = 0
    declared: int = 0
    estimate: float = math.nan
    scale: str = ""
    sd: float = math.nan
    distance: float = math.nan
    distance_sd: float = math.nan
    same: Need | None = None
    powered: Need | None = None
    decides: Sequence[tuple[float, float]] | None = None


def plan(results: JSON, claim_id: str, model: str = "", power: float = 0.8) -> list[Row]:
    """Rows for every model, variant and part of a claim, or for one model.

    Each estimate and its spread are taken for the truth: both come from few seeds, so all numbers are "about".
    Raises InputError for an unknown claim or model, naming the nearest, and for a power out of range.
    """
    claims = {str(claim["id"]): claim for claim in results["claims"]}
    if claim_id not in claims:
        raise InputError(f"no claim {claim_id!r} in these results{_nearest(claim_id, claims)}")
    verdicts = [verdict for verdict in results["verdicts"] if verdict["claim"] == claim_id]
    models = list(dict.fromkeys(str(verdict["model"]) for verdict in verdicts))
    if model and model not in models:
        raise InputError(f"claim {claim_id!r} has no verdict on model {model!r}{_nearest(model, models)}")
    wanted = [verdict for verdict in verdicts if model in ("", verdict["model"])]
    return [row for verdict in wanted for row in _rows(claims[claim_id], verdict, power)]


def rebuilt(part: JSON, statistic: str) -> "Interval | None":
    """The interval of a part with its standard error, rebuilt from its ends; None if they are of no t interval.

    statistic: its description in results.json, which tells an exact binomial interval, and the scale of others.
    """
    from energylens.stats import CONFIDENCE, Interval, clopper_pearson
    from energylens.stats.interval import t_quantile
    from energylens.stats.scale import scaled

    estimate, low, high, n = (float(part[name]) for name in ("estimate", "low", "high", "n"))
    if statistic.startswith("hit rate"):
        return clopper_pearson(round(estimate * n), int(n))
    scale = next((scale for words, scale in _SCALE_OF.items() if words in statistic), "linear")
    found = Interval(estimate, low, high, int(n), math.nan, int(n) - 1, scale=scale)
    centre, bottom, top = scaled(found, estimate, low, high)
    halves = [half for half in (centre - bottom, top - centre) if math.isfinite(half)]
    if not halves or _without_spread(part) or max(halves) - min(halves) > _ASYMMETRY * max(halves):
        return None
    return replace(found, se=sum(halves) / len(halves) / float(t_quantile(int(n) - 1, CONFIDENCE)))


def _without_spread(part: JSON) -> bool:
    """Whether a part has no spread, because its seeds are too few or all equal."""
    width = float(part["high"]) - float(part["low"])
    return math.isinf(width) or width <= NO_SPREAD * max(1.0, abs(float(part["estimate"])))


def _rows(claim: JSON, verdict: JSON, power: float) -> Iterator[Row]:
    declared = claim.get("seeds_on", {}).get(verdict["model"], claim["seeds"])
    row = Row(verdict["model"], verdict["variant"], "", verdict["word"], declared=len(declared))
    if claim["role"] == "gate":
        yield replace(row, reason="a gate is a rule for every seed: no number of seeds decides it")
    elif not verdict["parts"]:
        yield replace(row, reason=verdict["reason"])
    for part in verdict["parts"] if claim["role"] != "gate" else ():
        broken = verdict["reason"] if verdict["word"] == Word.INVALID else ""
        known = replace(
            row, part=part["part"], word=verdict["word"] if broken else part["word"],
            region=part["region"], n=part["n"], estimate=float(part["estimate"]),
        )  # fmt: skip
        yield _planned(known, part, claim["statistics"][part["part"]], broken, power)


def _planned(row: Row, part: JSON, statistic: str, broken: str, power: float) -> Row:
    """The row, with those of spread, distance and numbers of seeds that the part has."""
    from energylens.stats import decidable
    from energylens.stats.scale import scaled

    interval = None if math.isnan(row.estimate) else rebuilt(part, statistic)
    if interval is None:
        undecidable = math.isnan(row.estimate) or _without_spread(part)
        why = part["reason"] if undecidable else f"no t or binomial interval, so no plan: {statistic}"
        return replace(row, reason=broken or why)
    low, high = float(part["region_low"]), float(part["region_high"])
    ends = [end for end in (low, high) if math.isfinite(end)]
    sd = math.nan if interval.hits is not None else interval.se * math.sqrt(row.n)
    at, *on_scale = scaled(interval, row.estimate, *ends)
    row = replace(
        row, reason=broken, boundaries=tuple(ends), scale=interval.scale, sd=sd,
        distance=min(abs(row.estimate - end) for end in ends),
        distance_sd=min(abs(at - end) for end in on_scale) / sd,
        decides=decidable(interval, low, high, row.declared, power) if row.declared > 1 else None,
    )  # fmt: skip
    if broken or row.word != Word.INCONCLUSIVE:
        return row
    same, powered = _needs(interval, low, high, power)
    return replace(row, same=same, powered=powered)


def _needs(interval: "Interval", low: float, high: float, power: float) -> tuple[Need, Need]:
    from energylens.stats import seeds_for_power, seeds_to_decide, spread_range

    ends = [end for end in (low, high) if math.isfinite(end)]
    spreads = [interval]
    if interval.hits is None:
        spreads += [replace(interval, se=se) for se in spread_range(interval.se, interval.n - 1)]
    same = [seeds_to_decide(one, ends, CAP) for one in spreads]
    powered = [seeds_for_power(one, low, high, power, CAP) for one in spreads]
    return _need(same), _need(powered)


def _need(found: Sequence[int | None]) -> Need:
    return Need(found[0], (found[1], found[2]) if len(found) > 1 else None)


def _nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = get_close_matches(name, list(known), n=3, cutoff=0.4)
    return f"; nearest: {', '.join(close)}" if close else f"; it has {', '.join(known)}"
