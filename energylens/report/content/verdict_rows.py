"""The verdict table as lines of plain text, shared by the Markdown report and the terminal."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from energylens.report.content.better_than_chance import chance_cell, no_better
from energylens.report.content.decidable import can_decide
from energylens.report.content.entries import JSON, Entry, chance, part_of, place
from energylens.report.content.headline import setup
from energylens.report.content.readable import DASH, interval, number, span
from energylens.report.content.sentences import counted, outcome, seeds_text, verdict_text, why

TIMED = "timed"
"""Text in place of an estimate that differs from run to run; timings.json holds the estimate."""

_NAMED = 2
"""Largest number of models that the line of a claim that did not run names."""


@dataclass(frozen=True)
class Line:
    """One line: a verdict, or one part of it (then `model` names the part)."""

    claim: str
    model: str
    word: str
    verdict: str
    why: str
    estimate: str = ""
    region: str = ""
    chance: str = ""
    reported: str = ""
    published: str = ""
    seeds: str = ""
    can_decide: str = ""
    holm: str = ""
    setup: str = ""
    is_part: bool = False


def lines(found: Sequence[Entry]) -> list[Line]:
    """One line per verdict; the parts of a claim with several follow their verdict. See `lines_of`."""
    return [line for entry in found for line in lines_of(entry)]


def lines_of(entry: Entry) -> Iterator[Line]:
    """The lines of one claim in lists of all claims: one per model when there are many verdicts, one if none ran."""
    if entry.is_idle:
        yield _idle_line(entry)
    else:
        yield from (_model_lines(entry) if entry.is_many else verdict_lines(entry))


def verdict_lines(entry: Entry) -> Iterator[Line]:
    """One line per verdict. A claim without any verdict still has one line."""
    reported = entry.claim["reported"]
    if not entry.verdicts:
        yield Line(entry.id, DASH, entry.word, entry.word, "nothing recorded", reported=reported)
    for verdict in entry.verdicts:
        yield _verdict_line(entry, verdict, reported)
        if len(entry.parts) > 1:
            yield from (_part_line(entry, verdict, name) for name in entry.parts)


def estimate_text(entry: Entry, part: JSON | None) -> str:
    """The estimate with its interval; for a gate the range over seeds. TIMED for times that only timings.json holds."""
    if part is None:
        return DASH
    if entry.claim.get("timed") and math.isnan(float(part["estimate"])):
        return TIMED
    if part["n"] == 1 and part["low"] == part["high"] and not entry.is_gate:
        return f"{number(part['estimate'])}, exact"
    return span(part["low"], part["high"]) if entry.is_gate else interval(part)


def _verdict_line(entry: Entry, verdict: JSON, reported: str) -> Line:
    several = len(entry.parts) > 1
    line = Line(
        claim=entry.id, model=place(verdict), word=verdict["word"], verdict=verdict_text(verdict),
        why=verdict["reason"] if entry.is_gate else why(verdict), reported=reported,
        seeds=seeds_text(verdict), can_decide=can_decide(entry.claim, verdict["model"]), holm=_holm(verdict),
        setup=setup(entry.claim, verdict["model"]),
    )  # fmt: skip
    return line if several else _with_numbers(line, entry, verdict, entry.parts[0])


def _part_line(entry: Entry, verdict: JSON, name: str) -> Line:
    part = part_of(verdict["parts"], name)
    word = part["word"] if part else DASH
    return _with_numbers(Line(entry.id, name, word, word, "", is_part=True), entry, verdict, name)


def _with_numbers(line: Line, entry: Entry, verdict: JSON, name: str) -> Line:
    published = part_of(verdict["as_published"], name)
    return replace(
        line,
        estimate=estimate_text(entry, part_of(verdict["parts"], name)),
        region=entry.claim["regions"][name]["text"],
        chance=chance_cell(verdict, name),
        published=interval(published) if published else "",
    )


def _holm(verdict: JSON) -> str:
    holm = verdict.get("holm")
    if not holm:
        return ""
    p_value = f", p = {number(holm['p_value'], 2)}" if verdict["word"] in ("HOLDS", "REFUTED") else ""
    return ("yes" if holm["survives"] else "no") + p_value


def _idle_line(entry: Entry) -> Line:
    models = list(entry.by_model())
    named = ", ".join(models) if len(models) <= _NAMED else f"{len(models)} models"
    (word,), reason = {verdict["word"] for verdict in entry.verdicts}, entry.verdicts[0]["reason"]
    setups = dict.fromkeys(setup(entry.claim, model) for model in models)
    return Line(
        entry.id, named, word, word, reason, reported=entry.claim["reported"], setup=", ".join(setups)
    )


def _model_lines(entry: Entry) -> Iterator[Line]:
    """One line per model over its variants: the count of each word, and the range of the estimates."""
    for model, verdicts in entry.by_model().items():
        seeds = list(dict.fromkeys(seeds_text(verdict) for verdict in verdicts))
        tested = [verdict["holm"] for verdict in verdicts if verdict.get("holm")]
        line = Line(
            claim=entry.id, model=f"{model} ({len(verdicts)} variants)",
            word=_only(verdict["word"] for verdict in verdicts),
            verdict=", ".join(counted(map(outcome, verdicts))) + " for this network" * entry.is_one_network, why="",
            reported=entry.claim["reported"], seeds=seeds[0] if len(seeds) == 1 else f"{seeds[0]} …",
            holm=f"{sum(one['survives'] for one in tested)} of {len(tested)}" if tested else "",
            can_decide=can_decide(entry.claim, model), setup=setup(entry.claim, model),
        )  # fmt: skip
        if len(entry.parts) == 1:
            yield _with_ranges(line, entry, verdicts, entry.parts[0])
            continue
        yield line
        for name in entry.parts:
            words = [str(part["word"]) for verdict in verdicts if (part := part_of(verdict["parts"], name))]
            part_line = Line(entry.id, name, _only(words), ", ".join(counted(words)), "", is_part=True)
            yield _with_ranges(part_line, entry, verdicts, name)


def _only(words: Iterable[str]) -> str:
    """The word that all verdicts share; empty where they differ."""
    found = set(words)
    return found.pop() if len(found) == 1 else ""


def _with_ranges(line: Line, entry: Entry, verdicts: Sequence[JSON], name: str) -> Line:
    nulls = [null for verdict in verdicts if (null := chance(verdict, name))]
    names = list(dict.fromkeys(null for null, _ in nulls))
    by_chance = estimates_span([part for _, part in nulls])
    worse = no_better(verdicts, name)
    told = f", no better in {worse} of {len(verdicts)}" if worse else ""
    return replace(
        line,
        estimate=estimates_span([part_of(verdict["parts"], name) for verdict in verdicts]) or DASH,
        region=entry.claim["regions"][name]["text"],
        chance=f"{by_chance} ({', '.join(names)}){told}" if by_chance else "",
        published=estimates_span([part_of(verdict["as_published"], name) for verdict in verdicts]),
    )


def estimates_span(parts: Sequence[JSON | None]) -> str:
    """Range of the defined estimates, smallest to largest; empty when none is defined."""
    estimates = [float(part["estimate"]) for part in parts if part]
    defined = [x for x in estimates if not math.isnan(x)]
    return span(min(defined), max(defined), 2) if defined else ""
