"""Badges: the endpoint schema of shields.io, and a small SVG that needs no server."""

from collections.abc import Mapping
from typing import Any

from energylens.errors import InputError
from energylens.report.content.entries import JSON, Entry, entries
from energylens.report.content.headline import counts_of, first_line, is_broken
from energylens.report.content.one_network import alone_and_others
from energylens.report.content.readable import clean
from energylens.report.markdown.render import render

_COLOURS = {
    "HOLDS": "brightgreen", "REFUTED": "red", "INCONCLUSIVE": "yellow", "INVALID": "orange",
    "NOT RUN": "lightgrey", "ERROR": "critical",
}  # fmt: skip

_HEX = {
    "brightgreen": "#2d7d32", "yellowgreen": "#6b7300", "yellow": "#8a6d00", "orange": "#b35000",
    "red": "#b3261e", "critical": "#b3261e", "lightgrey": "#6b6b6b", "blue": "#0b62a3",
}  # fmt: skip

# Advance widths of DejaVu Sans (drawn on the metrics of Verdana) in thousandths of the font size.
_WIDTHS = {
    278: "'ijl", 295: "IJ", 318: " ,.", 337: "/:;\\|", 361: "f-", 392: "()[]t", 411: "!r", 500: "\"*_`–",
    521: "sz?", 550: "cL", 577: "Fk", 592: "vxy", 608: "PTYo", 614: "ae", 634: "EhnuSbdgpq0123456789${}",
    656: "K", 685: "AVXZB", 697: "RC", 750: "UNH", 774: "DG&", 787: "OQ", 818: "w", 838: "#+<=>^~±−≥≤",
    863: "M", 974: "m%W", 1000: "@…",
}  # fmt: skip
_WIDTH_OF = {char: width / 1000 for width, chars in _WIDTHS.items() for char in chars}
_UNKNOWN = 0.65


def badge(results: JSON, claim_id: str | None = None) -> dict[str, Any]:
    """The badge of the findings as published, or of one claim, in the endpoint schema of shields.io (version 1).

    Mixed verdicts are blue: a refuted finding is a result, not a broken build. Raises InputError, naming the
    id, for a claim that results.json does not declare.
    """
    found = entries(results)
    if claim_id is None:
        label, message = first_line(found)
        return _shield(label.lower(), message, _overall(found))
    entry = next((entry for entry in found if entry.id == claim_id), None)
    if entry is None:
        raise InputError(f"no claim {claim_id!r} in these results; it declares {[e.id for e in found]}")
    return claim_badge(entry)


def claim_badge(entry: Entry) -> dict[str, Any]:
    """The badge of one claim; not green for a claim that holds by chance too, or was judged on one network alone."""
    if entry.is_one_network and entry.word not in ("NOT RUN", "ERROR"):
        return _shield(entry.id, f"{entry.word.lower()} for one network", "blue")
    word = "by chance" if entry.by_chance else entry.word
    message = "holds, by chance too" if entry.by_chance else entry.word.lower()
    return _shield(entry.id, message, "yellowgreen" if word == "by chance" else _COLOURS[word])


def badge_svg(shield: Mapping[str, Any]) -> str:
    """Draw a badge. Text is stretched to its measured width, so it fits in whatever font the reader has."""
    label, message = clean(shield["label"]), clean(shield["message"])
    sides = [round(text_width(text)) for text in (label, message)]
    return render(
        "badge.svg.j2", label=label, message=message, label_width=sides[0], message_width=sides[1],
        colour=_HEX[shield["color"]],
    )  # fmt: skip


def text_width(text: str, size: float = 11.0) -> float:
    """Width in pixels at `size` pixels."""
    return size * sum(_WIDTH_OF.get(char, _UNKNOWN) for char in text)


def _overall(found: list[Entry]) -> str:
    counts = counts_of(found)["published"]
    if any(entry.word == "ERROR" for entry in found):
        return "critical"
    if alone_and_others(found)[0]:
        return "blue"
    if "invalid" in counts or any(map(is_broken, found)):
        return "orange"
    return "brightgreen" if set(counts) == {"holds"} else "blue"


def _shield(label: str, message: str, colour: str) -> dict[str, Any]:
    return {"schemaVersion": 1, "label": label, "message": message, "color": colour}
