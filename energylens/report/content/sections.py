"""Tables and sentences of the section of one claim, ready for the template."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from energylens.report.content.better_than_chance import against, ceiling_text, ceilings_of, chance_text
from energylens.report.content.counted import tally
from energylens.report.content.decidable import decides
from energylens.report.content.entries import JSON, Entry, cases_at, judged_seeds, part_of, place, rows_of
from energylens.report.content.estimates import estimates_table
from energylens.report.content.headline import setup
from energylens.report.content.one_network import measured_on
from energylens.report.content.readable import DASH, Md, bold, count, interval, link, number, span, table
from energylens.report.content.recorded_tables import recorded_tables
from energylens.report.content.sentences import holds_when, refuted_when, verdict_of, verdict_text, why
from energylens.report.content.sign_flips import attainable, flips_table
from energylens.report.content.verdict_rows import estimate_text, verdict_lines


def section(entry: Entry, found: Sequence[Entry], figures: Sequence[JSON]) -> dict[str, Any]:
    """The context of `claim.md.j2`. figures: name and alternative text of each picture of this claim.

    For a claim with many verdicts they are counted and their estimates shown by model and variant; its tables are
    folded. Verdicts of a claim that did not run are counted as well.
    """
    summed_up = entry.is_many or entry.is_idle
    return {
        "claim": entry.claim,
        "published_on": entry.claim.get("published_on") or [],
        "statistics": _by_part(entry, entry.claim["statistics"]),
        "word": verdict_of(entry),
        "several": len(entry.verdicts) > 1,
        "figures": figures,
        "recorded": recorded_tables(entry),
        "verdicts": [] if summed_up else [_verdict(entry, verdict) for verdict in entry.verdicts],
        "tally": _tally(entry) if summed_up else [],
        "estimates": estimates_table(entry) if summed_up else None,
        "holds_when": holds_when(entry.claim),
        "refuted_when": refuted_when(entry.claim),
        "used_by": [e.id for e in found if entry.id in {gate["claim"] for gate in e.claim["gates"]}],
        "attainable": "" if entry.is_one_network else attainable(entry),
        "measured_on": measured_on(entry),
        "decides": "" if entry.is_one_network else decides(entry.claim),
        "per_seed": values_table(entry),
        "tables": [
            _titled(title, table, entry.is_many) for title, make in _TABLES.items() if (table := make(entry))
        ],
        "ledger": [one for v in entry.verdicts if (one := v.get("ledger")) and one["status"] != "same"],
    }


def values_table(entry: Entry) -> Md | None:
    """One row per model, variant and seed; a part judged over pairs shows the mean over the seed's pairs.

    None for a claim that measures time: results.json does not hold its numbers.
    """
    rows = [(verdict, case) for verdict in entry.verdicts for case in cases_at(entry, verdict)]
    if not rows or entry.claim.get("timed"):
        return None
    published = _names(case.get("as_published", {}) for _, case in rows)
    beside = _names(case.get("beside", {}) for _, case in rows)
    headers = ["model", "sample" if entry.is_one_network else "seed", *entry.parts]
    headers += [f"as published: {name}" if name != "value" else "as published" for name in published]
    cells = [
        [place(verdict), case["seed"], *(_value(verdict, case, part) for part in entry.parts)]
        + [_optional(case.get("as_published", {}), name) for name in published]
        + [_optional(case.get("beside", {}), name) for name in beside]
        + [_case_note(verdict, case)]
        for verdict, case in rows
    ]
    return table([*headers, *beside, "note"], cells, keep=2 + len(entry.parts))


def nulls_table(entry: Entry) -> Md | None:
    """Every null of every verdict, judged by the claim's own rule, and how much better than it the claim is."""
    rows = [
        [place(verdict), null["name"], _part_name(entry, part["part"]), interval(part), part["region"],
         bold(part["word"]), chance_text(against(null, part["part"])), null["why"],
         "" if null["qualifies"] else "for comparison, not a chance level"]
        for verdict in entry.verdicts for null in verdict["nulls"] for part in null["parts"]
    ]  # fmt: skip
    headers = ["model", "null", "part", "estimate of the null [90 %]", "region", "verdict on the null"]
    headers += ["the claim is", "what the null measures", "role"]
    return table(headers, rows) if rows else None


def ceilings_table(entry: Entry) -> Md | None:
    """The score that a perfect effect would have, against the region."""
    rows = [
        [place(verdict), ceiling["name"], _part_name(entry, name), ceiling_text(part), part["region"],
         bold("out of reach" if name in ceiling["out_of_reach"] else "within reach"), ceiling["why"]]
        for verdict in entry.verdicts for name in entry.parts for ceiling, part in ceilings_of(verdict, name)
    ]  # fmt: skip
    headers = [
        "model",
        "ceiling",
        "part",
        "a perfect effect scores [90 %]",
        "region",
        "the region is",
        "what the ceiling measures",
    ]
    return table(headers, rows, keep=2) if rows else None


