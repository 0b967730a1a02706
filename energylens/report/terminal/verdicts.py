"""The verdict table for a terminal, as one string."""

from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

from energylens.report.content.entries import JSON, Entry, entries
from energylens.report.content.headline import apart, first_line
from energylens.report.content.one_network import checked
from energylens.report.content.readable import clean
from energylens.report.content.sentences import denominators
from energylens.report.content.verdict_rows import Line, lines, lines_of

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    "HOLDS": "green", "REFUTED": "red", "INCONCLUSIVE": "yellow", "INVALID": "magenta",
    "NOT RUN": "bright_black", "ERROR": "bold white on red",
}  # fmt: skip

_TITLES = ("model", "verdict", "estimate [90 %]", "region", "chance")
NARROWEST = 78
"""Smallest width of the table in characters; a narrower terminal wraps its lines."""

_FOLDED = {2: 18, 0: 22, 3: 8, 1: 14}
"""Columns that may be folded, in this order, with their smallest widths."""


def terminal_table(results: JSON, width: int = 100, color: bool = False) -> str:
    """Verdicts under their claims, then the headline and what is counted apart.

    width: columns of the terminal. color: ANSI colours.
    """
    from rich.console import Console

    found = entries(results)
    console = Console(
        file=StringIO(), width=max(width, NARROWEST), force_terminal=color,
        color_system="standard" if color else None, highlight=False, markup=False, emoji=False,
        legacy_windows=False,
    )  # fmt: skip
    with console.capture() as captured:
        _print_claims(console, found)
        console.print(": ".join(first_line(found)), style="bold")
        for name, told in apart(found).items():
            console.print(f"{name}: {clean(told)}")
        console.print(denominators(found))
        if one := checked(found):
            console.print(one)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _print_claims(console: "Console", found: Sequence[Entry]) -> None:
    from rich.text import Text

    widths = _widths(found, console.width)
    _print_row(console, [(title, "bold") for title in _TITLES], widths)
    for entry in found:
        reported = clean(entry.claim["reported"])
        heading = Text(entry.id, style="bold")
        console.print(
            heading.append(f"  reported {reported}" if reported else "", style="not bold bright_black")
        )
        for line in lines_of(entry):
            _print_row(console, _cells(line), widths)
            if more := _more(line):
                console.print(Text(f"      {more}", style="bright_black"))


def _print_row(console: "Console", cells: Sequence[tuple[str, str]], widths: Sequence[int]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    grid.add_row(*(Text(text, style=style) for text, style in cells))
    console.print(grid)


def _widths(found: Sequence[Entry], available: int) -> list[int]:
    """Widths of the columns: those of their text, folded until the table fits the terminal."""
    rows = [[text for text, _ in _cells(line)] for line in lines(found)]
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
    for i, narrowest in _FOLDED.items():
        excess = sum(widths) + 2 * (len(widths) - 1) - available
        if excess > 0:
            widths[i] = max(min(widths[i], narrowest), widths[i] - excess)
    return widths


def _cells(line: Line) -> list[tuple[str, str]]:
    indent = "    " if line.is_part else "  "
    return [
        (indent + clean(line.model), ""),
        (clean(line.verdict.partition(", as published")[0]), _style(line)),
        (line.estimate, ""),
        (clean(line.region), ""),
        (_chance(line), "bright_black"),
    ]


def _chance(line: Line) -> str:
    """The null's estimate, with `no better` where the claim is no better; the report has the differences."""
    estimate, _, told = line.chance.partition(" ")
    _, worse, where = told.partition("), no better")
    return clean(f"{estimate}, no better{where}" if worse else estimate)


def _style(line: Line) -> str:
    return STYLES["HOLDS"] if "as it must" in line.verdict else STYLES.get(line.word, "")


def _more(line: Line) -> str:
    """Text without room in a column: the reason, and the original estimator where its verdict is another."""
    published = line.verdict.partition(", as published: ")[2]
    told = [line.why, f"as published: {published}, {line.published}".rstrip(", ") if published else ""]
    return clean("; ".join(filter(None, told)))
