"""Tables that a claim recorded: "table" figures, printed as text in the claim's section."""

from collections.abc import Sequence
from typing import Any

from energylens.report.characters import BLANK, visible
from energylens.report.panels import Panel, panels_of
from energylens.report.text import Md, markdown, number, table
from energylens.report.view import Entry


def recorded_tables(entry: Entry) -> Md | None:
    """One table per model and variant, of its first seed; the first open, others folded. None without any."""
    wanted = entry.claim["figure"]
    panels = panels_of(entry, wanted) if wanted and wanted["kind"] == "table" else []
    drawn = [(_caption(panel), _table(panel)) for panel in panels]
    if not drawn:
        return None
    (caption, first), *others = drawn
    shown = [f"{markdown(wanted['title'])}; {caption}:\n\n{first}"]
    shown += [
        f"<details>\n<summary>{caption}</summary>\n\n{found}\n\n</details>" for caption, found in others
    ]
    return Md("\n\n".join(shown))


def _caption(panel: Panel) -> Md:
    return markdown(f"{panel.title}, seed {panel.seeds[0]}")


def _table(panel: Panel) -> Md:
    found = panel.series[0]
    return table(
        found["columns"], [[_cell(cell) for cell in row] for row in found["rows"]], len(found["columns"])
    )


def _cell(cell: Any) -> Md | str:
    """Numbers with three digits; [before, marked, after] as one text whose middle is bold and bracketed."""
    if isinstance(cell, Sequence) and not isinstance(cell, str):
        before, marked, after = (visible(part) for part in cell)
        before, marked, after = map(markdown, (before, marked.replace(" ", BLANK), after))
        return Md(f"{before}**⟦{marked}⟧**{after}")
    return visible(cell) if isinstance(cell, str) else number(cell, 3)
