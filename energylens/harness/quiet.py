"""Quiet results, the form that is committed: equal runs have the same bytes, other numbers change few bytes.

Cases are in the order of declaration, keys in alphabetical order. Times, and numbers of claims that are declared as
`timed`, are NaN or missing here; `timings.json` holds them (`energylens.harness.timings`). Numbers that decide keep all
their digits: estimate, interval and standard error of a verdict's parts. Other numbers have the digits that a reader is
shown: DIGITS for values of seeds, CONTROL_DIGITS for controls, SHOWN for numbers printed beside the verdict, DRAWN for
series. `exact` is a digest of all numbers before rounding, which tells whether two runs agree to the last bit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from energylens.harness.compare.ledger import CONTROLS
from energylens.harness.declare.claim import hash_of
from energylens.harness.json_values import plain
from energylens.harness.verdict import Word, row_key

JSON = Mapping[str, Any]

DIGITS, CONTROL_DIGITS, SHOWN, DRAWN = 6, 8, 4, 3
"""Significant digits of values of seeds, of controls, of numbers printed beside the verdict, and of series."""

NAN = "NaN"

TIMED = "timed: its numbers are in timings.json"
"""Reason of an open part of a claim that measures time."""

TIMES = ("started", "seconds")
"""Entries of a run about its own time."""

HOST = ("cores",)
"""Entries of the provenance about the machine that change no number."""

_JUDGED = ("estimate", "low", "high", "se")
_UNTOLD = (*_JUDGED, "p_value")


def quiet(results: JSON) -> dict[str, Any]:
    """The results of a run as they are committed; quiet results and older files are accepted too."""
    found = {name: value for name, value in plain(results).items() if name not in TIMES}
    if "provenance" in found:
        found["provenance"] = {name: fact for name, fact in found["provenance"].items() if name not in HOST}
    timed = timed_claims(found)
    kinds = {claim["id"]: (claim.get("figure") or {}).get("kind", "") for claim in found["claims"]}
    exact = _exact(found, timed)
    found["claims"] = [{**claim, "parts": parts_of(claim)} for claim in found["claims"]]
    found["verdicts"] = [_verdict(verdict, exact, timed) for verdict in found["verdicts"]]
    cases = in_order(found["cases"], found["claims"], found["verdicts"])
    found["cases"] = [_case(case, kinds.get(case["claim"], ""), case["claim"] in timed) for case in cases]
    return sorted_keys(found)


def timed_claims(results: JSON) -> set[str]:
    """Ids of the claims and gates that measure the machine itself."""
    return {str(claim["id"]) for claim in results["claims"] if claim.get("timed")}


def parts_of(claim: JSON) -> list[str]:
    """Names of a claim's parts, in the order of declaration; of older files from their keys."""
    return list(claim.get("parts") or claim.get("regions", ()))


def case_key(case: JSON) -> str:
    """`claim/model/variant/null/seed`, the key of a measurement in its run."""
    return "/".join(str(case[name]) for name in ("claim", "model", "variant", "null", "seed"))


def in_order(cases: Sequence[JSON], claims: Sequence[JSON], verdicts: Sequence[JSON]) -> list[JSON]:
    """Measurements in the order of declaration: claims, their models and variants, seeds, and then each control's."""
    at = {str(claim["id"]): (i, claim) for i, claim in enumerate(claims)}
    rows = {_row(verdict): i for i, verdict in enumerate(verdicts)}

    def place(case: JSON) -> tuple[Any, ...]:
        i, claim = at.get(case["claim"], (len(at), {}))
        controls = ["", *(each["name"] for name in ("nulls", "ceilings") for each in claim.get(name, ()))]
        seeds = claim.get("seeds_on", {}).get(case["model"], claim.get("seeds", []))
        return (
            i, case["claim"], rows.get(_row(case), len(rows)), case["model"], case["variant"],
            _index(controls, case["null"]), case["null"], _index(seeds, case["seed"]), str(case["seed"]),
        )  # fmt: skip

    return sorted(cases, key=place)


def sorted_keys(value: Any) -> Any:
    """The same JSON with the keys of every object in alphabetical order."""
    if isinstance(value, Mapping):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value


def rounded(value: Any, digits: int) -> Any:
    """The same JSON with floats rounded to so many significant digits.

    A float that would, rounded again to fewer digits, differ from the original rounded to these, keeps all its digits:
    the ledger compares DIGITS, a page shows SHOWN.
    """
    if isinstance(value, float):
        short = _short(value, digits)
        same = all(
            _short(short, fewer) == _short(value, fewer) for fewer in (DIGITS, SHOWN) if fewer < digits
        )
        return short if same else value
    if isinstance(value, Mapping):
        return {key: rounded(item, digits) for key, item in value.items()}
    return [rounded(item, digits) for item in value] if isinstance(value, list) else value


