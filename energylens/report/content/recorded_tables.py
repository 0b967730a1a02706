"""Tables that a claim recorded (figures of kind "table"), printed as text in the claim's section."""

import re
from collections.abc import Sequence
from typing import Any

from energylens.report.content.entries import Entry
from energylens.report.content.readable import Md, bold, html, markdown, number, table
from energylens.report.content.visible_characters import BLANK, visible
from energylens.report.figures.panels import Panel, panels_of, seeds_note


def recorded_tables(entry: Entry) -> Md | None:
    """One table per model and variant, of the first seed; the first table open, others folded. None without tables."""
    wanted = entry.claim["figure"]
    panels = panels_of(entry, wanted) if wanted and wanted["kind"] == "table" else []
    drawn = [(_caption(panel), _table(panel)) for panel in panels]
    if not drawn:
        return None
    (caption, first), *others = drawn
    shown = [f"{bold(wanted['title'])}; {markdown(caption)}:\n\n{first}"]
    shown += [
        f"<details>\n<summary>{html(caption)}</summary>\n\n{found}\n\n</details>" for caption, found in others
    ]
    return Md("\n\n".join(shown))


def _caption(panel: Panel) -> str:
    return f"{panel.title}, seed {panel.seeds[0]}{seeds_note(panel, 1)}"


def _table(panel: Panel) -> Md:
    found = panel.series[0]
    return table(
        found["columns"], [[_cell(cell) for cell in row] for row in found["rows"]], len(found["columns"])
    )


def _cell(cell: Any) -> Md | str:
    """Floats with three digits, integers whole; [before, marked, after] as one text whose middle is bold and bracketed.

    The middle is HTML: in Markdown, ** between a letter and a bracket is no emphasis.
    """
    if isinstance(cell, str):
        return _shown(cell)
    if isinstance(cell, Sequence):
        before, marked, after = cell
        left = " " if before[1:].endswith(" ") else ""
        right = " " if after[:-1].startswith(" ") else ""
        before, after = _shown(before.removesuffix(left)), _shown(after.removeprefix(right))
        return Md(f"{before}{left}<b>⟦{_shown(marked)}⟧</b>{right}{after}")
    return str(cell) if isinstance(cell, int) else number(cell, 3)


def _shown(text: str) -> Md:
    """Escaped; a blank that Markdown would drop, at an end or beside another, is ␣."""
    return markdown(re.sub("^ +| +$| {2,}", lambda blanks: BLANK * len(blanks[0]), visible(text)))
