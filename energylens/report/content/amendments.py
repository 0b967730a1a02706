"""Edits of claims' declarations and of their measuring code: as text for a terminal, and as tables of the report."""

from collections.abc import Iterator, Sequence
from typing import Any

from energylens.harness.compare.ledger import CONTROLS
from energylens.report.content.entries import JSON
from energylens.report.content.readable import DASH, Md, clean, count, link, markdown, number, table

LISTED = 20
"""Number of edits, the latest, that the report shows unfolded."""

FOLDED = 200
"""Number of earlier edits per table: pages may break between tables."""

_DIGITS = (3, 6)
_LONGEST = 100


def amendments_text(found: Sequence[JSON]) -> str:
    """Every edit, the oldest first: time and commit of its record, what changed, and below it the rows that moved."""
    lines = []
    for line in found:
        lines.append(
            clean(f"{str(line['at'])[:16].replace('T', ' ')}  {str(line['commit'])[:9]}  {line['claim']}")
        )
        lines += [f"  {clean(change)}" for change in line["changed"]]
        lines += [f"    {clean(text)}" for text in _moves(line)] or ["    no number moved"]
    return "\n".join(
        [*lines, f"{count(len(found), 'edit')} of declarations and measures since the first ledger"]
    )


def amendments_tables(found: Sequence[JSON]) -> list[Md]:
    """The edits, the newest first, one row each: the latest LISTED, and those before in tables of FOLDED."""
    newest = sorted(found, key=lambda line: str(line["at"]), reverse=True)
    starts = [0, *range(LISTED, len(newest), FOLDED)] if newest else []
    return [_table(newest[start : start + (FOLDED if start else LISTED)]) for start in starts]


def _table(found: Sequence[JSON]) -> Md:
    """One row for each edit; the first row that moved stands for all."""
    rows = []
    for line in found:
        moves = list(_moves(line))
        told = [*moves[:1], *([f"and {len(moves) - 1} more"] if len(moves) > 1 else [])]
        changed = "; ".join(_shortened(clean(text)) for text in line["changed"])
        rows.append(
            [str(line["commit"])[:9], link(line["claim"]), changed, Md("<br>".join(map(markdown, told)))]
        )
    return table(
        ["recorded at commit", "claim", "what was edited", "verdict and estimate, before → after"],
        rows,
        keep=4,
    )


def _moves(line: JSON) -> Iterator[str]:
    """`model variant: HOLDS → REFUTED, part .5 [.4, .6] → .1 [.0, .2]` for every row that moved."""
    for key, row in line["rows"].items():
        place = " ".join(str(key).split("/")[1:])
        before, after = row["before"], row["after"]
        if before is None or after is None:
            yield f"{place}: {_whole(before)} → {_whole(after)}"
            continue
        if CONTROLS in row:
            yield f"{place}: {after['verdict']}, only numbers of controls moved"
            continue
        same = before["verdict"] == after["verdict"]
        word = after["verdict"] if same else f"{before['verdict']} → {after['verdict']}"
        yield ", ".join([f"{place}: {word}", *_parts(before["estimates"], after["estimates"])])


def _parts(before: JSON, after: JSON) -> Iterator[str]:
    names = list(dict.fromkeys([*before, *after]))
    for name in names:
        for digits in range(_DIGITS[0], _DIGITS[1] + 1):
            old, new = (_interval(each.get(name), digits) for each in (before, after))
            if old != new:
                yield f"{name} {old} → {new}" if len(names) > 1 else f"{old} → {new}"
                break


def _interval(numbers: Any, digits: int) -> str:
    if not numbers:
        return DASH
    estimate, low, high = (number(each, digits) for each in numbers)
    return f"{estimate} [{low}, {high}]"


def _whole(row: JSON | None) -> str:
    if row is None:
        return DASH
    parts = [f"{name} {_interval(numbers, _DIGITS[0])}" for name, numbers in row["estimates"].items()]
    return ", ".join([row["verdict"], *parts])


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
