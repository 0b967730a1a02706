"""Sentences of the report: on a verdict, on what would refute a claim, on how many verdicts may be wrong."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from energylens.harness.one_network import is_one_network, word_of
from energylens.harness.parts import ALPHA
from energylens.harness.quiet import parts_of
from energylens.harness.verdict import AS_IT_MUST, BY_CHANCE_TOO, NOT_COMPARED, Unit, Word
from energylens.report.content.entries import JSON, Entry
from energylens.report.content.one_network import alone_and_others
from energylens.report.content.readable import DASH, count, number

BY_CHANCE = f"{Word.HOLDS}, {BY_CHANCE_TOO}"
UNCOMPARED = f"{Word.HOLDS}, {NOT_COMPARED}"


def denominators(found: Sequence[Entry]) -> str:
    """Number of declared claims, and of gates that pass. Gates without a selected case of their own do not count."""
    alone, others = alone_and_others(found)
    asked = [*alone, *others]
    gates = [entry for entry in asked if entry.is_gate]
    run = [entry for entry in gates if entry.word != "NOT RUN"]
    forms = ("claim on its task", "claims on its task") if alone else ("declared claim",)
    text = count(len(asked) - len(gates), *forms)
    passing = sum(entry.word == "HOLDS" for entry in run)
    return f"{text}; {passing} of {count(len(run), 'gate')} do what they must" if run else text


def verdict_text(verdict: JSON) -> str:
    """The word with its qualifiers: `HOLDS, by chance too`, `REFUTED for this network`."""
    own = ["own checkpoint"] if verdict["own_checkpoint"] and not is_one_network(verdict) else []
    return ", ".join([word_of(verdict), *verdict["qualifiers"], *own])


def outcome(verdict: JSON) -> str:
    """The word by which verdicts are counted, with `by chance too`, `not compared with chance` or `as it must`."""
    told = [mark for mark in (BY_CHANCE_TOO, NOT_COMPARED, AS_IT_MUST) if mark in verdict["qualifiers"]]
    return ", ".join([verdict["word"], *told])


def counted(words: Iterable[str]) -> list[str]:
    """`3 REFUTED`, `2 INCONCLUSIVE`, the most frequent first."""
    return [f"{n} {word}" for word, n in Counter(words).most_common()]


def verdict_of(entry: Entry) -> str:
    """The word of a claim over all its models."""
    if entry.is_one_network and entry.word not in ("NOT RUN", "ERROR"):
        return f"{entry.word} for this network"
    return f"{entry.word}, by chance too" if entry.by_chance else entry.word


def why(verdict: JSON) -> str:
    """The reason of an undecided verdict; of a decided one only the reasons of its parts, such as seeds left out."""
    if verdict["word"] in ("HOLDS", "REFUTED"):
        decided = [part for part in verdict["parts"] if not math.isnan(float(part["p_value"]))]
        return "; ".join(part["reason"] for part in decided if part["reason"])
    return str(verdict["reason"]).removeprefix("value: ")


def seeds_text(verdict: JSON) -> str:
    """`5`, `4 (1 excluded)`, `3 (2 undefined)`, `2, partial`; of one network `5 samples` or `all inputs`.

    A seed counts as undefined where any part has no value on it.
    """
    if not verdict["seeds"]:
        return DASH
    if is_one_network(verdict):
        return "all inputs" if verdict["unit"] == Unit.ALL_INPUTS else count(len(verdict["seeds"]), "sample")
    undefined = {seed for part in verdict.get("parts", ()) for seed in part.get("undefined", ())}
    left_out = {"excluded": len(verdict["excluded"]), "undefined": len(undefined - set(verdict["excluded"]))}
    text = str(len(verdict["seeds"]) - sum(left_out.values()))
    if any(left_out.values()):
        text += f" ({', '.join(f'{n} {why}' for why, n in left_out.items() if n)})"
    return f"{text}, partial" if verdict["partial"] else text


def refuted_when(claim: JSON) -> list[str]:
    """What would refute the claim, one sentence per part, derived from its regions."""
    if claim["role"] == "gate":
        return [_gate_fails(claim, region) for region in claim["regions"].values()]
    several = len(claim["regions"]) > 1
    return [
        f"{f'{part}: the' if several else 'The'} whole 90 % interval ({claim['statistics'][part]}) lies "
        f"{_outside(region)}."
        for part in parts_of(claim)
        for region in (claim["regions"][part],)
    ]


def holds_when(claim: JSON) -> str:
    """Every part with its region."""
    regions = claim["regions"]
    if len(regions) == 1:
        return str(next(iter(regions.values()))["text"])
    return "; ".join(f"{part} {regions[part]['text']}" for part in parts_of(claim))


def expected_errors(found: Sequence[Entry]) -> tuple[int, int, float]:
    """(judged verdicts, tested boundaries, largest expected number of wrong verdicts).

    Each boundary is tested one-sided at 5 %, so the expected number of wrong verdicts is at most .05 times
    the boundaries tested, reached only if every truth lay exactly on its boundary. Gates are predicates, not
    tests.
    """
    judged = [
        v for entry in found if not entry.is_gate for v in entry.verdicts
        if v["parts"] and not v["own_checkpoint"] and v["word"] in ("HOLDS", "REFUTED", "INCONCLUSIVE")
    ]  # fmt: skip
    ends = [float(part[end]) for v in judged for part in v["parts"] for end in ("region_low", "region_high")]
    boundaries = sum(math.isfinite(end) for end in ends)
    return len(judged), boundaries, ALPHA * boundaries


def _outside(region: JSON) -> str:
    low, high = float(region["low"]), float(region["high"])
    if math.isinf(high):
        return f"below {number(low)}"
    if math.isinf(low):
        return f"above {number(high)}"
    return f"below {number(low)}, or the whole interval above {number(high)}"


def _gate_fails(claim: JSON, region: JSON) -> str:
    allowed = "more than a fifth of the seeds lie" if claim["competence"] else "any seed lies"
    text = f"The gate fails where {allowed} {_outside(region).replace('the whole interval ', '')}."
    if claim["must_fail"]:
        bad = ", ".join(claim["must_fail"])
        text += f" The gate must reject every seed of {bad}; if one passes, the gate is INVALID."
    return text
