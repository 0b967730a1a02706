"""The figures of estimates: a forest over all claims, and one figure per claim with its seeds and nulls."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from energylens.report.content.better_than_chance import against, ceilings_of, short_text
from energylens.report.content.entries import JSON, Entry, cases_at, part_of, place
from energylens.report.content.readable import clean, interval
from energylens.report.content.sentences import counted
from energylens.report.content.verdict_rows import estimate_text, estimates_span
from energylens.report.figures.heatmap import HEATMAP_HEIGHT, draw_heatmaps, heatmaps
from energylens.report.figures.interval_strips import CEILING, NULL, PUBLISHED, Mark, Strip, draw_strips
from energylens.report.figures.style import AS_IT_MUST

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def forest(found: Sequence[Entry]) -> "Figure | None":
    """Every claim, one strip per part; null estimates are hollow. None when no claim has a verdict.

    A claim with many verdicts has one row per model, in which its variants lie under each other.
    """
    ran = [entry for entry in found if not entry.is_idle]
    strips = [_strip(entry, name, _forest_marks(entry, name)) for entry in ran for name in entry.parts]
    drawn = [strip for strip in strips if strip.marks]
    return draw_strips(drawn) if drawn else None


def claim_figure(entry: Entry) -> "Figure | None":
    """One claim: seeds as dots, a row for every null and for the original estimator, pairs as heatmaps.

    A claim with many verdicts has a strip per model, with each null in the row of its verdict. A claim that measures
    time has no figure.
    """
    if entry.claim.get("timed") or not any(verdict["parts"] for verdict in entry.verdicts):
        return None
    strips = [strip for name in entry.parts for strip in _claim_strips(entry, name)]
    maps = heatmaps(entry)
    figure = draw_strips(strips, extra=HEATMAP_HEIGHT if maps else 0.0)
    draw_heatmaps(figure, maps)
    return figure


def _strip(entry: Entry, name: str, marks: Sequence[Mark]) -> Strip:
    region = entry.claim["regions"][name]
    title = f"{entry.id}: {clean(name)}" if len(entry.parts) > 1 else entry.id
    verb = "passes" if entry.is_gate else "holds"
    reported = f", reported {clean(entry.claim['reported'])}" if entry.claim["reported"] else ""
    subtitle = f"{verb} when {region['text']}{reported}"
    return Strip(title, subtitle, float(region["low"]), float(region["high"]), marks)


def _claim_strips(entry: Entry, name: str) -> list[Strip]:
    """One strip; for a claim with many verdicts one per model, its variants as rows."""
    if not entry.is_many:
        return [_strip(entry, name, list(_claim_marks(entry, name)))]
    strips = []
    for model, verdicts in entry.by_model().items():
        marks = []
        for verdict in verdicts:
            dots, hollow = _dots(entry, verdict, name), _null_estimates(verdict, name)
            mark = _mark(entry, verdict, name, dots, hollow)
            marks.append(replace(mark, label=clean(verdict["variant"])))
        strip = _strip(entry, name, marks)
        strips.append(replace(strip, title=f"{strip.title}: {clean(model)}"))
    return strips


def _forest_marks(entry: Entry, name: str) -> list[Mark]:
    if entry.is_many:
        return [_model_mark(entry, verdicts, name) for verdicts in entry.by_model().values()]
    return [_mark(entry, verdict, name, hollow=_null_estimates(verdict, name)) for verdict in entry.verdicts]


def _model_mark(entry: Entry, verdicts: Sequence[JSON], name: str) -> Mark:
    """All variants of a model in one row."""
    inner = [_mark(entry, verdict, name, hollow=_null_estimates(verdict, name)) for verdict in verdicts]
    numbers = estimates_span([part_of(verdict["parts"], name) for verdict in verdicts])
    label = f"{clean(verdicts[0]['model'])} ({len(verdicts)} variants)"
    words = counted(mark.verdict.lower() for mark in inner)
    kind = inner[0].kind if len(words) == 1 else ""
    return Mark(label, kind, numbers=numbers, verdict="\n".join(words), inner=inner)


def _claim_marks(entry: Entry, name: str) -> Iterator[Mark]:
    for verdict in entry.verdicts:
        yield _mark(entry, verdict, name, dots=_dots(entry, verdict, name))
        for null in verdict["nulls"]:
            role = "null" if null["qualifies"] else "beside"
            told = f"claim {better}" if (better := short_text(against(null, name))) else ""
            yield from _minor(f"{role}: {null['name']}", NULL, part_of(null["parts"], name), told)
        for ceiling, part in ceilings_of(verdict, name):
            reach = "out of reach" if name in ceiling["out_of_reach"] else "within reach"
            yield from _minor(f"ceiling: {ceiling['name']}", CEILING, part, reach)
        yield from _minor("as published", PUBLISHED, part_of(verdict["as_published"], name))


def _mark(
    entry: Entry, verdict: JSON, name: str, dots: Sequence[float] = (), hollow: Sequence[float] = ()
) -> Mark:
    part = part_of(verdict["parts"], name)
    label = clean(place(verdict))
    if part is None:
        return Mark(label, verdict["word"], verdict=verdict["word"])
    whole = len(entry.parts) == 1 or verdict["word"] not in ("HOLDS", "REFUTED", "INCONCLUSIVE")
    word = verdict["word"] if whole else part["word"]
    kind = AS_IT_MUST if AS_IT_MUST in verdict["qualifiers"] else word
    told = _short_verdict(verdict) if whole else word
    return Mark(label, kind, *_ends(part), estimate_text(entry, part), told, dots, hollow)


def _short_verdict(verdict: JSON) -> str:
    """The word and whether chance or an instrument explains it; the original estimator has its own row."""
    told = [q for q in verdict["qualifiers"] if not q.startswith("as published")]
    return clean(", ".join([verdict["word"], *told]))


def _minor(label: str, kind: str, part: JSON | None, told: str = "") -> Iterator[Mark]:
    """A row beside a claim; `told` stands in place of the word that it would have by itself."""
    if part:
        yield Mark(clean(label), kind, *_ends(part), numbers=interval(part), verdict=told or part["word"])


def _ends(part: JSON) -> tuple[float, float, float]:
    return float(part["estimate"]), float(part["low"]), float(part["high"])


def _null_estimates(verdict: JSON, name: str) -> list[float]:
    parts = [part_of(null["parts"], name) for null in verdict["nulls"] if null["qualifies"]]
    estimates = [float(part["estimate"]) for part in parts if part]
    return [x for x in estimates if math.isfinite(x)]


def _dots(entry: Entry, verdict: JSON, name: str) -> list[float]:
    """Values per seed, or per pair of seeds for a statistic over pairs; excluded seeds are left out."""
    part = part_of(verdict["parts"], name)
    if part and part["pairs"]:
        values = [float(x) for i, row in enumerate(part["pairs"]) for x in row[:i]]
    else:
        kept = [case for case in cases_at(entry, verdict) if case["seed"] not in verdict["excluded"]]
        values = [float(case["value"][name]) for case in kept if name in case.get("value", {})]
    return [x for x in values if math.isfinite(x)]
