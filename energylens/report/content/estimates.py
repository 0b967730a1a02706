"""The estimates of one claim as a compact table: models in rows, variants in columns, chance levels beside them."""

from typing import Any

from energylens.report.content.better_than_chance import chance_cell, compared, short_text
from energylens.report.content.entries import JSON, Entry, chance, part_of
from energylens.report.content.headline import setup
from energylens.report.content.readable import DASH, Md, bold, markdown, rounded, table
from energylens.report.content.sentences import outcome
from energylens.report.content.verdict_rows import estimate_text


def estimates_table(entry: Entry) -> Md | None:
    """Verdict, estimate and the closest null of every model and variant; None before any estimate.

    Without variants, or with a single one: one row per model and part, one column each for verdict, estimate, chance.
    """
    if not any(verdict["parts"] for verdict in entry.verdicts):
        return None
    variants = list(dict.fromkeys(verdict["variant"] for verdict in entry.verdicts))
    rows = _rows(entry)
    if len(variants) == 1:
        headers = ["model", "verdict", "estimate [90 % interval]", "region", "chance"]
        cells = [[label, *_columns(entry, verdicts[0], name)] for label, name, verdicts in rows]
        return table(headers, cells, keep=3)
    by_variant: list[list[Any]] = []
    for label, name, verdicts in rows:
        at = {verdict["variant"]: verdict for verdict in verdicts}
        by_variant.append([label, *(_cell(entry, at.get(variant), name) for variant in variants)])
    return table(["model", *(variant or DASH for variant in variants)], by_variant)


def chance_words(entry: Entry) -> list[tuple[str, str]]:
    """Name and meaning of every null whose estimate the table shows as chance."""
    shown = {
        null[0] for v in entry.verdicts for name in entry.parts if (null := chance(v, name))
    }  # fmt: skip
    return [(null["name"], null["why"]) for null in entry.claim["nulls"] if null["name"] in shown]


def _rows(entry: Entry) -> list[tuple[str, str, list[JSON]]]:
    """Label, part and verdicts of every row."""
    several = len(entry.parts) > 1
    return [
        (f"{_marked(entry, model)}, {name}" if several else _marked(entry, model), name, verdicts)
        for model, verdicts in entry.by_model().items()
        for name in entry.parts
    ]


def _marked(entry: Entry, model: str) -> str:
    return f"{model} (published set-up)" if setup(entry.claim, model) == "published set-up" else model


def _columns(entry: Entry, verdict: JSON, name: str) -> list[Any]:
    part = part_of(verdict["parts"], name)
    return [
        bold(_word(entry, verdict, part)),
        estimate_text(entry, part),
        entry.claim["regions"][name]["text"],
        chance_cell(verdict, name),
    ]


def _cell(entry: Entry, verdict: JSON | None, name: str) -> Md:
    """Estimate, word and chance, each on a line of its own."""
    if verdict is None:
        return Md(DASH)
    part, null = part_of(verdict["parts"], name), chance(verdict, name)
    told = [markdown(estimate_text(entry, part)), bold(_word(entry, verdict, part).lower())]
    if null:
        better = short_text(compared(verdict, null[0], name))
        told.append(markdown(f"chance {rounded(null[1])}" + (f", {better}" if better else "")))
    return Md("<br>".join(told))


def _word(entry: Entry, verdict: JSON, part: JSON | None) -> str:
    """The part's word where a claim of several parts was judged, the verdict's outcome otherwise."""
    judged = verdict["word"] in ("HOLDS", "REFUTED", "INCONCLUSIVE")
    one = " for this network" if judged and entry.is_one_network else ""
    return (str(part["word"]) if part and judged and len(entry.parts) > 1 else outcome(verdict)) + one