def published_table(entry: Entry) -> Md | None:
    """The corrected and the original estimator side by side."""
    rows = [
        [place(verdict), _part_name(entry, name), estimate_text(entry, part),
         bold(part["word"]) if part else "", interval(original), bold(original["word"])]
        for verdict, name, part in rows_of(entry) if (original := part_of(verdict["as_published"], name))
    ]  # fmt: skip
    headers = ["model", "part", "corrected estimator", "verdict", "original estimator", "verdict by it"]
    return table(headers, rows) if rows else None


def gates_table(entry: Entry) -> Md | None:
    """Every gate that the claim lists: its model, the number of seeds that pass, and the values."""
    rows = [
        [at, link(gate["claim"]), gate["model"], gate["region"], _passes(gate),
         _range(gate["values"].values()), "competence" if gate["competence"] else "instrument"]
        for at, gates in _gates_by_place(entry) for gate in gates
    ]  # fmt: skip
    return (
        table(["model", "gate", "checked on", "region", "seeds that pass", "values", "kind of check"], rows)
        if rows
        else None
    )


def _tally(entry: Entry) -> list[str]:
    reason = f": {entry.verdicts[0]['reason']}" if entry.is_idle else ""
    return [told + reason for _, told in tally(entry.verdicts)]


def _gates_by_place(entry: Entry) -> Iterator[tuple[str, Sequence[JSON]]]:
    """Gates of every verdict, told once for a model whose variants all have the same."""
    for model, verdicts in entry.by_model().items():
        first, *others = verdicts
        if others and all(verdict["gates"] == first["gates"] for verdict in others):
            yield model, first["gates"]
        else:
            yield from ((place(verdict), verdict["gates"]) for verdict in verdicts)


def beside_table(entry: Entry) -> Md | None:
    """Means over seeds of numbers that are printed but not judged."""
    names = _names(verdict["beside"] for verdict in entry.verdicts)
    shown = () if entry.claim.get("timed") else entry.verdicts
    rows = [[place(v), *(_optional(v["beside"], name) for name in names)] for v in shown if v["beside"]]
    return table(["model", *names], rows) if rows else None


_TABLES: dict[str, Callable[[Entry], Md | None]] = {
    "The original estimator beside the corrected one:": published_table,
    "Null controls, judged by the claim's own rule:": nulls_table,
    "Ceilings (what a perfect effect would score):": ceilings_table,
    "Sign-flip test of the seeds' distances to the boundary:": flips_table,
    "Gates that the claim relies on:": gates_table,
    "Further numbers (means over seeds, not judged):": beside_table,
}


def _titled(title: str, table: Md, fold: bool) -> Md:
    if fold:
        return Md(f"<details>\n<summary>{title.rstrip(':')}</summary>\n\n{table}\n\n</details>")
    return Md(f"{title}\n\n{table}")


def _verdict(entry: Entry, verdict: JSON) -> dict[str, Any]:
    texts = [line.estimate for line in verdict_lines(entry) if line.model == place(verdict) and line.estimate]
    return {
        "place": place(verdict),
        "setup": setup(entry.claim, verdict["model"]) if entry.claim.get("published_on") is not None else "",
        "text": verdict_text(verdict),
        "why": why(verdict),
        "estimate": ", ".join(texts),
    }


def _value(verdict: JSON, case: JSON, name: str) -> str:
    if "unavailable" in case:
        return DASH
    if name in case["value"]:
        return number(case["value"][name])
    part = part_of(verdict["parts"], name)
    kept = judged_seeds(verdict, part)
    if not part or not part["pairs"] or case["seed"] not in kept:
        return DASH
    row = [float(x) for x in part["pairs"][kept.index(case["seed"])]]
    defined = [x for x in row if x == x]
    return f"{number(sum(defined) / len(defined))} over pairs" if defined else "NaN"


def _case_note(verdict: JSON, case: JSON) -> str:
    excluded = ["excluded: fails a competence gate"] if case["seed"] in verdict["excluded"] else []
    return "; ".join([*excluded, *filter(None, [case.get("unavailable", ""), case.get("note", "")])])


def _by_part(entry: Entry, texts: JSON) -> list[str]:
    return [f"{part}: {texts[part]}" if len(entry.parts) > 1 else texts[part] for part in entry.parts]


def _part_name(entry: Entry, part: str) -> str:
    return part if len(entry.parts) > 1 else ""


def _optional(numbers: JSON, name: str) -> str:
    return number(numbers[name]) if name in numbers else ""


def _names(mappings: Iterable[JSON]) -> list[str]:
    """Keys of all mappings, in the order in which they first appear."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _passes(gate: JSON) -> str:
    n = len(gate["values"])
    return f"{n - len(gate['failed'])} of {count(n, 'seed')}"


def _range(values: Any) -> str:
    numbers = [float(value) for value in values]
    return span(min(numbers), max(numbers)) if any(x == x for x in numbers) else DASH
