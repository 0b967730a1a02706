"""results.json as the reports read it: claims with their verdicts and cases, findings before gates."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energylens.errors import InputError
from energylens.harness.one_network import is_one_network
from energylens.harness.quiet import parts_of

JSON = Mapping[str, Any]

MANY = 12
"""Lists of all claims sum up by model a claim with more verdicts than this and several variants per model."""

_FILE_NAME = re.compile(r"(?=.{1,200}\Z)[a-z0-9]+(?:[.-][a-z0-9]+)*")


@dataclass(frozen=True)
class Entry:
    """One declared claim or gate with everything that the run recorded about it."""

    claim: JSON
    verdicts: Sequence[JSON]
    cases: Sequence[JSON]
    word: str

    @property
    def id(self) -> str:
        """The claim's id."""
        return str(self.claim["id"])

    @property
    def is_gate(self) -> bool:
        """Whether this is an instrument check, not a finding."""
        return self.claim["role"] == "gate"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are judged, in order."""
        return tuple(parts_of(self.claim))

    @property
    def is_one_network(self) -> bool:
        """Whether all verdicts are about one network alone, and so make no finding."""
        return bool(self.verdicts) and all(map(is_one_network, self.verdicts))

    @property
    def is_many(self) -> bool:
        """Whether lists of all claims sum this claim up, one line per model."""
        return len(self.verdicts) > MANY and len(self.by_model()) < len(self.verdicts)

    @property
    def is_idle(self) -> bool:
        """Whether all of several verdicts are NOT RUN for the same reason, as for a tier that was not selected."""
        told = {(verdict["word"], verdict["reason"]) for verdict in self.verdicts}
        return len(self.verdicts) > 1 and len(told) == 1 and told.pop()[0] == "NOT RUN"

    def by_model(self) -> dict[str, list[JSON]]:
        """Verdicts on the variants of every model, in the order of their declaration."""
        found: dict[str, list[JSON]] = {}
        for verdict in self.verdicts:
            found.setdefault(verdict["model"], []).append(verdict)
        return found

    @property
    def by_chance(self) -> bool:
        """Whether the claim holds, on some model no better than one of its nulls."""
        return self.word == "HOLDS" and any("by chance too" in v["qualifiers"] for v in self.verdicts)


def entries(results: JSON) -> list[Entry]:
    """Findings in the order of their declaration, then gates.

    Raises InputError for a claim id that can't be a file name: ids become paths of figures and badges.
    """
    found = [_entry(claim, results) for claim in results["claims"]]
    return sorted(found, key=lambda entry: entry.is_gate)


def families(found: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Claims by family: what their ids begin with, up to the first dot."""
    by_family: dict[str, list[Entry]] = {}
    for entry in found:
        by_family.setdefault(entry.id.partition(".")[0], []).append(entry)
    return by_family


def forest_name(family: str) -> str:
    """Name of the figure of a family's estimates, without suffix."""
    return f"forest_{family}"


def history_name(family: str) -> str:
    """Name of the figure of a family's estimates over time, without suffix."""
    return f"history_{family}"


def part_of(parts: Sequence[JSON], name: str) -> JSON | None:
    """The result of this name, if there is one."""
    return next((part for part in parts if part["part"] == name), None)


def rows_of(entry: Entry) -> Iterator[tuple[JSON, str, JSON | None]]:
    """(verdict, part name, part or None) for every row that an estimate can have."""
    for verdict in entry.verdicts:
        for name in entry.parts:
            yield verdict, name, part_of(verdict["parts"], name)


def chance(verdict: JSON, name: str) -> tuple[str, JSON] | None:
    """The qualifying null that comes closest to the claim in this part: its name and estimate.

    A null that the claim is no better than comes before all others. Among equals the closest is the largest estimate
    for a lower bound, the smallest for an upper bound, the nearest to the middle for a region with two ends.
    """
    found = [(null, part_of(null["parts"], name)) for null in verdict["nulls"] if null["qualifies"]]
    defined = [(null, part) for null, part in found if part and not math.isnan(float(part["estimate"]))]
    null, part = min(defined, key=lambda pair: _nearness(pair[0], pair[1], name), default=(None, None))
    return (null["name"], part) if null and part else None


def judged_seeds(verdict: JSON, part: JSON | None) -> list[int]:
    """The seeds that a part is judged on: neither excluded nor undefined."""
    left_out = {*verdict["excluded"], *((part or {}).get("undefined") or ())}
    return [seed for seed in verdict["seeds"] if seed not in left_out]


def place(verdict: JSON) -> str:
    """Model and variant as one label."""
    return ", ".join(text for text in (verdict["model"], verdict["variant"]) if text)


def cases_at(entry: Entry, verdict: JSON, null: str = "") -> list[JSON]:
    """Measurements behind one verdict (or one of its nulls), in the order of its seeds."""
    wanted = (verdict["model"], verdict["variant"], null)
    found = [c for c in entry.cases if (c["model"], c["variant"], c["null"]) == wanted]
    order = {seed: i for i, seed in enumerate(verdict["seeds"] or entry.claim["seeds"])}
    return sorted(found, key=lambda case: order.get(case["seed"], len(order)))


def _entry(claim: JSON, results: JSON) -> Entry:
    name = str(claim["id"])
    if not _FILE_NAME.fullmatch(name):
        raise InputError(
            f"claim id {name!r} can't name a file: ids are lower case words joined by '.' or '-', "
            f"at most 200 characters"
        )
    return Entry(
        claim=claim,
        verdicts=[verdict for verdict in results["verdicts"] if verdict["claim"] == name],
        cases=[case for case in results["cases"] if case["claim"] == name],
        word=results["summary"]["by_claim"].get(name, "NOT RUN"),
    )


def _nearness(null: JSON, part: JSON, name: str) -> tuple[bool, float]:
    compared = part_of(null.get("chance", ()), name)
    return not (compared and compared["better"] is False), _distance(part)


def _distance(part: JSON) -> float:
    estimate, low, high = (float(part[name]) for name in ("estimate", "region_low", "region_high"))
    if high == float("inf"):
        return -estimate
    if low == float("-inf"):
        return estimate
    return abs(estimate - (low + high) / 2)