def _short(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _row(each: JSON) -> str:
    return row_key(each["claim"], each["model"], each["variant"])


def _index(known: Sequence[Any], one: Any) -> int:
    return list(known).index(one) if one in known else len(known)


def _exact(results: JSON, timed: set[str]) -> dict[str, str]:
    """By row, the digest of its verdict's numbers and of all its measurements; quiet results hold it already."""
    measured: dict[str, list[Any]] = {}
    for case in sorted(results["cases"], key=case_key):
        kept = {name: value for name, value in case.items() if name != "seconds"}
        measured.setdefault(_row(case), []).append(kept)
    return {
        _row(verdict): str(verdict["exact"])
        if "exact" in verdict
        else hash_of({"verdict": _rests_on(verdict, timed), "cases": measured.get(_row(verdict), [])})
        for verdict in results["verdicts"]
    }


def _rests_on(verdict: JSON, timed: set[str]) -> list[Any]:
    gates = [gate for gate in verdict["gates"] if gate["claim"] not in timed]
    return [gates, *(verdict.get(name) for name in ("word", "parts", "as_published", "nulls", "ceilings"))]


def _verdict(verdict: JSON, exact: Mapping[str, str], timed: set[str]) -> dict[str, Any]:
    found = dict(verdict)
    for name in ("nulls", "ceilings", "as_published"):
        found[name] = rounded(found.get(name, []), CONTROL_DIGITS)
    found["parts"] = [_part(part) for part in found["parts"]]
    found["beside"] = rounded(found["beside"], DIGITS)
    found["gates"] = [
        {
            **gate,
            "values": rounded(_blank(gate["values"]) if gate["claim"] in timed else gate["values"], SHOWN),
        }
        for gate in found["gates"]
    ]
    if "holm" in found:
        found["holm"] = rounded(found["holm"], CONTROL_DIGITS)
    found["exact"] = "" if verdict["claim"] in timed or not verdict["parts"] else exact[_row(verdict)]
    return _untimed(found) if verdict["claim"] in timed else found


def _part(part: JSON) -> dict[str, Any]:
    return {
        name: value if name in _JUDGED else rounded(value, CONTROL_DIGITS) for name, value in part.items()
    }


def _untimed(verdict: JSON) -> dict[str, Any]:
    """The verdict without numbers that differ in every run; its word and its seeds stay."""
    found = dict(verdict)
    for name in ("parts", "as_published"):
        found[name] = [_blank_part(part) for part in found[name]]
    for name in ("nulls", "ceilings"):
        found[name] = [
            {**each, "parts": [_blank_part(part) for part in each["parts"]]} for each in found[name]
        ]
    for null in found["nulls"]:
        null["chance"] = [
            {**each, **dict.fromkeys(("estimate", "low", "high"), NAN)} for each in null.get("chance", ())
        ]
    found["beside"] = _blank(found["beside"])
    if "holm" in found:
        found["holm"] = {**found["holm"], "p_value": NAN}
    if found.get("ledger"):
        found["ledger"] = _untimed_row(found["ledger"])
    return _without_reason(found)


def _untimed_row(compared: JSON) -> dict[str, Any]:
    """The comparison with the ledger, without times of either run."""
    row = {name: fact for name, fact in compared["recorded"].items() if name != CONTROLS}
    row |= {name: {} for name in ("estimates", "standard_errors") if name in row}
    return {**compared, "message": compared["message"].partition("\n")[0], "recorded": row, "z": {}}


def _blank_part(part: JSON) -> dict[str, Any]:
    blank = {name: NAN for name in _UNTOLD if name in part}
    return _without_reason({**part, **blank, "pairs": None, "seeds_to_decide": None})


def _without_reason(judged: dict[str, Any]) -> dict[str, Any]:
    """A part without its reason where it is open: the number of seeds that would decide differs in every run."""
    return judged | ({"reason": TIMED} if judged["word"] == Word.INCONCLUSIVE else {})


def _blank(numbers: JSON) -> dict[str, Any]:
    return dict.fromkeys(numbers, NAN)


def _case(case: JSON, kind: str, is_timed: bool) -> dict[str, Any]:
    found = {name: value for name, value in case.items() if name != "seconds"}
    if "unavailable" in found:
        return found
    for name, digits in (("value", DIGITS), ("as_published", DIGITS), ("beside", SHOWN)):
        numbers = found.get(name) or {}
        found[name] = _blank(numbers) if is_timed else rounded(numbers, digits)
    series = {} if is_timed else found.get("series") or {}
    found["series"] = _sample(series) if kind == "distribution" else rounded(series, DRAWN)
    return found


def _sample(series: JSON) -> dict[str, Any]:
    """Samples sorted by size, NaN last: a distribution has no order of its own."""
    return {name: sorted(rounded(values, DRAWN), key=_size) for name, values in series.items()}


def _size(value: Any) -> tuple[bool, float]:
    return value == NAN, float(value)
